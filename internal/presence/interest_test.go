package presence_test

import (
	"context"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/presence"
)

// TestWhoMaySeeWhom kills presence told to who may not know: at once, later,
// and by the pace of changes; and one that stays online for ever because the
// asker may not know any more.
func TestWhoMaySeeWhom(t *testing.T) {
	play(t, 3, func(t *testing.T, w *world) {
		w.hidden["u-shy"] = true
		a, b := w.nodes["a"], w.nodes["b"]
		b.arrive("u-shy")
		b.arrive("u-open")
		rest(10 * time.Second)
		s := a.session("u-s")
		s.Watch([]parley.UserID{"u-shy", "u-open"})
		rest(time.Second)
		if got := s.take(); len(got) != 1 || got[0].User != "u-open" || !got[0].Online {
			t.Errorf("told %+v", got)
		}
		if items, err := a.Of(t.Context(), "u-s", []parley.UserID{"u-shy", "u-open"}); err != nil || len(items) != 1 {
			t.Errorf("asked, and got %+v, %v", items, err)
		}
		b.leave("u-shy")
		rest(20 * time.Second)
		if got := s.take(); got != nil {
			t.Errorf("told %+v of a stranger", got)
		}
		w.mu.Lock()
		w.hidden["u-open"] = true
		w.mu.Unlock()
		a.Recheck("u-open")
		rest(3 * time.Second)
		if got := s.take(); len(got) != 1 || got[0] != (parley.Presence{User: "u-open"}) {
			t.Errorf("told %+v of who hid, want offline and no more", got)
		}
		for range 3 {
			b.leave("u-open")
			rest(10 * time.Second)
			b.arrive("u-open")
			rest(10 * time.Second)
		}
		if got := s.take(); got != nil {
			t.Errorf("told %+v of who hides", got)
		}
	}, func(c *presence.Config) {
		c.LastSeen = func(_ context.Context, u parley.UserID) (time.Time, error) { return time.Unix(1000, 0).UTC(), nil }
	})
}

// TestHidingWithoutARecheck kills a change told to who may not know it any
// more, also when nobody says so.
func TestHidingWithoutARecheck(t *testing.T) {
	play(t, 1, func(t *testing.T, w *world) {
		a := w.nodes["a"]
		a.arrive("u-x")
		s := a.session("u-s")
		s.Watch([]parley.UserID{"u-x"})
		rest(10 * time.Second)
		s.take()
		w.mu.Lock()
		w.hidden["u-x"] = true
		w.mu.Unlock()
		a.leave("u-x")
		rest(10 * time.Second)
		if got := s.take(); len(got) != 1 || got[0] != (parley.Presence{User: "u-x"}) {
			t.Errorf("told %+v", got)
		}
	})
}

// TestLastSeenRoughly kills a last seen that is only known where the
// connection's end was seen.
func TestLastSeenRoughly(t *testing.T) {
	roughly := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	play(t, 1, func(t *testing.T, w *world) {
		s := w.nodes["a"].session("u-s")
		s.Watch([]parley.UserID{"u-x"})
		rest(time.Second)
		if got := s.take(); len(got) != 1 || !got[0].LastSeen.Equal(roughly) {
			t.Errorf("told %+v", got)
		}
	}, func(c *presence.Config) {
		c.LastSeen = func(context.Context, parley.UserID) (time.Time, error) { return roughly, nil }
	})
}

// TestLearned kills who writes and learns nothing, who learns in a group, and
// what is learned for ever.
func TestLearned(t *testing.T) {
	play(t, 3, func(t *testing.T, w *world) {
		a, b := w.nodes["a"], w.nodes["b"]
		b.arrive("u-x")
		rest(10 * time.Second)
		s := a.session("u-s")
		s.Spoke("g-1")
		s.Spoke("d-u-x")
		rest(time.Second)
		if got := s.take(); len(got) != 1 || got[0].User != "u-x" || !got[0].Online || s.answers != 0 {
			t.Errorf("told %+v", got)
		}
		for range 4 { // goes on while they talk
			rest(2 * time.Minute)
			s.Spoke("d-u-x")
		}
		b.leave("u-x")
		rest(10 * time.Second)
		if got := s.take(); len(got) != 1 || got[0].Online {
			t.Errorf("told %+v", got)
		}
		rest(6 * time.Minute)
		b.arrive("u-x")
		rest(10 * time.Second)
		if got := s.take(); got != nil {
			t.Errorf("told %+v, long after the last word", got)
		}
	})
}

// TestLearnedLater kills a user who is never learned of because they could not
// be seen at the first message.
func TestLearnedLater(t *testing.T) {
	play(t, 1, func(t *testing.T, w *world) {
		hide := func(b bool) {
			w.mu.Lock()
			w.hidden["u-x"] = b
			w.mu.Unlock()
		}
		hide(true)
		s := w.nodes["a"].session("u-s")
		s.Spoke("d-u-x")
		rest(time.Second)
		hide(false)
		for range 10 {
			s.Spoke("d-u-x")
			rest(time.Minute)
		}
		if got := s.take(); len(got) != 1 {
			t.Errorf("told %+v in ten minutes of talk", got)
		}
	})
}

// TestWatchReplaces kills a watch that adds, an answer that does not come, and
// what is told of who is not watched any more.
func TestWatchReplaces(t *testing.T) {
	play(t, 3, func(t *testing.T, w *world) {
		a, b := w.nodes["a"], w.nodes["b"]
		s := a.session("u-s")
		s.Watch([]parley.UserID{"u-x", "u-y"})
		rest(2 * time.Second)
		s.Watch([]parley.UserID{"u-y", "u-z"})
		rest(2 * time.Second)
		if s.answers != 2 {
			t.Errorf("%d answers", s.answers)
		}
		s.take()
		for _, u := range []parley.UserID{"u-x", "u-y", "u-z"} {
			b.arrive(u)
		}
		rest(10 * time.Second)
		if len(s.take()) != 2 || s.online("u-x") {
			t.Error("told of who is not watched any more")
		}
		s.Watch(nil)
		rest(2 * time.Second)
		if got := s.take(); s.answers != 3 || got != nil {
			t.Errorf("nobody is watched, and the answer is %+v", got)
		}
	})
}

// TestManyWatches kills a session that is told as often as it asks, and one
// that watches more than it may.
func TestManyWatches(t *testing.T) {
	play(t, 3, func(t *testing.T, w *world) {
		s := w.nodes["a"].session("u-s")
		all := users(1000)
		for i := range 1000 {
			s.Watch(all[i%700:])
			rest(10 * time.Millisecond)
		}
		rest(time.Second)
		if s.fast || s.frames > 12 || s.answers < 5 {
			t.Errorf("told %d times in eleven seconds", s.frames)
		}
		if _, watched, _ := presence.Held(w.nodes["a"].Presence); watched > presence.MaxWatched {
			t.Errorf("%d users are watched", watched)
		}
	})
}

// TestVisibleAway kills a watch that is forgotten, and a user who is told
// offline, because it could not be found out who may see whom.
func TestVisibleAway(t *testing.T) {
	play(t, 1, func(t *testing.T, w *world) {
		a := w.nodes["a"]
		a.arrive("u-x")
		rest(10 * time.Second)
		broken := func(b bool) {
			w.mu.Lock()
			w.broken = b
			w.mu.Unlock()
		}
		broken(true)
		s := a.session("u-s")
		s.Watch([]parley.UserID{"u-x"})
		rest(5 * time.Second)
		if s.frames != 0 {
			t.Error("answered without knowing who may see whom")
		}
		broken(false)
		rest(2 * time.Second)
		if !s.online("u-x") {
			t.Error("a watch was forgotten")
		}
		broken(true)
		a.leave("u-x")
		rest(10 * time.Second)
		a.arrive("u-x")
		rest(10 * time.Second)
		s.take()
		broken(false)
		rest(3 * time.Second)
		if got := s.take(); len(got) != 1 || !got[0].Online {
			t.Errorf("told %+v, want how it stands now", got)
		}
	})
}

// TestHoldsNothing kills what stays behind of sessions that are gone: of who
// came and went, of who watched, and of who was learned of.
func TestHoldsNothing(t *testing.T) {
	play(t, 3, func(t *testing.T, w *world) {
		all := users(100)
		var sessions []*session
		for i, u := range all {
			n := w.nodes[presence.Node('a'+rune(i%3))]
			n.arrive(u)
			s := n.session(u)
			s.Watch(all)
			s.Spoke("d-u-x")
			sessions = append(sessions, s)
		}
		rest(10 * time.Second)
		for i, u := range all {
			w.nodes[presence.Node('a'+rune(i%3))].leave(u)
			sessions[i].Close()
			sessions[i].Watch(all)
		}
		frames := sessions[0].frames
		rest(2 * time.Minute)
		if sessions[0].frames != frames {
			t.Error("told after the end")
		}
		for id, n := range w.nodes {
			if here, watched, records := presence.Held(n.Presence); here+watched+records != 0 {
				t.Errorf("%s holds %d, %d, %d", id, here, watched, records)
			}
		}
	})
}

// TestCleanEnd kills a node that goes without a word although it could say
// one: those who were there are offline as soon as if they had left.
func TestCleanEnd(t *testing.T) {
	play(t, 3, func(t *testing.T, w *world) {
		x := w.ownedBy("a")
		w.nodes["c"].arrive(x)
		s := w.nodes["b"].session("u-s")
		s.Watch([]parley.UserID{x})
		rest(10 * time.Second)
		w.nodes["c"].leave(x)
		w.nodes["c"].Close()
		rest(10 * time.Second)
		if s.online(x) {
			t.Error("a clean end was not told")
		}
	})
}
