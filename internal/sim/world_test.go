package sim

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
)

var (
	seedsFlag = flag.Int("sim.seeds", defaultSeeds, "how many worlds TestWorlds makes")
	seedFlag  = flag.Int64("sim.seed", 0, "make only the world of this seed, and say what it saw")
	fileFlag  = flag.String("sim.history", "", "write the history of the world of -sim.seed, or of the last that failed, to this file")
)

// lived is what came of one world.
type lived struct {
	history  History
	found    []Finding
	err      error
	acked    int
	resends  int
	unproven int // tries whose answer was lost
}

// bubble runs f in virtual time, and fails if it leaves a goroutine behind.
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	// Two collections empty every sync.Pool: a channel that was made in one
	// bubble must not turn up in the next.
	runtime.GC()
	runtime.GC()
	synctest.Test(t, f)
}

// live runs the world of cfg to its end, in a bubble that ends only when no
// goroutine is left.
func live(t *testing.T, cfg WorldConfig, rules Rules) (o lived) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		var f *Final
		o.history, f, o.err = NewWorld(cfg).Run(t.Context())
		if o.err == nil {
			o.found = Check(o.history, f, rules)
		}
	})
	o.count()
	return o
}

// count says what happened in a world.
func (o *lived) count() {
	o.acked, o.resends = o.history.Acked()
	for i := range o.history {
		if op := &o.history[i]; op.Op == OpAppend && op.Result == Unknown {
			o.unproven++
		}
	}
}

// worldOf returns the world of a seed: every second one has a disk that
// crashes, the others one that lies about outcomes.
func worldOf(t *testing.T, seed int64) WorldConfig {
	t.Helper()
	cfg := WorldConfig{Seed: seed}
	if seed%2 == 0 {
		cfg.Disk = pebbleDisk(t, false)
	}
	return cfg
}

func pebbleDisk(t *testing.T, noSync bool) Disk {
	t.Helper()
	d, err := NewPebbleDisk(noSync)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestWorlds is T1. It kills every fault that seeded_test.go seeds, and those
// that nobody thought of.
func TestWorlds(t *testing.T) {
	if testing.Short() {
		*seedsFlag = min(*seedsFlag, 10)
	}
	if *seedFlag != 0 {
		o := live(t, worldOf(t, *seedFlag), Rules{})
		report(t, *seedFlag, o)
		keep(t, o.history)
		t.Logf("seed %d: %d operations, %d acked, %d resends, %d tries without an answer", *seedFlag, len(o.history), o.acked, o.resends, o.unproven)
		return
	}
	// 200,000 and 10,000 for 500 worlds: less, and the worlds have grown tame.
	const acked, resends = 400, 20
	sum, share, whole := inParts(t, fmt.Sprintf("-sim.seeds=%d", *seedsFlag), "-sim.history="+*fileFlag)
	if whole {
		sum.proves(t, acked, resends)
		return
	}
	for seed := int64(1); seed <= int64(*seedsFlag); seed++ {
		if !share.has(seed) {
			continue
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			o := live(t, worldOf(t, seed), Rules{})
			report(t, seed, o)
			sum.add(o.tally())
		})
	}
	t.Log(sum)
}

// keep writes h to the file of -sim.history, if one is named.
func keep(t *testing.T, h History) {
	t.Helper()
	if *fileFlag == "" {
		return
	}
	f, err := os.Create(*fileFlag)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.Write(f), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func report(t *testing.T, seed int64, o lived) {
	t.Helper()
	if o.err != nil {
		t.Error(o.err)
	}
	for _, f := range o.found {
		t.Error(f)
	}
	if t.Failed() {
		t.Logf("make this world again with: go test ./internal/sim -run TestWorlds -sim.seed=%d", seed)
		keep(t, o.history)
	}
}
