package cassandra

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/parley-im/parley/internal/store"
)

// probeEvery is how often a cluster or a host that failed is asked whether it
// is well again.
const probeEvery = time.Second

// health knows whether the cluster answers, and which of its hosts do not. It
// is told by every request; while something is wrong it asks for itself.
type health struct {
	// static after newHealth
	logger *slog.Logger
	within time.Duration
	wake   chan struct{}
	end    context.CancelFunc
	ended  chan struct{}
	ctx    context.Context

	failing atomic.Bool // a call found no answer, and none has since

	mu       sync.Mutex
	suspects map[string]bool // guarded by mu: hosts that let a request time out, by id
	count    atomic.Int32    // len(suspects)
}

func newHealth(cfg Config) *health {
	h := &health{logger: cfg.Logger, within: cfg.Timeout, wake: make(chan struct{}, 1),
		ended: make(chan struct{}), suspects: map[string]bool{}}
	h.ctx, h.end = context.WithCancel(context.Background())
	return h
}

// start begins to probe when something is wrong. ping asks the host with that
// id, or any for "".
func (h *health) start(ping func(ctx context.Context, host string) error) {
	go h.run(ping)
}

func (h *health) stop() {
	h.end()
	<-h.ended
}

func (h *health) run(ping func(ctx context.Context, host string) error) {
	defer close(h.ended)
	for {
		select {
		case <-h.wake:
		case <-h.ctx.Done():
			return
		}
		for h.failing.Load() || h.anySuspect() {
			if sleep(h.ctx, probeEvery) != nil {
				return
			}
			h.probe(ping)
		}
	}
}

// probe asks the suspects, all at once, and the cluster.
func (h *health) probe(ping func(ctx context.Context, host string) error) {
	h.mu.Lock()
	asked := []string{""}
	for id := range h.suspects {
		asked = append(asked, id)
	}
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(h.ctx, h.within)
	defer cancel()
	var wg sync.WaitGroup
	for _, id := range asked {
		wg.Go(func() {
			err := ping(ctx, id)
			switch {
			case err == nil && id == "":
				h.succeeded()
			case err == nil, errors.Is(err, gocql.ErrNoConnections):
				// Answered, or left the cluster or is down, which the driver
				// knows by itself.
				h.trust(id)
			}
		})
	}
	wg.Wait()
}

// failed is told of a call that ended without an answer.
func (h *health) failed() {
	if h.failing.CompareAndSwap(false, true) {
		h.logger.Warn("cassandra does not answer")
	}
	h.poke()
}

func (h *health) succeeded() {
	if h.failing.Load() && h.failing.CompareAndSwap(true, false) {
		h.logger.Info("cassandra answers again")
	}
}

// writable is nil unless a call failed and no call has succeeded since.
func (h *health) writable() error {
	if h.failing.Load() {
		return store.ErrUnavailable
	}
	return nil
}

func (h *health) poke() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *health) anySuspect() bool { return h.count.Load() > 0 }

func (h *health) isSuspect(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.suspects[id]
}

func (h *health) suspect(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.suspects[id] = true
	h.count.Store(int32(len(h.suspects)))
	h.poke()
}

func (h *health) trust(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.suspects, id)
	h.count.Store(int32(len(h.suspects)))
}

// ObserveQuery implements gocql.QueryObserver.
func (h *health) ObserveQuery(_ context.Context, q gocql.ObservedQuery) { h.observe(q.Host, q.Err) }

// ObserveBatch implements gocql.BatchObserver.
func (h *health) ObserveBatch(_ context.Context, b gocql.ObservedBatch) { h.observe(b.Host, b.Err) }

// observe suspects a host that said nothing. One that answered, be it that
// others did not answer it, is well.
func (h *health) observe(host *gocql.HostInfo, err error) {
	silent := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, gocql.ErrTimeoutNoResponse) ||
		errors.Is(err, gocql.ErrConnectionClosed)
	switch {
	case host == nil, errors.Is(err, context.Canceled):
	case silent:
		h.suspect(host.HostID())
	case h.anySuspect():
		h.trust(host.HostID())
	}
}
