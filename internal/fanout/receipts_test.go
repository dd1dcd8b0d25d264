package fanout_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/fanout"
)

// reader is a watcher that takes receipts.
type reader struct {
	watcher

	mu    sync.Mutex
	heard []parley.Receipt
}

func (r *reader) Receipt(n parley.Receipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, n)
}

// take returns what was heard since it was last asked.
func (r *reader) take() []parley.Receipt {
	r.mu.Lock()
	defer r.mu.Unlock()
	heard := r.heard
	r.heard = nil
	return heard
}

// roll knows the members of conversations, and counts how often it is asked.
type roll struct {
	mu    sync.Mutex
	of    map[parley.ConversationID]*parley.Conversation
	asked int
	stall chan struct{} // non-nil: an answer waits for it, or for the asker to give up
}

func (r *roll) Get(ctx context.Context, reader parley.UserID, id parley.ConversationID) (parley.Conversation, parley.Member, parley.Seq, error) {
	r.mu.Lock()
	r.asked++
	c, stall := r.of[id], r.stall
	r.mu.Unlock()
	if stall != nil {
		select {
		case <-stall:
		case <-ctx.Done():
			return parley.Conversation{}, parley.Member{}, 0, ctx.Err()
		}
	}
	var m parley.Member
	ok := c != nil
	if ok {
		m, ok = c.Member(reader)
	}
	if !ok {
		return parley.Conversation{}, parley.Member{}, 0, parley.E(parley.NotFound, "test", "no")
	}
	return *c, m, 0, nil
}

func (r *roll) times() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// office is a switchboard with receipts.
type office struct {
	*fanout.Fanout
	receipts *fanout.Receipts
	roll     *roll
}

// receive runs f in a bubble with an office of one conversation.
func receive(t *testing.T, c *parley.Conversation, f func(t *testing.T, o *office), change ...func(*fanout.ReceiptsConfig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := &office{Fanout: newFanout(&desk{}, &log{}, 0), roll: &roll{of: map[parley.ConversationID]*parley.Conversation{c.ID: c}}}
		cfg := fanout.ReceiptsConfig{Fanout: o.Fanout, Conversations: o.roll, MaxMembers: 4, Logger: slog.New(slog.DiscardHandler)}
		for _, ch := range change {
			ch(&cfg)
		}
		o.receipts = fanout.NewReceipts(cfg)
		defer o.receipts.Close()
		f(t, o)
	})
}

func (o *office) watch(u parley.UserID) *reader {
	r := &reader{}
	o.Watch(u, r)
	return r
}

func of(u parley.UserID, delivered, read parley.Seq) parley.Receipt {
	return parley.Receipt{Conversation: g, User: u, Delivered: delivered, Read: read}
}

// TestReceiptsAreForMembers kills a receipt to its own user, to somebody who
// left or never came, one of somebody who left or never came, and one that
// breaks on a watcher who takes none.
func TestReceiptsAreForMembers(t *testing.T) {
	c := conversation("u-a", "u-b", "u-c", "u-left")
	c.Members[3].Until = 4
	receive(t, c, func(t *testing.T, o *office) {
		a, b, twin, left, stranger := o.watch("u-a"), o.watch("u-b"), o.watch("u-b"), o.watch("u-left"), o.watch("u-x")
		o.Watch("u-b", (&desk{}).watcher("u-b"))
		o.receipts.Note(of("u-a", 5, 3))
		o.receipts.Note(of("u-left", 4, 4))
		o.receipts.Note(of("u-x", 5, 5))
		synctest.Wait()
		for name, r := range map[string]*reader{"another member": b, "another device": twin} {
			if got := r.take(); !slices.Equal(got, []parley.Receipt{of("u-a", 5, 3)}) {
				t.Errorf("%s heard %+v", name, got)
			}
		}
		for name, r := range map[string]*reader{"the user": a, "who left": left, "a stranger": stranger} {
			if got := r.take(); got != nil {
				t.Errorf("%s heard %+v", name, got)
			}
		}
	})
}

// TestReceiptsOfTheFew: the bound counts those who belong now, and holds
// exactly.
func TestReceiptsOfTheFew(t *testing.T) {
	c := conversation("u-a", "u-b", "u-c", "u-d", "u-e")
	receive(t, c, func(t *testing.T, o *office) {
		b := o.watch("u-b")
		o.receipts.Note(of("u-a", 1, 1))
		synctest.Wait()
		if got := b.take(); got != nil {
			t.Errorf("of five members, one more than may, one heard %+v", got)
		}
		o.roll.mu.Lock()
		c.Members[4].Until = 1
		o.roll.mu.Unlock()
		o.receipts.Note(of("u-a", 2, 2))
		<-time.After(time.Second)
		if got := b.take(); len(got) != 1 {
			t.Errorf("of four members one heard %+v", got)
		}
	})
}

// TestReceiptsPace marks at every one of 1,000 messages in ten seconds. It
// kills a receipt for each mark, one that comes late where it is quiet, a last
// one that never comes, and one that goes backwards.
func TestReceiptsPace(t *testing.T) {
	receive(t, conversation("u-a", "u-b"), func(t *testing.T, o *office) {
		b := o.watch("u-b")
		o.receipts.Note(of("u-a", 1, 0))
		synctest.Wait()
		if got := b.take(); len(got) != 1 {
			t.Fatalf("the first mark was told %d times at once", len(got))
		}
		for i := range parley.Seq(1000) {
			o.receipts.Note(of("u-a", i+2, i+1))
			o.receipts.Note(of("u-a", i, i))
			<-time.After(10 * time.Millisecond)
		}
		<-time.After(time.Second)
		got := b.take()
		if n := len(got); n < 30 || n > 41 {
			t.Errorf("ten seconds of marks made %d receipts, want four a second", n)
		}
		if last := got[len(got)-1]; last != of("u-a", 1001, 1000) {
			t.Errorf("the last was %+v", last)
		}
		for i := range got[1:] {
			if got[i].Read >= got[i+1].Read || got[i].Delivered >= got[i+1].Delivered {
				t.Errorf("%+v before %+v", got[i], got[i+1])
			}
		}
		asked := o.roll.times()
		o.receipts.Note(of("u-a", 1001, 1000)) // told a while ago
		o.receipts.Note(of("u-a", 1001, 1000))
		<-time.After(time.Minute)
		if o.roll.times() != asked+1 {
			t.Errorf("asked for members %d times more for nothing new", o.roll.times()-asked)
		}
	})
}

// TestReceiptsArePacedApart: one who marks often delays nobody else, and what
// waits is the farthest of each marker.
func TestReceiptsArePacedApart(t *testing.T) {
	receive(t, conversation("u-a", "u-b", "u-c"), func(t *testing.T, o *office) {
		b := o.watch("u-b")
		o.receipts.Note(of("u-a", 1, 1))
		synctest.Wait()
		o.receipts.Note(of("u-a", 3, 1))
		o.receipts.Note(of("u-a", 2, 2)) // by another device, and late
		o.receipts.Note(of("u-c", 1, 1))
		synctest.Wait()
		if got := b.take(); !slices.Equal(got, []parley.Receipt{of("u-a", 1, 1), of("u-c", 1, 1)}) {
			t.Errorf("at once: %+v", got)
		}
		<-time.After(250 * time.Millisecond)
		synctest.Wait()
		if got := b.take(); !slices.Equal(got, []parley.Receipt{of("u-a", 3, 2)}) {
			t.Errorf("a quarter of a second later: %+v", got)
		}
	})
}

// TestReceiptsUnderPressure has the owner of conversations stall. It kills a
// Note that waits, a queue without a bound, and one that does not come back.
func TestReceiptsUnderPressure(t *testing.T) {
	receive(t, conversation("u-a", "u-b"), func(t *testing.T, o *office) {
		b := o.watch("u-b")
		stall := make(chan struct{})
		o.roll.stall = stall
		begun := time.Now()
		for i := range 20_000 {
			o.receipts.Note(of(parley.UserID(fmt.Sprintf("u-%d", i)), 1, 1))
		}
		o.receipts.Note(of("u-a", 1, 1)) // too many wait: dropped
		if waited := time.Since(begun); waited != 0 {
			t.Errorf("marks waited %v for receipts", waited)
		}
		synctest.Wait()
		o.roll.mu.Lock()
		o.roll.stall = nil
		o.roll.mu.Unlock()
		close(stall)
		<-time.After(time.Second)
		if n := o.roll.times(); n > 8192 {
			t.Errorf("%d receipts waited", n)
		}
		if got := b.take(); got != nil {
			t.Errorf("the bound let %+v in", got)
		}
		o.receipts.Note(of("u-a", 2, 2))
		synctest.Wait()
		if got := b.take(); len(got) != 1 {
			t.Errorf("after the pressure: %+v", got)
		}
	})
}

// TestReceiptsEnd: Close does not wait for an owner that stalls, and a note
// that comes later does nothing.
func TestReceiptsEnd(t *testing.T) {
	receive(t, conversation("u-a", "u-b"), func(t *testing.T, o *office) {
		o.roll.stall = make(chan struct{})
		o.receipts.Note(of("u-a", 1, 1))
		synctest.Wait()
		begun := time.Now()
		o.receipts.Close()
		o.receipts.Note(of("u-a", 2, 2))
		if waited := time.Since(begun); waited != 0 {
			t.Errorf("Close took %v", waited)
		}
	})
}

// nodes is where other nodes begin, as fanout sees it.
type nodes struct {
	mu           sync.Mutex
	conversation bool // it lives elsewhere
	inboxes      []parley.UserID
	did          []string
}

func (n *nodes) ToConversation(r parley.Receipt) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conversation {
		n.did = append(n.did, fmt.Sprintf("to the conversation: %s %d", r.User, r.Read))
	}
	return n.conversation
}

func (n *nodes) ToInboxes(users []parley.UserID, r parley.Receipt) (here []parley.UserID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, u := range users {
		if slices.Contains(n.inboxes, u) {
			n.did = append(n.did, fmt.Sprintf("to the inbox of %s: %s %d", u, r.User, r.Read))
		} else {
			here = append(here, u)
		}
	}
	return here
}

// TestReceiptsElsewhere kills a receipt that is spread by who does not know
// the members, one that a node sends on although it was told that the
// conversation lives here, and one that goes back to the node it came from.
func TestReceiptsElsewhere(t *testing.T) {
	n := &nodes{conversation: true, inboxes: []parley.UserID{"u-c"}}
	receive(t, conversation("u-a", "u-b", "u-c"), func(t *testing.T, o *office) {
		here, away, stranger := o.watch("u-b"), &reader{}, o.watch("u-c")
		o.WatchAway("u-b", away)
		o.receipts.Note(of("u-a", 1, 1))
		synctest.Wait()
		if o.roll.times() != 0 || here.take() != nil {
			t.Error("a receipt was spread by a node that does not own the conversation")
		}
		o.receipts.Heard(of("u-a", 2, 2))
		<-time.After(time.Second)
		if h, a := here.take(), away.take(); len(h) != 1 || len(a) != 1 || h[0].Read != 2 {
			t.Errorf("heard here %+v and away %+v", h, a)
		}
		want := []string{"to the conversation: u-a 1", "to the inbox of u-c: u-a 2"}
		if !slices.Equal(n.did, want) || stranger.take() != nil {
			t.Errorf("did %q, want %q", n.did, want)
		}
		o.receipts.Show([]parley.UserID{"u-b"}, of("u-a", 3, 3))
		if h, a := here.take(), away.take(); len(h) != 1 || a != nil {
			t.Errorf("what another node said was heard here %+v and away %+v", h, a)
		}
		o.receipts.Heard(of("u-a", 4, 3))
		synctest.Wait()
		o.receipts.Note(of("u-a", 4, 4))
		<-time.After(time.Second)
		if got := n.did[len(n.did)-1]; got != "to the conversation: u-a 4" {
			t.Errorf("then did %q: what a node said once counts for ever", got)
		}
	}, func(c *fanout.ReceiptsConfig) { c.Nodes = n })
}
