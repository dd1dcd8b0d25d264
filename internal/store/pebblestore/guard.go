package pebblestore

import (
	"fmt"
	"sync"
	"time"

	"github.com/parley-im/parley/internal/store"
)

// guard keeps the disk from filling: Pebble on a full disk does not fail, it
// waits for ever. So writing stops while there is still room for everything
// the engine may have to write from memory.
type guard struct {
	o   *Options
	low uint64

	mu    sync.Mutex
	at    time.Time // when the disk was last asked
	err   error
	blind bool // the disk could not be asked; said once
}

// guardEvery bounds how old an answer of the disk may be.
const guardEvery = 100 * time.Millisecond

func newGuard(o *Options) *guard { return &guard{o: o, low: o.MinFree + 2*o.MemTableBytes} }

// check is nil or store.ErrFull.
func (g *guard) check() error {
	now := g.o.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if age := now.Sub(g.at); age >= 0 && age < guardEvery {
		return g.err
	}
	free, err := g.o.FreeSpace()
	g.at, g.err = now, nil
	switch {
	case err != nil:
		if !g.blind {
			g.blind = true
			g.o.Logger.Warn("store: cannot see how much room the disk has", "err", err)
		}
	case free < g.low:
		g.err = fmt.Errorf("%w: %d MiB free, %d MiB are kept", store.ErrFull, free>>20, g.low>>20)
	}
	return g.err
}
