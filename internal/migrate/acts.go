package migrate

import (
	"context"
	"slices"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

func hasBody(e *parley.Entry) bool { return e.Body.Type != "" || len(e.Body.Data) > 0 }

// erasedSince returns the entries that lost their body in the source after they
// were copied, and are otherwise the same. What differs in anything else is of
// another store, from which nothing is erased.
func erasedSince(want, got []parley.Entry) (gone []parley.Seq) {
	for i := range want {
		bare := got[i]
		bare.Body = parley.Body{}
		if !hasBody(&want[i]) && hasBody(&got[i]) && differ(want[i], bare) == "" {
			gone = append(gone, want[i].Seq)
		}
	}
	return gone
}

// eraseDeleted looks again at what was deleted, and at what was said of it: a
// body is erased after the delete was appended, perhaps when it had been copied
// already. Of a message that the source has not erased yet the next pass asks
// again.
func (p *pass) eraseDeleted(ctx context.Context, id parley.ConversationID, had *reached) error {
	before := map[parley.Seq]digest{} // of entries being erased, with their body
	slices.Sort(had.deleted)
	had.deleted = slices.Compact(had.deleted)
	var stand []parley.Seq
	for len(had.deleted) > 0 {
		target, stands := had.deleted[0], false
		err := retry(ctx, "erase what was deleted", func() (bool, error) {
			acts, err := p.from.Acts(ctx, id, target, target)
			if err != nil {
				return false, err
			}
			seqs := []parley.Seq{target}
			for _, a := range acts {
				if a.Seq <= had.seq {
					seqs = append(seqs, a.Seq)
				}
			}
			stands = false
			for _, seq := range seqs {
				if seq == 0 || seq > had.seq {
					continue // a delete of nothing
				}
				body, err := p.eraseOne(ctx, id, seq, had, before)
				if err != nil {
					return false, err
				}
				stands = stands || body
			}
			return false, nil
		})
		if err != nil {
			return err
		}
		if stands {
			stand = append(stand, target)
		}
		had.deleted = had.deleted[1:]
	}
	had.deleted = stand
	return nil
}

// eraseOne erases an entry in the target if the source has, and compares it. It
// reports whether it has a body in both that a delete takes.
func (p *pass) eraseOne(ctx context.Context, id parley.ConversationID, seq parley.Seq, had *reached, before map[parley.Seq]digest) (bool, error) {
	want, got, err := p.both(ctx, id, seq-1, 1)
	if err != nil {
		return false, err
	}
	if len(erasedSince(want, got)) > 0 {
		before[seq] = sumEntry(&got[0])
		if err := p.cfg.To.Erase(ctx, id, []parley.Seq{seq}); err != nil {
			return false, err
		}
		if want, got, err = p.both(ctx, id, seq-1, 1); err != nil {
			return false, err
		}
	}
	if err := same(id, &want[0], &got[0]); err != nil {
		return false, err
	}
	old, erased := before[seq]
	if !erased {
		return hasBody(&got[0]) && got[0].Kind != parley.KindReaction, nil
	}
	if err := p.compareActs(ctx, id, got); err != nil {
		return false, err
	}
	had.sum.mix(old)
	had.sum.mix(sumEntry(&got[0]))
	delete(before, seq)
	return false, nil
}

// compareActs looks in the target for the acts among these entries, which follow
// each other, from what they point at.
func (p *pass) compareActs(ctx context.Context, id parley.ConversationID, entries []parley.Entry) error {
	type stretch struct {
		from, to parley.Seq
		acts     []parley.Act
	}
	var stretches []stretch // of targets of one bucket each
	for i := range entries {
		e := &entries[i]
		if !e.Kind.IsAct() || e.Ref == 0 || e.Ref >= e.Seq {
			continue
		}
		k := slices.IndexFunc(stretches, func(s stretch) bool { return s.from/store.BucketSize == e.Ref/store.BucketSize })
		if k < 0 {
			k = len(stretches)
			stretches = append(stretches, stretch{from: e.Ref, to: e.Ref})
		}
		s := &stretches[k]
		s.from, s.to, s.acts = min(s.from, e.Ref), max(s.to, e.Ref), append(s.acts, parley.ActOf(e))
	}
	for _, s := range stretches {
		there, err := p.cfg.To.Acts(ctx, id, s.from, s.to)
		if err != nil {
			return err
		}
		for _, want := range s.acts {
			if !holds(there, want) {
				return differs("what entry %d says of entry %d of conversation %s", want.Seq, want.Target, id)
			}
		}
	}
	return nil
}

// holds reports whether an act is among those found; of one member's reactions
// to one entry a store may have forgotten all but the last.
func holds(there []parley.Act, want parley.Act) bool {
	return slices.ContainsFunc(there, func(a parley.Act) bool {
		if a.Seq == want.Seq {
			return differ(want, a) == ""
		}
		return want.Kind == parley.KindReaction && a.Kind == want.Kind && a.Target == want.Target && a.Sender == want.Sender && a.Seq > want.Seq
	})
}
