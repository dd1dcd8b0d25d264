package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/store"
)

// inWorld runs a test in a world of its own and ends the world.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, "")
		defer func() {
			w.heal()
			w.close()
			if w.bad != "" {
				t.Error(w.bad)
			}
		}()
		test(t, w)
	})
}

// TestAlone: a node alone settles, within four seconds.
func TestAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		n := w.join("a")
		if n.Term(0) != 0 || n.Announced() {
			t.Fatal("believed before it can know")
		}
		w.settled(4 * time.Second)
		if n.Status().Why != "" || !n.Announced() {
			t.Errorf("%+v", n.Status())
		}
	})
}

// TestFailover: what a killed node owned is another's within eight seconds,
// and what a frozen one owned as well; when it wakes it believes nothing.
func TestFailover(t *testing.T) {
	for name, harm := range map[string]func(*world, cluster.NodeID){
		"killed": (*world).kill,
		"frozen": (*world).freeze,
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				for _, id := range []cluster.NodeID{"a", "b", "c"} {
					w.join(id)
				}
				w.settled(10 * time.Second)
				c := w.procs["c"].node
				shard := 0
				for c.Term(shard) == 0 {
					shard++
				}
				harm(w, "c")
				w.settled(8 * time.Second)
				if name == "frozen" {
					if c.Term(shard) != 0 || c.View().Term != 0 || c.Announced() {
						t.Error("a node that was frozen believes its memory")
					}
					w.thaw("c")
					w.settled(10 * time.Second)
				}
			})
		})
	}
}

// TestLeave: goodbye takes a node out of the view at once and out of the table.
func TestLeave(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.join("a"), w.join("b")
		w.settled(10 * time.Second)
		b.Leave(t.Context())
		synctest.Wait()
		if got := len(a.View().Members); got != 1 {
			t.Errorf("%d members after a goodbye", got)
		}
		if b.Term(0) != 0 || b.Announced() {
			t.Error("who left believes")
		}
		if r, err := w.store.GetRecord(t.Context(), cluster.Partition, "b"); err != nil || r.Version != 0 {
			t.Errorf("the row of who left: %v, %v", r, err)
		}
		delete(w.procs, "b")
		w.settled(4 * time.Second)
	})
}

// TestDrain: a draining node owns nothing, and still hears and answers.
func TestDrain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.join("a"), w.join("b")
		w.settled(10 * time.Second)
		b.Drain()
		synctest.Wait()
		for s := range shards {
			if a.View().Owners(s)[0] != "a" || b.View().Owners(s)[0] != "a" {
				t.Fatal("a draining node owns")
			}
		}
		w.settled(4 * time.Second)
		if len(a.View().Members) != 2 {
			t.Error("a draining node is no member")
		}
	})
}

// TestOneName: the second node of a name is refused with a sentence; a node
// that died keeps its name from nobody.
func TestOneName(t *testing.T) {
	t.Run("running", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			w.join("a")
			w.run(2 * time.Second)
			first := w.procs["a"]
			err := <-w.start("a").joined
			w.procs["a"] = first
			if code(err) != parley.Conflict || !strings.Contains(err.Error(), `another node runs as "a"; give each node a cluster.id of its own`) {
				t.Fatalf("the second a: %v", err)
			}
		})
	})
	t.Run("at once", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			first, second := w.start("a"), w.start("a")
			errs := []error{<-first.joined, <-second.joined}
			if (errs[0] == nil) == (errs[1] == nil) {
				t.Fatalf("two started at once: %v", errs)
			}
			w.procs["a"] = first
			first.joined <- errs[0]
			if errs[0] != nil {
				w.procs["a"] = second
				<-first.joined
				second.joined <- nil
			}
		})
	})
	t.Run("after a crash", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			w.join("a")
			w.run(2 * time.Second)
			w.kill("a")
			begun := time.Now()
			w.join("a")
			if took := time.Since(begun); took > 4*time.Second {
				t.Errorf("joining after a crash took %v", took)
			}
			w.settled(8 * time.Second)
		})
	})
	t.Run("taken over while frozen", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			old := w.join("a")
			w.settled(6 * time.Second)
			w.freeze("a")
			frozen := w.procs["a"]
			w.run(2 * time.Second)
			w.join("a")
			next := w.procs["a"]
			w.procs["a"] = frozen
			w.thaw("a")
			if err := <-old.Failed(); code(err) != parley.Conflict {
				t.Errorf("the frozen node: %v", err)
			}
			if old.Term(0) != 0 {
				t.Error("it believes after it lost its name")
			}
			w.kill("a")
			w.procs["a"] = next
		})
	})
}

// TestStoreOutOfReach: without the node table nobody is settled, whatever the
// heartbeats say, and joining is possible; everything heals by itself.
func TestStoreOutOfReach(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.join("a")
		w.settled(10 * time.Second)
		w.each(func(p *process) { p.lost = true })
		w.run(4 * time.Second)
		if a.Term(0) != 0 || a.Announced() {
			t.Fatal("settled without the node table")
		}
		if why := a.Status().Why; !strings.Contains(why, "node table") {
			t.Errorf("why: %q", why)
		}
		w.heal()
		w.settled(6 * time.Second)

		p := w.start("b")
		w.setStore(p, true, 0)
		if err := <-p.joined; err != nil {
			t.Fatalf("joining without the node table: %v", err)
		}
		p.joined <- nil
		w.heal()
		w.settled(10 * time.Second)
	})
}

// TestForget: a row is removed by hand; of a living node it comes back, in
// another tenure.
func TestForget(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.join("a")
		w.settled(10 * time.Second)
		was := a.View().Tenure
		if err := cluster.Forget(t.Context(), w.store, "a"); err != nil {
			t.Fatal(err)
		}
		w.run(3 * time.Second)
		w.settled(8 * time.Second)
		if a.View().Tenure == was {
			t.Error("others may have been settled without it, and its tenure is the same")
		}
		for id, want := range map[cluster.NodeID]parley.Code{"nobody": parley.NotFound, "No One": parley.BadRequest} {
			if err := cluster.Forget(t.Context(), w.store, id); code(err) != want {
				t.Errorf("forgetting %q: %v", id, err)
			}
		}
	})
}

// TestChanges: every view is told, in order, and the last one is what is.
func TestChanges(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var mu sync.Mutex
		var told []*cluster.View
		n, err := cluster.Join(t.Context(), cluster.Config{
			ID: "a", Shards: shards, Bus: w.hub.Bus("a"), Records: w.store, Peers: silence{},
			Changed: func(v *cluster.View) { mu.Lock(); told = append(told, v); mu.Unlock() },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Kill()
		w.join("b")
		w.run(6 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		last := uint64(0)
		for i, v := range told {
			if v.Term != 0 && v.Term <= last {
				t.Errorf("view %d has term %d after %d", i, v.Term, last)
			}
			last = max(last, v.Term)
		}
		if len(told) == 0 || told[len(told)-1] != n.View() || last == 0 {
			t.Errorf("told %d views, the last is not the present one", len(told))
		}
	})
}

// recorder is a Listener that keeps and answers.
type recorder struct{ told chan string }

func (r recorder) Told(from cluster.NodeID, msg []byte) { r.told <- string(from) + " " + string(msg) }
func (r recorder) Asked(from cluster.NodeID, msg []byte, answer func([]byte)) {
	answer(append([]byte(from+" asked "), msg...))
}

// TestPeers: what peers say reaches peers, and heartbeats do not.
func TestPeers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.join("a")
		heard := recorder{make(chan string, 1000)}
		b, err := cluster.Join(t.Context(), cluster.Config{ID: "b", Shards: shards, Bus: w.hub.Bus("b"), Records: w.store, Peers: heard})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Kill()
		w.run(time.Second)
		if err := a.Tell("b", []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if got := <-heard.told; got != "a hello" {
			t.Errorf("the first thing heard is %q", got)
		}
		if got, err := a.Ask(t.Context(), "b", []byte("that")); err != nil || string(got) != "a asked that" {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := a.Ask(t.Context(), "z", nil); !errors.Is(err, cluster.ErrUnreachable) {
			t.Errorf("asking nobody: %v", err)
		}
	})
}

// TestClocksApart: an hour between two clocks is told once, and decides
// nothing.
func TestClocksApart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		logged := new(lockedBuffer)
		w.log = slog.New(slog.NewTextHandler(logged, nil))
		a := w.join("a")
		var mu sync.Mutex
		off := time.Hour
		b, err := cluster.Join(t.Context(), cluster.Config{
			ID: "b", Shards: shards, Bus: w.hub.Bus("b"), Records: w.store, Peers: silence{},
			Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(off) },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Kill()
		w.run(8 * time.Second)
		if a.View().Term == 0 || b.View().Term == 0 {
			t.Errorf("not settled: %s; %s", a.Status().Why, b.Status().Why)
		}
		const sentence = "the clock of a node differs"
		if n := strings.Count(logged.String(), sentence); n != 1 {
			t.Errorf("told %d times:\n%s", n, logged)
		}
		if s := a.Status().Members[1]; !s.Skewed || s.Clock < 59*time.Minute {
			t.Errorf("status: %+v", s)
		}
	})
}

// TestStranger: a node that speaks another protocol is named and not taken in.
func TestStranger(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		logged := new(lockedBuffer)
		w.log = slog.New(slog.NewTextHandler(logged, nil))
		a := w.join("a")
		bus := w.hub.Bus("new")
		defer bus.Close()
		for range 3 {
			_ = bus.TellAll([]byte("\x02" + `{"protocol":9,"id":"new","incarnation":1,"weight":8,"version":"7.0.0"}`))
			_ = bus.TellAll([]byte("\x02not json"))
			_ = bus.TellAll([]byte("\x02" + `{"protocol":1,"id":"other","incarnation":1,"weight":8}`))
			_ = bus.TellAll([]byte("\x02" + `{"protocol":1,"id":"new","incarnation":1,"weight":99}`))
			_ = bus.TellAll(nil)
		}
		synctest.Wait()
		if len(a.View().Members) != 1 {
			t.Errorf("members: %v", a.View().Members)
		}
		for _, sentence := range []string{"speaks another protocol", "cannot be read"} {
			if n := strings.Count(logged.String(), sentence); n != 1 {
				t.Errorf("%q told %d times:\n%s", sentence, n, logged)
			}
		}
	})
}

// TestBadConfig: what cannot be is refused with a code and a sentence.
func TestBadConfig(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		bus := w.hub.Bus("a")
		defer bus.Close()
		for name, change := range map[string]func(*cluster.Config){
			"no id":           func(c *cluster.Config) { c.ID = "" },
			"capitals":        func(c *cluster.Config) { c.ID = "A" },
			"a dot":           func(c *cluster.Config) { c.ID = "a.b" },
			"a space":         func(c *cluster.Config) { c.ID = "a b" },
			"too long":        func(c *cluster.Config) { c.ID = cluster.NodeID(strings.Repeat("a", 33)) },
			"another's bus":   func(c *cluster.Config) { c.ID = "b" },
			"no bus":          func(c *cluster.Config) { c.Bus = nil },
			"no records":      func(c *cluster.Config) { c.Records = nil },
			"no shards":       func(c *cluster.Config) { c.Shards = 0 },
			"weight 17":       func(c *cluster.Config) { c.Weight = 17 },
			"negative weight": func(c *cluster.Config) { c.Weight = -1 },
			"trust too long":  func(c *cluster.Config) { c.Trust = 2 * time.Second },
			"settle too soon": func(c *cluster.Config) { c.Settle = time.Second },
		} {
			c := cluster.Config{ID: "a", Shards: shards, Bus: bus, Records: w.store, Peers: silence{}}
			change(&c)
			_, err := cluster.Join(t.Context(), c)
			if e := new(parley.Error); !errors.As(err, &e) || e.Code != parley.BadRequest || e.Detail == "" {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestJoinEnds: ctx bounds the joining.
func TestJoinEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.join("a")
		w.kill("a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		bus := w.hub.Bus("a")
		defer bus.Close()
		_, err := cluster.Join(ctx, cluster.Config{ID: "a", Shards: shards, Bus: bus, Records: w.store, Peers: silence{}})
		if code(err) != parley.Overloaded || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

// TestForeignRows: rows that this release cannot read stand for nodes.
func TestForeignRows(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		if err := w.store.CommitRecords(t.Context(), cluster.Partition, []store.Change{{Key: "z", Value: []byte("?")}}); err != nil {
			t.Fatal(err)
		}
		a := w.join("a")
		w.run(3500 * time.Millisecond)
		if a.View().Term != 0 || !strings.Contains(a.Status().Why, `"z"`) {
			t.Errorf("settled although z may live: %+v", a.Status())
		}
		w.settled(3 * time.Second) // z is long dead
	})
}

// lockedBuffer is a bytes.Buffer for many.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
