package edge

import (
	"context"
	"sync"
	"time"
)

// A wheel looks at each connection when its next deadline may have come. It
// is one goroutine and two pointers a connection, whatever the number of
// connections; in exchange it is up to one tick late.
type wheel struct {
	mu    sync.Mutex
	slots [wheelSlots]*conn // heads of lists
	now   int               // the slot looked at last
}

const (
	wheelTick  = 250 * time.Millisecond
	wheelSlots = 256 // one round: 64 s, more than any deadline
)

// place is where a connection stands in the wheel; the wheel's mu guards it.
type place struct {
	prev, next *conn
	slot       int16 // 1 + index; 0: not in a slot
	left       bool  // it never comes back
}

// schedule has c looked at after d, or sooner if that was asked for already:
// a look too many costs nothing, and none that is due is ever put off.
func (w *wheel) schedule(c *conn, d time.Duration) {
	ticks := int((d + wheelTick - 1) / wheelTick)
	ticks = min(max(ticks, 1), wheelSlots-1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.place.left {
		return
	}
	if c.place.slot != 0 && (int(c.place.slot)-1-w.now+wheelSlots)%wheelSlots <= ticks {
		return
	}
	w.unlink(c)
	i := (w.now + ticks) % wheelSlots
	c.place = place{next: w.slots[i], slot: int16(i) + 1}
	if c.place.next != nil {
		c.place.next.place.prev = c
	}
	w.slots[i] = c
}

// remove takes c out for good.
func (w *wheel) remove(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unlink(c)
	c.place.left = true
}

func (w *wheel) unlink(c *conn) {
	p := c.place
	if p.slot == 0 {
		return
	}
	if p.prev != nil {
		p.prev.place.next = p.next
	} else {
		w.slots[p.slot-1] = p.next
	}
	if p.next != nil {
		p.next.place.prev = p.prev
	}
	c.place = place{}
}

// due moves on by one tick and returns the connections of that slot.
func (w *wheel) due() []*conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = (w.now + 1) % wheelSlots
	var out []*conn
	for c := w.slots[w.now]; c != nil; {
		next := c.place.next
		c.place = place{}
		out = append(out, c)
		c = next
	}
	w.slots[w.now] = nil
	return out
}

// turn looks at connections until ctx ends.
func (w *wheel) turn(ctx context.Context) {
	t := time.NewTicker(wheelTick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			for _, c := range w.due() {
				if d := c.check(); d > 0 {
					w.schedule(c, d)
				}
			}
		}
	}
}
