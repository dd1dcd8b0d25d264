package cluster

import "time"

// Seeded returns c with a fault that a test must find.
func (c Config) Seeded(fault string) Config {
	switch fault {
	case "":
	case "digest":
		c.seeded.noDigest = true
	case "table":
		c.seeded.noTable = true
	case "announced":
		c.seeded.noAnnounced = true
	case "clock":
		c.seeded.noClock = true
	case "turned":
		c.seeded.noTurned = true
	case "step":
		c.seeded.noStep = true
	case "apart":
		c.seeded.noApart = true
	case "echo":
		c.seeded.noEcho = true
	default:
		panic("no such fault: " + fault)
	}
	return c
}

// Reweigh gives a node another weight, as rebalancing does.
func (n *Node) Reweigh(weight int) {
	n.note(func(at time.Duration, b *belief) { b.change(at, func(m *Member) { m.Weight = weight }) })
}

// ClientPort returns the address of the port that a NATS bus keeps for itself.
func ClientPort(b Bus) string { return b.(*natsBus).server.Addr().String() }
