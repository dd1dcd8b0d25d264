package pebblestore

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	parley "github.com/parley-im/parley"
)

const crashLanes = 4

// crash is the disk as a loss of power left it, and what was promised before.
type crash struct {
	fs       *vfs.MemFS
	promised *ledger
	epoch    parley.Epoch // "": the store had not been opened yet
}

// life runs writers on a store in base until the power was cut n times, each
// time before a random operation on the disk: while it opens, writes, flushes
// or closes. Whatever was not synced is lost, half lost or kept.
func life(t *testing.T, rng *rand.Rand, base crash, n int, noSync bool) []crash {
	t.Helper()
	fs := &faultFS{FS: base.fs}
	l := base.promised.copy()
	var mu sync.Mutex
	var cuts []crash
	var epoch parley.Epoch
	next := 1 + rng.IntN(40)
	enough := make(chan struct{})
	cut := func(string, string) error {
		mu.Lock()
		defer mu.Unlock()
		if next--; next > 0 || len(cuts) == n {
			return nil
		}
		next = 1 + rng.IntN(40)
		promised := l.copy()
		kept := []int{0, 50, 100}[rng.IntN(3)]
		cuts = append(cuts, crash{base.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: rng}), promised, epoch})
		if len(cuts) == n {
			close(enough)
		}
		return nil
	}
	fs.set(cut)
	o := small("/data", fs)
	o.MemTableBytes, o.UnsafeNoSyncForControlTests = 64<<10, noSync
	s, err := Open(o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	mu.Lock()
	epoch = s.Epoch()
	mu.Unlock()
	var wg sync.WaitGroup
	for lane := range crashLanes {
		wg.Go(func() {
			for {
				select {
				case <-enough:
					return
				default:
				}
				if err := l.write(context.Background(), s, lane); err != nil {
					t.Errorf("write: %v", err)
					return
				}
				_ = cut("acknowledged", "") // between operations too: without syncs there are few
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	return cuts
}

// recover opens what a crash left and audits it.
func (c *crash) recover(t *testing.T) error {
	t.Helper()
	o := small("/data", c.fs)
	o.MemTableBytes = 64 << 10
	s, err := Open(o)
	if err != nil {
		return err
	}
	err = c.promised.audit(t.Context(), s, crashLanes)
	if err == nil && c.epoch != "" && s.Epoch() != c.epoch {
		err = errors.New("the epoch changed, and nothing was lost")
	}
	// What stands is durable now: it is what the next life promises.
	for lane := range crashLanes {
		h, e := s.Load(t.Context(), laneOf(lane))
		err = errors.Join(err, e)
		c.promised.heads[lane] = h.Seq
	}
	return errors.Join(err, s.Close())
}

// cutPower runs count crashes and returns how many of them broke a promise.
func cutPower(t *testing.T, count int, noSync bool, each func(error)) {
	rng := rand.New(rand.NewPCG(1, uint64(count)))
	const perLife, lives = 10, 3
	for done := 0; done < count && !t.Failed(); {
		base := crash{fs: vfs.NewCrashableMem(), promised: newLedger()}
		for range lives {
			cuts := life(t, rng, base, perLife, noSync)
			for i := range cuts {
				each(cuts[i].recover(t))
				done++
			}
			base = cuts[rng.IntN(len(cuts))]
			if noSync { // what is lost once need not be found again
				break
			}
		}
	}
}

// TestCrash: an acknowledgement that precedes its sync, a reader that is
// shown what is not durable yet (its next write builds on it), half of a
// batch, a directory entry that was not synced: each loses something here.
func TestCrash(t *testing.T) {
	const crashes = 2000
	n := 0
	cutPower(t, crashes, false, func(err error) {
		n++
		if err != nil {
			t.Errorf("crash %d: %v", n, err)
		}
	})
	t.Logf("%d crashes", n)
}

// TestCrashControl: without syncs the same test must lose promises, or it
// proves nothing.
func TestCrashControl(t *testing.T) {
	lost := 0
	cutPower(t, 60, true, func(err error) {
		if err != nil {
			lost++
		}
	})
	t.Logf("%d of 60 crashes broke a promise", lost)
	if lost < 10 {
		t.Errorf("without syncs only %d of 60 crashes broke a promise", lost)
	}
}
