// Package migrate copies one store into another: conversations entry by entry,
// inboxes row by row, records one by one, and reads everything back from both
// sides before it calls it copied.
//
// A move has three parts. [Begin] refuses a target that holds something else
// and marks it as unfinished, so that no server starts on a half of a store
// ([Unfinished]). [Copy.Pass] brings the target to where a source stands; it is
// run first on a copy of the source while that still serves, as often as one
// likes, and then once more on the source itself, stopped and sealed ([Seal]):
// that last pass takes only what changed since. [Copy.Finish] takes the mark
// away.
//
// What the source has erased, the target has not: an erased entry is copied
// without its body, and one that is erased after it was copied is erased in the
// target by the next pass. Acts come with the entries that they are of, and are
// looked for and compared like those.
//
// A copy that was interrupted is begun again with the same call. What the
// target has must be the beginning of what the source has; that is verified
// entry by entry before anything is added to it.
//
// The target's epoch is its own, so that every device resyncs. Versions of
// records are the target's own too: they are fences between writers, and no
// writer is carried over.
package migrate

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// Config is what a copy is made of. To is required; zero values of the rest
// mean the defaults written beside them.
type Config struct {
	To       store.Store
	Workers  int              // how many conversations, inboxes or partitions are copied at once; 16
	Progress func(Progress)   // hears a few times a second how far a pass is, from one goroutine at a time; none
	Now      func() time.Time // time.Now
}

// Copy is one copy into a target. It remembers what it has verified, so that a
// later pass takes only what changed: some hundred bytes for each
// conversation, user and partition.
type Copy struct {
	cfg Config

	mu            sync.Mutex
	conversations map[parley.ConversationID]reached
	inboxes       map[parley.UserID]reachedInbox
	partitions    map[string]reachedRecords
	listed        bool // partitions has every one of the target
}

// reached is how far a conversation has been copied and verified.
type reached struct {
	seq     parley.Seq
	sum     digest       // of the entries 1..seq, each with its number
	deleted []parley.Seq // messages that were deleted, and whose bodies the source may not have erased yet
}

type reachedInbox struct {
	pos  parley.Pos
	rows int
	sum  digest
}

type reachedRecords struct {
	records int
	sum     digest
}

// Counts is how much there is of everything that is copied.
type Counts struct {
	Conversations, Entries uint64
	Users, Rows            uint64
	Partitions, Records    uint64
}

// Begin begins a copy into cfg.To, or takes up one that was interrupted.
// source is what will be copied, or an earlier state of it. It refuses, having
// written nothing, a target that holds anything but an unfinished copy of
// source, and a source that is itself an unfinished copy.
func Begin(ctx context.Context, cfg Config, source store.Store) (*Copy, error) {
	if cfg.Workers <= 0 {
		cfg.Workers = 16
	}
	if cfg.Progress == nil {
		cfg.Progress = func(Progress) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Copy{cfg: cfg,
		conversations: map[parley.ConversationID]reached{},
		inboxes:       map[parley.UserID]reachedInbox{},
		partitions:    map[string]reachedRecords{},
	}
	if source.Epoch() == cfg.To.Epoch() {
		return nil, refuse("a store cannot be copied into itself; name another place to copy to")
	}
	from, err := readMark(ctx, source)
	if err != nil {
		return nil, failed("read the source", err)
	}
	if from.State == copying {
		return nil, refuse("the store to copy from is itself a copy that was not finished; finish that one first")
	}
	to, err := readMark(ctx, cfg.To)
	if err != nil {
		return nil, failed("read the target", err)
	}
	switch to.State {
	case copying:
		return c, c.sameSource(ctx, source)
	case moved:
		return nil, refuse("the store to copy into was itself moved to %s and is kept as it was then; copy into an empty place", to.To)
	}
	if err := wantEmpty(ctx, cfg.To); err != nil {
		return nil, err
	}
	return c, remark(ctx, cfg.To, mark{State: copying})
}

// wantEmpty refuses a store that holds anything at all.
func wantEmpty(ctx context.Context, s store.Store) error {
	c, err := s.Conversations(ctx, "", 1)
	if err != nil {
		return failed("read the target", err)
	}
	u, err := s.Users(ctx, "", 1)
	if err != nil {
		return failed("read the target", err)
	}
	p, err := s.Partitions(ctx, "", 1)
	if err != nil {
		return failed("read the target", err)
	}
	if len(c)+len(u)+len(p) > 0 {
		return refuse("the store to copy into holds something already (a server may have been started on it); copy into an empty place")
	}
	return nil
}

// sameSource refuses to go on with a target that has what the source has not,
// before anything is written. That what both have is the same is verified when
// each is copied.
func (c *Copy) sameSource(ctx context.Context, source store.Store) error {
	err := each(ctx, c.cfg.Workers, c.cfg.To.Conversations, func(ctx context.Context, id parley.ConversationID) error {
		h, err := source.Load(ctx, id)
		if err == nil && h.Seq == 0 {
			err = notFromHere("conversation %s", id)
		}
		return err
	})
	if err != nil {
		return failed("compare the target with the source", err)
	}
	err = each(ctx, c.cfg.Workers, c.cfg.To.Users, func(ctx context.Context, id parley.UserID) error {
		in, err := source.LoadInbox(ctx, id)
		if err == nil && in.Pos == 0 {
			err = notFromHere("the inbox of user %s", id)
		}
		return err
	})
	return failed("compare the target with the source", err)
}

// Finish makes the target a store that a server may start on. Nothing must
// have been written to the source since the last pass.
func (c *Copy) Finish(ctx context.Context) error {
	return remark(ctx, c.cfg.To, mark{})
}

// Report returns how much of the target has been copied and verified, and a
// fingerprint of it: the same for the same content in any engine.
func (c *Copy) Report() (Counts, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var n Counts
	var all digest // the sum does not depend on the order in which an engine lists
	for id, r := range c.conversations {
		n.Conversations++
		n.Entries += uint64(r.seq)
		all.mix(named("conversation", string(id), r.sum))
	}
	for id, r := range c.inboxes {
		n.Users++
		n.Rows += uint64(r.rows)
		all.mix(named("inbox", string(id), r.sum))
	}
	for id, r := range c.partitions {
		n.Partitions++
		n.Records += uint64(r.records)
		all.mix(named("records", id, r.sum))
	}
	return n, hex.EncodeToString(all[:16])
}

// Count returns how much there is in s, without reading the entries.
func Count(ctx context.Context, s store.Store, workers int) (Counts, error) {
	var mu sync.Mutex
	var n Counts
	add := func(f func()) { mu.Lock(); defer mu.Unlock(); f() }
	err := each(ctx, workers, s.Conversations, func(ctx context.Context, id parley.ConversationID) error {
		h, err := s.Load(ctx, id)
		add(func() { n.Conversations++; n.Entries += uint64(h.Seq) })
		return err
	})
	if err != nil {
		return n, failed("count the conversations", err)
	}
	err = each(ctx, workers, s.Users, func(ctx context.Context, id parley.UserID) error {
		in, err := s.LoadInbox(ctx, id)
		add(func() { n.Users++; n.Rows += uint64(len(in.Rows)) })
		return err
	})
	if err != nil {
		return n, failed("count the inboxes", err)
	}
	err = each(ctx, workers, s.Partitions, func(ctx context.Context, p string) error {
		if stays(p) {
			return nil
		}
		rs, err := records(ctx, s, p)
		add(func() { n.Partitions++; n.Records += uint64(len(rs)) })
		return err
	})
	return n, failed("count the records", err)
}

// stays reports whether a partition of records is about the store itself, or
// about the servers on it, and so is not copied.
func stays(partition string) bool {
	return partition == markPartition || strings.HasPrefix(partition, "cluster/")
}

func refuse(format string, args ...any) error {
	return parley.E(parley.Conflict, "migrate", format, args...)
}

func notFromHere(format string, args ...any) error {
	return refuse("the target has "+format+", which the source has not: it was begun from another store. Empty it, or copy into another place", args...)
}

// failed says at what err happened; an Error already says what to do.
func failed(at string, err error) error {
	if err == nil {
		return nil
	}
	if _, coded := errors.AsType[*parley.Error](err); coded {
		return err
	}
	return fmt.Errorf("migrate: %s: %w", at, err)
}
