package cluster

import (
	"crypto/rand"
	"io"
	"log/slog"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// Config is what a node is made of. ID, Shards, Bus, Records and Peers are
// required; zero values of the rest mean the defaults written beside them.
type Config struct {
	ID      NodeID
	URL     string // where clients reach this very node
	Version string // of the program
	Weight  int    // 1 to 16; 8
	Shards  int

	Bus     Bus           // the node's own once Join returned without an error
	Records store.Records // holds the node table
	Peers   Listener      // hears everything that is not the cluster's own

	// Changed is told every view that differs from the one before: its
	// members, weights, who drains, its term or tenure. It is called in order,
	// from one goroutine, and must not block.
	Changed func(*View)

	Now    func() time.Time // time.Now; with a monotonic reading
	Rand   io.Reader        // crypto/rand
	Logger *slog.Logger     // discards

	Heartbeat time.Duration // between two heartbeats; 200 ms
	Trust     time.Duration // how long what was heard is believed; 500 ms
	Silence   time.Duration // how long a silent node stays a member; 1 s
	Settle    time.Duration // how long all must agree; 1.5 s
	Announce  time.Duration // between two writes, and two reads, of the node table; 1 s

	seeded faults
}

// faults are switched on by tests that show that they are found.
type faults struct {
	noDigest, noTable, noAnnounced, noClock, noEcho, noTurned, noStep, noApart bool
}

const (
	defaultWeight, maxWeight = 8, 16

	// protocol is how nodes of this release talk. A node of another protocol
	// is not a member.
	protocol = 1
)

func (c Config) withDefaults() (Config, error) {
	const op = "cluster.join"
	for d, fallback := range map[*time.Duration]time.Duration{
		&c.Heartbeat: 200 * time.Millisecond, &c.Trust: 500 * time.Millisecond,
		&c.Silence: time.Second, &c.Settle: 1500 * time.Millisecond, &c.Announce: time.Second,
	} {
		if *d == 0 {
			*d = fallback
		}
	}
	if c.Weight == 0 {
		c.Weight = defaultWeight
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Changed == nil {
		c.Changed = func(*View) {}
	}
	switch {
	case !c.ID.valid():
		return c, badID(op, c.ID)
	case c.Bus == nil || c.Records == nil || c.Peers == nil || c.Shards < 1:
		return c, parley.E(parley.BadRequest, op, "a bus, records, a listener and a number of shards are needed")
	case c.Bus.Self() != c.ID:
		return c, parley.E(parley.BadRequest, op, "the bus is that of node %q, not of %q", c.Bus.Self(), c.ID)
	case c.Weight < 1 || c.Weight > maxWeight:
		return c, parley.E(parley.BadRequest, op, "cluster.weight is 1 to %d, not %d", maxWeight, c.Weight)
	case c.Heartbeat < 0 || 2*c.Heartbeat > c.Trust || c.Trust >= c.Silence || c.echo() >= c.Settle || c.Announce < 0:
		return c, parley.E(parley.BadRequest, op, "two heartbeats fit into trust, trust is shorter than silence, two trusts are shorter than settle")
	}
	return c, nil
}

// echo is how old a heartbeat of ours may be that another's answers.
func (c *Config) echo() time.Duration { return 2 * c.Trust }

// fresh is how long a reading of the node table is believed.
func (c *Config) fresh() time.Duration { return 3 * c.Announce }

// lasting is how long a row is alive after it changed. It is longer than
// fresh, so that an announcement may be late by as much as the difference.
func (c *Config) lasting() time.Duration { return 4 * c.Announce }

// lately is how long what a row says of whom its node hears is believed after
// it changed. It is shorter than fresh, which is how long a node must be apart
// from the others before it steps out: a node that died must be gone from the
// comparison by then, or of two the survivor would step out for the dead one.
func (c *Config) lately() time.Duration { return 2*c.Announce + c.Announce/2 }

func (id NodeID) valid() bool {
	if len(id) < 1 || len(id) > 32 {
		return false
	}
	for i := range len(id) {
		if c := id[i]; c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func badID(op string, id NodeID) error {
	return parley.E(parley.BadRequest, op, "cluster.id %q cannot name a node: use 1 to 32 of a-z, 0-9 and -", string(id))
}
