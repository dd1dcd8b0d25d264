package parley_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/parley-im/parley"

// arrow is what one package may import of ours, and why it stops there.
type arrow struct {
	to  []string
	why string
}

// arrows is the import graph. Tests may import what they like; a package that
// is not here fails until its arrows are drawn.
var arrows = map[string]arrow{
	".":        {nil, "the vocabulary imports the standard library only, so that everybody can speak it"},
	"wire":     {[]string{"."}, "frames are shapes and limits; what they mean is decided elsewhere"},
	"wire/gen": {[]string{".", "wire"}, "it writes the shapes of wire in another language"},
	"client":   {[]string{".", "wire"}, "an SDK that others import must not drag the server along"},

	"internal/store":             {[]string{"."}, "contracts know neither engines nor frames"},
	"internal/store/storetest":   {[]string{".", "internal/store"}, "one suite for every engine knows no engine"},
	"internal/store/memstore":    {[]string{".", "internal/store"}, "an engine knows the contract alone"},
	"internal/store/pebblestore": {[]string{".", "internal/store"}, "an engine knows the contract alone"},
	"internal/store/cassandra":   {[]string{".", "internal/store"}, "an engine knows the contract alone"},

	"internal/store/cassandra/cassandratest":     {nil, "it starts a real Cassandra and knows nothing of what is kept there"},
	"internal/store/cassandra/cassandratest/run": {[]string{"internal/store/cassandra/cassandratest"}, "the same by hand"},
	"internal/migrate":                           {[]string{".", "internal/store"}, "it moves what the contract shows, from any engine to any"},

	"internal/account":             {[]string{".", "internal/store", "internal/picture"}, "identity is records; sockets and frames are edge's"},
	"internal/picture":             {[]string{"."}, "it turns bytes into pictures and knows nobody's"},
	"internal/convo":               {[]string{".", "internal/store"}, "the writer of conversations does not know that sessions exist"},
	"internal/inbox":               {[]string{".", "internal/store"}, "the writer of inbox rows tells through a function it is given"},
	"internal/fold":                {[]string{"."}, "it reads entries and the acts on them through interfaces"},
	"internal/fanout":              {[]string{"."}, "it takes entries to inboxes and watchers it knows as interfaces only"},
	"internal/router":              {[]string{"."}, "it compares nodes and nothing else"},
	"internal/presence":            {[]string{"."}, "who is online is leases and interest; sessions and nodes are interfaces to it"},
	"internal/search":              {[]string{"."}, "it reads what a history page holds and lists what an inbox lists, through interfaces"},
	"internal/webhook":             {[]string{".", "wire"}, "it reads as a device does and tells by HTTP; inboxes, logs and registrations are interfaces"},
	"internal/session":             {[]string{".", "wire", "internal/fanout", "internal/fold", "internal/presence"}, "a device online reads and says; it knows neither the store nor the socket"},
	"internal/cluster":             {[]string{".", "internal/store"}, "who is alive and who owns what is known without knowing what is owned"},
	"internal/cluster/clustertest": {[]string{"internal/cluster"}, "one suite for every bus knows no node"},
	"internal/peer":                {[]string{".", "internal/cluster", "internal/fanout", "internal/presence"}, "nodes talk about posts and inboxes, which it knows as interfaces only"},
	"internal/edge":                {[]string{".", "wire", "internal/session", "internal/account", "internal/fold", "internal/search"}, "sockets become values here; the store is out of its sight"},

	"internal/server": {[]string{".", "wire", "internal/edge", "internal/cluster", "internal/peer", "internal/presence", "internal/session", "internal/router", "internal/convo", "internal/fanout", "internal/inbox", "internal/account", "internal/fold", "internal/search", "internal/webhook", "internal/store"},
		"the composition root wires everything, but which engine it gets is the command's choice"},
	"internal/load":     {[]string{".", "wire"}, "load comes from outside, over sockets: sharing code with the server would flatter it"},
	"internal/sim":      {nil, "worlds are made of everything"},
	"internal/terminal": {[]string{".", "wire", "client"}, "what a person sees in a terminal is made of what the SDK tells, as in any other client"},
	"cmd/parley":        {[]string{".", "wire", "client", "internal/terminal", "internal/server", "internal/account", "internal/store", "internal/store/pebblestore", "internal/store/cassandra", "internal/cluster", "internal/migrate", "internal/load", "web"}, "commands compose; what they do is done elsewhere"},
	"deploy":            {nil, "files for operators, and the tests that read them"},
	"web":               {nil, "the built app is bytes"},
}

// everything marks the packages under it as free to import all of ours.
var everything = []string{"internal/sim"}

// guarded is imports that belong to some packages alone.
var guarded = map[string]struct {
	to  []string
	why string
}{
	"net/http":                      {[]string{"internal/edge", "client", "internal/webhook", "internal/load", "internal/sim"}, "HTTP is edge's business; the others play clients"},
	"github.com/gobwas/ws":          {[]string{"internal/edge", "internal/load", "internal/sim"}, "bytes on the socket are edge's"},
	"github.com/coder/websocket":    {[]string{"client", "internal/sim"}, "the socket of the SDK"},
	"github.com/cockroachdb/pebble": {[]string{"internal/store/pebblestore", "internal/sim", "cmd/parley"}, "key layouts belong to an adapter"},
	"github.com/apache/cassandra":   {[]string{"internal/store/cassandra"}, "key layouts belong to an adapter"},
	"github.com/nats-io":            {[]string{"internal/cluster"}, "the bus belongs to the cluster"},
	"github.com/spf13/cobra":        {[]string{"cmd/parley"}, "flags are read by commands"},
	"github.com/knadh/koanf":        {[]string{"cmd/parley"}, "configuration is read by commands"},
	"charm.land":                    {[]string{"internal/terminal"}, "screens are drawn in one place"},
	"github.com/charmbracelet":      {[]string{"internal/terminal"}, "screens are drawn in one place"},
	"golang.org/x/crypto":           {[]string{"internal/account"}, "passwords are seen by account alone"},
	"golang.org/x/image":            {[]string{"internal/picture"}, "files of strangers are decoded in one place"},
	"github.com/prometheus":         {[]string{"internal/edge"}, "metrics leave through edge's admin port"},
	"github.com/anishathalye":       {[]string{"internal/sim"}, "the checker's"},
	"pgregory.net/rapid":            {nil, "for tests"},
}

// TestArrows draws the import graph and fails where an arrow turns back.
func TestArrows(t *testing.T) {
	for dir, imports := range importsOf(t) {
		a, drawn := arrows[dir]
		free := slices.ContainsFunc(everything, func(e string) bool { return within(dir, e) })
		if !drawn && !free {
			t.Errorf("package %s has no arrows. Draw them in arrows_test.go: what may it import of ours, and why does it stop there?", dir)
			continue
		}
		for _, imp := range imports {
			if ours, ok := strings.CutPrefix(imp, module); ok {
				ours = path.Clean(strings.TrimPrefix(ours, "/"))
				if !free && !slices.Contains(a.to, ours) {
					t.Errorf("%s must not import %s: %s", dir, ours, a.why)
				}
				continue
			}
			for g, rule := range guarded {
				if within(imp, g) && !slices.ContainsFunc(rule.to, func(p string) bool { return within(dir, p) }) {
					t.Errorf("%s must not import %s: %s", dir, imp, rule.why)
				}
			}
		}
	}
}

// TestArrowsPointDown finds a cycle that the compiler would not see because a
// package is not written yet.
func TestArrowsPointDown(t *testing.T) {
	var walk func(dir string, trail []string)
	walk = func(dir string, trail []string) {
		if slices.Contains(trail, dir) {
			t.Fatalf("arrows turn back: %s", strings.Join(append(trail, dir), " → "))
		}
		for _, to := range arrows[dir].to {
			walk(to, append(trail, dir))
		}
	}
	for dir := range arrows {
		walk(dir, nil)
	}
}

// importsOf returns the imports of every package of the module, tests aside,
// by directory.
func importsOf(t *testing.T) map[string][]string {
	t.Helper()
	found := make(map[string][]string)
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); base == "testdata" || base == "node_modules" || len(base) > 1 && base[0] == '.' {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(name))
		if found[dir] == nil {
			found[dir] = []string{}
		}
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !slices.Contains(found[dir], imp) {
				found[dir] = append(found[dir], imp)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func within(p, parent string) bool { return p == parent || strings.HasPrefix(p, parent+"/") }
