package load

import (
	"math/bits"
	"time"
)

// subBits is the resolution of a Histogram: 2^subBits steps per doubling, so
// that a quantile is at most 1/64 too high.
const subBits = 6

// Histogram counts durations in buckets that grow with the value. It does not
// allocate and is used by one goroutine at a time. The zero value is empty.
type Histogram struct {
	counts [(64 - subBits) << subBits]uint64
	n      uint64
	max    int64
}

// bucket is the index of v: exact below 2^(subBits+1), then the leading
// subBits+1 bits.
func bucket(v int64) int {
	if v < 1<<(subBits+1) {
		return int(v)
	}
	shift := bits.Len64(uint64(v)) - subBits - 1
	return shift<<subBits + int(v>>shift)
}

// bucketTop is the greatest value of a bucket.
func bucketTop(i int) int64 {
	if i < 1<<(subBits+1) {
		return int64(i)
	}
	shift := i>>subBits - 1
	return (int64(i&(1<<subBits-1)|1<<subBits)+1)<<shift - 1
}

// Record counts one duration. A negative one counts as zero.
func (h *Histogram) Record(d time.Duration) {
	v := max(int64(d), 0)
	h.counts[bucket(v)]++
	h.n++
	h.max = max(h.max, v)
}

// Count is how many were recorded.
func (h *Histogram) Count() uint64 { return h.n }

// Max is the longest, exactly.
func (h *Histogram) Max() time.Duration { return time.Duration(h.max) }

// Quantile is the smallest duration that at least the share q of all stays at
// or below, at most 1/64 too high; 0 when nothing was recorded.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	want := uint64(q * float64(h.n))
	if float64(want) < q*float64(h.n) || want == 0 {
		want++
	}
	var sum uint64
	for i, c := range h.counts {
		if sum += c; sum >= want {
			return time.Duration(min(bucketTop(i), h.max))
		}
	}
	return time.Duration(h.max)
}

// Latency is what a Histogram comes to, in milliseconds.
type Latency struct {
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
	Count uint64  `json:"count"`
}

// Latency sums h up.
func (h *Histogram) Latency() Latency {
	return Latency{
		P50: millis(h.Quantile(.5)), P99: millis(h.Quantile(.99)), P999: millis(h.Quantile(.999)),
		Max: millis(h.Max()), Count: h.n,
	}
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Add counts everything that other counted.
func (h *Histogram) Add(other *Histogram) {
	for i, c := range other.counts {
		h.counts[i] += c
	}
	h.n += other.n
	h.max = max(h.max, other.max)
}

// Reset forgets everything.
func (h *Histogram) Reset() { *h = Histogram{} }
