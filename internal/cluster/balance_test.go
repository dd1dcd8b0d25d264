package cluster

import (
	"math"
	"testing"
	"time"
)

// fleet is a model of nodes whose load follows their weights, slowly: sessions
// move only as people come and go.
type fleet struct {
	at      time.Duration
	speed   []float64 // how much dearer a session is on each node
	load    []float64
	members []share
	scales  []scale
	changes []time.Duration
}

func newFleet(speed ...float64) *fleet {
	f := &fleet{speed: speed}
	for i := range speed {
		f.members = append(f.members, share{id: NodeID('a' + rune(i)), weight: defaultWeight})
		f.scales = append(f.scales, newScale(defaultWeight))
		f.load = append(f.load, speed[i]*100/float64(len(speed)))
	}
	return f
}

// run lets time pass, with a look every five seconds as if it were a heartbeat.
func (f *fleet) run(d time.Duration) {
	const step = 5 * time.Second
	for end := f.at + d; f.at < end; f.at += step {
		total := 0
		for _, m := range f.members {
			total += m.weight
		}
		for i := range f.members {
			target := f.speed[i] * 100 * float64(f.members[i].weight) / float64(total)
			f.load[i] += (target - f.load[i]) / 4
			f.members[i].load = f.load[i]
		}
		for i := range f.members {
			if w := f.scales[i].weigh(f.at, f.members[i].id, f.members); w != f.members[i].weight {
				f.members[i].weight = w
				f.changes = append(f.changes, f.at)
			}
		}
	}
}

// worst is the greatest load as a share of the mean.
func (f *fleet) worst() float64 {
	sum, most := 0.0, 0.0
	for _, l := range f.load {
		sum, most = sum+l, max(most, l)
	}
	return most / (sum / float64(len(f.load)))
}

// TestRebalancing: a crowded node gives away, one step a minute, and when
// everything has its place nothing moves any more.
func TestRebalancing(t *testing.T) {
	f := newFleet(2, 1, 1)
	if f.worst() != 1.5 {
		f.run(0)
	}
	f.speed[0] = 2.5
	f.run(10 * time.Minute)
	if got := f.worst(); got > crowded {
		t.Errorf("the worst carries %.2f of the mean", got)
	}
	for i := 1; i < len(f.changes); i++ {
		if gap := f.changes[i] - f.changes[i-1]; gap < patience {
			t.Errorf("two changes within %v", gap)
		}
	}
	if len(f.changes) == 0 {
		t.Fatal("nothing changed")
	}
	n := len(f.changes)
	f.run(2 * time.Hour)
	if more := len(f.changes) - n; more > 0 {
		t.Errorf("%d more changes at the same load: it swings", more)
	}
}

// TestRebalancingBack: when the load is gone the weight returns, and no
// further than configured.
func TestRebalancingBack(t *testing.T) {
	f := newFleet(4, 1, 1)
	f.run(20 * time.Minute)
	if f.members[0].weight != minWeight {
		t.Errorf("weight %d; four times the work takes it to the least", f.members[0].weight)
	}
	f.speed[0] = 0.5
	f.run(30 * time.Minute)
	if f.members[0].weight != defaultWeight {
		t.Errorf("weight %d after the load was gone", f.members[0].weight)
	}
}

func TestWeightStays(t *testing.T) {
	for name, members := range map[string][]share{
		"alone":      {{id: "a", weight: 8, load: 100}},
		"idle":       {{id: "a", weight: 8}, {id: "b", weight: 8}},
		"draining":   {{id: "a", weight: 8, load: 100, draining: true}, {id: "b", weight: 8, load: 1}, {id: "c", weight: 8, load: 1}},
		"not most":   {{id: "a", weight: 8, load: 100}, {id: "b", weight: 8, load: 110}, {id: "c", weight: 8}, {id: "d", weight: 8}},
		"at the end": {{id: "a", weight: minWeight, load: 100}, {id: "b", weight: 8, load: 1}},
	} {
		s := newScale(8)
		for at := time.Duration(0); at < 10*time.Minute; at += time.Second {
			if w := s.weigh(at, "a", members); w != members[0].weight {
				t.Errorf("%s: weight %d after %v", name, w, at)
				break
			}
		}
	}
}

// TestOneWeightAtATime: who sees another's weight change waits.
func TestOneWeightAtATime(t *testing.T) {
	s := newScale(8)
	members := []share{{id: "a", weight: 8, load: 100}, {id: "b", weight: 8, load: 1}, {id: "c", weight: 8, load: 1}}
	for at := time.Duration(0); at < 10*time.Minute; at += 30 * time.Second {
		members[1].weight = 4 + int(at/(30*time.Second))%4 // somebody is always changing
		if w := s.weigh(at, "a", members); w != 8 {
			t.Fatalf("changed at %v, while others do", at)
		}
	}
}

func TestSetLoad(t *testing.T) {
	cfg := Config{ID: "a", Shards: 1, Now: time.Now}
	n := &Node{cfg: cfg, belief: newBelief(&cfg, Member{ID: "a", Weight: 8})}
	n.public.Store(&standing{view: n.belief.view})
	for load, want := range map[float64]float64{5: 5, -1: 0, math.Inf(1): 0} {
		if n.SetLoad(load); n.belief.load != want {
			t.Errorf("load %v became %v", load, n.belief.load)
		}
	}
	n.SetLoad(math.NaN())
	if n.belief.load != 0 {
		t.Error("a load that is no number was taken")
	}
	n.belief.tick(0, time.Now()).encode() // it must be writable
}
