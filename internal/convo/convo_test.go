package convo_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/convo"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
)

// published collects what an owner told, in order.
type published struct {
	mu      sync.Mutex
	entries map[parley.ConversationID][]parley.Entry
	to      map[parley.UserID][]parley.Seq // what reached each member, in all conversations
	mixed   int                            // commits that held a change of members and something else
}

func (p *published) Confirm(_ *parley.Conversation, _ *parley.Entry, told func(error)) { told(nil) }

func (p *published) Publish(c *parley.Conversation, entries []parley.Entry, told func(error)) {
	defer told(nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.entries == nil {
		p.entries = make(map[parley.ConversationID][]parley.Entry)
		p.to = make(map[parley.UserID][]parley.Seq)
	}
	p.entries[c.ID] = append(p.entries[c.ID], entries...)
	if len(entries) > 1 && slices.ContainsFunc(entries, func(e parley.Entry) bool { return e.Kind == parley.KindMembers }) {
		p.mixed++
	}
	for _, m := range c.Members {
		for _, e := range entries {
			if e.Seq >= m.Since && (m.Until == 0 || e.Seq <= m.Until) {
				p.to[m.User] = append(p.to[m.User], e.Seq)
			}
		}
	}
}

// log is what an owner needs of a store.
type log interface {
	store.Log
	store.Acts
}

// engine is a store with acts.
type engine interface {
	store.Store
	store.Acts
}

func newOwner(t *testing.T, log log, change ...func(*convo.Config)) (*convo.Owner, *published) {
	t.Helper()
	p := new(published)
	cfg := convo.Config{Log: log, Acts: log, Publisher: p, Now: time.Now, Rand: rand.Reader, Logger: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&cfg)
	}
	o := convo.New(cfg)
	t.Cleanup(func() { o.Close(context.Background()) })
	return o, p
}

func newStore(t *testing.T) *memstore.Store {
	t.Helper()
	s := memstore.New()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// post posts and waits.
func post(o *convo.Owner, c parley.ConversationID, sender parley.UserID, id, text string) (parley.Ack, error) {
	return postWith(o, parley.Post{Conversation: c, Sender: sender, ID: parley.MessageID(id), Body: parley.Body{Type: parley.TextPlain, Data: []byte(text)}})
}

func postWith(o *convo.Owner, p parley.Post) (parley.Ack, error) {
	type outcome struct {
		ack parley.Ack
		err error
	}
	ch := make(chan outcome, 1)
	o.Post(p, func(ack parley.Ack, err error) { ch <- outcome{ack, err} })
	out := <-ch
	return out.ack, out.err
}

func group(t *testing.T, o *convo.Owner, by parley.UserID, others ...parley.UserID) parley.ConversationID {
	t.Helper()
	c, created, err := o.Create(t.Context(), by, parley.Group, "a group", others)
	if err != nil || !created {
		t.Fatalf("Create = created %v, %v", created, err)
	}
	return c.ID
}

func readAll(t *testing.T, log store.Log, c parley.ConversationID) []parley.Entry {
	t.Helper()
	entries, err := log.Read(t.Context(), c, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		if e.Seq != parley.Seq(i+1) {
			t.Fatalf("entry %d carries the number %d", i+1, e.Seq)
		}
	}
	return entries
}

// TestSameIDSameNumber kills an owner that forgets ids: with the conversation
// in memory, after a restart, from another owner, and while the first try is
// still under way.
func TestSameIDSameNumber(t *testing.T) {
	s := newStore(t)
	first, _ := newOwner(t, s)
	c := group(t, first, "u-a", "u-b")
	ack, err := post(first, c, "u-a", "m1", "hello")
	if err != nil || ack.Seq != 2 || ack.Again {
		t.Fatalf("first try: %+v, %v", ack, err)
	}
	second, _ := newOwner(t, s)
	for name, o := range map[string]*convo.Owner{"the same owner": first, "another owner": second} {
		again, err := post(o, c, "u-a", "m1", "hello")
		if err != nil || again.Seq != ack.Seq || !again.Again || !again.At.Equal(ack.At) {
			t.Errorf("%s: %+v, %v; want %+v again", name, again, err, ack)
		}
		if _, err := post(o, c, "u-a", "m1", "another text"); parley.CodeOf(err) != parley.IDConflict {
			t.Errorf("%s: another body under the same id: %v, want id_conflict", name, err)
		}
		if _, err := post(o, c, "u-b", "m1", "hello"); parley.CodeOf(err) != parley.IDConflict {
			t.Errorf("%s: the same id by somebody else: %v, want id_conflict", name, err)
		}
	}
	if n := len(readAll(t, s, c)); n != 2 {
		t.Errorf("the log holds %d entries, want 2", n)
	}
}

// TestSameIDInOneBatch kills a plan that looks for ids in the store only.
func TestSameIDInOneBatch(t *testing.T) {
	s := newStore(t)
	o, told := newOwner(t, s)
	c := group(t, o, "u-a", "u-b")
	const tries = 50
	acks := make(chan parley.Ack, tries)
	for range tries {
		o.Post(parley.Post{Conversation: c, Sender: "u-a", ID: "m1", Body: parley.Body{Type: parley.TextPlain, Data: []byte("x")}}, func(a parley.Ack, err error) {
			if err != nil {
				t.Error(err)
			}
			acks <- a
		})
	}
	fresh := 0
	for range tries {
		a := <-acks
		if a.Seq != 2 {
			t.Errorf("a try got the number %d", a.Seq)
		}
		if !a.Again {
			fresh++
		}
	}
	if fresh != 1 {
		t.Errorf("%d tries believe to be the first", fresh)
	}
	if n := len(told.entries[c]); n != 2 {
		t.Errorf("%d entries were told, want 2", n)
	}
}

// TestTwoOwnersOnOneStore shows that ownership is a hint: two owners that
// both believe in themselves fork nothing, lose nothing and double nothing,
// also when every message is tried on both.
func TestTwoOwnersOnOneStore(t *testing.T) {
	s := newStore(t)
	a, toldA := newOwner(t, s)
	b, toldB := newOwner(t, s)
	c := group(t, a, "u-0", "u-1", "u-2", "u-3")
	const writers, messages = 4, 100
	var wg sync.WaitGroup
	var mu sync.Mutex
	acked := make(map[string]parley.Seq)
	for w := range writers {
		for first := range 2 {
			wg.Go(func() {
				for m := range messages {
					o := []*convo.Owner{a, b}[(first+m)%2]
					id := fmt.Sprintf("m-%d-%d", w, m)
					ack, err := post(o, c, parley.UserID(fmt.Sprintf("u-%d", w)), id, id)
					for parley.CodeOf(err).Retry() != parley.GiveUp && err != nil {
						ack, err = post(o, c, parley.UserID(fmt.Sprintf("u-%d", w)), id, id)
					}
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if had, ok := acked[id]; ok && had != ack.Seq {
						t.Errorf("%s has the numbers %d and %d", id, had, ack.Seq)
					}
					acked[id] = ack.Seq
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	entries := readAll(t, s, c)
	if len(entries) != 1+writers*messages {
		t.Fatalf("the log holds %d entries, want %d", len(entries), 1+writers*messages)
	}
	count := uint64(0)
	for _, e := range entries[1:] {
		if count++; e.Count != count {
			t.Fatalf("entry %d counts %d messages, want %d", e.Seq, e.Count, count)
		}
		if acked[string(e.ID)] != e.Seq {
			t.Fatalf("%s stands at %d and was acknowledged at %d", e.ID, e.Seq, acked[string(e.ID)])
		}
	}
	if got := len(toldA.entries[c]) + len(toldB.entries[c]); got != len(entries) {
		t.Errorf("%d entries were told, want each once: %d", got, len(entries))
	}
	if len(toldB.entries[c]) == 0 || len(toldA.entries[c]) == 1 {
		t.Error("one owner did all the work: this run showed nothing")
	}
}

// TestOneDirectConversationPerPair has both sides ask at once, on two owners.
func TestOneDirectConversationPerPair(t *testing.T) {
	s := newStore(t)
	a, _ := newOwner(t, s)
	b, _ := newOwner(t, s)
	for i := range 50 {
		me, you := parley.UserID(fmt.Sprintf("u-a%d", i)), parley.UserID(fmt.Sprintf("u-b%d", i))
		var wg sync.WaitGroup
		var mu sync.Mutex
		ids := make(map[parley.ConversationID]bool)
		made := 0
		ask := func(o *convo.Owner, by, with parley.UserID) {
			c, created, err := o.Create(t.Context(), by, parley.Direct, "", []parley.UserID{with})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids[c.ID] = true
			if created {
				made++
			}
			if len(c.Members) != 2 {
				t.Errorf("%d members", len(c.Members))
			}
		}
		for _, o := range []*convo.Owner{a, b} {
			wg.Go(func() { ask(o, me, you) })
			wg.Go(func() { ask(o, you, me) })
		}
		wg.Wait()
		if len(ids) != 1 || made != 1 {
			t.Fatalf("pair %d: %d conversations, made %d times", i, len(ids), made)
		}
	}
}

func TestWhoMayPost(t *testing.T) {
	s := newStore(t)
	o, _ := newOwner(t, s)
	c := group(t, o, "u-a", "u-b")
	for name, p := range map[string]struct {
		post parley.Post
		want parley.Code
	}{
		"a stranger":              {parley.Post{Conversation: c, Sender: "u-z", ID: "m1"}, parley.NotFound},
		"no such conversation":    {parley.Post{Conversation: "gnone", Sender: "u-a", ID: "m1"}, parley.NotFound},
		"answers what is not":     {parley.Post{Conversation: c, Sender: "u-a", ID: "m1", ReplyTo: 9}, parley.BadRequest},
		"answers the first entry": {parley.Post{Conversation: c, Sender: "u-a", ID: "m2", ReplyTo: 1}, ""},
	} {
		if _, err := postWith(o, p.post); parley.CodeOf(err) != p.want {
			t.Errorf("%s: %v, want %q", name, err, p.want)
		}
	}
	if _, _, _, err := o.Get(t.Context(), "u-z", c); parley.CodeOf(err) != parley.NotFound {
		t.Errorf("a stranger reads the conversation: %v", err)
	}
	if _, err := o.Find(t.Context(), "u-z", c, "m2"); parley.CodeOf(err) != parley.NotFound {
		t.Errorf("a stranger finds a message: %v", err)
	}
	if seq, err := o.Find(t.Context(), "u-b", c, "m2"); err != nil || seq != 2 {
		t.Errorf("Find = %d, %v", seq, err)
	}
}

func TestCreateRefuses(t *testing.T) {
	o, _ := newOwner(t, newStore(t))
	for name, c := range map[string]struct {
		kind    parley.ConversationKind
		members []parley.UserID
	}{
		"three in a direct one": {parley.Direct, []parley.UserID{"u-b", "u-c"}},
		"nobody":                {parley.Direct, nil},
		"an unknown kind":       {"channel", []parley.UserID{"u-b"}},
	} {
		if _, _, err := o.Create(t.Context(), "u-a", c.kind, "", c.members); parley.CodeOf(err) != parley.BadRequest {
			t.Errorf("%s: %v, want bad_request", name, err)
		}
	}
}

// gate is a log whose appends wait to be let through, and may fail.
type gate struct {
	engine
	pass chan error
}

func (g *gate) Append(ctx context.Context, a store.Append) error {
	select {
	case err := <-g.pass:
		if err != nil {
			return err
		}
		return g.engine.Append(ctx, a)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestUnknownOutcome kills an owner that trusts its memory after a write
// whose outcome it does not know: the write happened, the answer said no.
func TestUnknownOutcome(t *testing.T) {
	s := memstore.New()
	defer s.Close()
	o, _ := newOwner(t, s)
	c := group(t, o, "u-a", "u-b")
	s.FailAfter(func(string) error { return store.ErrUnavailable })
	if _, err := post(o, c, "u-a", "m1", "x"); parley.CodeOf(err) != parley.Overloaded {
		t.Fatalf("an unknown outcome was answered with %v, want overloaded", err)
	}
	s.FailAfter(nil)
	ack, err := post(o, c, "u-a", "m1", "x")
	if err != nil || ack.Seq != 2 || !ack.Again {
		t.Errorf("the retry: %+v, %v; want number 2 again", ack, err)
	}
	if ack, err := post(o, c, "u-a", "m2", "y"); err != nil || ack.Seq != 3 {
		t.Errorf("the next: %+v, %v; want number 3", ack, err)
	}
}

// late is a log whose appends, while hung, have an unknown outcome and happen
// when the disk comes back.
type late struct {
	engine
	hung chan struct{} // nil: not hung
}

func (l *late) Append(ctx context.Context, a store.Append) error {
	if l.hung == nil {
		return l.engine.Append(ctx, a)
	}
	back := l.hung
	go func() {
		<-back
		_ = l.engine.Append(context.WithoutCancel(ctx), a)
	}()
	return store.ErrUnavailable
}

// TestUnknownOutcomeIsTold kills an owner that publishes only what it knows
// it wrote: an append that happened after all, at once or half a minute
// later, is told to members though its sender never tries again. So is the
// founding of a conversation.
func TestUnknownOutcomeIsTold(t *testing.T) {
	for _, after := range []time.Duration{0, 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := memstore.New()
			defer s.Close()
			l := &late{engine: s}
			o, told := newOwner(t, l)
			c := group(t, o, "u-a", "u-b")
			l.hung = make(chan struct{})
			if _, err := post(o, c, "u-a", "m1", "x"); parley.CodeOf(err) != parley.Overloaded {
				t.Fatalf("an unknown outcome was answered with %v", err)
			}
			if _, _, err := o.Create(t.Context(), "u-a", parley.Direct, "", []parley.UserID{"u-b"}); parley.CodeOf(err) != parley.Overloaded {
				t.Fatalf("a founding of unknown outcome was answered with %v", err)
			}
			if _, ok := o.Rests(t.Context(), c); ok {
				t.Error("a mark may go while nobody knows whether all was told")
			}
			<-time.After(after)
			close(l.hung)
			<-time.After(time.Second)
			l.hung = nil
			if n := len(told.entries[c]); n != 2 {
				t.Errorf("after %v: %d entries were told, want 2", after, n)
			}
			if n := len(told.entries[parley.DirectID("u-a", "u-b")]); n != 1 {
				t.Errorf("after %v: %d entries of the founded conversation were told, want 1", after, n)
			}
			if ack, err := post(o, c, "u-b", "m2", "y"); err != nil || ack.Seq != 3 {
				t.Errorf("the next post: %+v, %v", ack, err)
			}
			o.Close(t.Context())
		})
	}
}

// TestErrorsOfTheStore says what a sender hears of each.
func TestErrorsOfTheStore(t *testing.T) {
	for _, c := range []struct {
		err  error
		want parley.Code
	}{
		{store.ErrFull, parley.StorageFull},
		{store.ErrUnavailable, parley.Overloaded},
		{store.ErrClosed, parley.Draining},
		{store.ErrCorrupt, parley.Internal},
		{errors.New("anything"), parley.Internal},
	} {
		g := &gate{engine: newStore(t), pass: make(chan error, 1)}
		o, told := newOwner(t, g)
		g.pass <- nil
		conversation := group(t, o, "u-a", "u-b")
		g.pass <- c.err
		if _, err := post(o, conversation, "u-a", "m1", "x"); parley.CodeOf(err) != c.want {
			t.Errorf("%v was answered with %v, want %s", c.err, err, c.want)
		}
		if n := len(told.entries[conversation]); n != 1 {
			t.Errorf("%v: %d entries were told, want the first alone", c.err, n)
		}
	}
}

// TestQueuesAreBounded fills one conversation and the whole owner.
func TestQueuesAreBounded(t *testing.T) {
	for name, bound := range map[string]func(*convo.Config){
		"posts of one conversation": func(c *convo.Config) { c.MaxQueuedHere = 10 },
		"bytes of all":              func(c *convo.Config) { c.MaxQueued = 10 * 300 },
	} {
		g := &gate{engine: newStore(t), pass: make(chan error, 100)}
		o, _ := newOwner(t, g, bound)
		g.pass <- nil
		c := group(t, o, "u-a", "u-b")
		const posts = 40
		outcomes := make(chan error, posts)
		for i := range posts {
			o.Post(parley.Post{Conversation: c, Sender: "u-a", ID: parley.MessageID(fmt.Sprintf("m%d", i))}, func(_ parley.Ack, err error) { outcomes <- err })
		}
		for range posts {
			g.pass <- nil
		}
		refused := 0
		for range posts {
			if err := <-outcomes; parley.CodeOf(err) == parley.Overloaded {
				refused++
			} else if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if refused == 0 || refused == posts {
			t.Errorf("%s: %d of %d posts were refused", name, refused, posts)
		}
		if _, err := post(o, c, "u-a", "later", "x"); err != nil {
			t.Errorf("%s: refused after the queue was empty: %v", name, err)
		}
	}
}

// TestCloseAnswersWhatIsQueued kills a Close that forgets the queue, and one
// that waits for a store that never answers.
func TestCloseAnswersWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{engine: memstore.New(), pass: make(chan error, 10)}
		defer g.Close()
		o, _ := newOwner(t, g)
		g.pass <- nil
		c := group(t, o, "u-a", "u-b")
		outcomes := make(chan error, 10)
		for i := range 3 {
			o.Post(parley.Post{Conversation: c, Sender: "u-a", ID: parley.MessageID(fmt.Sprintf("m%d", i))}, func(_ parley.Ack, err error) { outcomes <- err })
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begun := time.Now()
		o.Close(ctx) // nothing comes through the gate
		if took := time.Since(begun); took != 5*time.Second {
			t.Errorf("Close took %v, want until its context ended", took)
		}
		for range 3 {
			if err := <-outcomes; parley.CodeOf(err) != parley.Overloaded {
				t.Errorf("a post cut off in the middle was answered with %v, want overloaded: its outcome is unknown", err)
			}
		}
		if _, err := post(o, c, "u-a", "late", "x"); parley.CodeOf(err) != parley.Draining {
			t.Errorf("a post after Close: %v, want draining", err)
		}
	})
}

// TestIdleHoldsNothing kills an owner that keeps a goroutine or a place per
// conversation it has ever seen.
func TestIdleHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		defer s.Close()
		o, _ := newOwner(t, s, func(c *convo.Config) { c.MaxResident = 8 })
		ids := make([]parley.ConversationID, 50)
		for i := range ids {
			ids[i] = group(t, o, "u-a", "u-b")
		}
		for _, id := range ids {
			if ack, err := post(o, id, "u-b", "m1", "x"); err != nil || ack.Seq != 2 {
				t.Fatalf("a conversation that had left memory: %+v, %v", ack, err)
			}
		}
		// The bubble fails if a goroutine is left when this returns.
		o.Close(t.Context())
	})
}

// TestEveryAppendMarks kills an append that sets no dirty mark because it
// believes that one stands: it was settled, here or by another node.
func TestEveryAppendMarks(t *testing.T) {
	s := newStore(t)
	o, _ := newOwner(t, s)
	c := group(t, o, "u-a", "u-b")
	dirty := func() bool {
		t.Helper()
		marked, err := s.DirtyAfter(t.Context(), nil, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(marked) == 1
	}
	if !dirty() {
		t.Fatal("the first append set no mark")
	}
	// The owner is idle a moment after its last answer.
	head, ok := o.Rests(t.Context(), c)
	for !ok {
		head, ok = o.Rests(t.Context(), c)
	}
	if err := s.Settle(t.Context(), c, head); err != nil {
		t.Fatal(err)
	}
	if dirty() {
		t.Fatal("the mark stands after Settle")
	}
	for i, m := range []string{"m1", "m2"} {
		if _, err := post(o, c, "u-a", m, "x"); err != nil {
			t.Fatal(err)
		}
		if !dirty() {
			t.Fatal("an append set no mark: a crash now would leave inboxes behind")
		}
		// Now it is another node that settles, without a word to this one.
		if err := s.Settle(t.Context(), c, head+parley.Seq(i)+1); err != nil || dirty() {
			t.Fatalf("the mark stands after Settle (%v)", err)
		}
	}
}

// TestBucketEdges kills a batch that crosses a bucket's edge, which no engine
// over partitions can append at once; memstore refuses it.
func TestBucketEdges(t *testing.T) {
	o, _ := newOwner(t, newStore(t), func(c *convo.Config) { c.MaxQueuedHere = 3 * store.BucketSize })
	c, _, err := o.Create(t.Context(), "u-a", parley.Group, "long", nil)
	if err != nil {
		t.Fatal(err)
	}
	const posts = 2*store.BucketSize + 100
	errs := make(chan error, posts)
	for i := range posts {
		o.Post(parley.Post{
			Conversation: c.ID, Sender: "u-a", ID: parley.MessageID(fmt.Sprint("m", i)),
			Body: parley.Body{Type: parley.TextPlain, Data: []byte("x")},
		}, func(_ parley.Ack, err error) { errs <- err })
	}
	for range posts {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if _, _, head, err := o.Get(t.Context(), "u-a", c.ID); err != nil || head != posts+1 {
		t.Errorf("the head is %d, %v; want %d", head, err, posts+1)
	}
}
