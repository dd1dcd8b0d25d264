//go:build cluster && linux

package torment

import (
	"errors"
	"flag"
	"testing"
	"time"
)

var cutsFlag = flag.Int("torment.cuts", 12, "how many cuts TestClusterSites makes")

// sites are three places, each with a node and a replica of Cassandra, as the
// dice number them for one fault: the first is the one that suffers.
type sites struct {
	nodes, replicas []*machine
	node            *Subject // of the first
}

// sites deals the machines of the league's network.
func (l *league) sites() sites {
	i := l.dice.IntN(3)
	turn := func(m []*machine) []*machine { return []*machine{m[i], m[(i+1)%3], m[(i+2)%3]} }
	return sites{turn(l.net.machines[:3]), turn(l.net.machines[3:]), l.nodes[i]}
}

// here is the machines of the first site, away those of the others.
func (s sites) here() []*machine { return []*machine{s.nodes[0], s.replicas[0]} }
func (s sites) away() []*machine {
	return []*machine{s.nodes[1], s.nodes[2], s.replicas[1], s.replicas[2]}
}

// cut cuts ways, and makes sure of it.
func (l *league) cut(ways []way) error { return errors.Join(l.net.cut(ways...), l.net.proof()) }

// heal undoes that, and makes sure of it.
func (l *league) heal() error { return errors.Join(l.net.heal(), l.net.proof()) }

// cutting is a fault that cuts ways and heals them after 5 to 20 seconds.
func cutting(name string, ways func(s sites) []way) fault {
	return fault{name, func(l *league) error {
		if err := l.cut(ways(l.sites())); err != nil {
			return err
		}
		l.wait(l.between(15))
		return l.heal()
	}}
}

// cuts are what can happen to a network. Whatever is cut, clients reach every
// node, and nobody is told: packets are dropped, connections stay open.
var cuts = []fault{
	cutting("a node and the others do not hear each other", func(s sites) []way {
		return bothWays(s.nodes[:1], s.nodes[1:])
	}),
	cutting("a node is cut off from the store", func(s sites) []way {
		return bothWays(s.nodes[:1], s.replicas)
	}),
	cutting("a site is cut off", func(s sites) []way {
		return bothWays(s.here(), s.away())
	}),
	cutting("two nodes do not hear each other", func(s sites) []way {
		return bothWays(s.nodes[:1], s.nodes[1:2])
	}),
	cutting("a node is not heard by the others", func(s sites) []way {
		return oneWay(s.nodes[:1], s.nodes[1:])
	}),
	cutting("a node does not hear the others", func(s sites) []way {
		return oneWay(s.nodes[1:], s.nodes[:1])
	}),
	cutting("a replica and the others do not hear each other", func(s sites) []way {
		return bothWays(s.replicas[:1], s.replicas[1:])
	}),
	cutting("a node reaches one replica alone", func(s sites) []way {
		return bothWays(s.nodes[:1], s.replicas[1:])
	}),
	cutting("a node does not hear the store", func(s sites) []way {
		return oneWay(s.replicas, s.nodes[:1])
	}),
	cutting("the store does not hear a node", func(s sites) []way {
		return oneWay(s.nodes[:1], s.replicas)
	}),
	cutting("nothing leaves a site", func(s sites) []way {
		return oneWay(s.here(), s.away())
	}),
	{"a node dies in a site that is cut off", func(l *league) error {
		s := l.sites()
		if err := l.cut(bothWays(s.here(), s.away())); err != nil {
			return err
		}
		// Nobody away hears of its end: their connections are half open.
		if err := s.node.Kill(); err != nil {
			return err
		}
		l.wait(l.between(5))
		if err := l.heal(); err != nil {
			return err
		}
		l.start(s.node)
		return nil
	}},
}

// TestClusterSites is the part of T17 that one network cannot have: nodes and
// replicas that are well and do not hear each other, one way or both. It kills
// whatever takes silence for death: an owner that goes on acknowledging while
// another took over, a memory that is believed without asking the store, an
// inbox answered before its former owner's notes are in.
func TestClusterSites(t *testing.T) {
	n := newNetwork(t, "a", "b", "c", "r1", "r2", "r3")
	l := newLeague(t, places(n.machines[3:]), places(n.machines[:3]), 768)
	l.net = n
	begun := time.Now()
	l.suffer(cuts, *cutsFlag)
	t.Logf("%d cuts and the judgement took %v", *cutsFlag, time.Since(begun).Round(time.Second))
}
