package edge

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// hub holds the WebSockets of this server: how many there may be, who reads
// them, when their deadlines come, and how they all end.
type hub struct {
	// static after newHub
	ctx      context.Context // ends when the hub closes
	cancel   context.CancelFunc
	start    time.Time
	signIn   SignIn
	sessions Sessions
	limits   wire.Limits
	log      *slog.Logger
	metrics  *metrics
	max      int
	maxOpen  int64
	upgrades *rate.Limiter
	wheel    wheel
	poller   *poller // nil: a goroutine reads each connection

	opening  atomic.Int64    // connections without a good hello
	draining context.Context // ends when new connections are no longer welcome
	refuse   context.CancelFunc

	// running counts every goroutine of the hub and its connections.
	running sync.WaitGroup

	mu     sync.Mutex
	conns  map[*conn]struct{}
	closed bool
}

func newHub(cfg *Config, m *metrics) (*hub, error) {
	ctx, cancel := context.WithCancel(context.Background())
	h := &hub{
		ctx: ctx, cancel: cancel, start: time.Now(),
		signIn: cfg.SignIn, sessions: cfg.Sessions, limits: cfg.Limits,
		log: cfg.Logger, metrics: m,
		max: cfg.MaxConnections, maxOpen: int64(cfg.MaxOpening),
		upgrades: rate.NewLimiter(rate.Limit(cfg.UpgradesPerSecond), cfg.UpgradesPerSecond),
		conns:    make(map[*conn]struct{}),
	}
	h.draining, h.refuse = context.WithCancel(context.Background())
	if !cfg.NoPolling {
		p, err := newPoller(h)
		if err != nil {
			cancel()
			return nil, err
		}
		h.poller = p
	}
	h.running.Go(func() { h.wheel.turn(ctx) })
	if h.poller != nil {
		h.running.Go(h.poller.run)
	}
	return h, nil
}

// clock is the time since the hub began, in nanoseconds: never 0.
func (h *hub) clock() int64 { return int64(time.Since(h.start)) + 1 }

// admit reports whether one more connection may be upgraded now.
func (h *hub) admit() error {
	h.mu.Lock()
	n := len(h.conns)
	h.mu.Unlock()
	switch {
	case h.isDraining():
		return &parley.Error{Code: parley.Draining, Op: "edge.connect", Detail: "The server is going away for a restart; reconnect in a moment.", After: time.Second}
	case n >= h.max || h.opening.Load() >= h.maxOpen || !h.upgrades.Allow():
		// Spread, so that those refused now do not come back together.
		return &parley.Error{Code: parley.Overloaded, Op: "edge.connect", Detail: "Too many connections at the moment; try again shortly.", After: time.Second + rand.N(2*time.Second)}
	}
	return nil
}

// serve takes over an upgraded connection; early is what was read past the
// request.
func (h *hub) serve(nc net.Conn, early []byte) {
	c := newConn(h, nc)
	h.opening.Add(1)
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		c.end()
		return
	}
	h.conns[c] = struct{}{}
	h.metrics.connections.Set(float64(len(h.conns)))
	// Under the lock: Close waits for running only after it set closed.
	h.running.Go(func() { h.drive(c, early) })
	h.mu.Unlock()
	h.wheel.schedule(c, helloWithin)
}

// drive gives c its reader.
func (h *hub) drive(c *conn, early []byte) {
	if len(early) > 0 {
		c.take(early)
	}
	if sc, ok := c.nc.(*net.TCPConn); ok && h.poller != nil {
		raw, err := sc.SyscallConn()
		if err == nil {
			c.raw = raw
			err = h.poller.add(c)
		}
		if err != nil {
			h.log.Error("cannot poll a connection", "err", err)
			c.end()
		}
		return
	}
	h.readLoop(c)
}

// readLoop reads what cannot be polled: TLS, pipes, other systems.
func (h *hub) readLoop(c *conn) {
	defer c.end()
	buf := make([]byte, 2<<10)
	for {
		n, err := c.nc.Read(buf)
		if n > 0 {
			c.take(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// forget takes an ended connection off every list.
func (h *hub) forget(c *conn) {
	h.wheel.remove(c)
	if h.poller != nil {
		h.poller.drop(c)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, c)
	h.metrics.connections.Set(float64(len(h.conns)))
}

// refuseNew makes admit answer draining from now on.
func (h *hub) refuseNew() {
	h.refuse()
}

func (h *hub) isDraining() bool { return h.draining.Err() != nil }

// whenDraining calls f once draining begins, unless stop is called before.
func (h *hub) whenDraining(f func()) (stop func() bool) { return context.AfterFunc(h.draining, f) }

// drain says goaway to every connection and closes it, spread evenly over
// that time, so that they do not all arrive elsewhere at once.
func (h *hub) drain(ctx context.Context, spread time.Duration) {
	h.refuseNew()
	h.mu.Lock()
	all := make([]*conn, 0, len(h.conns))
	for c := range h.conns {
		all = append(all, c)
	}
	h.mu.Unlock()
	began := time.Now()
	for i, c := range all {
		at := spread * time.Duration(i+1) / time.Duration(len(all))
		if wait := at - time.Since(began); wait > wheelTick/10 {
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}
		left := max(0, spread-time.Since(began))
		c.closeAfter(wire.AppendGoaway(nil, left+rand.N(time.Second)), wire.CloseRetryNow, "the server restarts")
	}
}

// close ends what is left and returns when no goroutine is.
func (h *hub) close() {
	h.refuseNew()
	h.mu.Lock()
	h.closed = true
	all := make([]*conn, 0, len(h.conns))
	for c := range h.conns {
		all = append(all, c)
	}
	h.mu.Unlock()
	h.cancel()
	for _, c := range all {
		c.end()
	}
	if h.poller != nil {
		h.poller.stop()
	}
	h.running.Wait()
}
