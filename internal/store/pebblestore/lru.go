package pebblestore

// lru is a bounded map that forgets roughly what was not used lately: two
// generations, the older dropped when the younger is full. It needs no list
// and no garbage per use.
type lru[K comparable, V any] struct {
	young, old map[K]V
	limit      int
}

func newLRU[K comparable, V any](limit int) *lru[K, V] {
	return &lru[K, V]{young: map[K]V{}, limit: max(limit/2, 1)}
}

func (l *lru[K, V]) get(k K) (V, bool) {
	if v, ok := l.young[k]; ok {
		return v, true
	}
	v, ok := l.old[k]
	if ok {
		l.put(k, v)
	}
	return v, ok
}

func (l *lru[K, V]) put(k K, v V) {
	if len(l.young) >= l.limit {
		if _, ok := l.young[k]; !ok {
			l.old, l.young = l.young, make(map[K]V, l.limit/4)
		}
	}
	l.young[k] = v
}

func (l *lru[K, V]) clear() { l.young, l.old = map[K]V{}, nil }
