package pebblestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// ledger is what writers were promised: for each lane the head, the inbox
// position and the record version that were acknowledged.
type ledger struct {
	mu      sync.Mutex
	heads   map[int]parley.Seq
	inboxes map[int]parley.Pos
	records map[int]uint64
}

func newLedger() *ledger {
	return &ledger{heads: map[int]parley.Seq{}, inboxes: map[int]parley.Pos{}, records: map[int]uint64{}}
}

func (l *ledger) acked(note func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	note()
}

// copy returns what stands acknowledged now.
func (l *ledger) copy() *ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &ledger{heads: maps.Clone(l.heads), inboxes: maps.Clone(l.inboxes), records: maps.Clone(l.records)}
}

func laneOf(i int) parley.ConversationID { return parley.ConversationID(fmt.Sprintf("lane-%d", i)) }
func userOf(i int) parley.UserID         { return parley.UserID(fmt.Sprintf("user-%d", i)) }

// entryOf is the one entry that can have that number in that lane.
func entryOf(lane int, seq parley.Seq) parley.Entry {
	return parley.Entry{
		Conversation: laneOf(lane), Seq: seq, Kind: parley.KindMessage, Count: uint64(seq),
		ID: parley.MessageID(fmt.Sprintf("id-%d-%d", lane, seq)), Sender: userOf(lane), Device: "device",
		Body: parley.Body{Type: parley.TextPlain, Data: fmt.Appendf(nil, "lane %d says %d %s", lane, seq, bytes.Repeat([]byte{byte('a' + seq%26)}, int(seq*7%200)))},
	}
}

func appendOf(lane int, base parley.Seq, n int) store.Append {
	a := store.Append{Conversation: laneOf(lane), Base: base}
	for i := range n {
		a.Entries = append(a.Entries, entryOf(lane, base+parley.Seq(i)+1))
	}
	if base%10 == 0 {
		a.State = &parley.Conversation{ID: laneOf(lane), Kind: parley.Group, Members: []parley.Member{{User: userOf(lane), Since: 1}}}
	}
	return a
}

// write makes the next write of a lane: entries, mostly; then the inbox row
// and the record that follow from them. It notes what is acknowledged, and
// after anything else reads where the lane stands.
func (l *ledger) write(ctx context.Context, s store.Store, lane int) error {
	h, err := s.Load(ctx, laneOf(lane))
	if err != nil {
		return err
	}
	n := 1 + int(h.Seq%3)
	if err := s.Append(ctx, appendOf(lane, h.Seq, n)); err != nil {
		return err
	}
	head := h.Seq + parley.Seq(n)
	l.acked(func() { l.heads[lane] = head })
	switch head % 5 {
	case 0:
		in, err := s.LoadInbox(ctx, userOf(lane))
		if err != nil {
			return err
		}
		one := &store.InboxWrite{User: userOf(lane), Base: in.Pos, Rows: []parley.Row{
			{Conversation: laneOf(lane), Pos: in.Pos + 1, Since: 1, Head: head, Count: uint64(head)}}}
		if err := errors.Join(s.WriteInboxes(ctx, []*store.InboxWrite{one}), one.Err); err != nil {
			return err
		}
		l.acked(func() { l.inboxes[lane] = in.Pos + 1 })
	case 1:
		return s.Settle(ctx, laneOf(lane), head)
	case 2:
		r, err := s.GetRecord(ctx, "p", string(userOf(lane)))
		if err != nil {
			return err
		}
		if err := s.CommitRecords(ctx, "p", []store.Change{{Key: r.Key, Version: r.Version, Value: []byte("v")}}); err != nil {
			return err
		}
		l.acked(func() { l.records[lane] = r.Version + 1 })
	}
	return nil
}

// audit compares what stands in s with what was promised. The error says
// what is wrong: a promise broken, or a history that was never written.
func (l *ledger) audit(ctx context.Context, s *Store, lanes int) error {
	for lane := range lanes {
		if err := l.auditLane(ctx, s, lane); err != nil {
			return fmt.Errorf("lane %d: %w", lane, err)
		}
	}
	var problems []error
	_, err := s.Verify(ctx, func(p string) { problems = append(problems, errors.New(p)) })
	return errors.Join(err, errors.Join(problems...))
}

func (l *ledger) auditLane(ctx context.Context, s *Store, lane int) error {
	h, err := s.Load(ctx, laneOf(lane))
	if err != nil {
		return err
	}
	if h.Seq < l.heads[lane] {
		return fmt.Errorf("the head is %d, %d was acknowledged", h.Seq, l.heads[lane])
	}
	all, err := s.Read(ctx, laneOf(lane), 0, int(h.Seq)+1)
	if err != nil {
		return err
	}
	if parley.Seq(len(all)) != h.Seq {
		return fmt.Errorf("%d entries stand, the head is %d", len(all), h.Seq)
	}
	for i, e := range all {
		want := entryOf(lane, parley.Seq(i+1))
		if e.Seq != want.Seq || e.ID != want.ID || !bytes.Equal(e.Body.Data, want.Body.Data) {
			return fmt.Errorf("entry %d is not what was written", i+1)
		}
	}
	if h.Seq > 0 {
		if seq, err := s.Find(ctx, laneOf(lane), entryOf(lane, h.Seq).ID, 0); err != nil || seq != h.Seq {
			return fmt.Errorf("the id of entry %d is found at %d: %w", h.Seq, seq, err)
		}
	}
	in, err := s.LoadInbox(ctx, userOf(lane))
	if err != nil {
		return err
	}
	if in.Pos < l.inboxes[lane] {
		return fmt.Errorf("the inbox is at %d, %d was acknowledged", in.Pos, l.inboxes[lane])
	}
	r, err := s.GetRecord(ctx, "p", string(userOf(lane)))
	if err != nil {
		return err
	}
	if r.Version < l.records[lane] {
		return fmt.Errorf("the record has version %d, %d was acknowledged", r.Version, l.records[lane])
	}
	return nil
}
