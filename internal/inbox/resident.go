package inbox

import (
	parley "github.com/parley-im/parley"
)

// box returns user's box, making an empty one.
func (k *Keeper) box(user parley.UserID) *box {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.boxLocked(user)
}

func (k *Keeper) boxLocked(user parley.UserID) *box {
	b := k.boxes[user]
	if b == nil {
		b = &box{user: user, slot: len(k.ring), weight: 256}
		k.boxes[user] = b
		k.ring = append(k.ring, b)
		k.bytes += b.weight
	}
	return b
}

// reweigh takes the present size of boxes into account and, over the bound,
// lets go of boxes that were not used since the hand last passed them.
func (k *Keeper) reweigh(boxes []*box) {
	weights := make([]int64, len(boxes))
	for i, b := range boxes {
		weights[i] = b.weigh()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, b := range boxes {
		if k.boxes[b.user] != b {
			continue // let go of meanwhile
		}
		k.bytes += weights[i] - b.weight
		b.weight = weights[i]
	}
	for n := 2 * len(k.ring); n > 0 && k.bytes > k.cfg.MaxBytes && len(k.ring) > 1; n-- {
		k.hand %= len(k.ring)
		if b := k.ring[k.hand]; b.evictable() && !b.queued {
			k.remove(b)
		} else {
			k.hand++
		}
	}
}

// evictable takes the box's mark of use away, or finds it gone already.
func (b *box) evictable() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used || b.writing || len(b.news) > 0 || len(b.waiters) > 0 {
		b.used = false
		return false
	}
	// Whoever still holds this box must load again rather than trust rows
	// that nobody keeps current.
	b.ready, b.rows, b.order = false, nil, nil
	return true
}

// remove takes a box out of memory. k.mu is held.
func (k *Keeper) remove(b *box) {
	last := len(k.ring) - 1
	k.ring[b.slot] = k.ring[last]
	k.ring[b.slot].slot = b.slot
	k.ring = k.ring[:last]
	k.bytes -= b.weight
	delete(k.boxes, b.user)
}
