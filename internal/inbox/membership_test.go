package inbox_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/inbox"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
)

// jammed is a store whose writes wait while jam is not nil.
type jammed struct {
	*memstore.Store
	jam chan struct{}
}

func (j *jammed) WriteInboxes(ctx context.Context, writes []*store.InboxWrite) error {
	if j.jam != nil {
		<-j.jam
	}
	return j.Store.WriteInboxes(ctx, writes)
}

// TestHeadForKnowsWhatIsNoted stops the store while a member is removed and
// comes back. It kills a membership that is known only when its row is
// written: a session that is nudged meanwhile would go on from where the
// device was, over what was said in between. It kills one that is forgotten
// when the writer takes the news in hand, and one that late news takes back.
func TestHeadForKnowsWhatIsNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const c = parley.ConversationID("g1")
		j := &jammed{Store: w.store}
		k := inbox.New(inbox.Config{Store: j, Log: w.store, Logger: slog.New(slog.DiscardHandler), Changed: func(parley.UserID) {}})
		var said []parley.Advance
		for range 20 {
			said = append(said, w.say(c, you, parley.KindMessage))
		}
		k.Advance(me, said[8]) // to 9
		row, err := k.Row(t.Context(), me, c)
		if err != nil || row.Head != 9 {
			t.Fatal(row, err)
		}
		at := parley.Cursor{Pos: row.Pos}
		check := func(had, since, until parley.Seq) {
			t.Helper()
			got, m, ok := k.HeadFor(t.Context(), me, c, at)
			if got != had || m != (parley.Member{User: me, Since: since, Until: until}) || !ok {
				t.Errorf("HeadFor = %d, %+v, %v; want %d, %d, %d", got, m, ok, had, since, until)
			}
		}
		j.jam = make(chan struct{})
		removed, back := said[9], said[19]
		removed.Until, back.Since = 10, 20
		check(9, 1, 0)
		k.Advance(me, removed)
		check(9, 1, 10) // noted
		<-time.After(time.Second)
		check(9, 1, 10) // in hand
		k.Advance(me, back)
		check(19, 20, 0) // noted, with the removal in hand
		k.Advance(me, removed)
		check(19, 20, 0)
		close(j.jam)
		if err := k.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		check(19, 20, 0) // written
		k.Advance(me, removed)
		check(19, 20, 0)
		if row, err = k.Row(t.Context(), me, c); err != nil || row.Head != 20 || row.Since != 20 || row.Until != 0 {
			t.Errorf("in the end %+v, %v", row, err)
		}
		_ = k.Close(t.Context())
	})
}

// TestBeyondTheEnd kills an advance that takes a row beyond the membership it
// speaks of, whoever made it.
func TestBeyondTheEnd(t *testing.T) {
	w := newWorld(t)
	const c = parley.ConversationID("g1")
	var last parley.Advance
	for range 9 {
		last = w.say(c, you, parley.KindMessage)
		last.Mentioned = []parley.Seq{last.Head}
	}
	last.From, last.Until, last.Mentioned = 0, 4, []parley.Seq{3, 5}
	last.Own = []parley.Own{{Seq: 2, Count: 2}, {Seq: 6, Count: 6}}
	w.keeper.Advance(me, last)
	r := w.row(c)
	if r.Head != 4 || r.Count != 4 || r.Until != 4 || r.Unread() != 3 || len(r.Mentioned) != 1 || len(r.Own) != 1 {
		t.Errorf("the row is %+v", r)
	}
	later := w.say(c, you, parley.KindMessage)
	later.Since, later.Until = 1, 4
	w.keeper.Advance(me, later)
	if got := w.row(c); got.Pos != r.Pos {
		t.Errorf("what is beyond the end changes the row to %+v", got)
	}
}

// TestMentionsAreBounded kills a row that grows with each mention, whether it
// is told of them or finds them in the log, and one that keeps the oldest.
func TestMentionsAreBounded(t *testing.T) {
	const more = parley.MaxMentioned + 50
	log := &chatter{mention: me}
	k := inbox.New(inbox.Config{Store: memstore.New(), Log: log, Logger: slog.New(slog.DiscardHandler), Changed: func(parley.UserID) {}})
	defer k.Close(t.Context())
	for user, steps := range map[parley.UserID]int{me: more, you: 1} {
		log.mention = user
		for i := range steps {
			seq := parley.Seq(more - steps + i + 1)
			k.Advance(user, parley.Advance{Conversation: "g1", Kind: parley.Group, Since: 1, From: seq - 1, Head: seq, Count: uint64(seq), Mentioned: []parley.Seq{seq}})
			if i%7 == 0 || i == steps-1 {
				r, err := k.Row(t.Context(), user, "g1")
				want := min(int(seq), parley.MaxMentioned)
				if err != nil || len(r.Mentioned) != want || r.Mentioned[want-1] != seq || r.UnreadMentions() != uint64(want) || r.Unread() != uint64(seq) {
					t.Fatalf("after %d: %d mentions, the last %v, %v; want %d", seq, len(r.Mentioned), r.Mentioned, err, want)
				}
			}
		}
		r, err := k.Mark(t.Context(), user, "g1", 0, more-3)
		if err != nil || len(r.Mentioned) != 3 || r.UnreadMentions() != 3 {
			t.Errorf("read but three: %v, %v", r.Mentioned, err)
		}
	}
}

// chatter is a log in which every message mentions somebody.
type chatter struct{ mention parley.UserID }

func (l *chatter) Read(_ context.Context, c parley.ConversationID, after parley.Seq, limit int) (out []parley.Entry, _ error) {
	for range limit {
		after++
		out = append(out, parley.Entry{Conversation: c, Seq: after, Kind: parley.KindMessage, Sender: "u-x", Count: uint64(after), Mentions: []parley.UserID{l.mention}})
	}
	return out, nil
}

// TestLatecomer: who is added with the whole history has none of it unread, and
// is not said to have read it, however the inbox hears of it: as it happens,
// swept after a crash, or swept when more was said. Who belonged before has read
// what came while they were away. It kills a count that begins at the first
// message, and one that begins anew with every sweep.
func TestLatecomer(t *testing.T) {
	for name, hear := range map[string]func(w *world, c parley.ConversationID, a parley.Advance, more func() parley.Advance){
		"as it happens": func(w *world, _ parley.ConversationID, a parley.Advance, more func() parley.Advance) {
			w.keeper.Advance(me, a)
			w.keeper.Advance(me, more())
		},
		"written in between": func(w *world, c parley.ConversationID, a parley.Advance, more func() parley.Advance) {
			w.keeper.Advance(me, a)
			if r := w.row(c); r.Unread() != 0 || r.Head != a.Head {
				w.t.Errorf("at once %+v", r)
			}
			w.keeper.Advance(me, more())
		},
		"swept": func(w *world, c parley.ConversationID, _ parley.Advance, more func() parley.Advance) {
			w.sweep(c)
			w.keeper.Advance(me, more())
		},
		"swept later": func(w *world, c parley.ConversationID, _ parley.Advance, more func() parley.Advance) {
			more()
			w.sweep(c)
		},
		"both": func(w *world, c parley.ConversationID, a parley.Advance, more func() parley.Advance) {
			w.sweep(c)
			w.keeper.Advance(me, a)
			w.keeper.Advance(me, more())
			w.sweep(c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var told []parley.Receipt
			w := newWorld(t, func(c *inbox.Config) { c.Marked = func(r parley.Receipt) { told = append(told, r) } })
			const c = parley.ConversationID("g1")
			w.say(c, you, parley.KindMembers)
			w.say(c, you, parley.KindMessage)
			w.say(c, me, parley.KindMessage) // in an earlier membership
			w.say(c, you, parley.KindMessage)
			a := w.say(c, you, parley.KindMembers) // 5
			a.Came = a.Head
			hear(w, c, a, func() parley.Advance {
				w.say(c, me, parley.KindMessage)
				a := w.say(c, you, parley.KindMessage)
				a.From, a.Own, a.Spoke = 5, []parley.Own{{Seq: 6, Count: a.Count - 1}}, true
				return a
			})
			if r := w.row(c); r.Unread() != 1 || r.Read < 4 || r.Read > 6 || r.Head != 7 {
				t.Errorf("%d unread: %+v", r.Unread(), r)
			}
			if len(told) != 0 {
				t.Errorf("others are told %+v", told)
			}
		})
	}
}
