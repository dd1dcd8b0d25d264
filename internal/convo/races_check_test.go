package convo_test

import (
	"context"
	"encoding/json"
	"fmt"

	parley "github.com/parley-im/parley"
)

// check judges the log, and what reached whom, by a model that is made of the
// log's own changes of members and of when things began and ended.
func (r *race) check() []string {
	entries, err := r.store.Read(context.Background(), r.c, 0, 1000)
	if err != nil {
		return []string{err.Error()}
	}
	wrong := r.wrong
	in := make(map[parley.UserID]bool)
	bySeq := make(map[parley.Seq]*parley.Entry)
	ids := make(map[parley.MessageID]bool)
	for i := range entries {
		e := &entries[i]
		bySeq[e.Seq] = e
		if ids[e.ID] {
			wrong = append(wrong, fmt.Sprintf("P2: %s stands twice", e.ID))
		}
		ids[e.ID] = true
		if e.Seq > 1 && !in[e.Sender] {
			wrong = append(wrong, fmt.Sprintf("%s said %d without being a member", e.Sender, e.Seq))
		}
		before := in
		if e.Kind == parley.KindMembers {
			var b parley.MembersBody
			if err := json.Unmarshal(e.Body.Data, &b); err != nil {
				return []string{err.Error()}
			}
			after := make(map[parley.UserID]bool)
			for u := range in {
				after[u] = true
			}
			for _, u := range b.Add {
				after[u] = true
			}
			for _, u := range b.Remove {
				delete(after, u)
			}
			in = after
		}
		for _, u := range users("ann", "bob", "cem", "dan") {
			want := 0
			if before[u] || in[u] { // who comes or goes with it has it
				want = 1
			}
			// What is unsure is told again by who finds it, unless its reader has
			// left and come back since; nobody is ever told too much.
			if got := r.told[u][e.Seq]; got != want && (!r.unsure || want == 0) {
				wrong = append(wrong, fmt.Sprintf("C9: %s was told %d %d times, want %d", u, e.Seq, got, want))
			}
			if r.read[u][e.Seq] && want == 0 {
				wrong = append(wrong, fmt.Sprintf("C9: %s read %d", u, e.Seq))
			}
		}
	}
	for _, s := range r.said {
		if s.sender != "ann" {
			continue
		}
		withheld := bySeq[s.seq].WithheldFrom("bob")
		switch must, known := r.blocked(s.span); {
		case known && must && !withheld:
			wrong = append(wrong, fmt.Sprintf("P9: %d began after the block and reaches who blocks", s.seq))
		case known && !must && withheld:
			wrong = append(wrong, fmt.Sprintf("P9: %d began after the unblock and is withheld", s.seq))
		}
	}
	return wrong
}

// blocked says whether what was said in that time must be withheld, or must
// not; known is false when it may.
func (r *race) blocked(s span) (must, known bool) {
	for i, change := range r.changes {
		switch {
		case change.ended < s.began:
			must = i%2 == 0
		case change.began < s.ended:
			return false, false
		}
	}
	return must, true
}

// seen counts what races are for, so that they cannot pass by doing nothing.
type seen struct{ withheld, must, mustNot, deleted, edits, removals, unsure, refused int }

func (s *seen) add(r *race) {
	entries, _ := r.store.Read(context.Background(), r.c, 0, 1000)
	for _, e := range entries {
		switch {
		case e.Kind == parley.KindEdit:
			s.edits++
		case e.Kind == parley.KindMembers:
			s.removals++
		case len(e.Withheld) > 0:
			s.withheld++
		}
	}
	for _, m := range r.said {
		if m.deleted > 0 {
			s.deleted++
		}
		if m.seq == 0 {
			s.refused++
		} else if must, known := r.blocked(m.span); known && m.sender == "ann" {
			if must {
				s.must++
			} else {
				s.mustNot++
			}
		}
	}
	s.unsure += r.failed
}
