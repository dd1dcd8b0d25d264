package edge

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gobwas/ws"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/wire"
)

// Deadlines of a connection. The wheel enforces all but that of a write.
const (
	helloWithin   = 5 * time.Second  // from the upgrade to the hello
	messageWithin = 10 * time.Second // from the first byte of a message to its last
	heardWithin   = 45 * time.Second // from one frame of the client to the next
	writeWithin   = 10 * time.Second
	closeWithin   = 2 * time.Second // from our close frame to the end
	pingAfter     = 25 * time.Second
	pingJitter    = 5 * time.Second
)

// Strikes: so many bad frames within a minute close the connection.
const (
	maxStrikes  = 10
	strikesOver = time.Minute
)

// phase is how far a connection's life is. It only ever moves forward.
type phase uint8

const (
	opening   phase = iota // upgraded, no good hello yet
	open                   // a session has it
	closing                // our close frame is on its way or sent
	finishing              // closed in both directions as far as frames go; waits for the end of the stream
	ended
)

// conn is one WebSocket. Between messages nothing runs for it and it holds
// no buffer.
type conn struct {
	// static after newConn
	hub     *hub
	nc      net.Conn
	raw     syscall.RawConn // nil: a goroutine reads nc
	writing chan struct{}   // holds one token while somebody writes; a mutex cannot be given up on

	// owned by whoever reads: one goroutine at a time
	guard    guard
	cookie   string // the token that a browser kept, until the hello
	strikes  uint8
	strikeAt time.Time // of the first strike counted

	heard atomic.Int64 // when the last frame was complete, on the hub's clock
	began atomic.Int64 // when the message under way began; 0: none

	place place // guarded by the wheel's mu

	mu       sync.Mutex
	phase    phase
	queued   bool // counted among the hub's connections without a hello
	detached bool // the session was told, or there will be none
	session  Session
	nextPing int64 // on the hub's clock
	closeBy  int64 // on the hub's clock, from closing on
	poll     pollKey
}

var errGone = errors.New("edge: the connection is closing")

// newConn makes a connection of nc, which has been upgraded by a request that
// carried that token in a cookie, if any.
func newConn(h *hub, nc net.Conn, cookie string) *conn {
	now := h.clock()
	c := &conn{hub: h, nc: nc, cookie: cookie, writing: make(chan struct{}, 1), queued: true, closeBy: now + int64(helloWithin)}
	c.heard.Store(now)
	return c
}

// take feeds what was read. Reading goes on until the stream ends, whatever
// comes: what follows a close or a violation is discarded here.
func (c *conn) take(data []byte) {
	if c.phaseNow() >= finishing {
		return
	}
	err := c.guard.feed(data, c)
	if v, bad := errors.AsType[*violation](err); bad {
		c.hub.metrics.violations.WithLabelValues(closeLabel(v.code)).Inc()
		c.finish(v.code, v.reason)
		return
	}
	if !c.guard.begun() {
		c.began.Store(0)
	} else if c.began.Load() == 0 {
		c.began.Store(c.hub.clock())
		c.hub.wheel.schedule(c, messageWithin)
	}
}

// message takes one good text message: see sink.
func (c *conn) message(text []byte) bool {
	c.heard.Store(c.hub.clock())
	c.began.Store(0)
	c.mu.Lock()
	s, p := c.session, c.phase
	c.mu.Unlock()
	if p >= closing {
		return p == closing // only its close frame is of interest
	}
	f, err := wire.DecodeClient(text)
	if s == nil {
		return c.hello(f, err)
	}
	if err == nil && f.T == wire.OpHello {
		err = parley.E(parley.BadRequest, "edge.hello", "hello was said already; it is only the first frame")
	}
	if err != nil {
		if c.strike() {
			c.refuse(f.Ref, err, wire.ClosePolicy, "too many bad frames")
			return true
		}
		s.Refuse(f.Ref, err)
		return c.phaseNow() <= closing
	}
	s.Receive(f)
	return c.phaseNow() <= closing
}

// hello takes the first message.
func (c *conn) hello(f wire.ClientFrame, err error) bool {
	if err == nil && f.T != wire.OpHello {
		err = parley.E(parley.BadRequest, "edge.hello", "the first frame is hello; send it before anything else")
	}
	if err != nil {
		c.refuse(f.Ref, err, wire.ClosePolicy, "the first frame was no good hello")
		return true
	}
	ctx, cancel := context.WithTimeout(c.hub.ctx, helloWithin)
	defer cancel()
	var s Session
	var id account.Identity
	if f.Token == "" {
		f.Token = c.cookie
	}
	c.cookie = ""
	if id, err = c.hub.signIn.Authenticate(ctx, f.Token); err == nil {
		s, err = c.hub.sessions.Connect(ctx, id, f, c)
	}
	if err != nil {
		code, reason := helloCode(parley.CodeOf(err))
		c.refuse("", err, code, reason)
		return true
	}
	c.mu.Lock()
	c.session = s
	c.leaveQueue()
	gone := c.detached
	if c.phase == opening {
		c.phase = open
		c.nextPing = c.hub.clock() + int64(pingAfter+c.hub.jitter(pingJitter))
	}
	c.mu.Unlock()
	if gone {
		// It went away while the session was being made.
		s.Closed()
		return false
	}
	c.hub.wheel.schedule(c, pingAfter)
	return true
}

// leaveQueue makes room for another connection without a hello. c.mu is held.
func (c *conn) leaveQueue() {
	if c.queued {
		c.queued = false
		c.hub.opening.Add(-1)
	}
}

// helloCode returns how a connection closes whose hello failed with code.
func helloCode(code parley.Code) (ws.StatusCode, string) {
	switch {
	case code == parley.Unauthorized:
		return wire.CloseSignedOut, "sign in again"
	case code == parley.Draining:
		return wire.CloseRetryNow, "the server restarts"
	case code.Retry() == parley.GiveUp:
		return wire.ClosePolicy, "the hello was refused"
	}
	return wire.CloseRetryLater, "try again later"
}

// strike counts a bad frame and reports whether it is one too many.
func (c *conn) strike() bool {
	now := time.Now()
	if now.Sub(c.strikeAt) > strikesOver {
		c.strikeAt, c.strikes = now, 0
	}
	c.strikes++
	return c.strikes >= maxStrikes
}

// control takes one good control frame: see sink.
func (c *conn) control(op ws.OpCode, payload []byte) bool {
	c.heard.Store(c.hub.clock())
	switch op {
	case ws.OpPing:
		if c.phaseNow() < closing {
			c.write(ws.OpPong, [][]byte{payload})
		}
	case ws.OpClose:
		// Whether it answers ours or begins, nothing follows. The code is
		// echoed (RFC 6455 section 5.5.1), the reason is the client's own.
		code := ws.StatusCode(0)
		if len(payload) >= 2 {
			code = ws.StatusCode(binary.BigEndian.Uint16(payload))
		}
		c.finish(code, "")
		return false
	}
	return c.phaseNow() <= closing
}

func (c *conn) phaseNow() phase {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase
}

// check is the wheel's look at the connection. It returns when to look again,
// 0 for never, and does not block.
func (c *conn) check() time.Duration {
	now := c.hub.clock()
	c.mu.Lock()
	p, ping, closeBy := c.phase, c.nextPing, c.closeBy
	c.mu.Unlock()
	if p >= closing {
		if p == ended {
			return 0
		}
		if now >= closeBy {
			c.spawn(c.end)
			return 0
		}
		return time.Duration(closeBy - now)
	}
	heard := c.heard.Load()
	next := heard + int64(heardWithin)
	if p == opening {
		// Frames do not put it off: only a hello does.
		next = closeBy
	}
	if now >= next {
		if p == opening {
			c.Close(wire.ClosePolicy, "no hello within 5 s")
		} else {
			c.Close(wire.CloseRetryNow, "nothing was heard for 45 s")
		}
		return closeWithin
	}
	if began := c.began.Load(); began != 0 {
		if now >= began+int64(messageWithin) {
			c.Close(wire.ClosePolicy, "a message took longer than 10 s")
			return closeWithin
		}
		next = min(next, began+int64(messageWithin))
	}
	if p == open {
		if now >= ping {
			ping = now + int64(pingAfter+c.hub.jitter(pingJitter))
			c.mu.Lock()
			c.nextPing = ping
			c.mu.Unlock()
			c.spawn(c.ping)
		}
		next = min(next, ping)
	}
	return time.Duration(next - now)
}

// spawn runs f on a goroutine that the hub waits for, unless the connection
// has ended.
func (c *conn) spawn(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != ended {
		c.hub.running.Go(f)
	}
}
