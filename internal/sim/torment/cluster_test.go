//go:build cluster && linux

package torment

import (
	"errors"
	"flag"
	"syscall"
	"testing"
)

var faultsFlag = flag.Int("torment.faults", 20, "how many faults TestCluster strikes with")

func (l *league) node() *Subject { return l.nodes[l.dice.IntN(len(l.nodes))] }

// deaths are what can happen to processes.
var deaths = []fault{
	{"a node is killed", func(l *league) error {
		n := l.node()
		if err := n.Kill(); err != nil {
			return err
		}
		l.wait(l.between(3))
		l.start(n)
		return nil
	}},
	{"a node is frozen", func(l *league) error {
		n := l.node()
		if err := n.Freeze(); err != nil {
			return err
		}
		l.wait(l.between(15))
		return n.cmd.Process.Signal(syscall.SIGCONT)
	}},
	{"a node is drained", func(l *league) error {
		n := l.node()
		if err := n.Stop(); err != nil {
			return err
		}
		l.start(n)
		return nil
	}},
	{"a replica is frozen", func(l *league) error {
		i := l.dice.IntN(3)
		if err := l.db.Freeze(i); err != nil {
			return err
		}
		l.wait(l.between(15))
		return l.db.Thaw(i)
	}},
	{"a replica is killed", func(l *league) error {
		i := l.dice.IntN(3)
		if err := l.db.Kill(i); err != nil {
			return err
		}
		l.wait(l.between(3))
		return l.db.Restart(l.t.Context(), i)
	}},
	{"a node is killed while another is frozen", func(l *league) error {
		i := l.dice.IntN(3)
		dead, cold := l.nodes[i], l.nodes[(i+1)%3]
		if err := errors.Join(cold.Freeze(), dead.Kill()); err != nil {
			return err
		}
		l.wait(l.between(5))
		err := cold.cmd.Process.Signal(syscall.SIGCONT)
		l.start(dead)
		return err
	}},
}

// TestCluster is T17: everything that a cluster is for, under every fault that
// one machine can have strike it. It kills acks that a dead node alone knew
// of, two owners that both believe themselves, and inboxes nobody sweeps.
func TestCluster(t *testing.T) {
	newLeague(t, nil, nil, 1024).suffer(deaths, *faultsFlag)
}
