package parley_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
)

// TestUniteRuns compares runs with the sets of their numbers. It kills runs
// that touch, overlap or stand out of order, and one that is changed in place.
func TestUniteRuns(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	some := func() (runs []parley.Run) {
		for range rng.IntN(6) {
			from := parley.Seq(1 + rng.IntN(30))
			runs = append(runs, parley.Run{From: from, To: from + parley.Seq(rng.IntN(5))})
		}
		return runs
	}
	has := func(runs []parley.Run, n parley.Seq) bool {
		return slices.ContainsFunc(runs, func(r parley.Run) bool { return r.From <= n && n <= r.To })
	}
	for range 2000 {
		a, b := parley.UniteRuns(nil, some()), some()
		was := slices.Clone(a)
		u := parley.UniteRuns(a, b)
		if !slices.Equal(a, was) {
			t.Fatalf("%v became %v", was, a)
		}
		for n := range parley.Seq(40) {
			if has(u, n) != (has(a, n) || has(b, n)) {
				t.Fatalf("%v and %v are %v", a, b, u)
			}
		}
		for i := range u[min(1, len(u)):] {
			if u[i].To+1 >= u[i+1].From {
				t.Fatalf("%v and %v are %v, which touch", a, b, u)
			}
		}
	}
}

// TestPersonalApply kills an older draft that wins, a change without news that
// counts as one, a refusal that leaves something changed, and a bound that is
// not held.
func TestPersonalApply(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	yes, no := true, false
	draft := func(text string, after time.Duration) parley.PersonalChange {
		return parley.PersonalChange{Draft: &parley.Draft{Text: text, At: at.Add(after)}}
	}
	hide := func(from, to parley.Seq) parley.PersonalChange {
		return parley.PersonalChange{Hide: []parley.Run{{From: from, To: to}}}
	}
	var p parley.Personal
	for i, step := range []struct {
		change  parley.PersonalChange
		changed bool
		code    parley.Code
	}{
		{parley.PersonalChange{}, false, ""},
		{parley.PersonalChange{Archived: &no, Pinned: &no, Muted: &time.Time{}}, false, ""},
		{parley.PersonalChange{Archived: &yes, Pinned: &yes, Muted: &at}, true, ""},
		{parley.PersonalChange{Archived: &yes, Pinned: &yes, Muted: &at}, false, ""},
		{draft("hel", time.Second), true, ""},
		{draft("hel", time.Second), false, ""},
		{draft("h", 0), false, ""},
		{draft("hello", 2*time.Second), true, ""},
		{draft("", 3*time.Second), true, ""},
		{draft("hello", 2*time.Second), false, ""},
		{hide(3, 4), true, ""},
		{hide(4, 4), false, ""},
		{hide(5, 99), true, ""},
		{hide(100, 101), false, parley.BadRequest},
		{hide(0, 1), false, parley.BadRequest},
		{parley.PersonalChange{Archived: &no, Hide: []parley.Run{{From: 9, To: 8}}}, false, parley.BadRequest},
	} {
		changed, err := p.Apply(step.change, 100)
		if changed != step.changed || (err == nil) != (step.code == "") || err != nil && parley.CodeOf(err) != step.code {
			t.Errorf("step %d: %v, %v; want %v, %s", i, changed, err, step.changed, step.code)
		}
	}
	want := parley.Personal{Muted: at, Archived: true, Pinned: true, Hidden: []parley.Run{{From: 3, To: 99}}, Draft: parley.Draft{At: at.Add(3 * time.Second)}}
	if p.Muted != want.Muted || !p.Archived || !p.Pinned || !slices.Equal(p.Hidden, want.Hidden) || p.Draft != want.Draft {
		t.Errorf("it is %+v, want %+v", p, want)
	}
	for i := range parley.MaxHidden {
		n := parley.Seq(200 + 2*i)
		if _, err := p.Apply(hide(n, n), 10_000); (err != nil) != (i == parley.MaxHidden-1) {
			t.Fatalf("stretch %d: %v", i+2, err)
		}
	}
	if _, err := p.Apply(hide(9000, 9000), 10_000); !errors.Is(err, &parley.Error{Code: parley.TooLarge}) || len(p.Hidden) != parley.MaxHidden {
		t.Errorf("%d stretches and %v, want too_large", len(p.Hidden), err)
	}
	if changed, err := p.Apply(hide(1, 9000), 10_000); !changed || err != nil || len(p.Hidden) != 1 {
		t.Errorf("all of it: %v, %v, %v", changed, err, p.Hidden)
	}
}

// TestUnreadMentions kills one that counts what was read.
func TestUnreadMentions(t *testing.T) {
	for read, want := range map[parley.Seq]uint64{0: 3, 2: 3, 3: 2, 7: 1, 8: 0, 99: 0} {
		r := parley.Row{Read: read, Mentioned: []parley.Seq{3, 5, 8}}
		if got := r.UnreadMentions(); got != want {
			t.Errorf("read to %d: %d unread mentions, want %d", read, got, want)
		}
	}
}

// TestHeadAtBeforeTheMembership kills a row that gives a device a number from
// before its user's membership to go on from.
func TestHeadAtBeforeTheMembership(t *testing.T) {
	r := parley.Row{Pos: 9, Since: 20, Head: 22, Past: []parley.Checkpoint{{Pos: 0, Head: 19}, {Pos: 7, Head: 20}}}
	for pos, want := range map[parley.Pos]parley.Seq{0: 19, 3: 19, 6: 19, 7: 20, 8: 20, 9: 22, 12: 22} {
		if had, ok := r.HeadAt(pos); !ok || had != want {
			t.Errorf("HeadAt(%d) = %d, %v; want %d", pos, had, ok, want)
		}
	}
	r.Past[0].Head = 4 // of an earlier membership
	if had, ok := r.HeadAt(3); !ok || had != 19 {
		t.Errorf("HeadAt(3) = %d, %v; want 19", had, ok)
	}
	if had, ok := r.HeadFor(parley.Cursor{Pos: 6, Lag: 5}); !ok || had != 19 {
		t.Errorf("HeadFor = %d, %v; want 19", had, ok)
	}
}
