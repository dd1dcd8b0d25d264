package cassandra_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/cassandra"
)

// The figures of docs/bench/cluster.md:
//
//	go test -run '^$' -bench . -benchtime 10s ./internal/store/cassandra
//	go test -run '^$' -bench Three -benchtime 10s -tags cluster ./internal/store/cassandra

func BenchmarkAppend(b *testing.B)     { benchAppend(b, config(b)) }
func BenchmarkContention(b *testing.B) { benchContention(b, config(b)) }

// tally is what became of the appends of one measurement.
type tally struct {
	mu        sync.Mutex
	took      []time.Duration
	unknown   atomic.Int64
	conflicts atomic.Int64
}

func (t *tally) add(took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.took = append(t.took, took)
}

func (t *tally) report(b *testing.B) {
	b.ReportMetric(float64(len(t.took))/b.Elapsed().Seconds(), "appends/s")
	b.ReportMetric(0, "ns/op")
	slices.Sort(t.took)
	for name, share := range map[string]float64{"p50-ms": 0.50, "p99-ms": 0.99} {
		if n := len(t.took); n > 0 {
			b.ReportMetric(float64(t.took[int(float64(n-1)*share)].Microseconds())/1000, name)
		}
	}
	tried := float64(len(t.took)) + float64(t.unknown.Load()) + float64(t.conflicts.Load())
	b.ReportMetric(100*float64(t.unknown.Load())/tried, "unknown-%")
	b.ReportMetric(100*float64(t.conflicts.Load())/tried, "conflict-%")
}

// post appends one message to c, loading its head again when that is needed.
func (t *tally) post(b *testing.B, s store.Store, c parley.ConversationID, head *parley.Seq) bool {
	for b.Context().Err() == nil {
		began := time.Now()
		err := s.Append(b.Context(), entries(c, *head, 1, "a message as long as people write them, or so"))
		switch {
		case err == nil:
			*head++
			t.add(time.Since(began))
			return true
		case errors.Is(err, store.ErrConflict):
			t.conflicts.Add(1)
		case errors.Is(err, store.ErrUnavailable):
			t.unknown.Add(1)
		default:
			b.Error(err)
			return false
		}
		if h, err := s.Load(b.Context(), c); err == nil {
			*head = h.Seq
		}
	}
	return false
}

// benchAppend measures conversations that have one writer each.
func benchAppend(b *testing.B, cfg cassandra.Config) {
	s := open(b, cfg)
	run := 0
	for _, writers := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("conversations=%d", writers), func(b *testing.B) {
			run++
			var t tally
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			for i := range writers {
				wg.Go(func() {
					c, head := parley.ConversationID(fmt.Sprintf("c-%d-%d", run, i)), parley.Seq(0)
					for left.Add(-1) >= 0 && t.post(b, s, c, &head) {
					}
				})
			}
			wg.Wait()
			t.report(b)
		})
	}
}

// benchContention measures one conversation that two programs write to: what
// nobody does for long.
func benchContention(b *testing.B, cfg cassandra.Config) {
	var t tally
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	owners := []*cassandra.Store{open(b, cfg), open(b, cfg)}
	b.ResetTimer()
	for _, s := range owners {
		wg.Go(func() {
			head := parley.Seq(0)
			for left.Add(-1) >= 0 && t.post(b, s, "c", &head) {
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	t.report(b)
}
