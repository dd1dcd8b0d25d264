//go:build cluster

package cassandra_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/cassandra"
	"github.com/parley-im/parley/internal/store/cassandra/cassandratest"
	"github.com/parley-im/parley/internal/store/storetest"
)

// cluster is like production's: three copies in three racks.
var cluster = cassandratest.Lazy{Nodes: 3}

func init() { clusters = append(clusters, &cluster) }

func three(t testing.TB) (*cassandratest.Cluster, cassandra.Config) {
	c := cluster.Get(t)
	return c, cassandra.Config{Hosts: c.Hosts(), Port: c.Port(), Keyspace: c.Keyspace(), Replication: 3}
}

// TestThreeContract is the suite again, where a majority must agree.
func TestThreeContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place {
		_, cfg := three(t)
		return storetest.Place{Durable: true, Open: func() (store.Store, error) { return cassandra.Open(t.Context(), cfg) }}
	})
}

// TestThreeNodes: what one node lost, two keep; what two lost, nobody claims.
func TestThreeNodes(t *testing.T) {
	nodes, cfg := three(t)
	s := open(t, cfg)
	t.Run("check", func(t *testing.T) {
		found, err := cassandra.Check(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if f.Level > cassandra.Advice {
				t.Errorf("a cluster as it should be: %s", f.Sentence)
			}
		}
	})
	load := newLoad(s)
	faults := []struct {
		name       string
		hurt, heal func(i int) error
	}{
		{"kill", nodes.Kill, func(i int) error { return nodes.Restart(t.Context(), i) }},
		{"freeze", nodes.Freeze, nodes.Thaw},
	}
	for _, f := range faults {
		for i := range 3 {
			t.Run(fmt.Sprintf("%s one of three, node %d", f.name, i), func(t *testing.T) {
				stall := load.during(t, 12*time.Second, func() {
					if err := f.hurt(i); err != nil {
						t.Error(err)
					}
				})
				t.Logf("the longest that a conversation waited: %s", stall.Round(time.Millisecond))
				if stall > 10*time.Second {
					t.Errorf("a conversation waited %s", stall)
				}
				if err := f.heal(i); err != nil {
					t.Fatal(err)
				}
				awaitAll(t, s)
			})
		}
		t.Run(f.name+" two of three", func(t *testing.T) {
			for _, i := range []int{1, 2} {
				if err := f.hurt(i); err != nil {
					t.Fatal(err)
				}
			}
			h := parley.Seq(0)
			began := time.Now()
			err := s.Append(t.Context(), entries("lost", h, 1, "a"))
			if took := time.Since(began); !errors.Is(err, store.ErrUnavailable) || took > 3*time.Second {
				t.Errorf("append with one of three: %v after %s", err, took)
			}
			for _, i := range []int{1, 2} {
				if err := f.heal(i); err != nil {
					t.Fatal(err)
				}
			}
			awaitAll(t, s)
			await(t, 30*time.Second, "an append after the healing", func() bool {
				h, err := s.Load(t.Context(), "lost")
				return err == nil && s.Append(t.Context(), entries("lost", h.Seq, 1, "a")) == nil
			})
		})
	}
	load.verify(t)
}

// awaitAll waits until appends go through in every part of the ring.
func awaitAll(t *testing.T, s store.Store) {
	t.Helper()
	await(t, 60*time.Second, "appends everywhere", func() bool {
		for i := range lanes {
			c := parley.ConversationID(fmt.Sprintf("everywhere-%d", i))
			h, err := s.Load(t.Context(), c)
			if err != nil || s.Append(t.Context(), entries(c, h.Seq, 1, "x")) != nil {
				return false
			}
		}
		return true
	})
}

const lanes = 16

// load writes to lanes conversations and remembers what it was promised.
type load struct {
	s     store.Store
	acked [lanes]map[parley.MessageID]parley.Seq
	tries [lanes]int
}

func newLoad(s store.Store) *load {
	l := &load{s: s}
	for i := range l.acked {
		l.acked[i] = map[parley.MessageID]parley.Seq{}
	}
	return l
}

func (l *load) lane(i int) parley.ConversationID {
	return parley.ConversationID(fmt.Sprintf("lane-%d", i))
}

// during writes for that long, lets hurt happen after a second, and returns
// the longest time between two acknowledgements of one conversation.
func (l *load) during(t *testing.T, long time.Duration, hurt func()) time.Duration {
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	soon := time.AfterFunc(time.Second, hurt)
	defer soon.Stop()
	var wg sync.WaitGroup
	stalls := make([]time.Duration, lanes)
	for i := range lanes {
		wg.Go(func() { stalls[i] = l.write(ctx, t, i) })
	}
	wg.Wait()
	worst := time.Duration(0)
	for _, s := range stalls {
		worst = max(worst, s)
	}
	return worst
}

// write sends message after message, each until it is acknowledged, as convo
// does: look for the id, append at the head.
func (l *load) write(ctx context.Context, t *testing.T, i int) (stall time.Duration) {
	c, last := l.lane(i), time.Now()
	for ctx.Err() == nil {
		l.tries[i]++
		id := parley.MessageID(fmt.Sprintf("m%d", l.tries[i]))
		for done := false; !done && t.Context().Err() == nil; {
			seq, err := l.post(t.Context(), c, id)
			if done = err == nil; done {
				l.acked[i][id] = seq
				stall, last = max(stall, time.Since(last)), time.Now()
			}
		}
	}
	return stall
}

func (l *load) post(ctx context.Context, c parley.ConversationID, id parley.MessageID) (parley.Seq, error) {
	h, err := l.s.Load(ctx, c)
	if err != nil {
		return 0, err
	}
	seq, err := l.s.Find(ctx, c, id, 0)
	if err != nil || seq != 0 {
		return seq, err
	}
	a := entries(c, h.Seq, 1, "m")
	a.Entries[0].ID = id
	return h.Seq + 1, l.s.Append(ctx, a)
}

// verify: every acknowledged message stands at its number, and none twice.
func (l *load) verify(t *testing.T) {
	total := 0
	for i := range lanes {
		c := l.lane(i)
		all, err := l.s.Read(t.Context(), c, 0, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[parley.MessageID]parley.Seq{}
		for _, e := range all {
			if seen[e.ID] != 0 {
				t.Errorf("%s stands at %d and at %d", e.ID, seen[e.ID], e.Seq)
			}
			seen[e.ID] = e.Seq
		}
		for id, seq := range l.acked[i] {
			if seen[id] != seq {
				t.Errorf("%s was acknowledged at %d and stands at %d", id, seq, seen[id])
			}
		}
		total += len(l.acked[i])
	}
	t.Logf("%d acknowledged messages stand where they were said to", total)
}

func BenchmarkThreeAppend(b *testing.B) {
	_, cfg := three(b)
	benchAppend(b, cfg)
}

func BenchmarkThreeContention(b *testing.B) {
	_, cfg := three(b)
	benchContention(b, cfg)
}
