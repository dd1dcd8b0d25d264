package client

import (
	"context"
	"errors"
	"time"

	"github.com/parley-im/parley"
)

// The ceiling of the waits doubles from minWait to maxWait.
const (
	minWait = 100 * time.Millisecond
	maxWait = 10 * time.Second
)

// backoff spreads retries with full jitter: each wait is anywhere between
// nothing and a ceiling that doubles, so that many clients that failed
// together do not return together.
type backoff struct {
	jitter func() float64
	tries  int
}

// next returns how long to wait after err. A wait the server asked for is kept
// to, and only a little is added.
func (b *backoff) next(err error) time.Duration {
	ceiling := maxWait
	if b.tries < 7 { // 100 ms << 7 is past the cap
		ceiling = min(maxWait, minWait<<b.tries)
	}
	b.tries++
	var e *parley.Error
	if errors.As(err, &e) && e.After > 0 {
		ceiling = min(e.After/4, time.Second)
		return e.After + time.Duration(b.jitter()*float64(ceiling))
	}
	return time.Duration(b.jitter() * float64(ceiling))
}

// pause waits for d or until ctx is done, and returns ctx's error then.
func pause(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Retry calls f until it succeeds, fails with a code that says to give up, or
// ctx is done; then it returns f's last error. Each call of f gets a deadline
// of its own. Before each wait it calls note, which may be nil.
func (c *Client) Retry(ctx context.Context, note func(err error, wait time.Duration), f func(ctx context.Context) error) error {
	b := backoff{jitter: c.jitter}
	for {
		try, cancel := context.WithTimeout(ctx, tryTimeout)
		err := f(try)
		cancel()
		if err == nil || ctx.Err() != nil || parley.CodeOf(err).Retry() == parley.GiveUp {
			return err
		}
		wait := b.next(err)
		if note != nil {
			note(err, wait)
		}
		if pause(ctx, wait) != nil {
			return err
		}
	}
}
