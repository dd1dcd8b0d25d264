package account

import (
	"container/list"
	"sync"
	"time"
)

// cache keeps at most max values, each for a while, and drops the least
// recently used.
type cache[K comparable, V any] struct {
	max int
	ttl time.Duration // 0: no end

	mu      sync.Mutex
	order   *list.List // of cached[K, V]; front: most recently used
	entries map[K]*list.Element
	fills   uint64 // one more with each drop, see put
}

type cached[K comparable, V any] struct {
	key   K
	value V
	until time.Time
}

func newCache[K comparable, V any](limit int, ttl time.Duration) *cache[K, V] {
	return &cache[K, V]{max: limit, ttl: ttl, order: list.New(), entries: make(map[K]*list.Element)}
}

// get returns the value of k. The mark goes to the put of a value that was
// read from the store after this call.
func (c *cache[K, V]) get(k K, now time.Time) (v V, mark uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[k]
	if e == nil {
		return v, c.fills, false
	}
	found := e.Value.(cached[K, V])
	if c.ttl > 0 && !now.Before(found.until) {
		c.order.Remove(e)
		delete(c.entries, k)
		return v, c.fills, false
	}
	c.order.MoveToFront(e)
	return found.value, c.fills, true
}

// put keeps v, unless something was dropped since mark was given out: v might
// have been read before that change, and would then bring it back.
func (c *cache[K, V]) put(k K, v V, now time.Time, mark uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fills == mark {
		c.set(k, v, now)
	}
}

// keep keeps v, which is true whatever was dropped.
func (c *cache[K, V]) keep(k K, v V, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set(k, v, now)
}

// set keeps v. c.mu is held.
func (c *cache[K, V]) set(k K, v V, now time.Time) {
	entry := cached[K, V]{key: k, value: v, until: now.Add(c.ttl)}
	if e := c.entries[k]; e != nil {
		e.Value = entry
		c.order.MoveToFront(e)
		return
	}
	c.entries[k] = c.order.PushFront(entry)
	for c.order.Len() > c.max {
		last := c.order.Back()
		c.order.Remove(last)
		delete(c.entries, last.Value.(cached[K, V]).key)
	}
}

// drop forgets k, and keeps whatever is being read at this moment out.
func (c *cache[K, V]) drop(keys ...K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fills++
	for _, k := range keys {
		if e := c.entries[k]; e != nil {
			c.order.Remove(e)
			delete(c.entries, k)
		}
	}
}

func (c *cache[K, V]) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order.Len()
}

// dropWhere drops the values that match.
func (c *cache[K, V]) dropWhere(match func(V) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fills++
	for k, e := range c.entries {
		if match(e.Value.(cached[K, V]).value) {
			c.order.Remove(e)
			delete(c.entries, k)
		}
	}
}
