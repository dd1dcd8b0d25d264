package cluster

import (
	"strings"
	"testing"
	"time"
)

// pair is a belief of node a, and the heartbeats of b that keep it settled.
type pair struct {
	t  *testing.T
	b  *belief
	at time.Duration
	// what b says
	sent   int64
	echo   time.Duration
	frozen bool // b's echoes stand still, as if its heartbeats had been kept back
}

func newPair(t *testing.T, fault func(*faults)) *pair {
	cfg := Config{
		ID: "a", Shards: 16, Heartbeat: 200 * time.Millisecond, Trust: 500 * time.Millisecond,
		Silence: time.Second, Settle: 1500 * time.Millisecond, Announce: time.Second,
	}
	fault(&cfg.seeded)
	return &pair{t: t, b: newBelief(&cfg, Member{ID: "a", Incarnation: 1, Weight: 8})}
}

// step lets both nodes tick once.
func (p *pair) step() {
	p.at += 200 * time.Millisecond
	h := p.b.tick(p.at, time.Unix(1000, 0))
	p.sent++
	if !p.frozen {
		p.echo = time.Duration(h.Sent)
	}
	p.b.hear(p.at, time.Unix(1000, 0), p.beat())
	if p.at%time.Second == 0 {
		version := uint64(p.at / time.Second)
		p.b.announced(p.at, p.at)
		p.b.surveyed(p.at, p.at, []row{{ID: "a", Incarnation: 1, version: version}, {ID: "b", Incarnation: 2, version: version}})
	}
}

func (p *pair) beat() *beat {
	return &beat{
		Protocol: protocol, ID: "b", Incarnation: 2, Weight: 8, Digest: p.digest(), Sent: p.sent,
		Echoes: []echo{{"a", 1, int64(p.echo)}}, Wall: time.Unix(1000, 0).UnixMilli(),
	}
}

// digest is the one of both.
func (p *pair) digest() uint64 {
	return NewView(0, 0, []Member{{ID: "a", Incarnation: 1, Weight: 8}, {ID: "b", Incarnation: 2, Weight: 8}}, 0).Digest
}

func (p *pair) settle() {
	p.t.Helper()
	for p.b.view.Term == 0 {
		if p.step(); p.at > 10*time.Second {
			p.t.Fatalf("not settled: %s", p.b.why)
		}
	}
}

// TestHeldBackHeartbeats kills the belief that what arrives now was said now:
// heartbeats that keep coming, but echo nothing new, prove nothing.
func TestHeldBackHeartbeats(t *testing.T) {
	for name, c := range map[string]struct {
		fault   func(*faults)
		settled bool
	}{
		"as it is":       {func(*faults) {}, false},
		"with the fault": {func(f *faults) { f.noEcho = true }, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, c.fault)
			p.settle()
			p.frozen = true
			for range 7 {
				p.step()
			}
			if got := p.b.view.Term != 0; got != c.settled {
				t.Errorf("settled is %t: %s", got, p.b.why)
			}
		})
	}
}

// TestTermsGrow: a breach that nobody looked at still costs the term.
func TestTermsGrow(t *testing.T) {
	p := newPair(t, func(*faults) {})
	p.settle()
	first := p.b.view.Term
	p.at += 600 * time.Millisecond // neither ticks; what comes next is in time again
	p.step()
	if p.b.view.Term != 0 {
		t.Fatal("a node that stood still for longer than Trust is settled as if nothing had been")
	}
	p.settle()
	if p.b.view.Term <= first {
		t.Errorf("term %d after %d", p.b.view.Term, first)
	}
}

// TestRepeatedHeartbeat: one that comes again says nothing, and brings nobody
// back who said goodbye.
func TestRepeatedHeartbeat(t *testing.T) {
	p := newPair(t, func(*faults) {})
	p.settle()
	bye := p.beat()
	bye.Leaving = true
	p.b.hear(p.at, time.Unix(1000, 0), bye)
	if len(p.b.view.Members) != 1 {
		t.Fatal("goodbye did not remove the node at once")
	}
	p.sent++
	p.b.hear(p.at, time.Unix(1000, 0), p.beat())
	if len(p.b.view.Members) != 1 {
		t.Fatal("a heartbeat that was under way brought back who had left")
	}
	again := p.beat()
	again.Incarnation = 3
	p.b.hear(p.at, time.Unix(1000, 0), again)
	if len(p.b.view.Members) != 2 {
		t.Fatal("a new start of it is not taken in")
	}
	p.sent++
	p.b.hear(p.at, time.Unix(1000, 0), p.beat())
	if m, _ := p.b.view.Member("b"); m.Incarnation != 3 {
		t.Errorf("incarnation %d replaced a later one", m.Incarnation)
	}
}

// TestWhy: an unsettled node says why in a sentence.
func TestWhy(t *testing.T) {
	for want, breach := range map[string]func(*pair){
		"sees other members": func(p *pair) {
			h := p.beat()
			h.Digest++
			h.Sent++
			p.b.hear(p.at, time.Unix(1000, 0), h)
		},
		"late with its heartbeats": func(p *pair) {
			p.b.tick(p.at+250*time.Millisecond, time.Unix(1000, 0))
			p.b.tick(p.at+500*time.Millisecond, time.Unix(1000, 0))
		},
		"is not alive in the node table": func(p *pair) {
			p.b.surveyed(p.at, p.at, []row{{ID: "a", Incarnation: 1, version: 99}})
		},
		"alive in the node table, but is not heard": func(p *pair) {
			p.b.surveyed(p.at, p.at, []row{
				{ID: "a", Incarnation: 1, version: 99}, {ID: "b", Incarnation: 2, version: 99}, {ID: "c", Incarnation: 3, version: 1},
			})
		},
		"another start of it": func(p *pair) {
			p.b.surveyed(p.at, p.at, []row{{ID: "a", Incarnation: 1, version: 99}, {ID: "b", Incarnation: 9, version: 99}})
		},
		"cannot write to the node table": func(p *pair) { p.b.unannounced(p.at) },
		"did not get to run":             func(p *pair) { p.b.surveyed(p.at+time.Second, p.at+time.Second, nil) },
		"members have just changed": func(p *pair) {
			p.b.change(p.at, func(m *Member) { m.Weight = 3 })
		},
	} {
		t.Run(want, func(t *testing.T) {
			p := newPair(t, func(*faults) {})
			p.settle()
			breach(p)
			if p.b.view.Term != 0 {
				t.Fatal("it is settled")
			}
			if !strings.Contains(p.b.why, want) && want != "members have just changed" {
				t.Errorf("why: %q", p.b.why)
			}
		})
	}
}

// TestTenure: who may have been left out of a settled view has a later tenure.
func TestTenure(t *testing.T) {
	p := newPair(t, func(*faults) {})
	p.settle()
	was := p.b.view.Tenure
	p.at += 3 * time.Second // late announcements, but not too late
	p.b.announced(p.at, p.at)
	if p.b.table.tenure != was || p.b.table.shown(p.at).why != "" {
		t.Fatal("a late announcement ended the tenure")
	}
	p.at += 4 * time.Second
	p.b.announced(p.at, p.at)
	if p.b.table.tenure != was+1 {
		t.Fatalf("tenure %d after %d: the row stood still for four announcements", p.b.table.tenure, was)
	}
	if p.b.table.shown(p.at).why == "" {
		t.Fatal("announced at once, although a reading of before may still count")
	}
	if p.b.table.shown(p.at+3*time.Second).why != "" {
		t.Fatal("not announced when every reading of before is too old")
	}
}
