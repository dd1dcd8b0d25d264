package cassandra_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// opBatch is a conditional batch on the wire: a write of which it matters
// whether it happened.
const opBatch = 0x0d

// fate is what the network does to a batch.
type fate int

const (
	fine      fate = iota
	refused        // the request is lost, the connection ends
	cut            // the request arrives, the connection ends before the answer
	swallowed      // the request arrives, the answer never does
	replayed       // the request arrives twice, only the second answer comes
	overslept      // the request arrives when release is called
	silence        // the request is lost, and nothing says so
)

// network is what lies between a store and its cluster. It is a gocql.Dialer.
type network struct {
	mu     sync.Mutex
	fates  []fate         // guarded by mu: of the batches to come
	met    int            // guarded by mu: how many batches met a fate
	held   []func() error // guarded by mu: requests that overslept
	closed bool           // guarded by mu: no connection is made
	links  []*link        // guarded by mu: all that were made
}

func (n *network) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	closed := n.closed
	n.mu.Unlock()
	if closed {
		return nil, io.ErrClosedPipe
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l := &link{Conn: conn, net: n, ended: make(chan struct{})}
	n.mu.Lock()
	n.links = append(n.links, l)
	n.mu.Unlock()
	return l, nil
}

// bury has every connection there is take what is written and say nothing any
// more, as after a cut when the kernel waits for a long time before it tries
// again. New ones are well.
func (n *network) bury() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.links {
		l.buried.Store(true)
	}
}

// next says what becomes of the batches to come, one by one.
func (n *network) next(fates ...fate) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fates, n.met = fates, 0
}

// happened returns how many batches met the fate that next gave them.
func (n *network) happened() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.met
}

// release lets the requests arrive that overslept.
func (n *network) release() error {
	n.mu.Lock()
	held := n.held
	n.held = nil
	n.mu.Unlock()
	for _, send := range held {
		if err := send(); err != nil {
			return err
		}
	}
	return nil
}

func (n *network) take() fate {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.fates) == 0 {
		return fine
	}
	f := n.fates[0]
	n.fates = n.fates[1:]
	n.met++
	return f
}

// link is one connection.
type link struct {
	net.Conn
	net    *network
	buried atomic.Bool
	ended  chan struct{} // closed when it is
	once   sync.Once

	mu   sync.Mutex
	then fate // guarded by mu: what to do with the next answer
}

// hasBatch reports whether what the driver writes holds a batch: segments of
// the native protocol v5, each a header of 6 bytes, an envelope whose fifth
// byte is the operation, and 4 bytes of checksum.
func hasBatch(b []byte) bool {
	for len(b) > 6+9 {
		if b[6] != 0x05 { // not the beginning of an envelope of version 5
			return false
		}
		if b[6+4] == opBatch {
			return true
		}
		size := int(binary.LittleEndian.Uint32(b[:4])&0x1ffff) + 6 + 4
		if size >= len(b) {
			return false
		}
		b = b[size:]
	}
	return false
}

// Close implements net.Conn.
func (l *link) Close() error {
	l.once.Do(func() { close(l.ended) })
	return l.Conn.Close()
}

func (l *link) Write(b []byte) (int, error) {
	if l.buried.Load() {
		return len(b), nil
	}
	f := fine
	if hasBatch(b) {
		f = l.net.take()
	}
	switch f {
	case refused:
		_ = l.Close()
		return 0, io.ErrClosedPipe
	case overslept:
		late := append([]byte(nil), b...)
		l.net.mu.Lock()
		l.net.held = append(l.net.held, func() error { _, err := l.Conn.Write(late); return err })
		l.net.mu.Unlock()
		return len(b), nil
	case silence:
		return len(b), nil
	case replayed:
		l.expect(replayed)
		if _, err := l.Conn.Write(b); err != nil {
			return 0, err
		}
	case cut, swallowed:
		l.expect(f)
	}
	return l.Conn.Write(b)
}

func (l *link) expect(f fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.then = f
}

func (l *link) Read(b []byte) (int, error) {
	for {
		n, err := l.Conn.Read(b)
		if l.buried.Load() {
			<-l.ended
			return 0, net.ErrClosed
		}
		if err != nil {
			return n, err
		}
		l.mu.Lock()
		then := l.then
		l.then = fine
		l.mu.Unlock()
		switch then {
		case cut:
			_ = l.Close()
			return 0, io.ErrUnexpectedEOF
		case swallowed, replayed:
		default:
			return n, nil
		}
	}
}
