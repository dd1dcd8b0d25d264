package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/gobwas/ws"

	"github.com/parley-im/parley/wire"
)

// maxOut bounds what waits to be written to one connection. A peer that lets
// so much pile up does not read.
const maxOut = 8 << 20

// conn is one WebSocket, owned by the loop it was added to.
type conn struct {
	fd      int
	in      []byte // the beginning of a frame that has not come whole
	out     []byte // to be written at the end of the step
	dirty   bool   // is in loop.dirty
	waiting bool   // the socket was full: waits for room

	server string // name and version, as its welcome says

	seat *seat  // the load's part
	peer *party // the limit's part
}

// handler is what a loop does with what comes.
type handler interface {
	// frame gets each text frame; an error closes the connection.
	frame(c *conn, payload []byte) error
	// closed says that c is gone, and why.
	closed(c *conn, err error)
}

// loop drives many sockets from one goroutine. What is written while it works
// on one batch of events leaves in one call per connection.
type loop struct {
	poll     *poller
	handler  handler
	masks    bool // it is a client
	conns    map[int]*conn
	dirty    []*conn
	buf      []byte
	clock    func() time.Time
	start    time.Time
	now      time.Duration // since start, as of the events at work
	heardAt  time.Duration // when anything last came
	listener int           // a descriptor that accepts; -1: none
	accept   func() error
	commit   func() error // called before anything of a batch is written; may be nil
}

func newLoop(h handler, masks bool, clock func() time.Time) (*loop, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	return &loop{poll: p, clock: clock, handler: h, masks: masks, conns: map[int]*conn{}, listener: -1,
		buf: make([]byte, 2*(wire.MaxFrame+maxHeader)), start: clock()}, nil
}

// close closes every connection.
func (l *loop) close() {
	for fd := range l.conns {
		closeSocket(fd)
	}
	clear(l.conns)
	l.poll.close()
}

// add takes c, also when it fails; what c.in holds already is handled at once.
func (l *loop) add(c *conn) error {
	err := setNonblock(c.fd)
	if err == nil {
		err = l.poll.add(c.fd)
	}
	if err != nil {
		closeSocket(c.fd)
		return err
	}
	l.conns[c.fd] = c
	l.now = l.clock().Sub(l.start)
	if len(c.in) > 0 {
		n := copy(l.buf, c.in)
		c.in = c.in[:0]
		if err := l.frames(c, l.buf[:n]); err != nil {
			l.drop(c, err)
		}
	}
	return nil
}

// step writes what is due, waits at most d for something to happen, handles
// it, and writes what came of it.
func (l *loop) step(d time.Duration) error {
	if err := l.flush(); err != nil {
		return err
	}
	events, err := l.poll.wait(d)
	if err != nil {
		return err
	}
	l.now = l.clock().Sub(l.start)
	for _, e := range events {
		if e.fd == l.listener {
			if err := l.accept(); err != nil {
				return err
			}
			continue
		}
		c := l.conns[e.fd]
		if c == nil {
			continue
		}
		if e.out {
			l.touch(c)
		}
		if e.in {
			if err := l.read(c); err != nil {
				l.drop(c, err)
			}
		}
	}
	return l.flush()
}

// touch has c written at the end of the step.
func (l *loop) touch(c *conn) {
	if !c.dirty {
		c.dirty = true
		l.dirty = append(l.dirty, c)
	}
}

// send adds a frame to what c is to be told.
func (l *loop) send(c *conn, op ws.OpCode, payload []byte) {
	var mask uint32
	if l.masks {
		mask = rand.Uint32() | 1
	}
	c.out = appendFrame(c.out, op, payload, mask)
	l.touch(c)
}

func (l *loop) drop(c *conn, err error) {
	if l.conns[c.fd] != c {
		return
	}
	delete(l.conns, c.fd)
	closeSocket(c.fd)
	l.handler.closed(c, err)
}

func (l *loop) flush() error {
	if l.commit != nil {
		if err := l.commit(); err != nil {
			return err
		}
	}
	for i := 0; i < len(l.dirty); i++ {
		c := l.dirty[i]
		c.dirty = false
		if l.conns[c.fd] == c {
			if err := l.write(c); err != nil {
				l.drop(c, err)
			}
		}
	}
	l.dirty = l.dirty[:0]
	return nil
}

func (l *loop) write(c *conn) error {
	n := 0
	if len(c.out) > 0 {
		var err error
		if n, err = writeSocket(c.fd, c.out); err != nil && !errors.Is(err, errAgain) {
			return fmt.Errorf("write: %w", err)
		}
	}
	rest := copy(c.out, c.out[max(n, 0):])
	c.out = c.out[:rest]
	if rest > maxOut {
		return fmt.Errorf("the peer does not read: %d bytes wait to be written", rest)
	}
	if (rest > 0) != c.waiting {
		c.waiting = rest > 0
		return l.poll.wantOut(c.fd, c.waiting)
	}
	return nil
}

func (l *loop) read(c *conn) error {
	n := copy(l.buf, c.in)
	c.in = c.in[:0]
	m, err := readSocket(c.fd, l.buf[n:])
	if err != nil && !errors.Is(err, errAgain) {
		return fmt.Errorf("read: %w", err)
	}
	if err == nil && m == 0 {
		return fmt.Errorf("the peer hung up: %w", io.EOF)
	}
	l.heardAt = l.now
	return l.frames(c, l.buf[:n+max(m, 0)])
}

// frames handles the whole frames of b and keeps the rest.
func (l *loop) frames(c *conn, b []byte) error {
	if c.peer != nil && !c.peer.upgraded {
		n, err := c.peer.upgrade(c, b)
		if err != nil {
			return err
		}
		if b = b[n:]; c.peer.upgraded {
			l.touch(c)
		}
	}
	for len(b) > 0 && (c.peer == nil || c.peer.upgraded) {
		op, payload, size, err := parseFrame(b)
		if err != nil {
			return err
		}
		if size == 0 {
			break
		}
		b = b[size:]
		switch op {
		case ws.OpText:
			err = l.handler.frame(c, payload)
		case ws.OpPing:
			l.send(c, ws.OpPong, payload)
		case ws.OpClose:
			return closeOf(payload)
		case ws.OpPong:
		default:
			err = fmt.Errorf("a frame of unexpected opcode %d", op)
		}
		if err != nil {
			return err
		}
	}
	c.in = append(c.in, b...)
	return nil
}

// closeOf is a close frame as an error.
func closeOf(payload []byte) error {
	if len(payload) < 2 {
		return errors.New("the peer closed the connection and did not say why")
	}
	return fmt.Errorf("the peer closed the connection with code %d: %s", binary.BigEndian.Uint16(payload), payload[2:])
}
