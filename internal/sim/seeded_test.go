package sim

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// The faults that are seeded between the server and its store. Each is one a
// plausible engine could have.

// early acknowledges an append before it is written: it is written a little
// later, and never when the power goes first.
type early struct {
	store.Store
	quit, done chan struct{}
	wake       chan struct{} // capacity 1

	mu    sync.Mutex
	queue []store.Append
}

func ackEarly(s store.Store) store.Store {
	e := &early{Store: s, quit: make(chan struct{}), done: make(chan struct{}), wake: make(chan struct{}, 1)}
	go e.write()
	return e
}

func (e *early) Append(ctx context.Context, a store.Append) error {
	if a.Base == 0 {
		return e.Store.Append(ctx, a)
	}
	e.mu.Lock()
	e.queue = append(e.queue, a)
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
	return nil
}

func (e *early) write() {
	defer close(e.done)
	for {
		select {
		case <-e.wake:
		case <-e.quit:
			return
		}
		delay := time.NewTimer(200 * time.Millisecond)
		select {
		case <-delay.C:
		case <-e.quit:
			delay.Stop()
			return
		}
		e.mu.Lock()
		queue := e.queue
		e.queue = nil
		e.mu.Unlock()
		for _, a := range queue {
			_ = e.Store.Append(context.Background(), a) // nobody waits to hear of it
		}
	}
}

func (e *early) Close() error {
	close(e.quit)
	<-e.done
	return e.Store.Close()
}

// forgetful does not find the ids that forgets says.
type forgetful struct {
	store.Store
	forgets func(parley.Entry) bool
}

func (s forgetful) Find(ctx context.Context, c parley.ConversationID, id parley.MessageID, base parley.Seq) (parley.Seq, error) {
	seq, err := s.Store.Find(ctx, c, id, base)
	if err != nil || seq == 0 {
		return 0, err
	}
	found, err := s.Read(ctx, c, seq-1, 1)
	if err != nil || len(found) == 1 && s.forgets(found[0]) {
		return 0, err
	}
	return seq, nil
}

func noDedupe(s store.Store) store.Store {
	return forgetful{s, func(parley.Entry) bool { return true }}
}

// twoMinutes finds again only what is younger.
func twoMinutes(s store.Store) store.Store {
	return forgetful{s, func(e parley.Entry) bool { return time.Since(e.At) > 2*time.Minute }}
}

// twoBatches writes an entry and its dedupe key one after the other: of the
// entries written in the last moment before a crash the key is missing. It
// outlives its servers.
type twoBatches struct {
	mu      sync.Mutex
	ended   []time.Time // when the stores before this one ended
	moment  time.Duration
	started bool
}

func (b *twoBatches) wrap(s store.Store) store.Store {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.started {
		b.ended = append(b.ended, time.Now())
	}
	b.started = true
	return forgetful{s, func(e parley.Entry) bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.ContainsFunc(b.ended, func(at time.Time) bool { return e.At.Before(at) && at.Sub(e.At) < b.moment })
	}}
}

// staleHead believes, once after each start, that a conversation ends one
// entry before it does, and appends without a condition. What stood there
// still stands in the engine, where nobody sees it. It outlives its servers.
type staleHead struct {
	mu      sync.Mutex
	written map[parley.ConversationID]map[parley.Seq]parley.Entry
}

type staleStore struct {
	store.Store
	disk *staleHead
	mu   sync.Mutex
	lied map[parley.ConversationID]bool
}

func (d *staleHead) wrap(s store.Store) store.Store {
	return &staleStore{Store: s, disk: d, lied: map[parley.ConversationID]bool{}}
}

func (s *staleStore) Load(ctx context.Context, c parley.ConversationID) (store.Head, error) {
	h, err := s.Store.Load(ctx, c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && h.Seq > 4 && !s.lied[c] {
		s.lied[c] = true
		h.Seq, h.Count = h.Seq-1, h.Count-1
	}
	return h, err
}

func (s *staleStore) Append(ctx context.Context, a store.Append) error {
	err := s.Store.Append(ctx, a)
	if !errors.Is(err, store.ErrConflict) || len(a.Entries) != 1 {
		return err
	}
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	if s.disk.written[a.Conversation] == nil {
		s.disk.written[a.Conversation] = map[parley.Seq]parley.Entry{}
	}
	s.disk.written[a.Conversation][a.Base+1] = a.Entries[0]
	return nil
}

func (s *staleStore) Read(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) ([]parley.Entry, error) {
	es, err := s.Store.Read(ctx, c, after, limit)
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	for i := range es {
		if e, ok := s.disk.written[c][es[i].Seq]; ok {
			es[i] = e
		}
	}
	return es, err
}

// seededFaults are the worlds with a fault, and who must notice it.
var seededFaults = []struct {
	name  string
	check string
	words string
	cfg   func(t *testing.T) WorldConfig
	// restless: devices may ask for ever for what nobody can see; a world that
	// does not come to rest for it has failed as well, before it was checked.
	restless bool
}{
	{"ack before the write", "C1", "was acked at", func(t *testing.T) WorldConfig {
		return WorldConfig{Disk: pebbleDisk(t, false), Wrap: ackEarly}
	}, false},
	{"no sync", "C1", "was acked at", func(t *testing.T) WorldConfig { return WorldConfig{Disk: pebbleDisk(t, true)} }, false},
	{"no dedupe", "C2", "stands twice", func(*testing.T) WorldConfig { return WorldConfig{Wrap: noDedupe} }, false},
	{"a dedupe window of two minutes", "C2", "stands twice", func(*testing.T) WorldConfig { return WorldConfig{Wrap: twoMinutes} }, false},
	{"two batches where one is needed", "C2", "stands twice", func(t *testing.T) WorldConfig {
		return WorldConfig{Disk: pebbleDisk(t, false), Wrap: (&twoBatches{moment: 3 * time.Second}).wrap}
	}, false},
	{"a stale head", "C1", "where", func(*testing.T) WorldConfig {
		return WorldConfig{Wrap: (&staleHead{written: map[parley.ConversationID]map[parley.Seq]parley.Entry{}}).wrap}
	}, true},
	{"the cursor jumps to what is pushed", "C4", "a gap", func(*testing.T) WorldConfig { return WorldConfig{Fault: Jumps} }, false},
	{"nudges removed", "L1", "in a calm", func(t *testing.T) WorldConfig {
		return WorldConfig{Disk: pebbleDisk(t, false), Fault: Deaf}
	}, false},
}

// TestSeededFaultsAreCaught lives a few worlds with each fault. A checker, or a
// world, that would let one of them pass dies here.
func TestSeededFaultsAreCaught(t *testing.T) {
	const worlds = 6
	for _, fault := range seededFaults {
		t.Run(fault.name, func(t *testing.T) {
			for seed := int64(1); seed <= worlds; seed++ {
				cfg := fault.cfg(t)
				cfg.Seed = seed
				o := live(t, cfg, Rules{})
				if slices.ContainsFunc(o.found, func(f Finding) bool { return f.Check == fault.check && strings.Contains(f.Text, fault.words) }) {
					return
				}
				if fault.restless && o.err != nil && strings.Contains(o.err.Error(), "still send or fetch") {
					return
				}
				t.Logf("world %d: %v, %d findings: %v", seed, o.err, len(o.found), o.found)
			}
			t.Errorf("no finding of %s in %d worlds", fault.check, worlds)
		})
	}
}
