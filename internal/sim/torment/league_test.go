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

var faultSeed = flag.Uint64("torment.seed", 1, "which faults strike a cluster, and when")

// failover is within what time a message is acknowledged whatever happens to
// one node or one replica. A message that takes longer has its story told.
const failover = 10 * time.Second

// league is three nodes of the real program over three of Cassandra.
type league struct {
	t     *testing.T
	net   *network // nil: all of it is on the loopback network
	db    *cassandratest.Cluster
	nodes []*Subject
	dice  *rand.Rand
	rec   *sim.Recorder
	calls *calls
	party *sim.Party
	stop  context.CancelFunc
}

// newLeague starts the nodes where they belong; nil: on the loopback network.
// heap is that of each Cassandra, in MiB.
func newLeague(t *testing.T, replicas, nodes []cassandratest.Place, heap int) *league {
	l := &league{t: t, rec: sim.NewRecorder(), dice: rand.New(rand.NewPCG(*faultSeed, 17))}
	l.db = cassandratest.Start(t, 3, cassandratest.Options{Heap: heap, Places: replicas})
	dir, bin := t.TempDir(), build(t, parleyProgram)
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("correct horse battery staple"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, id := range []string{"a", "b", "c"} {
		at := cassandratest.Place{Address: "127.0.0.1"}
		if nodes != nil {
			at = nodes[i]
		}
		file := filepath.Join(dir, id+".toml")
		if err := os.WriteFile(file, l.config(id, at.Address, secret), 0o600); err != nil {
			t.Fatal(err)
		}
		n := NewSubject(append(at.Enter, bin, "serve", "--config", file)...)
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

// config is the configuration of one node.
func (l *league) config(id, address, secret string) []byte {
	var hosts []string
	for _, h := range l.db.Hosts() {
		hosts = append(hosts, fmt.Sprintf("%q", h))
	}
	return fmt.Appendf(nil, `
listen = "%[1]s:0"
admin = "off"
registration = "open"
rate_limits = "off"
[store]
engine = "cassandra"
[cassandra]
hosts = [%[2]s]
port = %[3]d
[cluster]
id = %[4]q
listen = "%[1]s:0"
secret_file = %[5]q
`, address, strings.Join(hosts, ", "), l.db.Port(), id, secret)
}

func (l *league) start(n *Subject) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := n.Start(ctx); err != nil {
		l.t.Fatal(err)
	}
}

// talk has devices live.
func (l *league) talk() {
	l.calls = &calls{rec: l.rec, nodes: l.nodes, last: map[string]int{}}
	cfg := crowd(l.rec, func(device string) sim.Dialer {
		return func(ctx context.Context) (net.Conn, error) { return l.calls.dial(ctx, device) }
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

// between returns a time from 5 to 5+n seconds.
func (l *league) between(n int) time.Duration {
	return 5*time.Second + time.Duration(l.dice.IntN(1000*n))*time.Millisecond
}

// blow is one fault that struck.
type blow struct {
	name       string
	begun, end int64 // on the recorder's clock
}

// suffer has the league live through so many faults, each kind in its turn,
// and then judges what it did. It fails the test for everything that is not
// as it should be.
func (l *league) suffer(faults []fault, times int) {
	var blows []blow
	defer func() { l.account(blows) }()
	l.talk()
	l.wait(5 * time.Second)
	for i := range times {
		f := faults[i%len(faults)]
		b := blow{name: f.name, begun: l.rec.Stamp()}
		before := l.rec.Acks()
		err := f.do(l)
		b.end = l.rec.Stamp()
		blows = append(blows, b)
		if err != nil {
			l.t.Fatalf("%s: %v", f.name, err)
		}
		during := l.rec.Acks() - before
		l.t.Logf("%2d %-50s %4.1f s, %4d acked meanwhile; %s", i+1, b.name, time.Duration(b.end-b.begun).Seconds(), during, l.whole(b.end))
	}
	l.judge(times)
}

// A fault is given this long to be over.
const (
	leastPeace = 4 * time.Second
	mostPeace  = 40 * time.Second
)

// whole waits until every device had a message acked after end, and a little
// longer, so that one fault does not answer for another. It says when the last
// one had.
func (l *league) whole(end int64) string {
	for {
		l.wait(time.Second)
		last, acked := l.ackedSince(end)
		past := time.Duration(l.rec.Stamp() - end)
		switch missing := len(l.party.Devices) - acked; {
		case missing == 0 && past >= leastPeace:
			return fmt.Sprintf("everybody again within %.1f s", last.Seconds())
		case past >= mostPeace || l.t.Context().Err() != nil:
			return fmt.Sprintf("%d devices not again within %.0f s", missing, past.Seconds())
		}
	}
}

// ackedSince returns how many devices had a message acked after end, and how
// long after it the last one had its first.
func (l *league) ackedSince(end int64) (last time.Duration, devices int) {
	first := map[string]int64{}
	h := l.rec.History()
	for i := len(h) - 1; i >= 0 && h[i].Return > end; i-- {
		if o := &h[i]; o.Op == sim.OpAppend && o.Result == sim.OK {
			first[o.Device] = o.Return
		}
	}
	for _, at := range first {
		last = max(last, time.Duration(at-end))
	}
	return last, len(first)
}

// account says how long messages waited that were first tried from one fault
// to the next.
func (l *league) account(blows []blow) {
	h := l.rec.History()
	all := sendings(h)
	for i, b := range blows {
		next := l.rec.Stamp()
		if i+1 < len(blows) {
			next = blows[i+1].begun
		}
		during := slices.DeleteFunc(slices.Clone(all), func(s sending) bool { return s.begun < b.begun || s.begun >= next })
		p50, p99, worst := quantiles(during)
		l.t.Logf("%2d %-50s p50 %v, p99 %v, slowest %v", i+1, b.name, p50, p99, worst)
		if worst > failover {
			l.t.Log(l.calls.story(h, during[len(during)-1], b.end))
		}
	}
}

// judge makes peace, and has the checker look at what everybody has.
func (l *league) judge(times int) {
	for _, d := range l.party.Devices {
		d.Hush()
	}
	ctx, cancel := context.WithTimeout(l.t.Context(), 3*time.Minute)
	defer cancel()
	if restless := l.party.Rest(ctx); len(restless) > 0 {
		l.t.Fatalf("after three minutes of peace these devices still send or fetch: %v", restless)
	}
	level, done := context.WithTimeout(ctx, 20*time.Second)
	l.party.Agree(level)
	done()
	l.stop()
	l.party.Wait()
	final, err := l.party.Final(ctx)
	if err != nil {
		l.t.Fatal(err)
	}
	h := l.rec.History()
	for _, f := range sim.Check(h, final, sim.Rules{}) {
		l.t.Error(f)
	}
	acked, resends := h.Acked()
	p50, p99, worst := quantiles(sendings(h))
	l.t.Logf("%d faults: %d acked, %d resends; from the first try to the ack p50 %v, p99 %v, worst %v", times, acked, resends, p50, p99, worst)
	if acked < 100*times {
		l.t.Errorf("too little happened to prove anything: want %d acked", 100*times)
	}
	var errs []error
	for _, n := range l.nodes {
		errs = append(errs, n.Stop())
	}
	if err := errors.Join(errs...); err != nil {
		l.t.Error(err)
	}
}
