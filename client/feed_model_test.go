package client

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// cases is how many cases each of the two models is tried with;
// PARLEY_MODEL_CASES raises it for a soak.
const cases = 10_000

func checkCases(t *testing.T, prop func(*rapid.T)) {
	t.Helper()
	n := strconv.Itoa(cases)
	if s := os.Getenv("PARLEY_MODEL_CASES"); s != "" {
		n = s
	}
	if err := flag.Set("rapid.checks", n); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, prop)
}

// step is one thing that happens to a device that reads.
type step struct {
	What string
	Conv string
	N    int
}

var (
	happenings = []string{"say", "say", "say", "settle", "settle", "deliver", "deliver", "drop", "twice", "reverse", "behind",
		"last", "cut", "goaway", "badreads", "die", "dieBefore", "dieAfter", "wait", "restore"}
	steps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			What: rapid.SampledFrom(happenings).Draw(t, "what"),
			Conv: rapid.SampledFrom([]string{"c1", "c2", "c3"}).Draw(t, "conv"),
			N:    rapid.IntRange(1, 5).Draw(t, "n"),
		}
	}), 1, 24)
)

// memory is the Store of a device that keeps all it is told. It outlives the
// device's processes.
type memory struct {
	Place
	entries map[parley.ConversationID][]Entry
	fail    string // "before", "after": the next Keep fails, having kept or not
	wrong   error  // the first promise broken
}

var errDied = errors.New("the process died")

func (m *memory) Keep(ctx context.Context, n *News) error {
	fail := m.fail
	m.fail = ""
	if fail == "before" {
		return errDied
	}
	if n.Reset {
		m.entries = nil
	}
	if m.entries == nil {
		m.entries = map[parley.ConversationID][]Entry{}
	}
	for _, e := range n.Entries {
		log := m.entries[e.Conversation]
		if want := parley.Seq(len(log) + 1); e.Seq != want && m.wrong == nil {
			m.wrong = fmt.Errorf("%s: %d was told where %d was due", e.Conversation, e.Seq, want)
		}
		m.entries[e.Conversation] = append(log, e)
	}
	for _, r := range n.Rows {
		if conv := parley.ConversationID(r.ID); len(m.entries[conv]) < int(r.Head) && m.wrong == nil {
			m.wrong = fmt.Errorf("%s: a row with head %d was told when %d entries had been", conv, r.Head, len(m.entries[conv]))
		}
	}
	if err := m.Place.Keep(ctx, n); err != nil {
		return err
	}
	if fail == "after" {
		return errDied
	}
	return nil
}

// complete returns what is wrong with what was told, when all should have been.
func (m *memory) complete(w *world) error {
	if m.wrong != nil {
		return m.wrong
	}
	for conv, log := range w.logs {
		told := m.entries[parley.ConversationID(conv)]
		if len(told) != len(log) {
			return fmt.Errorf("%s: %d entries were told of %d", conv, len(told), len(log))
		}
		for i := range log {
			if string(told[i].ID) != log[i].ID {
				return fmt.Errorf("%s: number %d was told as %s and is %s", conv, i+1, told[i].ID, log[i].ID)
			}
		}
	}
	return nil
}

// device is the process of a device that follows its inbox.
type device struct {
	cancel context.CancelFunc
	ended  chan error
}

func startDevice(c *Client, s Store) *device {
	ctx, cancel := context.WithCancel(context.Background())
	d := &device{cancel: cancel, ended: make(chan error, 1)}
	go func() {
		var last error
		for _, err := range c.Subscribe(ctx, Subscription{Store: s, Backlog: All}) {
			last = err
		}
		d.ended <- last
	}()
	return d
}

func (d *device) die() error {
	d.cancel()
	return <-d.ended
}

// happen lets one step happen; it reports whether the device has to be started
// anew.
func happen(w *world, m *memory, s step) (dies bool) {
	switch s.What {
	case "say":
		w.say(s.Conv, s.N)
	case "settle":
		w.settle()
	case "cut":
		w.cut(nil)
	case "goaway":
		w.cut(wire.AppendGoaway(nil, time.Duration(s.N)*time.Second, ""))
	case "badreads":
		w.mu.Lock()
		w.badReads = s.N
		w.mu.Unlock()
	case "dieBefore", "dieAfter":
		if m != nil {
			m.fail = map[string]string{"dieBefore": "before", "dieAfter": "after"}[s.What]
		}
		w.settle()
		w.deliver("deliver")
		synctest.Wait()
		return true
	case "die":
		return true
	case "wait":
		after(time.Duration(s.N) * time.Second)
	case "restore":
		w.restore(s.Conv, s.N)
	default:
		w.deliver(s.What)
	}
	synctest.Wait()
	return false
}

// after lets the bubble's clock run.
func after(d time.Duration) { <-time.After(d) }

// readerLife plays script to a device with store s, heals everything, and
// returns what is wrong with what was told. m is s, or what is under it.
func readerLife(w *world, s Store, m *memory, script []step) error {
	c := w.client()
	d := startDevice(c, s)
	synctest.Wait()
	for _, st := range script {
		if happen(w, m, st) {
			if err := d.die(); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errDied) {
				return fmt.Errorf("the subscription ended: %w", err)
			}
			m.fail = ""
			d = startDevice(c, s)
			synctest.Wait()
		}
	}
	w.settle()
	w.mu.Lock()
	w.badReads = 0
	w.mu.Unlock()
	w.deliver("deliver")
	after(3 * maxWait)
	synctest.Wait()
	if err := d.die(); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the subscription ended: %w", err)
	}
	return m.complete(w)
}

// TestModelReading kills: a cursor or a number held that moves over a gap; a
// push told twice; a row told before its entries; a reset that keeps anything.
func TestModelReading(t *testing.T) {
	checkCases(t, func(rt *rapid.T) {
		script := steps.Draw(rt, "steps")
		w := newWorld()
		w.unasked = rapid.Bool().Draw(rt, "unasked")
		w.pageRows = rapid.IntRange(1, 3).Draw(rt, "page")
		var err error
		synctest.Test(t, func(*testing.T) {
			m := &memory{}
			err = readerLife(w, m, m, script)
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// hasty is a device that takes a push for a delivery: what it holds is the
// last number that was pushed to it.
type hasty struct {
	*memory
	w *world
}

func (h hasty) Held(context.Context, parley.ConversationID) (parley.Seq, bool, error) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	return parley.Seq(len(h.w.logs["c1"])), true, nil
}

// forgetful is a device that keeps a cursor before what it stands for.
type forgetful struct{ *memory }

func (f forgetful) Keep(ctx context.Context, n *News) error {
	if f.memory.fail == "before" && n.Cursor == "" {
		f.memory.fail = ""
		n.Entries = nil // the process dies, and the entries were only in memory
		_ = f.memory.Keep(ctx, n)
		return errDied
	}
	return f.memory.Keep(ctx, n)
}

// TestModelReadingFindsFaults is the control: each seeded fault is found.
func TestModelReadingFindsFaults(t *testing.T) {
	tests := []struct {
		name   string
		store  func(*memory, *world) Store
		script []step
	}{
		{"a number held moves to a push", func(m *memory, w *world) Store { return hasty{m, w} },
			[]step{{"say", "c1", 2}, {"drop", "", 0}, {"say", "c1", 1}, {"deliver", "", 0}}},
		{"what is told is not kept", func(m *memory, _ *world) Store { return forgetful{m} },
			[]step{{"say", "c1", 2}, {"dieBefore", "", 0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, honest := range []bool{true, false} {
				var err error
				synctest.Test(t, func(*testing.T) {
					w, m := newWorld(), &memory{}
					var s Store = m
					if !honest {
						s = tt.store(m, w)
					}
					err = readerLife(w, s, m, tt.script)
				})
				if (err == nil) != honest {
					t.Errorf("honest %v: %v", honest, err)
				}
			}
		})
	}
}

// TestModelFollow kills: a Follow that skips or repeats when its connection,
// the network or the server's history fails.
func TestModelFollow(t *testing.T) {
	checkCases(t, func(rt *rapid.T) {
		script := steps.Draw(rt, "steps")
		var err error
		synctest.Test(t, func(*testing.T) { err = followLife(newWorld(), script) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// followLife plays script to a Follow of c1 and returns what is wrong with
// what it yielded: nothing twice, and in the end the log.
func followLife(w *world, script []step) error {
	w.unasked = true
	w.say("c1", 2)
	ctx, cancel := context.WithCancel(context.Background())
	told := map[parley.Seq]parley.MessageID{}
	var wrong error
	ended := make(chan error, 1)
	go func() {
		var last error
		for e, err := range w.client().Follow(ctx, "c1", 0) {
			if last = err; err != nil {
				break
			}
			if told[e.Seq] == e.ID {
				wrong = fmt.Errorf("number %d was told twice", e.Seq)
			}
			if e.Seq > 1 && told[e.Seq-1] == "" {
				wrong = fmt.Errorf("number %d was told before the one before it", e.Seq)
			}
			told[e.Seq] = e.ID
		}
		ended <- last
	}()
	synctest.Wait()
	for _, st := range script {
		happen(w, nil, st)
	}
	w.settle()
	w.mu.Lock()
	w.badReads = 0
	w.mu.Unlock()
	w.deliver("deliver")
	after(3 * maxWait)
	synctest.Wait()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		return fmt.Errorf("Follow ended: %w", err)
	}
	for i, e := range w.logs["c1"] {
		if got := told[parley.Seq(i+1)]; string(got) != e.ID && wrong == nil {
			wrong = fmt.Errorf("number %d was told as %q and is %q", i+1, got, e.ID)
		}
	}
	return wrong
}
