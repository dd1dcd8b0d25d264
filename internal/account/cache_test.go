package account

import (
	"testing"
	"time"
)

func TestCache(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	c := newCache[string, int](2, time.Minute)
	has := func(k string, want int) {
		t.Helper()
		if v, _, ok := c.get(k, now); v != want || ok != (want != 0) {
			t.Errorf("%s: %d, %v, want %d", k, v, ok, want)
		}
	}
	c.keep("a", 1, now)
	c.keep("b", 2, now)
	has("a", 1)
	c.keep("c", 3, now) // b is unused for longest
	has("b", 0)
	has("a", 1)
	has("c", 3)
	c.keep("a", 4, now)
	has("a", 4)
	now = now.Add(time.Minute)
	has("a", 0)
	if c.len() != 1 { // c was not asked for
		t.Errorf("%d kept", c.len())
	}
}

// What was read before a change must not be kept after it.
func TestCacheRefusesWhatIsOld(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	c := newCache[string, int](2, time.Minute)
	_, mark, _ := c.get("a", now)
	c.drop("a")
	c.put("a", 1, now, mark)
	if _, _, ok := c.get("a", now); ok {
		t.Error("it is kept")
	}
	_, mark, _ = c.get("a", now)
	c.put("a", 2, now, mark)
	if v, _, ok := c.get("a", now); !ok || v != 2 {
		t.Errorf("%d, %v", v, ok)
	}
}
