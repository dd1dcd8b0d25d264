package fanout_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/fanout"
)

// shelf keeps what it is told of one user.
type shelf struct {
	user     parley.UserID
	advances []parley.Advance
}

func (s *shelf) Advance(u parley.UserID, a parley.Advance) {
	if u == s.user {
		s.advances = append(s.advances, a)
	}
}
func (*shelf) Flush(context.Context) error { return nil }

// TestDeliverByMembership delivers numbers 11 to 20 to members who come and go
// among them. It kills a head or a nudge beyond the last number a member may
// read, numbers from before the first, a count that is another number's, and
// news of what others said as one's own.
func TestDeliverByMembership(t *testing.T) {
	l := &log{}
	l.say("u-x", 10)
	batch := l.say("u-x", 10)
	for i := range batch {
		e := &batch[i]
		switch e.Seq {
		case 12, 17:
			e.Sender = "u-m"
		case 14:
			e.Kind = parley.KindMembers
		case 15, 18:
			e.Mentions = []parley.UserID{"u-y", "u-m"}
		case 16, 19:
			e.Withheld = []parley.UserID{"u-m"}
			e.Mentions = []parley.UserID{"u-m"}
		}
		if e.Count = uint64(e.Seq); e.Seq >= 14 {
			e.Count--
		}
	}
	own := func(seqs ...parley.Seq) (all []parley.Own) {
		for _, s := range seqs {
			all = append(all, parley.Own{Seq: s, Count: batch[s-11].Count, Withheld: s == 16 || s == 19})
		}
		return all
	}
	for name, c := range map[string]struct {
		m    parley.Member
		want *parley.Advance
	}{
		"all along":         {parley.Member{Since: 1}, &parley.Advance{From: 10, Head: 20, Count: 19, Own: own(12, 16, 17, 19), Mentioned: []parley.Seq{15, 18}, Spoke: true}},
		"came":              {parley.Member{Since: 14}, &parley.Advance{From: 13, Head: 20, Count: 19, Own: own(16, 17, 19), Mentioned: []parley.Seq{15, 18}, Spoke: true}},
		"left":              {parley.Member{Since: 1, Until: 14}, &parley.Advance{From: 10, Head: 14, Count: 13, Own: own(12), Spoke: true}},
		"came and left":     {parley.Member{Since: 13, Until: 15}, &parley.Advance{From: 12, Head: 15, Count: 14, Mentioned: []parley.Seq{15}}},
		"comes at the last": {parley.Member{Since: 20}, &parley.Advance{From: 19, Head: 20, Count: 19}},
		"left at the first": {parley.Member{Since: 1, Until: 11}, &parley.Advance{From: 10, Head: 11, Count: 11}},
		"left before":       {parley.Member{Since: 1, Until: 10}, nil},
		"comes later":       {parley.Member{Since: 21}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, d := &shelf{user: "u-m"}, &desk{}
			f := fanout.New(fanout.Config{Inboxes: s, Log: l})
			f.Watch("u-m", d.watcher("u-m"))
			conv := conversation("u-x", "u-y")
			c.m.User = "u-m"
			conv.Members = append(conv.Members, c.m)
			f.Deliver(conv, batch, false)
			if c.want == nil {
				if s.advances != nil || d.did != nil {
					t.Errorf("it was told %+v, and %q", s.advances, d.did)
				}
				return
			}
			c.want.Conversation, c.want.Kind, c.want.Since, c.want.Until = g, parley.Group, c.m.Since, c.m.Until
			if len(s.advances) != 1 || !reflect.DeepEqual(s.advances[0], *c.want) {
				t.Errorf("it was told %+v\nwant %+v", s.advances, *c.want)
			}
			if want := []string{fmt.Sprintf("nudge u-m %d", c.want.Head)}; !reflect.DeepEqual(d.did, want) {
				t.Errorf("it did %q, want %q", d.did, want)
			}
		})
	}
}

// TestLazy kills a bound that counts those who left, or that a sweep or a
// commit forgets.
func TestLazy(t *testing.T) {
	for members, want := range map[int]bool{64: false, 65: true} {
		s, l := &shelf{user: "u0"}, &log{}
		f := fanout.New(fanout.Config{Inboxes: s, Log: l})
		c := conversation()
		for i := range members {
			c.Members = append(c.Members, parley.Member{User: parley.UserID(fmt.Sprintf("u%d", i)), Since: 1})
		}
		c.Members = append(c.Members, parley.Member{User: "u-left", Since: 1, Until: 1})
		f.Publish(c, l.say("u1", 1), told)
		m := &marked{desk: &desk{}, state: map[parley.ConversationID]*parley.Conversation{g: c}, heads: map[parley.ConversationID]parley.Seq{g: 1}}
		if _, err := f.Sweep(t.Context(), m, nil); err != nil {
			t.Fatal(err)
		}
		if len(s.advances) != 2 || s.advances[0].Lazy != want || s.advances[1].Lazy != want {
			t.Errorf("of %d members one was told %+v, want lazy %v", members, s.advances, want)
		}
	}
}
