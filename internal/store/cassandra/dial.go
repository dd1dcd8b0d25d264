package cassandra

import (
	"context"
	"net"
	"sync"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// dialWithin bounds one connecting, which takes no time of Cassandra's.
const dialWithin = 2 * time.Second

// silence is how long a host may owe an answer on a connection. A host that is
// alive says something within its own timeouts, and what a call waits for is
// over long before.
func (c *Config) silence() time.Duration { return max(5*time.Second, 2*c.Timeout) }

// attentive gives up connections whose other end has fallen silent. The driver
// by itself does so after six of its heartbeats, more than half a minute, and
// after a cut the kernel tries again later and later: a replica would stay out
// of reach for as long as it was cut off once more.
type attentive struct {
	gocql.Dialer
	silence time.Duration
}

// DialContext implements gocql.Dialer.
func (d attentive) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &attended{Conn: conn, silence: d.silence}
	c.patience = time.AfterFunc(d.silence, c.lose)
	c.patience.Stop()
	return c, nil
}

// attended is one connection. The driver asks something every five seconds
// when there is nothing else, so that an idle one is noticed too.
type attended struct {
	net.Conn
	silence  time.Duration
	patience *time.Timer

	mu   sync.Mutex
	owed bool // something was asked since the other end last said something
}

// Write implements net.Conn.
func (c *attended) Write(b []byte) (int, error) {
	c.mu.Lock()
	if !c.owed {
		c.owed = true
		c.patience.Reset(c.silence)
	}
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// Read implements net.Conn.
func (c *attended) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.mu.Lock()
		if c.owed {
			c.owed = false
			c.patience.Stop()
		}
		c.mu.Unlock()
	}
	return n, err
}

// Close implements net.Conn.
func (c *attended) Close() error {
	c.patience.Stop()
	return c.Conn.Close()
}

// lose ends a connection on which nothing was said for too long; whoever reads
// is told by that.
func (c *attended) lose() {
	c.mu.Lock()
	owed := c.owed
	c.mu.Unlock()
	if owed {
		_ = c.Conn.Close()
	}
}
