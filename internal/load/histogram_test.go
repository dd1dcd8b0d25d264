package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestQuantiles compares with sorting: a quantile is never too low and at most
// 1/64 too high. It kills a bucket that is off by one, and a rank that is.
func TestQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 99, 100, 101, 10_000} {
		var h Histogram
		all := make([]time.Duration, n)
		for i := range all {
			all[i] = time.Duration(math.Exp(random.Float64() * 25))
			h.Record(all[i])
		}
		slices.Sort(all)
		for _, q := range []float64{0, .01, .5, .9, .99, .999, 1} {
			want := all[max(int(math.Ceil(q*float64(n))), 1)-1]
			if got := h.Quantile(q); got < want || float64(got) > float64(want)*(1+1./64)+1 {
				t.Errorf("quantile %v of %d: %d, want %d", q, n, got, want)
			}
		}
		if h.Max() != all[n-1] || h.Count() != uint64(n) {
			t.Errorf("max %v, count %d of %d", h.Max(), h.Count(), n)
		}
	}
}

func TestBuckets(t *testing.T) {
	last := -1
	for v := int64(0); v < math.MaxInt64/3; v = v + 1 + v/257 {
		i := bucket(v)
		if i < last || bucketTop(i) < v || i > 0 && bucketTop(i-1) >= v {
			t.Fatalf("%d is in bucket %d that ends at %d", v, i, bucketTop(i))
		}
		last = i
	}
	var h Histogram
	h.Record(math.MaxInt64)
	h.Record(-1)
	if h.Max() != math.MaxInt64 || h.Quantile(.5) != 0 {
		t.Errorf("max %d, median %d", h.Max(), h.Quantile(.5))
	}
}

func TestHistogramsAdd(t *testing.T) {
	var a, b, both Histogram
	for i := range 1000 {
		h := &a
		if i%3 == 0 {
			h = &b
		}
		h.Record(time.Duration(i) * time.Microsecond)
		both.Record(time.Duration(i) * time.Microsecond)
	}
	a.Add(&b)
	if a != both {
		t.Errorf("added: %+v, want %+v", a.Latency(), both.Latency())
	}
	if a.Reset(); a.Quantile(.5) != 0 || a.Count() != 0 {
		t.Error("something is left after Reset")
	}
}
