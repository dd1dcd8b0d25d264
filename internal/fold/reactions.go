package fold

import (
	"cmp"
	"context"
	"slices"
	"time"

	parley "github.com/parley-im/parley"
)

// Reactor is one member's reaction.
type Reactor struct {
	User parley.UserID
	Text string
	At   time.Time
}

// standing returns the reactions among acts on one message that count for r
// and were not taken back: each member's last one, in the order of the log.
func standing(r Reader, acts []parley.Act) []*parley.Act {
	last := make(map[parley.UserID]*parley.Act)
	for i := range acts {
		if a := &acts[i]; a.Kind == parley.KindReaction && r.counts(a) {
			last[a.Sender] = a
		}
	}
	all := make([]*parley.Act, 0, len(last))
	for _, a := range last {
		if a.Text != "" {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b *parley.Act) int { return cmp.Compare(a.Seq, b.Seq) })
	return all
}

// reactions returns what stands among acts on one message, in the order in
// which those that stand were first used: at most so many, each with so many of
// who feels so.
func reactions(r Reader, acts []parley.Act, most, named int) []parley.Reaction {
	var all []parley.Reaction
	for _, a := range standing(r, acts) {
		i := slices.IndexFunc(all, func(r parley.Reaction) bool { return r.Text == a.Text })
		if i < 0 {
			if len(all) == most {
				continue
			}
			i = len(all)
			all = append(all, parley.Reaction{Text: a.Text})
		}
		all[i].Count++
		if len(all[i].Users) < named {
			all[i].Users = append(all[i].Users, a.Sender)
		}
	}
	return all
}

// Reactors returns every reaction to the message seq as of r's head, and whose
// it is, in the order of the log; none if it was deleted. It is not_found alike
// for a number that r may not read and for what is no message.
func (f Folder) Reactors(ctx context.Context, c parley.ConversationID, r Reader, seq parley.Seq) ([]Reactor, error) {
	_, acts, deleted, err := f.message(ctx, c, r, seq)
	if err != nil || deleted {
		return nil, err
	}
	var all []Reactor
	for _, a := range standing(r, acts) {
		all = append(all, Reactor{User: a.Sender, Text: a.Text, At: a.At})
	}
	return all, nil
}
