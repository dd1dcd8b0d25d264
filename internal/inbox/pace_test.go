package inbox_test

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
	"github.com/parley-im/parley/internal/inbox"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
)

// ledger is a store that remembers when rows were written.
type ledger struct {
	*memstore.Store

	mu     sync.Mutex
	writes map[string][]time.Time // by user and conversation
}

func (l *ledger) WriteInboxes(ctx context.Context, writes []*store.InboxWrite) error {
	err := l.Store.WriteInboxes(ctx, writes)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range writes {
		for i := range w.Rows {
			key := string(w.User) + " " + string(w.Rows[i].Conversation)
			l.writes[key] = append(l.writes[key], time.Now())
		}
	}
	return err
}

func (l *ledger) of(u parley.UserID, c parley.ConversationID) []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.writes[string(u)+" "+string(c)])
}

// ear notes when it is nudged, and to where.
type ear struct {
	fanout.Watcher
	head parley.Seq
	at   time.Time
}

func (e *ear) Nudge(_ parley.ConversationID, head parley.Seq) { e.head, e.at = head, time.Now() }
func (e *ear) Changed()                                       {}

// crowd is a group of many, and a switchboard to say something in it.
type crowd struct {
	t      *testing.T
	ledger *ledger
	keeper *inbox.Keeper
	fanout *fanout.Fanout
	group  *parley.Conversation
	ears   []*ear
	head   map[parley.ConversationID]parley.Seq
}

func newCrowd(t *testing.T, members int) *crowd {
	c := &crowd{t: t, ledger: &ledger{Store: memstore.New(), writes: map[string][]time.Time{}}, head: map[parley.ConversationID]parley.Seq{}}
	quiet := slog.New(slog.DiscardHandler)
	c.keeper = inbox.New(inbox.Config{Store: c.ledger, Log: c.ledger, Logger: quiet, Changed: func(parley.UserID) {}})
	c.fanout = fanout.New(fanout.Config{Inboxes: c.keeper, Log: c.ledger, Logger: quiet})
	c.group = &parley.Conversation{ID: "g-large", Kind: parley.Group}
	for i := range members {
		u := user(i)
		c.group.Members = append(c.group.Members, parley.Member{User: u, Since: 1})
		e := &ear{}
		c.ears = append(c.ears, e)
		c.fanout.Watch(u, e)
	}
	return c
}

func user(i int) parley.UserID { return parley.UserID(fmt.Sprintf("u%04d", i)) }

func (c *crowd) say(in *parley.Conversation, sender parley.UserID) parley.Seq {
	c.t.Helper()
	seq := c.head[in.ID] + 1
	c.head[in.ID] = seq
	e := parley.Entry{Conversation: in.ID, Seq: seq, Kind: parley.KindMessage, Sender: sender, Count: uint64(seq), ID: parley.MessageID(fmt.Sprint(seq))}
	if err := c.ledger.Append(c.t.Context(), store.Append{Conversation: in.ID, Base: seq - 1, Entries: []parley.Entry{e}, State: in}); err != nil {
		c.t.Fatal(err)
	}
	c.fanout.Publish(in, []parley.Entry{e}, func(error) {})
	return seq
}

// TestRowsOfLargeGroups says twenty things a second to a thousand members who
// also mark. It kills a row that is written with each, a nudge that waits for
// its row, a sync that does, and a last row that is never written. In a group
// of 64 rows do not rest, which shows that they would be written more often.
func TestRowsOfLargeGroups(t *testing.T) {
	for members, most := range map[int]int{1000: 4, 64: 1000} {
		synctest.Test(t, func(t *testing.T) {
			c := newCrowd(t, members)
			for range 60 {
				head := c.say(c.group, user(0))
				for i, e := range c.ears {
					if e.head != head || !e.at.Equal(time.Now()) {
						t.Fatalf("member %d was nudged to %d at %v, said was %d at %v", i, e.head, e.at, head, time.Now())
					}
				}
				c.keeper.MarkSoon(user(7), c.group.ID, head, head)
				<-time.After(50 * time.Millisecond)
			}
			<-time.After(2 * time.Second)
			many := 0
			for i := range members {
				writes := c.ledger.of(user(i), c.group.ID)
				for j := 1; members > 64 && j < len(writes); j++ {
					if rested := writes[j].Sub(writes[j-1]); rested < time.Second {
						t.Fatalf("a row of member %d was written %v after it was", i, rested)
					}
				}
				many = max(many, len(writes))
				in, err := c.ledger.LoadInbox(t.Context(), user(i))
				if err != nil || len(in.Rows) != 1 || in.Rows[0].Head != 60 {
					t.Fatalf("member %d: %+v, %v", i, in.Rows, err)
				}
			}
			if many > most || many < most/50 {
				t.Errorf("of %d members one row was written %d times in three seconds, want %d at most", members, many, most)
			}
			if members > 64 { // a sync does not wait
				c.say(c.group, user(0))
				synctest.Wait()
				head, begun := c.say(c.group, user(0)), time.Now()
				rows, _, err := c.keeper.After(t.Context(), user(5), 0, 10)
				if took := time.Since(begun); err != nil || len(rows) != 1 || rows[0].Head != head || took > 0 {
					t.Errorf("a sync at once shows %+v, %v after %v; said was %d", rows, err, took, head)
				}
			}
			_ = c.keeper.Close(t.Context())
		})
	}
}

// TestSmallConversationsDoNotRest kills a pace that is the inbox's: what is
// said in a small conversation is written at once, and does not take the rows
// of large ones with it.
func TestSmallConversationsDoNotRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 100)
		small := &parley.Conversation{ID: "g-small", Kind: parley.Group, Members: []parley.Member{{User: user(1), Since: 1}, {User: user(2), Since: 1}}}
		c.say(c.group, user(0))
		<-time.After(300 * time.Millisecond)
		c.say(c.group, user(0)) // rests, and nothing else happens
		<-time.After(2 * time.Second)
		if w := c.ledger.of(user(1), c.group.ID); len(w) != 2 {
			t.Fatalf("a row that rested was written at %v, want twice", w)
		}
		c.say(c.group, user(0))
		<-time.After(300 * time.Millisecond)
		begun := time.Now()
		c.say(small, user(2))
		c.say(c.group, user(0)) // rests in an inbox that does not
		<-time.After(300 * time.Millisecond)
		if w := c.ledger.of(user(1), small.ID); len(w) != 1 || w[0].Sub(begun) > 60*time.Millisecond {
			t.Errorf("a row of a small conversation was written at %v, said was at %v", w, begun)
		}
		if w := c.ledger.of(user(1), c.group.ID); len(w) != 3 {
			t.Errorf("the row of the large one was written with it: %v", w)
		}
		<-time.After(time.Second)
		if w := c.ledger.of(user(1), c.group.ID); len(w) != 4 {
			t.Errorf("the row of the large one was written at %v, want four times", w)
		}
		done := make(chan error, 1)
		c.say(c.group, user(0))
		begun = time.Now()
		c.keeper.WhenDurable(user(1), func(err error) { done <- err })
		if err := <-done; err != nil || time.Since(begun) > 0 {
			t.Errorf("who asked when it is durable waited %v (%v)", time.Since(begun), err)
		}
		_ = c.keeper.Close(t.Context())
	})
}
