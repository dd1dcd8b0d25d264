package client

import (
	"cmp"
	"maps"
	"slices"

	"github.com/parley-im/parley"
)

// Timeline is what a person sees of one conversation: its entries, each as
// later entries made it. It is given entries as they come, from the stream and
// from pages, in any order and any number of times, and folds them: an act
// counts for an entry unless the entry was read when the act was already in it
// (see [Entry.AsOf]).
//
// It asks nobody. It is for one goroutine at a time.
type Timeline struct {
	me      parley.UserID
	entries map[parley.Seq]*Entry         // as they were read, acts included
	acts    map[parley.Seq][]*Entry       // by what they are about, ascending
	order   []parley.Seq                  // of entries, ascending; nil: to be sorted
	pins    []parley.Seq                  // as the server said
	pinned  parley.Seq                    // by the time of that number
	turns   map[parley.Seq]*Entry         // pins and unpins
	hidden  []parley.Run                  // for this user
	folded  map[parley.Seq]*TimelineEntry // what was computed
	byID    map[parley.MessageID]parley.Seq
}

// TimelineEntry is an entry as it reads now.
type TimelineEntry struct {
	Entry
	Mine    string // this user's own reaction
	Pinned  bool
	Hidden  bool // this user deleted it for themselves
	Unclear bool // reactions changed beyond what is known of them here: read it again ([Client.After])
}

// NewTimeline returns an empty timeline as me reads it.
func NewTimeline(me parley.UserID) *Timeline {
	return &Timeline{
		me:      me,
		entries: map[parley.Seq]*Entry{},
		acts:    map[parley.Seq][]*Entry{},
		turns:   map[parley.Seq]*Entry{},
		folded:  map[parley.Seq]*TimelineEntry{},
		byID:    map[parley.MessageID]parley.Seq{},
	}
}

// Add takes entries.
func (t *Timeline) Add(entries ...Entry) {
	for i := range entries {
		t.add(entries[i])
	}
}

func (t *Timeline) add(e Entry) {
	if had := t.entries[e.Seq]; had != nil && had.AsOf >= e.AsOf {
		return
	} else if n := len(t.order); had == nil && n > 0 && t.order[n-1] < e.Seq {
		t.order = append(t.order, e.Seq) // nearly always: the newest
	} else if had == nil {
		t.order = nil
	}
	t.entries[e.Seq] = &e
	delete(t.folded, e.Seq)
	if e.ID != "" {
		t.byID[e.ID] = e.Seq
	}
	switch {
	case e.Ref == 0:
	case e.Kind.IsAct():
		t.act(&e)
	case e.Kind == parley.KindPin || e.Kind == parley.KindUnpin:
		delete(t.folded, e.Ref)
		t.turns[e.Seq] = &e
	}
}

// act files an act under what it is about. One that is read again, because its
// body is gone, takes its own place.
func (t *Timeline) act(e *Entry) {
	delete(t.folded, e.Ref)
	acts := t.acts[e.Ref]
	i, found := slices.BinarySearchFunc(acts, e.Seq, func(a *Entry, seq parley.Seq) int { return cmp.Compare(a.Seq, seq) })
	if found {
		acts[i] = e
		return
	}
	t.acts[e.Ref] = slices.Insert(acts, i, e)
}

// Pin says what is pinned, as the server said when the log ended at asOf.
func (t *Timeline) Pin(pins []parley.Seq, asOf parley.Seq) {
	if asOf < t.pinned {
		return
	}
	t.pins, t.pinned = slices.Clone(pins), asOf
	clear(t.folded)
}

// Pins returns what is pinned, in the order it was pinned.
func (t *Timeline) Pins() []parley.Seq {
	out := slices.Clone(t.pins)
	for _, seq := range slices.Sorted(maps.Keys(t.turns)) {
		turn := t.turns[seq]
		if seq <= t.pinned {
			continue
		}
		out = slices.DeleteFunc(out, func(s parley.Seq) bool { return s == turn.Ref })
		if turn.Kind == parley.KindPin {
			out = append(out, turn.Ref)
		}
	}
	return out
}

// Hide says what this user deleted for themselves.
func (t *Timeline) Hide(runs []parley.Run) {
	if slices.Equal(runs, t.hidden) {
		return
	}
	t.hidden = slices.Clone(runs)
	clear(t.folded)
}

// Entry returns the entry with that number as it reads now, if it was added.
func (t *Timeline) Entry(seq parley.Seq) (*TimelineEntry, bool) {
	if e := t.folded[seq]; e != nil {
		return e, true
	}
	raw := t.entries[seq]
	if raw == nil {
		return nil, false
	}
	e := t.fold(raw)
	t.folded[seq] = e
	return e, true
}

// ByID returns the number of the entry with that id, if it was added.
func (t *Timeline) ByID(id parley.MessageID) (parley.Seq, bool) {
	seq, ok := t.byID[id]
	return seq, ok
}

// Numbers returns the numbers that were added, ascending. The slice is not to
// be changed.
func (t *Timeline) Numbers() []parley.Seq {
	if t.order == nil {
		t.order = slices.Sorted(maps.Keys(t.entries))
	}
	return t.order
}

// Shown returns, ascending, the entries that a person is to see: messages,
// those that were deleted for everyone included, and what happened to the
// conversation. Acts are seen in what they are about, and what is withheld, or
// hidden by this user, not at all.
func (t *Timeline) Shown() []*TimelineEntry {
	var out []*TimelineEntry
	for _, seq := range t.Numbers() {
		switch t.entries[seq].Kind {
		case parley.KindMessage, parley.KindMembers, parley.KindTitle, parley.KindPin:
			if e, _ := t.Entry(seq); !e.Hidden {
				out = append(out, e)
			}
		}
	}
	return out
}

// fold applies to raw what came after it was read.
func (t *Timeline) fold(raw *Entry) *TimelineEntry {
	e := &TimelineEntry{Entry: *raw}
	e.Reactions = slices.Clone(raw.Reactions)
	for i := range e.Reactions {
		e.Reactions[i].Users = slices.Clone(e.Reactions[i].Users)
	}
	for _, act := range t.acts[raw.Seq] {
		if act.Seq > raw.AsOf {
			e.apply(act)
		}
	}
	if e.Deleted {
		e.Body, e.Reactions, e.Edited, e.Unclear = parley.Body{}, nil, false, false
	}
	for _, r := range e.Reactions {
		if slices.Contains(r.Users, t.me) {
			e.Mine = r.Text
		}
	}
	e.Hidden = slices.ContainsFunc(t.hidden, func(r parley.Run) bool { return r.From <= e.Seq && e.Seq <= r.To })
	e.Pinned = !e.Deleted && slices.Contains(t.Pins(), e.Seq)
	return e
}

// apply folds one act into e.
func (e *TimelineEntry) apply(act *Entry) {
	switch {
	case e.Deleted:
	case act.Kind == parley.KindDelete:
		e.Deleted = true
	case act.Kind == parley.KindEdit && act.Body.Type != "":
		e.Body, e.Edited, e.EditedAt = act.Body, true, act.At
	case act.Kind == parley.KindReaction:
		e.feel(act.Sender, string(act.Body.Data))
	}
}

// feel replaces what user feels. Where not everybody who reacted is named,
// whether user did before may be unknown.
func (e *TimelineEntry) feel(user parley.UserID, text string) {
	before, partly := -1, len(e.Reactions) >= parley.MaxReactions
	for i, r := range e.Reactions {
		if slices.Contains(r.Users, user) {
			before = i
		}
		partly = partly || r.Count > len(r.Users)
	}
	if before >= 0 {
		r := &e.Reactions[before]
		if r.Text == text {
			return
		}
		r.Count--
		r.Users = slices.DeleteFunc(r.Users, func(u parley.UserID) bool { return u == user })
		if r.Count <= 0 {
			e.Reactions = slices.Delete(e.Reactions, before, before+1)
		}
	} else if partly {
		e.Unclear = true
	}
	if text == "" {
		return
	}
	i := slices.IndexFunc(e.Reactions, func(r parley.Reaction) bool { return r.Text == text })
	if i < 0 {
		e.Reactions = append(e.Reactions, parley.Reaction{Text: text})
		i = len(e.Reactions) - 1
	}
	r := &e.Reactions[i]
	r.Count++
	if len(r.Users) < parley.MaxReactors {
		r.Users = append(r.Users, user)
	}
}

// With returns e as it will read once p, which me has waiting to be sent and
// which is about e, is in the log.
func (e *TimelineEntry) With(me parley.UserID, p *parley.Post) *TimelineEntry {
	out := *e
	out.Reactions = slices.Clone(e.Reactions)
	for i := range out.Reactions {
		out.Reactions[i].Users = slices.Clone(out.Reactions[i].Users)
	}
	unclear := out.Unclear
	out.apply(&Entry{Entry: parley.Entry{Kind: p.Kind, Sender: me, Body: p.Body}})
	out.Unclear = unclear
	switch {
	case out.Deleted:
		out.Body, out.Reactions, out.Edited, out.Pinned = parley.Body{}, nil, false, false
	case p.Kind == parley.KindReaction:
		out.Mine = string(p.Body.Data)
	case p.Kind == parley.KindPin, p.Kind == parley.KindUnpin:
		out.Pinned = p.Kind == parley.KindPin
	}
	return &out
}
