package load

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestResolve(t *testing.T) {
	for raw, want := range map[string]string{
		"http://127.0.0.1:8080": "127.0.0.1:8080", "http://127.0.0.1/": "127.0.0.1:80", "http://[::1]:9": "[::1]:9",
		"http://[::ffff:127.0.0.1]:9": "127.0.0.1:9",
	} {
		o := Options{URL: raw}
		if p, err := o.resolve(t.Context()); err != nil || p.addr.String() != want {
			t.Errorf("%s: %v, %v", raw, p.addr, err)
		}
	}
	for raw, want := range map[string]string{
		"": "is not a URL", "127.0.0.1:8080": "is not a URL", "https://127.0.0.1:1": "plain http", "http://127.0.0.1:1/x": "without a path",
		"http://127.0.0.1:99999": "not a number", "http://192.0.2.1:80": "not on this machine", "http://0.0.0.0:80": "not on this machine",
	} {
		o := Options{URL: raw}
		if _, err := o.resolve(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", raw, err, want)
		}
	}
	o := Options{URL: "http://192.0.2.1:80", RemoteOK: true}
	if p, err := o.resolve(t.Context()); err != nil || p.addr.String() != "192.0.2.1:80" {
		t.Errorf("remote on purpose: %v, %v", p.addr, err)
	}
	if o.serverOf(place{addr: mustPlace(t, &o).addr}) != 0 {
		t.Error("another machine's process was found on this one")
	}
}

func mustPlace(t *testing.T, o *Options) place {
	t.Helper()
	p, err := o.resolve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlansAreBounded(t *testing.T) {
	for _, err := range []error{checkLoad(0, 1, 0), checkLoad(maxConnections+1, 1, 0), checkLoad(1, 0, 0), checkLoad(1, maxWindow+1, 0),
		checkLoad(1, 1, -1), checkLoad(1, 1, maxRate*2), HistoryPlan{1, 1, 0}.check(), HistoryPlan{0, 1, 1}.check(), HistoryPlan{1, 0, 1}.check()} {
		if err == nil {
			t.Error("a plan without bounds was taken")
		}
	}
	if err := checkLoad(2, 0, 10); err != nil {
		t.Error(err)
	}
}

// TestCut wants everybody in one group, and nobody in one by themself.
func TestCut(t *testing.T) {
	for n := minMixed; n < 2000; n++ {
		sum := 0
		for _, size := range cut(n) {
			if sum += size; size < 2 || size > 50+groupSizes[0] {
				t.Fatalf("%d people: a group of %d", n, size)
			}
		}
		if sum != n {
			t.Fatalf("%d people: %d in groups", n, sum)
		}
	}
}

// TestRota kills shares that are not what they are said to be, that come in
// bursts, and lanes that never have their turn.
func TestRota(t *testing.T) {
	r := rota{{weight: shareDirect}, {weight: shareGroups}, {weight: shareCrowds}}
	for i := range 12 {
		s := &r[i%3]
		s.lanes = append(s.lanes, newLane(i, nil, nil, 1, 1))
	}
	turns := map[uint32]int{}
	last := 0
	for i := range 1200 {
		l := r.next()
		turns[l.index]++
		if l.index%3 == 2 {
			if gap := i - last; last > 0 && gap != 100 {
				t.Errorf("%d messages between two to everybody", gap)
			}
			last = i
		}
	}
	for i := range uint32(12) {
		if want := [...]int{270, 27, 3}[i%3]; turns[i] != want {
			t.Errorf("lane %d had %d turns, not %d", i, turns[i], want)
		}
	}
}

// TestWithin kills a promise that is kept on paper: by everything else than the
// messages to everybody, by leaving messages out, or by sending none.
func TestWithin(t *testing.T) {
	fast, slow := &Latency{P99: 900}, &Latency{P99: 1100}
	for _, tc := range []struct {
		rep Report
		ok  bool
	}{
		{Report{EndToEnd: fast}, true}, {Report{EndToEnd: slow}, false}, {Report{EndToEnd: slow, LastMember: fast}, true},
		{Report{EndToEnd: fast, LastMember: slow}, false}, {Report{EndToEnd: fast, Unsent: 1}, false}, {Report{}, false},
	} {
		if err := tc.rep.Within(time.Second); (err == nil) != tc.ok || err != nil && !errors.Is(err, ErrSlow) {
			t.Errorf("%+v: %v", tc.rep, err)
		}
		if err := tc.rep.Within(0); err != nil {
			t.Errorf("asked for nothing: %v", err)
		}
	}
	if plan, within := Promise(); plan.Members != 1000 || plan.Rate != 20 || within != time.Second {
		t.Errorf("promised: %v within %v", plan, within)
	}
}

// TestPairsOfGrow kills an order in which more conversations would not begin
// with the ones there are: then none would be used again.
func TestPairsOfGrow(t *testing.T) {
	all := pairsOf(100)
	seen := map[pair]bool{}
	for i, p := range all {
		n := HistoryPlan{Conversations: i + 1}.users()
		if p.a >= p.b || p.b >= n || seen[p] {
			t.Errorf("pair %d is %v of %d people", i, p, n)
		}
		seen[p] = true
		if few := pairsOf(i + 1); few[i] != p {
			t.Errorf("pair %d is %v or %v", i, p, few[i])
		}
	}
}

func TestTextsOfAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lines")
	lines := "one \"quoted\" line\n\n  \nbad \xff bytes\n" + strings.Repeat("x", 1001) + "\ntwo\n"
	if err := os.WriteFile(name, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{Texts: name}.withDefaults()
	said, err := newTexts(&o)
	if err != nil || len(said.lines) != 2 {
		t.Fatalf("%q, %v", said.lines, err)
	}
	if got := string(said.lines[0]); got != `"one \"quoted\" line"` {
		t.Errorf("%s", got)
	}
	if err := os.WriteFile(name, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newTexts(&o); err == nil {
		t.Error("a file without a text was taken")
	}
}

func TestDiskUse(t *testing.T) {
	dir := t.TempDir()
	before, err := diskUse(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), make([]byte, 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if after, err := diskUse(dir); err != nil || after-before < 90_000 || after-before > 200_000 {
		t.Errorf("%d bytes more, %v", after-before, err)
	}
	if _, err := diskUse(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that is not there takes space")
	}
	o := Options{}.withDefaults()
	if l, err := o.measureSync(dir); err != nil || l.Count == 0 || l.P50 <= 0 {
		t.Errorf("%+v, %v", l, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "parley-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestListener finds this process by the port it listens on.
func TestListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	o := Options{URL: "http://127.0.0.1:" + port}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	if pid := listenerOn(uint16(n)); pid != os.Getpid() {
		t.Errorf("process %d listens on %s, not %d", pid, port, os.Getpid())
	}
	if p := o.serverOf(mustPlace(t, &o)); p != 0 {
		t.Errorf("this very process would be measured as the server: %d", p)
	}
	if u := process(os.Getpid()).look(); !u.known || u.memory < 1<<20 {
		t.Errorf("this process uses %+v", u)
	}
	if u := process(1 << 30).look(); u.known {
		t.Error("a process that is not there was looked at")
	}
}

func TestParseStat(t *testing.T) {
	stat := "7 (a ) name (x) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 9 0 123 999 300 18446744073709551615 1 1"
	u, err := parseStat([]byte(stat), 4096)
	if err != nil || u.cpu.Seconds() != 2 || u.memory != 300*4096 {
		t.Errorf("%+v, %v", u, err)
	}
	for _, bad := range []string{"", "7 (x", "7 (x) S 1", strings.Replace(stat, "150", "x", 1)} {
		if _, err := parseStat([]byte(bad), 4096); err == nil {
			t.Errorf("took %q", bad)
		}
	}
	if n := writtenOf([]byte("rchar: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 9\n")); n != 4096 {
		t.Errorf("%d bytes written", n)
	}
}
