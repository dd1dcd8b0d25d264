package cassandra

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/parley-im/parley/internal/store"
)

// attempts says how the time of one call is used: an attempt that gets no
// answer is given up after this part of it, so that another, which goes to
// another replica, has time left.
const attempts = 2

// The pauses between attempts that failed at once.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = 200 * time.Millisecond
)

// errTime: the time of one call is up, and the caller would have waited.
var errTime = errors.New("cassandra: no answer in time")

// within bounds what one call may take.
func (s *Store) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, s.cfg.Timeout, errTime)
}

// persist runs try until it succeeds, fails for good, or the call's time is
// up, which is ErrUnavailable.
func (s *Store) persist(ctx context.Context, try func(ctx context.Context) error) error {
	within, cancel := s.within(ctx)
	defer cancel()
	var last error
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		once, done := context.WithTimeout(within, s.cfg.Timeout/attempts)
		err := try(once)
		done()
		if err == nil {
			s.health.succeeded()
			return nil
		}
		if !transient(err) {
			return err
		}
		if within.Err() == nil || last == nil {
			last = err // of those that time cut short, the first is the cause
		}
		if sleep(within, pause) != nil {
			if !errors.Is(context.Cause(within), errTime) { // the caller's own end
				return fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
			}
			s.health.failed()
			return fmt.Errorf("%w: %w", store.ErrUnavailable, last)
		}
	}
}

// transient reports whether another attempt may fare better.
func transient(err error) bool {
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrClosed) ||
		errors.Is(err, errUnresolved) || errors.Is(err, gocql.ErrSessionClosed) {
		return false
	}
	var e gocql.RequestError
	if errors.As(err, &e) {
		switch e.Code() {
		case gocql.ErrCodeSyntax, gocql.ErrCodeUnauthorized, gocql.ErrCodeInvalid, gocql.ErrCodeConfig,
			gocql.ErrCodeAlreadyExists, gocql.ErrCodeProtocol, gocql.ErrCodeCredentials:
			return false
		}
	}
	return true
}

// errUnresolved: an outcome that stays unknown.
var errUnresolved = fmt.Errorf("%w: somebody wrote since, and what was ours can no longer be told", store.ErrUnavailable)

// verdict is what a partition says of a batch that did not apply.
type verdict int

const (
	ours   verdict = iota // it stands, by an earlier attempt
	theirs                // it does not stand and never will
	open                  // neither can be said
)

// commit runs a conditional batch until its outcome is certain. look reads,
// serially, what stands where the batch wanted to write.
//
// A batch that did not apply may still be ours: an earlier attempt whose
// answer was lost, or one that the replicas finished after they had told the
// coordinator that it was overtaken. The mark decides, not the answer.
//
// The serial read also finishes what is under way on the partition, so that
// after ErrConflict a plain read at a quorum shows what was lost to.
func (s *Store) commit(ctx context.Context, batch func() *gocql.Batch, look func(ctx context.Context) (verdict, error)) error {
	doubt := false // an attempt of ours may still be under way
	return s.persist(ctx, func(ctx context.Context) error {
		applied, err := execute(ctx, batch())
		if err != nil {
			doubt = true
			return err
		}
		if applied {
			return nil
		}
		v, err := look(ctx)
		switch {
		case err != nil:
			return err
		case v == ours:
			return nil
		case v == theirs || !doubt:
			return store.ErrConflict
		default:
			return errUnresolved
		}
	})
}

// execute runs a conditional batch once.
func execute(ctx context.Context, b *gocql.Batch) (applied bool, err error) {
	applied, iter, err := b.MapExecCASContext(ctx, map[string]any{})
	if iter != nil {
		err = errors.Join(err, iter.Close())
	}
	return applied, err
}

// serially makes a read that sees every write that has happened, and finishes
// those under way.
func serially(q *gocql.Query) *gocql.Query { return q.Consistency(gocql.LocalSerial) }

// one reads at most one row. It is false when there is none.
func one(ctx context.Context, q *gocql.Query, dest ...any) (bool, error) {
	err := q.ScanContext(ctx, dest...)
	if errors.Is(err, gocql.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// judge is the verdict on a place that is written once: whoever stands there
// stays.
func judge(found bool, mark, mine []byte) verdict {
	switch {
	case !found:
		return open
	case bytes.Equal(mark, mine):
		return ours
	default:
		return theirs
	}
}

// ping asks a host, or the cluster, whether it answers.
func (s *Store) ping(ctx context.Context, host string) error {
	if host != "" {
		var key string
		return s.session.Query(`SELECT key FROM system.local`).SetHostID(host).Consistency(gocql.One).ScanContext(ctx, &key)
	}
	var value string
	return s.session.Query(selectMeta, metaEpoch).ScanContext(ctx, &value)
}

func corrupt(what string, err error) error {
	return fmt.Errorf("cassandra: %s: %w: %w", what, store.ErrCorrupt, err)
}
