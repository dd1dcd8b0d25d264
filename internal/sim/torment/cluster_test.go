//go:build cluster && linux

package torment

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/sim"
	"github.com/parley-im/parley/internal/store/cassandra/cassandratest"
)

// These tests need 10 GB of memory, Java 17 and Maven, and fail without them:
// `make cluster-test`. What they prove is proven in every `go test` in fake
// time, in package sim.

var (
	faultsFlag = flag.Int("torment.faults", 20, "how many faults TestCluster strikes with")
	faultSeed  = flag.Uint64("torment.seed", 1, "which faults, and when")
)

// league is three nodes of the real program over three of Cassandra.
type league struct {
	t     *testing.T
	db    *cassandratest.Cluster
	nodes []*Subject
	dice  *rand.Rand
	rec   *sim.Recorder
	party *sim.Party
	stop  context.CancelFunc
}

func newLeague(t *testing.T) *league {
	l := &league{t: t, rec: sim.NewRecorder(), dice: rand.New(rand.NewPCG(*faultSeed, 17))}
	l.db = cassandratest.Start(t, 3, cassandratest.Options{Heap: 1024})
	dir, bin := t.TempDir(), build(t, parleyProgram)
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("correct horse battery staple"), 0o600); err != nil {
		t.Fatal(err)
	}
	var hosts []string
	for _, h := range l.db.Hosts() {
		hosts = append(hosts, fmt.Sprintf("%q", h))
	}
	for _, id := range []string{"a", "b", "c"} {
		file := filepath.Join(dir, id+".toml")
		err := os.WriteFile(file, fmt.Appendf(nil, `
listen = "127.0.0.1:0"
admin = "off"
registration = "open"
rate_limits = "off"
[store]
engine = "cassandra"
[cassandra]
hosts = [%s]
port = %d
[cluster]
id = %q
listen = "127.0.0.1:0"
secret_file = %q
`, strings.Join(hosts, ", "), l.db.Port(), id, secret), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		n := NewSubject(bin, "serve", "--config", file)
		l.start(n)
		l.nodes = append(l.nodes, n)
		t.Cleanup(func() {
			if n.cmd.ProcessState == nil {
				_ = n.cmd.Process.Signal(syscall.SIGCONT) // it may be frozen
				if err := n.Kill(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	return l
}

func (l *league) start(n *Subject) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := n.Start(ctx); err != nil {
		l.t.Fatal(err)
	}
}

// talk has devices live, each of which goes to any node when it connects.
func (l *league) talk() {
	cfg := crowd(l.rec, func(string) sim.Dialer {
		return func(ctx context.Context) (net.Conn, error) { return l.nodes[rand.IntN(len(l.nodes))].Dial(ctx) }
	}, 100*time.Millisecond)
	var err error
	if l.party, err = sim.NewParty(l.t.Context(), cfg); err != nil {
		l.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(l.t.Context())
	l.stop = stop
	l.t.Cleanup(func() { stop(); l.party.Wait() })
	for n := range l.party.Devices {
		l.party.Live(ctx, n, 0)
	}
}

// wait lets time pass.
func (l *league) wait(d time.Duration) {
	select {
	case <-time.After(d):
	case <-l.t.Context().Done():
	}
}

// fault is one kind of mischief. It returns when that is over.
type fault struct {
	name string
	do   func(l *league) error
}

func (l *league) node() *Subject { return l.nodes[l.dice.IntN(len(l.nodes))] }

// between returns a time from 5 to 5+n seconds.
func (l *league) between(n int) time.Duration {
	return 5*time.Second + time.Duration(l.dice.IntN(1000*n))*time.Millisecond
}

var faults = []fault{
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
	l := newLeague(t)
	l.talk()
	l.wait(5 * time.Second)
	for i := range *faultsFlag {
		f := faults[i%len(faults)]
		before, begun := l.rec.Acks(), l.rec.Stamp()
		if err := f.do(l); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		l.wait(4 * time.Second)
		t.Logf("%2d %-42s %5d acked, slowest %v", i+1, f.name, l.rec.Acks()-before, slowest(l.rec.History(), begun).Round(time.Millisecond))
	}
	for _, d := range l.party.Devices {
		d.Hush()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if restless := l.party.Rest(ctx); len(restless) > 0 {
		t.Fatalf("after three minutes of peace these devices still send or fetch: %v", restless)
	}
	level, done := context.WithTimeout(ctx, 20*time.Second)
	l.party.Agree(level)
	done()
	l.stop()
	l.party.Wait()
	final, err := l.party.Final(ctx)
	if err != nil {
		t.Fatal(err)
	}
	h := l.rec.History()
	for _, f := range sim.Check(h, final, sim.Rules{}) {
		t.Error(f)
	}
	acked, resends := h.Acked()
	p50, p99, worst := latencies(h)
	t.Logf("%d faults: %d acked, %d resends; from the first try to the ack p50 %v, p99 %v, worst %v", *faultsFlag, acked, resends, p50, p99, worst)
	if acked < 100**faultsFlag {
		t.Errorf("too little happened to prove anything: want %d acked", 100**faultsFlag)
	}
	for _, n := range l.nodes {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// waits returns how long each message took from its first try to its ack, for
// those first tried after begun.
func waits(h sim.History, begun int64) []time.Duration {
	first := map[string]int64{}
	var all []time.Duration
	for i := range h {
		o := &h[i]
		if o.Op != sim.OpAppend {
			continue
		}
		if at, ok := first[o.ID]; !ok || o.Call < at {
			first[o.ID] = o.Call
		}
	}
	for i := range h {
		if o := &h[i]; o.Op == sim.OpAppend && o.Result == sim.OK {
			if at, ok := first[o.ID]; ok && at >= begun {
				all = append(all, time.Duration(o.Return-at))
				delete(first, o.ID)
			}
		}
	}
	slices.Sort(all)
	return all
}

func slowest(h sim.History, begun int64) time.Duration {
	all := waits(h, begun)
	if len(all) == 0 {
		return 0
	}
	return all[len(all)-1]
}

func latencies(h sim.History) (p50, p99, worst time.Duration) {
	all := waits(h, 0)
	if len(all) == 0 {
		return 0, 0, 0
	}
	return all[len(all)/2], all[len(all)*99/100], all[len(all)-1]
}
