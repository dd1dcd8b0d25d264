package migrate

import (
	"context"
	"fmt"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// compareLog reads the entries had.seq+1..to of a conversation from both sides
// and compares them, field by field; had moves along.
func (p *pass) compareLog(ctx context.Context, id parley.ConversationID, had *reached, to parley.Seq) error {
	return retry(ctx, "compare a conversation", func() (bool, error) {
		begun := had.seq
		err := p.compareFrom(ctx, id, had, to)
		return had.seq > begun, err
	})
}

func (p *pass) compareFrom(ctx context.Context, id parley.ConversationID, had *reached, to parley.Seq) error {
	for had.seq < to {
		n := int(min(entriesAtOnce, to-had.seq))
		want, got, err := p.both(ctx, id, had.seq, n)
		if err != nil {
			return err
		}
		if gone := erasedSince(want, got); len(gone) > 0 {
			if err := p.cfg.To.Erase(ctx, id, gone); err != nil {
				return err
			}
			if want, got, err = p.both(ctx, id, had.seq, n); err != nil {
				return err
			}
		}
		for i := range want {
			if err := same(id, &want[i], &got[i]); err != nil {
				return err
			}
		}
		if err := p.compareActs(ctx, id, got); err != nil {
			return err
		}
		for i := range got {
			had.sum.mix(sumEntry(&got[i]))
			if got[i].Kind == parley.KindDelete {
				had.deleted = append(had.deleted, got[i].Ref)
			}
		}
		had.seq += parley.Seq(n)
		p.meter.done(Counts{Entries: uint64(n)})
	}
	return nil
}

// both reads n entries after seq from both sides.
func (p *pass) both(ctx context.Context, id parley.ConversationID, seq parley.Seq, n int) (want, got []parley.Entry, err error) {
	if want, err = p.from.Read(ctx, id, seq, n); err != nil {
		return nil, nil, err
	}
	if got, err = p.cfg.To.Read(ctx, id, seq, n); err != nil {
		return nil, nil, err
	}
	if len(want) != n || len(got) != n {
		return nil, nil, differs("the length of conversation %s after entry %d", id, seq)
	}
	return want, got, nil
}

func same(id parley.ConversationID, want, got *parley.Entry) error {
	if field := differ(*want, *got); field != "" {
		return differs("the %s of entry %d of conversation %s", field, want.Seq, id)
	}
	return nil
}

// sumEntry binds an entry to its number.
func sumEntry(e *parley.Entry) digest {
	return named("entry", fmt.Sprint(e.Seq), digestOf(written(*e)))
}

// compareHead compares where a conversation stands, and that its newest entry
// is found by its id.
func (p *pass) compareHead(ctx context.Context, id parley.ConversationID, want store.Head) error {
	got, err := p.cfg.To.Load(ctx, id)
	if err != nil {
		return err
	}
	if field := differ(want, got); field != "" {
		return differs("the %s of conversation %s", field, id)
	}
	last, err := p.cfg.To.Read(ctx, id, want.Seq-1, 1)
	if err != nil {
		return err
	}
	if len(last) != 1 {
		return differs("the last entry of conversation %s", id)
	}
	in, err := p.from.Find(ctx, id, last[0].ID, 0)
	if err != nil {
		return err
	}
	found, err := p.cfg.To.Find(ctx, id, last[0].ID, 0)
	if err != nil {
		return err
	}
	if found != in {
		return differs("where the id of entry %d leads in conversation %s", want.Seq, id)
	}
	return nil
}

// olderInbox refuses an inbox of the target that is not an earlier state of
// the source's.
func olderInbox(u parley.UserID, there, in store.Inbox) error {
	if there.Pos > in.Pos {
		return notFromHere("a later inbox of user %s", u)
	}
	rows := make(map[parley.ConversationID]parley.Row, len(in.Rows))
	for _, r := range in.Rows {
		rows[r.Conversation] = r
	}
	unchanged := 0
	for _, r := range there.Rows {
		now, ok := rows[r.Conversation]
		if !ok {
			return notFromHere("a row of the inbox of user %s", u)
		}
		if now.Pos > there.Pos {
			continue // moved since
		}
		if differ(now, r) != "" {
			return notFromHere("another row in the inbox of user %s", u)
		}
		unchanged++
	}
	for _, r := range in.Rows {
		if r.Pos <= there.Pos {
			unchanged--
		}
	}
	if unchanged != 0 {
		return notFromHere("an inbox of user %s without a row", u)
	}
	return nil
}

// compareInbox reads an inbox of the target again and compares it with in, row
// by row.
func (p *pass) compareInbox(ctx context.Context, u parley.UserID, in store.Inbox) (sum digest, err error) {
	there, err := p.cfg.To.LoadInbox(ctx, u)
	if err != nil {
		return sum, err
	}
	if there.Pos != in.Pos || len(there.Rows) != len(in.Rows) {
		return sum, differs("the inbox of user %s", u)
	}
	for i := range in.Rows {
		b := written(there.Rows[i])
		if field := differ(in.Rows[i], there.Rows[i]); field != "" {
			return sum, differs("the %s of a row of the inbox of user %s", field, u)
		}
		sum.extend(b)
	}
	return sum, nil
}

// differs is the error of a copy that is not the same as its source. Going on
// is of no use.
func differs(format string, args ...any) error {
	return parley.E(parley.Internal, "migrate", "the copy is not the same: "+format+
		" differs. Nothing was lost, the source is untouched; empty the target and begin again, and report it if it happens twice", args...)
}
