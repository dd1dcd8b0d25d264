package sim

import (
	"fmt"
	"testing"
	"time"
)

// comeAndGo runs one world of presence in a bubble and judges it.
func comeAndGo(t *testing.T, cfg ClusterConfig) (o lived) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		o.history, o.err = NewClusterWorld(cfg).RunPresence(t.Context())
		if o.err == nil {
			o.found = checkPresence(o.history)
		}
	})
	return o
}

// TestPresence is T18 with all of a server around it: devices that flap, nodes
// that die, hang and are cut off. It kills presence that is not right within
// 10 s while nothing is wrong, and a ghost of a dead node after a minute.
func TestPresence(t *testing.T) {
	worlds := min(6, defaultSeeds/10)
	seen, changes := 0, 0
	for seed := int64(1); seed <= int64(worlds); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			o := comeAndGo(t, ClusterConfig{Seed: seed})
			if o.err != nil {
				t.Error(o.err)
			}
			for _, f := range o.found[:min(len(o.found), maxFindings)] {
				t.Error(f)
			}
			for i := range o.history {
				switch o.history[i].Op {
				case OpSeen:
					seen++
				case OpUp, OpDown:
					changes++
				}
			}
		})
	}
	t.Logf("%d connections began or ended, and %d times somebody was told of it", changes, seen)
	if changes < 60*worlds || seen < 200*worlds {
		t.Error("too little happened to prove anything")
	}
}

// TestPresenceWithoutLeasesIsCaught is the control: where a node is believed
// for ever, its death leaves ghosts, and the checker says so.
func TestPresenceWithoutLeasesIsCaught(t *testing.T) {
	for seed := int64(1); seed <= 6; seed++ {
		o := comeAndGo(t, ClusterConfig{Seed: seed, Lease: 24 * time.Hour})
		if o.err == nil && len(o.found) > 0 {
			t.Log(o.found[0])
			return
		}
	}
	t.Error("nothing was noticed in 6 worlds")
}

// TestPresenceIsChecked spoils a short life, told by hand, in each way that
// must be noticed.
func TestPresenceIsChecked(t *testing.T) {
	for _, c := range []struct {
		name  string
		told  []Op // of bob, to ann
		after time.Duration
		gone  bool // bob
		found bool
	}{
		{"right", []Op{{Online: true}}, 11 * time.Second, false, false},
		{"not told", nil, 11 * time.Second, false, true},
		{"not told yet", nil, 9 * time.Second, false, false},
		{"told otherwise", []Op{{Online: true}, {Online: false}}, 11 * time.Second, false, true},
		{"a ghost", []Op{{Online: true}}, 61 * time.Second, true, true},
		{"a ghost that may be", []Op{{Online: true}}, 59 * time.Second, true, false},
	} {
		var h History
		at := func(d time.Duration, op Op) {
			op.Return = int64(d)
			h = append(h, op)
		}
		at(1, Op{Op: OpUp, Client: "ann/1", User: "ann"})
		at(2, Op{Op: OpWatch, Client: "ann/1", User: "ann", ID: "bob"})
		at(time.Minute, Op{Op: OpUp, Client: "bob/1", User: "bob"})
		if c.gone {
			at(time.Minute+1, Op{Op: OpDown, Client: "bob/1", User: "bob"})
		}
		for i, op := range c.told {
			op.Op, op.Client, op.User, op.ID = OpSeen, "ann/1", "ann", "bob"
			at(time.Minute+time.Duration(i)+2, op)
		}
		at(time.Minute+c.after, Op{Op: OpLook, Limit: 60})
		if found := checkPresence(h); (len(found) > 0) != c.found {
			t.Errorf("%s: %v", c.name, found)
		}
	}
}
