package pebblestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// Load implements store.Log.
func (s *Store) Load(ctx context.Context, c parley.ConversationID) (out store.Head, err error) {
	err = s.read(ctx, func(v *view) error {
		h, err := v.head(c)
		if err != nil || h.seq == 0 {
			out = store.Head{}
			return err
		}
		out = store.Head{Seq: h.seq, Count: h.count}
		_, err = v.get("conversation state", stateKey(nil, c), func(b []byte) (err error) {
			out.State, err = decodeState(b)
			return err
		})
		return err
	})
	return out, err
}

// maxOp bounds one key with its value. Nothing that passes the limits of the
// wire comes near.
const maxOp = 64 << 20

func checkAppend(a *store.Append) error {
	if len(a.Entries) == 0 {
		return errors.New("pebblestore: an append without entries")
	}
	size := 0
	for i := range a.Entries {
		if want := a.Base + parley.Seq(i) + 1; a.Entries[i].Seq != want {
			return fmt.Errorf("pebblestore: an entry numbered %d where %d belongs", a.Entries[i].Seq, want)
		}
		if err := checkIDs(string(a.Entries[i].ID), string(a.Entries[i].Sender), string(a.Entries[i].Device)); err != nil {
			return err
		}
		for _, ids := range [...][]parley.UserID{a.Entries[i].Mentions, a.Entries[i].Withheld} {
			for _, id := range ids {
				if err := checkIDs(string(id)); err != nil {
					return err
				}
			}
		}
		size += len(a.Entries[i].Body.Data)
	}
	if size > maxOp {
		return errors.New("pebblestore: an append of more than 64 MiB")
	}
	return checkIDs(string(a.Conversation))
}

func checkIDs(ids ...string) error {
	for _, id := range ids {
		if len(id) > parley.MaxID {
			return fmt.Errorf("pebblestore: an id of %d bytes, the most is %d", len(id), parley.MaxID)
		}
	}
	return nil
}

// Append implements store.Log.
func (s *Store) Append(ctx context.Context, a store.Append) error {
	if err := checkAppend(&a); err != nil {
		return err
	}
	r := newRequest()
	for i := range a.Entries {
		e := &a.Entries[i]
		r.op(opSet, func(b []byte) []byte { return entryKey(b, a.Conversation, e.Seq) },
			func(b []byte) []byte { return appendEntry(b, e) })
		r.op(opSet, func(b []byte) []byte { return idKey(b, a.Conversation, s.salt.hash(e.ID), e.Seq) }, nil)
		if isAct(e) {
			r.op(opSet, func(b []byte) []byte { return actKey(b, a.Conversation, e.Ref, e.Seq) },
				func(b []byte) []byte { return appendAct(b, e) })
		}
	}
	if a.State != nil {
		r.op(opSet, func(b []byte) []byte { return stateKey(b, a.Conversation) },
			func(b []byte) []byte { return appendState(b, a.State) })
	}
	last := &a.Entries[len(a.Entries)-1]
	r.parts = append(r.parts, part{kind: kindAppend, c: a.Conversation, base: uint64(a.Base), next: uint64(last.Seq),
		count: last.Count, hi: len(r.buf)})
	return s.commitOne(ctx, r)
}

// commitOne submits a request of one part and returns what came of it.
func (s *Store) commitOne(ctx context.Context, r *request) error {
	err, mine := s.submit(ctx, r)
	if mine {
		if err == nil {
			err = r.parts[0].err
		}
		r.recycle()
	}
	return err
}

// Read implements store.Log.
func (s *Store) Read(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) (out []parley.Entry, err error) {
	if limit <= 0 || after == ^parley.Seq(0) {
		return nil, s.read(ctx, func(*view) error { return nil })
	}
	err = s.read(ctx, func(v *view) error {
		out, err = v.entries(c, after, limit)
		return err
	})
	return out, err
}

func (v *view) entries(c parley.ConversationID, after parley.Seq, limit int) (out []parley.Entry, err error) {
	prefix := conversationPrefix(nil, spaceEntry, c)
	it, err := v.snap.NewIter(&pebble.IterOptions{
		LowerBound: appendSeq(prefix[:len(prefix):len(prefix)], uint64(after)+1),
		UpperBound: upperBound(prefix),
	})
	var p page
	if err != nil {
		return nil, readErr("entries", err)
	}
	defer func() {
		if e := it.Close(); err == nil && e != nil {
			err = readErr("entries", e)
		}
		if err != nil {
			out = nil
		}
	}()
	for ok := it.First(); ok && len(out) < limit; ok = it.Next() {
		n, rest, err := takeSeq(it.Key()[len(prefix):]) // the bounds begin with prefix
		if err == nil && len(rest) != 0 {
			err = errKey
		}
		if err != nil {
			return nil, corrupt("entry key", err)
		}
		seq := parley.Seq(n)
		if want := after + parley.Seq(len(out)) + 1; seq != want {
			return nil, corrupt("entries", fmt.Errorf("number %d where %d belongs", seq, want))
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, readErr("entries", err)
		}
		out = append(p.room(out, limit), parley.Entry{Conversation: c, Seq: seq})
		if err := p.decode(value, &out[len(out)-1]); err != nil {
			return nil, corrupt("entry", err)
		}
	}
	if e := it.Error(); e != nil {
		return nil, readErr("entries", e)
	}
	return out, nil
}

// fewEntries: a search among so many newest entries reads them, which are
// warm, rather than the index.
const fewEntries = 16

// Find implements store.Log.
func (s *Store) Find(ctx context.Context, c parley.ConversationID, id parley.MessageID, base parley.Seq) (seq parley.Seq, err error) {
	err = s.read(ctx, func(v *view) error {
		seq = 0
		if base != 0 && base != ^parley.Seq(0) {
			recent, err := v.entries(c, base, fewEntries)
			if err != nil {
				return err
			}
			for i := range recent {
				if recent[i].ID == id {
					seq = recent[i].Seq
					return nil
				}
			}
			if len(recent) < fewEntries {
				return nil // that was all after base
			}
		}
		seq, err = v.find(&s.salt, c, id)
		return err
	})
	return seq, err
}

// find looks the id up in the index, and verifies what it finds: hashes of
// other ids may be the same.
func (v *view) find(s *salt, c parley.ConversationID, id parley.MessageID) (found parley.Seq, err error) {
	h := s.hash(id)
	prefix := append(conversationPrefix(nil, spaceID, c), h[:]...)
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upperBound(prefix)})
	if err != nil {
		return 0, readErr("ids", err)
	}
	defer func() {
		if e := it.Close(); err == nil && e != nil {
			err = readErr("ids", e)
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		_, _, seq, err := takeIDKey(it.Key())
		if err != nil {
			return 0, corrupt("id key", err)
		}
		stands := false
		if _, err := v.get("entry", entryKey(nil, c, seq), func(b []byte) error {
			e, err := decodeEntry(b, c, seq)
			stands = err == nil && e.ID == id
			return err
		}); err != nil {
			return 0, err
		}
		if stands {
			return seq, nil
		}
	}
	if e := it.Error(); e != nil {
		return 0, readErr("ids", e)
	}
	return 0, nil
}

// DirtyAfter implements store.Dirty.
func (s *Store) DirtyAfter(ctx context.Context, of func(shard int) bool, c parley.ConversationID, limit int) (out []parley.ConversationID, err error) {
	err = s.read(ctx, func(v *view) error {
		out = nil
		lower := append(dirtyKey(nil, c), 0)
		if c == "" {
			lower = dirtyKey(nil, "")
		}
		return v.scan("dirty marks", lower, []byte{spaceDirty + 1}, func(k, _ []byte) (bool, error) {
			if len(out) >= limit {
				return false, nil
			}
			if id := parley.ConversationID(k[1:]); of == nil || of(parley.ShardOf(id)) {
				out = append(out, id)
			}
			return true, nil
		})
	})
	return out, err
}

// scan walks the keys in [lower, upper) until each wants no more. each must
// not keep its arguments.
func (v *view) scan(what string, lower, upper []byte, each func(k, value []byte) (more bool, err error)) error {
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return readErr(what, err)
	}
	for more := it.First(); more && err == nil; {
		var value []byte
		if value, err = it.ValueAndErr(); err != nil {
			err = readErr(what, err)
			break
		}
		if more, err = each(it.Key(), value); err != nil {
			err = corrupt(what, err)
		}
		more = more && err == nil && it.Next()
	}
	if e := it.Error(); err == nil && e != nil {
		err = readErr(what, e)
	}
	if e := it.Close(); err == nil && e != nil {
		err = readErr(what, e)
	}
	return err
}

// Settle implements store.Dirty.
func (s *Store) Settle(ctx context.Context, c parley.ConversationID, head parley.Seq) error {
	if err := checkIDs(string(c)); err != nil {
		return err
	}
	r := newRequest()
	r.op(opDelete, func(b []byte) []byte { return dirtyKey(b, c) }, nil)
	r.parts = append(r.parts, part{kind: kindSettle, c: c, base: uint64(head), hi: len(r.buf)})
	return s.commitOne(ctx, r)
}
