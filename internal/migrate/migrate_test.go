package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/migrate"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
)

// TestThereAndBack kills whatever loses or bends a field, a number, a row, a
// record or a mark on the way between two engines.
func TestThereAndBack(t *testing.T) {
	first := memstore.New()
	newSource(t, first, 1).fill()
	second, third := openPebble(t), memstore.New()
	n, print := carry(t, first, second)
	wantSame(t, first, second)
	n2, print2 := carry(t, second, third)
	wantSame(t, first, third)
	if n != n2 || print != print2 {
		t.Errorf("%+v %s became %+v %s", n, print, n2, print2)
	}
	if n.Conversations != 30 || n.Entries < store.BucketSize+300 || n.Users != 21 || n.Partitions != 7 || n.Records != 39 {
		t.Errorf("counted %+v", n)
	}
	counted, err := migrate.Count(t.Context(), first, 4)
	if err != nil || counted != n {
		t.Errorf("there are %+v (%v), copied were %+v", counted, err, n)
	}
	if first.Epoch() == second.Epoch() || second.Epoch() == third.Epoch() {
		t.Error("an epoch was copied: devices ahead of the copy would wait for ever")
	}
}

// TestFingerprint: another content has another fingerprint.
func TestFingerprint(t *testing.T) {
	seen := map[string]bool{}
	for _, change := range []func(*source){func(*source) {}, func(w *source) { w.say("conv-1", 1) },
		func(w *source) { w.move("u1", 1) }, func(w *source) { w.put("user/1", "k8", "x") }} {
		s := memstore.New()
		w := newSource(t, s, 1)
		w.fill()
		change(w)
		_, print := carry(t, s, memstore.New())
		if seen[print] {
			t.Error("two contents with one fingerprint")
		}
		seen[print] = true
	}
}

// TestGrowing: the source goes on while it is copied. A later pass brings what
// changed, and writes nothing else: that is what makes the pause short.
func TestGrowing(t *testing.T) {
	from, to := memstore.New(), memstore.New()
	w := newSource(t, from, 2)
	w.fill()
	c := begin(t, to, from)
	for range 3 {
		if err := c.Pass(t.Context(), from, migrate.Counts{}); err != nil {
			t.Fatal(err)
		}
		wantSame(t, from, to)
		w.grow2()
	}
	var writes, reads atomic.Int64
	to.Fail(func(string) error { writes.Add(1); return nil })
	last := watched{to, &reads}
	c2 := begin(t, last, from) // takes it up: reads everything again
	if err := c2.Pass(t.Context(), from, migrate.Counts{}); err != nil {
		t.Fatal(err)
	}
	writes.Store(0)
	reads.Store(0)
	if err := c2.Pass(t.Context(), from, migrate.Counts{}); err != nil {
		t.Fatal(err)
	}
	if writes.Load() != 0 || reads.Load() != 0 {
		t.Errorf("%d writes and %d reads of logs in a pass without news", writes.Load(), reads.Load())
	}
	w.say("conv-5", 1)
	if err := c2.Pass(t.Context(), from, migrate.Counts{}); err != nil {
		t.Fatal(err)
	}
	if writes.Load() == 0 || writes.Load() > 2 {
		t.Errorf("%d writes for one message", writes.Load())
	}
	wantSame(t, from, to)
}

// grow2 is grow that can be repeated.
func (w *source) grow2() {
	if w.heads["conv-99"].Seq == 0 {
		w.grow()
		return
	}
	w.say("conv-0", 5)
	w.move("new", 3)
	w.put("user/new", "k", fmt.Sprint(w.pos))
}

// watched counts how often a log of the target is read.
type watched struct {
	store.Store
	reads *atomic.Int64
}

func (w watched) Read(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) ([]parley.Entry, error) {
	w.reads.Add(1)
	return w.Store.Read(ctx, c, after, limit)
}

func (w watched) Load(ctx context.Context, c parley.ConversationID) (store.Head, error) {
	w.reads.Add(1)
	return w.Store.Load(ctx, c)
}

var errKilled = errors.New("killed")

// TestInterrupted kills a copy at its n-th write, again and again, while the
// source grows. Each run goes on where the last one ended, and no server may
// start on the target before the last.
func TestInterrupted(t *testing.T) {
	from, to := memstore.New(), memstore.New()
	w := newSource(t, from, 3)
	w.fill()
	for killed := 0; ; killed++ {
		if killed == 5 {
			w.grow()
		}
		var writes atomic.Int64
		hook := func(string) error {
			if writes.Add(1) > int64(4+killed%3) {
				return errKilled
			}
			return nil
		}
		if killed%2 == 0 {
			to.Fail(hook)
		} else {
			to.FailAfter(hook)
		}
		c, err := migrate.Begin(t.Context(), migrate.Config{To: to, Workers: 3}, from)
		if err == nil {
			err = c.Pass(t.Context(), from, migrate.Counts{})
		}
		if err == nil {
			if killed < 10 {
				t.Fatalf("killed %d times only", killed)
			}
			wantRefused(t, migrate.Unfinished(t.Context(), to), parley.Conflict)
			to.Fail(nil)
			to.FailAfter(nil)
			if err := c.Finish(t.Context()); err != nil {
				t.Fatal(err)
			}
			break
		}
		if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		to.Fail(nil)
		to.FailAfter(nil)
		wantRefused(t, migrate.Unfinished(t.Context(), to), parley.Conflict)
	}
	wantSame(t, from, to)
	if err := migrate.Unfinished(t.Context(), to); err != nil {
		t.Errorf("a finished copy: %v", err)
	}
}

// TestUnknown: an engine that now and then does not say what became of a write
// gets neither a gap nor a double.
func TestUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := memstore.New(), memstore.New()
		newSource(t, from, 4).fill()
		var n atomic.Int64
		hook := func(string) error {
			if n.Add(1)%3 == 0 {
				return store.ErrUnavailable
			}
			return nil
		}
		to.Fail(hook)
		to.FailAfter(hook)
		carry(t, from, to)
		wantSame(t, from, to)
	})
}

// TestGivesUp: an engine that never answers ends the copy, with what failed.
func TestGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := memstore.New(), memstore.New()
		newSource(t, from, 4).fill()
		c := begin(t, to, from)
		to.Fail(func(string) error { return store.ErrUnavailable })
		begun := time.Now()
		if err := c.Pass(t.Context(), from, migrate.Counts{}); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("gave up after %s", took)
		}
		to.Fail(func(string) error { return store.ErrFull })
		wantRefused(t, c.Pass(t.Context(), from, migrate.Counts{}), parley.StorageFull)
	})
}

// TestRefuses: what is not an earlier state of the source is never added to.
func TestRefuses(t *testing.T) {
	full := memstore.New()
	newSource(t, full, 5).fill()
	half := func(t *testing.T, of *memstore.Store) *memstore.Store { // an unfinished copy
		to := memstore.New()
		if err := begin(t, to, of).Pass(t.Context(), of, migrate.Counts{}); err != nil {
			t.Fatal(err)
		}
		return to
	}
	for name, target := range map[string]func(t *testing.T) store.Store{
		"itself":         func(*testing.T) store.Store { return full },
		"a conversation": func(t *testing.T) store.Store { s := memstore.New(); newSource(t, s, 1).say("c", 1); return s },
		"an inbox":       func(t *testing.T) store.Store { s := memstore.New(); newSource(t, s, 1).move("u", 1); return s },
		"a record":       func(t *testing.T) store.Store { s := memstore.New(); newSource(t, s, 1).put("p", "k", "v"); return s },
		"moved away": func(t *testing.T) store.Store {
			s := memstore.New()
			if err := migrate.Seal(t.Context(), s, "elsewhere"); err != nil {
				t.Fatal(err)
			}
			return s
		},
		"a copy of another": func(t *testing.T) store.Store {
			s := memstore.New()
			newSource(t, s, 6).say("c", 1)
			return half(t, s)
		},
		"a copy of another with the same names": func(t *testing.T) store.Store {
			s := memstore.New()
			newSource(t, s, 99).fill()
			return half(t, s)
		},
		"a copy that was written to": func(t *testing.T) store.Store {
			s := half(t, full)
			h, err := s.Load(t.Context(), "conv-1")
			if err != nil {
				t.Fatal(err)
			}
			e := parley.Entry{Seq: h.Seq + 1, ID: "x", Kind: parley.KindMessage, Count: h.Count + 1}
			if err := s.Append(t.Context(), store.Append{Conversation: "conv-1", Base: h.Seq, Entries: []parley.Entry{e}}); err != nil {
				t.Fatal(err)
			}
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			to := target(t)
			before := contentOf(t, to)
			c, err := migrate.Begin(t.Context(), migrate.Config{To: to, Workers: 1}, full)
			if err == nil {
				err = c.Pass(t.Context(), full, migrate.Counts{})
			}
			if e, ok := errors.AsType[*parley.Error](err); !ok || e.Detail == "" {
				t.Fatalf("got %v, want a sentence", err)
			}
			for id, entries := range contentOf(t, to).Entries {
				if _, stood := before.Entries[id]; stood && len(entries) != len(before.Entries[id]) {
					t.Errorf("conversation %s was added to", id)
				}
			}
		})
	}
	t.Run("from a half", func(t *testing.T) {
		_, err := migrate.Begin(t.Context(), migrate.Config{To: memstore.New()}, half(t, full))
		wantRefused(t, err, parley.Conflict)
	})
}

// TestSeal: a store that was moved is not served, until somebody says so.
func TestSeal(t *testing.T) {
	s := memstore.New()
	for range 2 {
		if err := migrate.Seal(t.Context(), s, "the cluster"); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, migrate.Unfinished(t.Context(), s), parley.Conflict)
	}
	if err := migrate.Reopen(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := migrate.Unfinished(t.Context(), s); err != nil {
		t.Error(err)
	}
	begin(t, s, memstore.New())
	wantRefused(t, migrate.Reopen(t.Context(), s), parley.Conflict) // a half of a store stays one
}

// liar is a target that keeps something else than it was given.
type liar struct {
	*memstore.Store
	entry  func(*parley.Entry)
	state  func(*parley.Conversation)
	row    func(*parley.Row)
	record func(*store.Change)
	act    func(*parley.Act)
	find   bool
	acts   bool // forgets them
	erase  bool // does not
}

func (l liar) Acts(ctx context.Context, c parley.ConversationID, from, to parley.Seq) ([]parley.Act, error) {
	if l.acts {
		return nil, ctx.Err()
	}
	out, err := l.Store.Acts(ctx, c, from, to)
	for i := range out {
		if l.act != nil {
			l.act(&out[i])
		}
	}
	return out, err
}

func (l liar) Erase(ctx context.Context, c parley.ConversationID, seqs []parley.Seq) error {
	if l.erase {
		return ctx.Err()
	}
	return l.Store.Erase(ctx, c, seqs)
}

func (l liar) Append(ctx context.Context, a store.Append) error {
	a.Entries = slices.Clone(a.Entries)
	if last := &a.Entries[len(a.Entries)-1]; l.entry != nil {
		l.entry(last)
	}
	if a.State != nil && l.state != nil {
		s := *a.State
		s.Members = slices.Clone(s.Members)
		l.state(&s)
		a.State = &s
	}
	return l.Store.Append(ctx, a)
}

func (l liar) WriteInboxes(ctx context.Context, ws []*store.InboxWrite) error {
	if l.row != nil {
		ws[0].Rows = slices.Clone(ws[0].Rows)
		l.row(&ws[0].Rows[0])
	}
	return l.Store.WriteInboxes(ctx, ws)
}

func (l liar) CommitRecords(ctx context.Context, partition string, cs []store.Change) error {
	if l.record != nil && partition != "migrate" {
		l.record(&cs[0])
	}
	return l.Store.CommitRecords(ctx, partition, cs)
}

func (l liar) Find(ctx context.Context, c parley.ConversationID, id parley.MessageID, base parley.Seq) (parley.Seq, error) {
	if l.find {
		return 0, ctx.Err()
	}
	return l.Store.Find(ctx, c, id, base)
}

// TestComparison seeds one fault in each field that is copied; the comparison
// must see every one.
func TestComparison(t *testing.T) {
	for name, l := range map[string]liar{
		"kind": {entry: func(e *parley.Entry) { e.Kind = parley.KindTitle }}, "id": {entry: func(e *parley.Entry) { e.ID += "x" }},
		"sender": {entry: func(e *parley.Entry) { e.Sender += "x" }}, "device": {entry: func(e *parley.Entry) { e.Device += "x" }},
		"at": {entry: func(e *parley.Entry) { e.At = e.At.Add(time.Millisecond) }}, "type": {entry: func(e *parley.Entry) { e.Body.Type = "" }},
		"data": {entry: func(e *parley.Entry) { e.Body.Data = append(slices.Clone(e.Body.Data), 0) }}, "ref": {entry: func(e *parley.Entry) { e.Ref++ }},
		"reply": {entry: func(e *parley.Entry) { e.ReplyTo++ }}, "count": {entry: func(e *parley.Entry) { e.Count++ }},
		"title": {state: func(c *parley.Conversation) { c.Title = "" }}, "member": {state: func(c *parley.Conversation) { c.Members = c.Members[:1] }},
		"role":      {state: func(c *parley.Conversation) { c.Members[0].Role = parley.RoleMember }},
		"head":      {row: func(r *parley.Row) { r.Head++ }},
		"read":      {row: func(r *parley.Row) { r.Read++ }},
		"own":       {row: func(r *parley.Row) { r.Own = nil }},
		"past":      {row: func(r *parley.Row) { r.Past = r.Past[:1] }},
		"another":   {row: func(r *parley.Row) { r.Conversation = "x" }},
		"value":     {record: func(c *store.Change) { c.Value = nil }},
		"key":       {record: func(c *store.Change) { c.Key += "x" }},
		"forgotten": {find: true},
		"mentions":  {entry: func(e *parley.Entry) { e.Mentions = append(slices.Clone(e.Mentions), "x") }}, "forwarded": {entry: func(e *parley.Entry) { e.Forwarded = !e.Forwarded }},
		"withheld": {entry: func(e *parley.Entry) { e.Withheld = append(slices.Clone(e.Withheld), "x") }},
		"pins":     {state: func(c *parley.Conversation) { c.Pins = nil }}, "mentioned": {row: func(r *parley.Row) { r.Mentioned = nil }},
		"spoke": {row: func(r *parley.Row) { r.Spoke = !r.Spoke }}, "muted": {row: func(r *parley.Row) { r.Personal.Muted = time.Time{} }},
		"hidden": {row: func(r *parley.Row) { r.Personal.Hidden = nil }}, "draft": {row: func(r *parley.Row) { r.Personal.Draft.ReplyTo++ }},
		"acts": {acts: true}, "act's text": {act: func(a *parley.Act) { a.Text += "x" }}, "act's kind": {act: func(a *parley.Act) { a.Kind = parley.KindEdit }},
		"act's sender": {act: func(a *parley.Act) { a.Sender += "x" }}, "act's withheld": {act: func(a *parley.Act) { a.Withheld = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			from := memstore.New()
			newSource(t, from, 7).fill()
			l.Store = memstore.New()
			wantRefused(t, begin(t, l, from).Pass(t.Context(), from, migrate.Counts{}), parley.Internal)
		})
	}
}

// TestProgress: what is told adds up, from one goroutine at a time.
func TestProgress(t *testing.T) {
	from, to := memstore.New(), memstore.New()
	newSource(t, from, 8).fill()
	total, err := migrate.Count(t.Context(), from, 1)
	if err != nil {
		t.Fatal(err)
	}
	clock := time.Unix(0, 0)
	var ticks atomic.Int64
	now := func() time.Time { return clock.Add(time.Duration(ticks.Add(1)) * 20 * time.Millisecond) }
	var last migrate.Progress
	told := 0 // not guarded: the race detector sees two tellers
	c, err := migrate.Begin(t.Context(), migrate.Config{To: to, Now: now, Progress: func(p migrate.Progress) {
		if p.Done.Entries < last.Done.Entries || p.Elapsed < last.Elapsed || p.Left() < 0 {
			t.Errorf("%+v after %+v", p, last)
		}
		told++
		last = p
	}}, from)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Pass(t.Context(), from, total); err != nil {
		t.Fatal(err)
	}
	if told < 5 || last.Done != total || last.Total != total || last.Left() != 0 || last.Rate() <= 0 {
		t.Errorf("told %d times, the last was %+v of %+v", told, last.Done, total)
	}
}

// TestStopped: a copy ends when it is told to.
func TestStopped(t *testing.T) {
	from, to := memstore.New(), memstore.New()
	newSource(t, from, 9).fill()
	ctx, stop := context.WithCancel(t.Context())
	c := begin(t, to, from)
	var n atomic.Int64
	to.FailAfter(func(string) error {
		if n.Add(1) == 10 {
			stop()
		}
		return nil
	})
	if err := c.Pass(ctx, from, migrate.Counts{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
