// Package cassandratest runs a real Cassandra for tests: nodes on 127.0.0.1,
// 127.0.0.2, … or wherever Options.Places has them, from the published jars,
// which Maven fetches once into the user's cache directory. It needs Linux or
// another Unix whose loopback network has those addresses, Java 17 and Maven;
// without them it fails with a sentence that says so, and never skips.
//
// A process starts one cluster and its tests share it, each in a keyspace of
// its own. Two processes on one machine do not collide: ports are chosen at
// the start.
package cassandratest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"testing"
)

// Options say what a cluster is like. The zero value is a cluster without
// passwords in a temporary directory.
type Options struct {
	// Dir is where the nodes keep everything; empty: a temporary directory
	// that Stop removes.
	Dir string
	// Password makes nodes ask for one: User and Secret.
	Password bool
	// Heap is the heap of a node in MiB; 0: 512.
	Heap int
	// Places are where the nodes run, one for each; nil: 127.0.0.1, 127.0.0.2,
	// … of this process's own network.
	Places []Place
}

// Place is where a node runs when that is not the loopback network: in a
// network namespace. This process must be able to reach Address as well.
type Place struct {
	Address string   // the node's own: it listens nowhere else
	Enter   []string // stands before a command that is to run there
}

// The account of a cluster started with Options.Password.
const (
	User   = "cassandra"
	Secret = "cassandra"
)

// Cluster is n running nodes, numbered from 0.
type Cluster struct {
	// static after Launch
	opts      Options
	dir       string
	lib       string
	java      string
	nodes     []*node
	native    int
	storage   int
	keeper    *keeper
	temporary bool

	keyspaces atomic.Int64
	stopOnce  sync.Once
}

// Start starts n nodes that last as long as the test. It fails the test when
// it cannot.
func Start(t testing.TB, n int, o Options) *Cluster {
	t.Helper()
	c, err := Launch(t.Context(), n, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

// Launch starts n nodes and returns when each serves and sees the others.
// The caller stops the cluster; should its process die first, Linux ends the
// nodes with it.
func Launch(ctx context.Context, n int, o Options) (*Cluster, error) {
	java, lib, err := ready(ctx)
	if err != nil {
		return nil, err
	}
	var c *Cluster
	for range launches { // a port may be taken between the choice and the start
		if c, err = launch(ctx, n, o, java, lib); err == nil || !errors.Is(err, errPort) {
			return c, err
		}
	}
	return nil, err
}

// launches is how often other ports are tried.
const launches = 3

func launch(ctx context.Context, n int, o Options, java, lib string) (*Cluster, error) {
	if o.Heap == 0 {
		o.Heap = 512
	}
	if o.Places != nil && len(o.Places) != n {
		return nil, fmt.Errorf("%d places for %d nodes of Cassandra", len(o.Places), n)
	}
	c := &Cluster{opts: o, dir: o.Dir, lib: lib, java: java}
	var err error
	if c.dir == "" {
		c.temporary = true
		if c.dir, err = os.MkdirTemp("", "parley-cassandra-"); err != nil {
			return nil, err
		}
	}
	if c.native, err = freePort(n); err == nil {
		c.storage, err = freePort(n)
	}
	if err != nil {
		return nil, err
	}
	c.keeper = newKeeper()
	for i := range n {
		c.nodes = append(c.nodes, &node{cluster: c, index: i})
	}
	for i := range c.nodes {
		if err := c.Restart(ctx, i); err != nil {
			c.Stop()
			return nil, err
		}
	}
	for _, n := range c.nodes {
		if err := n.seesOthers(ctx); err != nil {
			c.Stop()
			return nil, err
		}
	}
	return c, nil
}

// Hosts returns the addresses of the nodes, without ports.
func (c *Cluster) Hosts() []string {
	out := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		out[i] = n.address()
	}
	return out
}

// Port returns the port on which every node serves clients.
func (c *Cluster) Port() int { return c.native }

// Replication returns how many copies a keyspace can have: as many as there
// are nodes, at most three.
func (c *Cluster) Replication() int { return min(len(c.nodes), 3) }

// Keyspace returns a name that no other test of this cluster has.
func (c *Cluster) Keyspace() string {
	return fmt.Sprintf("parley_%d_%d", os.Getpid(), c.keyspaces.Add(1))
}

// Kill ends node i at once, as a power cut would but for its disk.
func (c *Cluster) Kill(i int) error { return c.nodes[i].kill() }

// Freeze stops node i where it stands: it keeps its connections and answers
// nothing.
func (c *Cluster) Freeze(i int) error { return c.nodes[i].freeze() }

// Thaw lets a frozen node go on.
func (c *Cluster) Thaw(i int) error { return c.nodes[i].thaw() }

// Restart starts node i, which does not run, with what it has on disk, and
// returns when it serves clients.
func (c *Cluster) Restart(ctx context.Context, i int) error { return c.nodes[i].start(ctx) }

// Stop ends every node at once, waits for them, and removes a temporary
// directory. A second Stop does nothing.
func (c *Cluster) Stop() {
	c.stopOnce.Do(func() {
		for _, n := range c.nodes {
			_ = n.kill() // it may have ended already
		}
		c.keeper.close()
		if c.temporary {
			_ = os.RemoveAll(c.dir) // a directory too many is no failure of a test
		}
	})
}

// Lazy is a cluster for the tests of one process: the first that asks starts
// it, TestMain stops it.
type Lazy struct {
	Nodes   int
	Options Options

	once    sync.Once
	cluster *Cluster
	err     error
}

// Get returns the cluster, starting it when it is the first to ask. It fails
// the test when the cluster did not start.
func (l *Lazy) Get(t testing.TB) *Cluster {
	t.Helper()
	l.once.Do(func() { l.cluster, l.err = Launch(context.Background(), l.Nodes, l.Options) })
	if l.err != nil {
		t.Fatal(l.err)
	}
	return l.cluster
}

// Main runs the tests of a process and then stops its clusters, those that any
// test asked for; also when the tests are interrupted. It returns the exit
// code.
func Main(m *testing.M, clusters ...*Lazy) int {
	stop := func() {
		for _, l := range clusters {
			l.stop()
		}
	}
	interrupted, release := signal.NotifyContext(context.Background(), os.Interrupt)
	defer release()
	dropped := context.AfterFunc(interrupted, func() {
		stop()
		os.Exit(130)
	})
	code := m.Run()
	dropped()
	stop()
	return code
}

func (l *Lazy) stop() {
	l.once.Do(func() {})
	if l.cluster != nil {
		l.cluster.Stop()
	}
}
