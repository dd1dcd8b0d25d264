package deploy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// settings returns the keys that the program knows, "table.key", read from the
// struct it decodes its configuration into.
func settings(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../cmd/parley/*.go")
	if err != nil {
		t.Fatal(err)
	}
	structs := map[string]*ast.StructType{}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if s, ok := spec.Type.(*ast.StructType); ok {
					structs[spec.Name.Name] = s
				}
			}
			return true
		})
	}
	known := map[string]bool{}
	var walk func(prefix string, s *ast.StructType)
	walk = func(prefix string, s *ast.StructType) {
		for _, f := range s.Fields.List {
			if f.Tag == nil {
				continue
			}
			name := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("toml")
			known[prefix+name] = true
			if id, ok := f.Type.(*ast.Ident); ok && structs[id.Name] != nil {
				walk(prefix+name+".", structs[id.Name])
			}
		}
	}
	if structs["config"] == nil {
		t.Fatal("the program has no struct config any more")
	}
	walk("", structs["config"])
	return known
}

// wantSettings fails for a configuration that is no TOML or says what the
// program does not know.
func wantSettings(t *testing.T, what, text string, known map[string]bool) map[string]any {
	t.Helper()
	var tree map[string]any
	if err := toml.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	flat := map[string]any{}
	var walk func(prefix string, t map[string]any)
	walk = func(prefix string, t map[string]any) {
		for k, v := range t {
			flat[prefix+k] = v
			if table, ok := v.(map[string]any); ok {
				walk(prefix+k+".", table)
			}
		}
	}
	walk("", tree)
	for _, k := range slices.Sorted(maps.Keys(flat)) {
		if !known[k] {
			t.Errorf("%s: the program knows no %s", what, k)
		}
	}
	return flat
}

// TestSettings kills an example that the program refuses.
func TestSettings(t *testing.T) {
	known := settings(t)
	got := wantSettings(t, "parley.toml", read(t, "parley.toml"), known)
	for k := range known {
		if table := strings.HasPrefix(k, "cluster.") || strings.HasPrefix(k, "cassandra."); table && got[k] == nil &&
			k != "cluster.advertise" && k != "cluster.weight" {
			t.Errorf("parley.toml does not show %s", k)
		}
	}
}

// TestYAML kills a file that is none, settings in it that the program
// refuses, and two nodes that would be one.
func TestYAML(t *testing.T) {
	known := settings(t)
	for name, nodes := range map[string]int{"compose.yaml": 3, "kubernetes/parley.yaml": 1} {
		blocks, err := scalars(read(t, name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ids, urls := map[any]bool{}, map[any]bool{}
		for _, b := range blocks {
			if b.key == "content" || strings.HasSuffix(b.key, ".toml") {
				s := wantSettings(t, name, b.text, known)
				ids[s["cluster.id"]], urls[s["cluster.url"]] = true, true
			}
		}
		if len(ids) != nodes || len(urls) != nodes {
			t.Errorf("%s has settings of %d nodes with %d urls, want %d", name, len(ids), len(urls), nodes)
		}
	}
}

// TestReader: the reader of YAML sees what is wrong.
func TestReader(t *testing.T) {
	for _, good := range []string{"a: 1\nb:\n  c: [x, {y: \"z\"}]\n", "a:\n  - b: 1\n    c: 2\n  - d\ne: |\n  x: y: z\nf: 2", "a: &x\n  b: 1\nc:\n  <<: *x", "a:\n- b\n- c\nd: 1\n---\na: 1"} {
		if _, err := scalars(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"a: 1\na: 2", "a: 1\n  b: 2", "a:\n\tb: 1", "a: [1, 2", "a: \"b", "a: *x", "a: b: c", "a", "a: {b: 1]", "a: |\nb: 1", "a: 1 ", "a:\n  - b: 1\n    b: 2", "- a\nb: 1\n   c: 2", "a:\n    b: 1\n  c: 2"} {
		if _, err := scalars(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

var (
	flagOf  = regexp.MustCompile(`(?:String|Bool|Int|Duration)Var\([^"]*"([a-z-]+)"`)
	imageOf = regexp.MustCompile(`(?m)^(?:FROM|\s*(?:- )?image:) +(\S+)`)
	pinned  = regexp.MustCompile(`^[a-z0-9./-]+:[0-9]+\.[0-9]+\.[0-9]+(-[a-z]+)?$`)
	section = regexp.MustCompile(`^\[[A-Z][a-z]+\]$`)
	line    = regexp.MustCompile(`^([A-Z][A-Za-z]+)=(.*)$`)
)

// serveFlags returns the flags of parley serve.
func serveFlags(t *testing.T) map[string]bool {
	flags := map[string]bool{}
	for _, name := range []string{"../cmd/parley/serve.go", "../cmd/parley/config.go"} {
		for _, m := range flagOf.FindAllStringSubmatch(read(t, name), -1) {
			flags[m[1]] = true
		}
	}
	return flags
}

// wantServe fails for an argument that parley serve does not take.
func wantServe(t *testing.T, what string, args []string, flags map[string]bool) {
	t.Helper()
	if len(args) == 0 || args[0] != "serve" {
		t.Errorf("%s runs %q", what, args)
	}
	for _, a := range args {
		if name, ok := strings.CutPrefix(a, "--"); ok && !flags[name] {
			t.Errorf("%s: parley serve has no --%s", what, name)
		}
	}
}

// TestUnit kills a unit that systemd half ignores, or that does not start.
func TestUnit(t *testing.T) {
	var in string
	values := map[string]string{}
	for n, l := range strings.Split(read(t, "parley.service"), "\n") {
		switch m := line.FindStringSubmatch(l); {
		case l == "" || l[0] == '#':
		case section.MatchString(l):
			in = l
		case m == nil || in == "":
			t.Errorf("line %d is neither a section nor a setting: %q", n+1, l)
		default:
			values[in+m[1]] = m[2]
		}
	}
	args := strings.Fields(values["[Service]ExecStart"])
	if len(args) < 2 || !strings.HasPrefix(args[0], "/") {
		t.Fatalf("ExecStart is %q", args)
	}
	wantServe(t, "the unit", args[1:], serveFlags(t))
	for k, want := range map[string]string{"[Service]DynamicUser": "yes", "[Service]NoNewPrivileges": "yes", "[Service]ProtectSystem": "strict",
		"[Service]CapabilityBoundingSet": "", "[Service]Restart": "on-failure", "[Install]WantedBy": "multi-user.target"} {
		if got, ok := values[k]; !ok || got != want {
			t.Errorf("%s is %q, want %q", k, got, want)
		}
	}
}

// TestImages kills an image that is another one tomorrow, and one that runs as
// root.
func TestImages(t *testing.T) {
	flags := serveFlags(t)
	quoted := regexp.MustCompile(`(?m)(?:CMD|command:|args:) +\[("serve".*)\]$`)
	found := 0
	for _, name := range []string{"Containerfile", "compose.yaml", "kubernetes/parley.yaml"} {
		text := read(t, name)
		for _, m := range imageOf.FindAllStringSubmatch(text, -1) {
			if m[1] != "scratch" && !pinned.MatchString(m[1]) {
				t.Errorf("%s: the image %s is not pinned to a version", name, m[1])
			}
		}
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			found++
			wantServe(t, name, strings.Fields(strings.NewReplacer(`"`, "", ",", " ").Replace(m[1])), flags)
		}
	}
	if found != 5 {
		t.Errorf("%d commands were found, want 5", found)
	}
	lines := strings.Split(read(t, "Containerfile"), "\n")
	if !slices.Contains(lines, "USER 65532:65532") {
		t.Error("the container runs as root")
	}
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(read(t, "../go.mod"))
	if version == nil || !strings.Contains(read(t, "Containerfile"), "golang:"+version[1]+"-") {
		t.Errorf("the container is not built with the Go of go.mod, %v", version)
	}
}

// TestSecrets kills a secret that is written down.
func TestSecrets(t *testing.T) {
	for _, name := range []string{"parley.toml", "compose.yaml", "kubernetes/parley.yaml", "parley.service", "Containerfile"} {
		for n, l := range strings.Split(read(t, name), "\n") {
			if regexp.MustCompile(`(?i)^[^#]*\b(password|secret)\s*[:=]\s*["']?\w{6,}`).MatchString(l) {
				t.Errorf("%s:%d says a secret: %s", name, n+1, l)
			}
		}
	}
}
