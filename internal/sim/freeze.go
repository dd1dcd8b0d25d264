package sim

import (
	"context"
	"net"
	"sync"

	"github.com/parley-im/parley/internal/cluster"
)

// ice holds up a process that stands still, as SIGSTOP does it: what it would
// hear waits, what it would say is not said, and its clock goes on. It passes
// wherever the process meets the world.
type ice struct {
	mu     sync.Mutex
	thawed chan struct{} // closed while it runs
}

func newIce() *ice {
	i := &ice{thawed: make(chan struct{})}
	close(i.thawed)
	return i
}

func (i *ice) freeze() {
	i.mu.Lock()
	defer i.mu.Unlock()
	select {
	case <-i.thawed:
		i.thawed = make(chan struct{})
	default: // it stands still already
	}
}

func (i *ice) thaw() {
	i.mu.Lock()
	defer i.mu.Unlock()
	select {
	case <-i.thawed:
	default:
		close(i.thawed)
	}
}

// pass returns when the process runs.
func (i *ice) pass() {
	i.mu.Lock()
	thawed := i.thawed
	i.mu.Unlock()
	<-thawed
}

// coldListener is where a process that may stand still is called.
type coldListener struct {
	net.Listener
	ice *ice
}

// Accept implements net.Listener.
func (l coldListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	l.ice.pass()
	if err != nil {
		return nil, err
	}
	return coldConn{c, l.ice}, nil
}

type coldConn struct {
	net.Conn
	ice *ice
}

// Read implements net.Conn.
func (c coldConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.ice.pass()
	return n, err
}

// Write implements net.Conn.
func (c coldConn) Write(b []byte) (int, error) {
	c.ice.pass()
	return c.Conn.Write(b)
}

// coldBus is the bus of a process that may stand still. What it hears is held
// back by the hub.
type coldBus struct {
	cluster.Bus
	ice *ice
}

// Tell implements cluster.Bus.
func (b coldBus) Tell(to cluster.NodeID, msg []byte) error {
	b.ice.pass()
	return b.Bus.Tell(to, msg)
}

// TellAll implements cluster.Bus.
func (b coldBus) TellAll(msg []byte) error {
	b.ice.pass()
	return b.Bus.TellAll(msg)
}

// Ask implements cluster.Bus.
func (b coldBus) Ask(ctx context.Context, to cluster.NodeID, msg []byte) ([]byte, error) {
	b.ice.pass()
	answer, err := b.Bus.Ask(ctx, to, msg)
	b.ice.pass()
	return answer, err
}
