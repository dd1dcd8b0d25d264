package cluster

import (
	"context"
	"errors"
)

// ErrUnreachable: nobody listens there, or nobody is known by that name.
var ErrUnreachable = errors.New("cluster: the node cannot be reached")

// Bus carries bytes between nodes: best effort, at most once, in order from
// one node to another while the connection between them holds.
type Bus interface {
	Self() NodeID
	// Tell does not wait for the receiver, and drops rather than block.
	Tell(to NodeID, msg []byte) error
	// Ask waits for the answer until ctx ends. It is ErrUnreachable at once
	// when nobody listens there.
	Ask(ctx context.Context, to NodeID, msg []byte) ([]byte, error)
	// TellAll tells every other node that is connected. Its messages come in
	// order among themselves, not beside those of Tell.
	TellAll(msg []byte) error
	// Listen has l hear; once, before anything arrives.
	Listen(l Listener)
	// Connect says which addresses of other nodes' buses are to be kept
	// connected, beside those the bus was opened with.
	Connect(routes []string)
	// Address is where other nodes reach this bus, host:port.
	Address() string
	// Close ends the bus and returns when nothing of it runs.
	Close()
}

// Listener hears what other nodes say, in the order of sending per sender.
// Neither method may block. answer is called at most once, from any
// goroutine, now or later.
type Listener interface {
	Told(from NodeID, msg []byte)
	Asked(from NodeID, msg []byte, answer func([]byte))
}
