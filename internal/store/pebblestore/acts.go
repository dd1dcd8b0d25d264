package pebblestore

import (
	"context"
	"math"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// isAct reports whether e is found from what it points at: it has a key of its
// own then.
func isAct(e *parley.Entry) bool { return e.Kind.IsAct() && 0 < e.Ref && e.Ref < e.Seq }

// appendAct writes what is to be known of e from its target, which is an entry
// with most of it left out: the target is in the key.
func appendAct(b []byte, e *parley.Entry) []byte {
	act := parley.Entry{Seq: e.Seq, Kind: e.Kind, Sender: e.Sender, At: e.At, Withheld: e.Withheld, Count: uint64(e.Seq)}
	act.Body.Type = parley.TextPlain // one byte less than none
	if e.Kind == parley.KindReaction {
		act.Body.Data = e.Body.Data
	}
	return appendEntry(b, &act)
}

func decodeAct(b []byte, c parley.ConversationID, target, seq parley.Seq) (parley.Act, error) {
	e, err := decodeEntry(b, c, seq)
	e.Ref = target
	return parley.ActOf(&e), err
}

// Acts implements store.Acts.
func (s *Store) Acts(ctx context.Context, c parley.ConversationID, from, to parley.Seq) (out []parley.Act, err error) {
	err = s.read(ctx, func(v *view) error {
		out, err = v.acts(c, from, to)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (v *view) acts(c parley.ConversationID, from, to parley.Seq) (out []parley.Act, err error) {
	if from > to {
		return nil, nil
	}
	prefix := conversationPrefix(nil, spaceAct, c)
	lower, upper := appendSeq(prefix[:len(prefix):len(prefix)], uint64(from)), upperBound(prefix)
	if to < math.MaxUint64 {
		upper = appendSeq(prefix[:len(prefix):len(prefix)], uint64(to)+1)
	}
	err = v.scan("acts", lower, upper, func(k, value []byte) (bool, error) {
		_, target, seq, err := takeActKey(k)
		if err != nil {
			return false, err
		}
		a, err := decodeAct(value, c, target, seq)
		out = append(out, a)
		return true, err
	})
	return out, err
}

// Erase implements store.Acts. What it writes follows from what stands and no
// condition: an entry only ever changes by losing its body, and whoever else
// erases it at the same time writes the same.
func (s *Store) Erase(ctx context.Context, c parley.ConversationID, seqs []parley.Seq) error {
	if err := checkIDs(string(c)); err != nil {
		return err
	}
	var bodiless []parley.Entry
	err := s.read(ctx, func(v *view) (err error) {
		bodiless, err = v.bodiless(c, seqs)
		return err
	})
	if err != nil {
		return err
	}
	if len(bodiless) == 0 {
		return nil // a view is durable: so is that there is nothing left
	}
	r := newRequest()
	for i := range bodiless {
		e := &bodiless[i]
		r.op(opSet, func(b []byte) []byte { return entryKey(b, c, e.Seq) }, func(b []byte) []byte { return appendEntry(b, e) })
		if isAct(e) {
			r.op(opSet, func(b []byte) []byte { return actKey(b, c, e.Ref, e.Seq) }, func(b []byte) []byte { return appendAct(b, e) })
		}
	}
	r.parts = append(r.parts, part{kind: kindErase, c: c, base: uint64(last(bodiless)), hi: len(r.buf)})
	return s.commitOne(ctx, r)
}

func last(entries []parley.Entry) (seq parley.Seq) {
	for i := range entries {
		seq = max(seq, entries[i].Seq)
	}
	return seq
}

// bodiless returns those of the entries that have a body, without it.
func (v *view) bodiless(c parley.ConversationID, seqs []parley.Seq) (out []parley.Entry, err error) {
	for _, seq := range seqs {
		_, err := v.get("entry", entryKey(nil, c, seq), func(b []byte) error {
			e, err := decodeEntry(b, c, seq)
			if err == nil && (e.Body.Type != "" || len(e.Body.Data) > 0) {
				e.Body = parley.Body{}
				out = append(out, e)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// judgeErase takes care that erasing makes no entry: should an engine that was
// opened again have lost the end of a history, what was read is gone with it.
func (c *committer) judgeErase(r *request, p *part) (conflict, fault error) {
	h, err := c.headOf(p.c)
	if err != nil {
		return nil, err
	}
	if uint64(h.seq) < p.base {
		return store.ErrUnavailable, nil
	}
	c.cur.sync = true
	return nil, r.write(p, c.cur.batch)
}
