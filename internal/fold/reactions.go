package fold

import (
	"cmp"
	"context"
	"slices"

	parley "github.com/parley-im/parley"
)

// reactions returns the reactions among acts on one message that count for r,
// each member's last one, in the order in which those that stand were first
// used: at most so many, each with so many of who feels so.
func reactions(r Reader, acts []parley.Act, most, named int) []parley.Reaction {
	last := make(map[parley.UserID]*parley.Act)
	for i := range acts {
		if a := &acts[i]; a.Kind == parley.KindReaction && r.counts(a) {
			last[a.Sender] = a
		}
	}
	standing := make([]*parley.Act, 0, len(last))
	for _, a := range last {
		if a.Text != "" {
			standing = append(standing, a)
		}
	}
	slices.SortFunc(standing, func(a, b *parley.Act) int { return cmp.Compare(a.Seq, b.Seq) })
	var all []parley.Reaction
	for _, a := range standing {
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

// Reactors returns every reaction to the message seq as of r's head, and every
// member behind it; none if it was deleted. It is not_found alike for a number
// that r may not read and for what is no message.
func (f Folder) Reactors(ctx context.Context, c parley.ConversationID, r Reader, seq parley.Seq) ([]parley.Reaction, error) {
	_, acts, deleted, err := f.message(ctx, c, r, seq)
	if err != nil || deleted {
		return nil, err
	}
	return reactions(r, acts, len(acts), len(acts)), nil
}
