package edge

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"slices"
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
	jitter   func(time.Duration) time.Duration // random, below its argument
	log      *slog.Logger
	metrics  *metrics
	max      int
	maxOpen  int64
	upgrades *rate.Limiter
	wheel    wheel
	poller   *poller // nil: a goroutine reads each connection

	opening atomic.Int64            // connections without a good hello
	welcome atomic.Pointer[welcome] // whether new connections are; replaced under mu
	emptied chan struct{}           // capacity one: there was a moment without connections

	// running counts every goroutine of the hub and its connections.
	running sync.WaitGroup

	mu     sync.Mutex
	conns  map[*conn]struct{}
	left   bool // new connections are never welcome again
	closed bool
}

// welcome ends when new connections are no longer welcome.
type welcome struct {
	context.Context
	end context.CancelFunc
}

func newWelcome() *welcome {
	ctx, end := context.WithCancel(context.Background())
	return &welcome{ctx, end}
}

func newHub(cfg *Config, m *metrics) (*hub, error) {
	ctx, cancel := context.WithCancel(context.Background())
	h := &hub{
		ctx: ctx, cancel: cancel, start: time.Now(),
		signIn: cfg.SignIn, sessions: cfg.Sessions,
		log: cfg.Logger, metrics: m,
		max: cfg.MaxConnections, maxOpen: int64(cfg.MaxOpening),
		upgrades: rate.NewLimiter(rate.Limit(cfg.UpgradesPerSecond), cfg.UpgradesPerSecond),
		jitter:   cfg.Jitter,
		emptied:  make(chan struct{}, 1),
		conns:    make(map[*conn]struct{}),
	}
	h.welcome.Store(newWelcome())
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
	switch {
	case h.turnsAway():
		return errAway()
	case h.isDraining():
		return &parley.Error{Code: parley.Draining, Op: "edge.connect", Detail: "The server is going away for a restart; reconnect in a moment.", After: time.Second}
	case h.count() >= h.max || h.opening.Load() >= h.maxOpen || !h.upgrades.Allow():
		// Spread, so that those refused now do not come back together.
		return &parley.Error{Code: parley.Overloaded, Op: "edge.connect", Detail: "Too many connections at the moment; try again shortly.", After: time.Second + h.jitter(2*time.Second)}
	}
	return nil
}

// serve takes over c, which was just upgraded; early is what was read past the
// request. When old is set, c speaks another version of the protocol and only
// learns that.
func (h *hub) serve(c *conn, early []byte, old bool) {
	h.opening.Add(1)
	h.wheel.schedule(c, helloWithin)
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		c.end()
		return
	}
	h.conns[c] = struct{}{}
	h.metrics.connections.Set(float64(len(h.conns)))
	// Under the lock: close waits for running only after it set closed.
	h.running.Go(func() { h.drive(c, early) })
	late := h.isDraining() // under the lock: if not, drain sees c
	h.mu.Unlock()
	switch {
	case old:
		c.Close(wire.CloseProtocolOld, "this server speaks "+wire.Protocol)
	case late:
		h.sayGoaway(c, 0) // it was admitted just before
	}
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
		switch {
		case c.phaseNow() == ended:
			h.poller.drop(c) // it ended before it was added
		case err != nil:
			h.log.Error("cannot poll a connection", slog.Any("err", err))
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
	if len(h.conns) == 0 {
		select {
		case h.emptied <- struct{}{}:
		default: // it is known already
		}
	}
}

// isDraining reports that new connections are not welcome.
func (h *hub) isDraining() bool { return h.welcome.Load().Err() != nil }

// whenDraining calls f once draining begins, unless stop is called before.
func (h *hub) whenDraining(f func()) (stop func() bool) {
	return context.AfterFunc(h.welcome.Load(), f)
}

// leave makes new connections unwelcome for good.
func (h *hub) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.left = true
	h.welcome.Load().end()
}

// turnsAway reports that new connections are not welcome for a while.
func (h *hub) turnsAway() bool {
	if !h.isDraining() {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.left
}

// turnAway has every client go elsewhere, spread over that time, and none come
// back until it is called with false. It does not wait for that, and reports
// whether that is new.
func (h *hub) turnAway(on bool, spread time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.left || h.closed || on == h.isDraining():
		return false
	case on:
		h.welcome.Load().end()
		h.running.Go(func() { h.sendOff(h.ctx, spread) })
	default:
		h.welcome.Store(newWelcome())
	}
	return true
}

func errAway() error {
	return &parley.Error{Code: parley.Draining, Op: "edge.admit", After: time.Second, Detail: "this server is cut off from the others that it works with; connect to another address, or to this one in a moment, and send the same again with the same id"}
}

// drain says goaway to every connection and closes it, spread evenly over
// that time, so that they do not all arrive elsewhere at once. It returns when
// they are gone, which takes closeWithin at most after the last was told.
func (h *hub) drain(ctx context.Context, spread time.Duration) {
	h.leave()
	h.sendOff(ctx, spread)
	for h.count() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-h.emptied:
		}
	}
}

// sendOff says goaway to every connection there is, spread over that time.
func (h *hub) sendOff(ctx context.Context, spread time.Duration) {
	all := h.all()
	began := time.Now()
	for i, c := range all {
		at := spread * time.Duration(i+1) / time.Duration(len(all))
		if wait := at - time.Since(began); wait > wheelTick/10 {
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}
		h.sayGoaway(c, max(0, spread-time.Since(began)))
	}
}

// sayGoaway closes c and has its client come back after that time and a
// little, so that those who are told together do not come together.
func (h *hub) sayGoaway(c *conn, after time.Duration) {
	c.closeAfter(wire.AppendGoaway(nil, after+h.jitter(time.Second), ""), wire.CloseRetryNow, "the server restarts")
}

func (h *hub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

func (h *hub) all() []*conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.conns))
}

// close ends what is left and returns when no goroutine is.
func (h *hub) close() {
	h.leave()
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	for _, c := range h.all() {
		c.end()
	}
	if h.poller != nil {
		h.poller.stop()
	}
	h.running.Wait()
}
