package inbox

import (
	"container/heap"
	"maps"
	"time"

	parley "github.com/parley-im/parley"
)

// lazyPause is the least time between two writes of a member's row of a large
// conversation.
const lazyPause = time.Second

// rest is a box whose news is not to be written before a time.
type rest struct {
	until time.Time
	box   *box
}

// resting is the boxes that rest, the soonest over first; see container/heap.
type resting []rest

func (r resting) Len() int           { return len(r) }
func (r resting) Less(i, j int) bool { return r[i].until.Before(r[j].until) }
func (r resting) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *resting) Push(x any)        { *r = append(*r, x.(rest)) }
func (r *resting) Pop() any {
	last := len(*r) - 1
	x := (*r)[last]
	(*r)[last] = rest{}
	*r = (*r)[:last]
	return x
}

// rest has the writer look at b from a time on. k.mu is held.
func (k *Keeper) rest(b *box, from time.Time) {
	if b.queued || !b.rests.IsZero() && !from.Before(b.rests) {
		return
	}
	b.rests = from
	heap.Push(&k.resting, rest{from, b})
	if k.resting[0].box == b {
		poke(k.wake) // the soonest: the writer's timer is set anew
	}
}

// restsFor returns how long the soonest rest lasts, if any does.
func (k *Keeper) restsFor() (wait time.Duration, any bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.resting) == 0 {
		return 0, false
	}
	return max(0, k.resting[0].until.Sub(k.cfg.Now())), true
}

// wakeRested queues the boxes that have rested. k.mu is held.
func (k *Keeper) wakeRested(now time.Time) {
	for len(k.resting) > 0 && !k.resting[0].until.After(now) {
		r := heap.Pop(&k.resting).(rest)
		if r.box.rests.Equal(r.until) {
			r.box.rests = time.Time{}
		}
		if !r.box.queued {
			r.box.queued = true
			k.queue = append(k.queue, r.box)
		}
	}
}

// enqueue has the writer look at b. k.mu is held.
func (k *Keeper) enqueue(b *box) {
	if !b.queued {
		b.queued = true
		k.queue = append(k.queue, b)
	}
	poke(k.wake)
}

// pending is a box's pending, and has the writer look at the box although its
// news rests.
func (k *Keeper) pending(b *box) <-chan error {
	wait := b.pending()
	if wait != nil {
		k.mu.Lock()
		k.enqueue(b)
		k.mu.Unlock()
	}
	return wait
}

// begin takes the box's news in hand: all of it for whoever waits, else what
// need not rest. from is when the rest may be taken; zero: there is none.
func (b *box) begin(now time.Time) (d *draft, from time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.news
	var left map[parley.ConversationID]*news
	for c, n := range b.news {
		until, paced := b.paced[c]
		switch rests := len(b.waiters) == 0 && len(n.wishes) == 0 && until.After(now); {
		case rests:
			if left == nil {
				taken, left = maps.Clone(b.news), make(map[parley.ConversationID]*news)
			}
			delete(taken, c)
			left[c] = n
			if from.IsZero() || until.Before(from) {
				from = until
			}
		case n.Lazy || paced:
			b.pace(c, now)
		}
	}
	if len(taken) == 0 {
		return nil, from
	}
	d = &draft{box: b, news: taken, wait: b.waiters}
	b.news, b.hand, b.waiters, b.writing = left, taken, nil, true
	return d, from
}

// pace has the row of c rest after it is written at now, and forgets which
// have rested. b.mu is held.
func (b *box) pace(c parley.ConversationID, now time.Time) {
	for other, until := range b.paced {
		if !until.After(now) {
			delete(b.paced, other)
		}
	}
	if b.paced == nil {
		b.paced = make(map[parley.ConversationID]time.Time)
	}
	b.paced[c] = now.Add(lazyPause)
}
