package sim

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/store"
)

// Faults of what people do, seeded between the server and its store too: each
// has the store say what a server with the fault would have gone by.

// noTombstones forgets deletes: no act says that something was deleted, and no
// body is taken away.
type noTombstones struct{ store.Store }

func (s noTombstones) Acts(ctx context.Context, c parley.ConversationID, from, to parley.Seq) ([]parley.Act, error) {
	acts, err := s.Store.Acts(ctx, c, from, to)
	return slices.DeleteFunc(acts, func(a parley.Act) bool { return a.Kind == parley.KindDelete }), err
}

func (noTombstones) Erase(context.Context, parley.ConversationID, []parley.Seq) error { return nil }

// anyEditor accepts an edit of what another said: edits point at the message
// of another that was read last.
type anyEditor struct {
	store.Store
	mu      *sync.Mutex
	message map[parley.ConversationID]parley.Entry // the last one appended
}

func anyEdits(s store.Store) store.Store {
	return anyEditor{s, new(sync.Mutex), map[parley.ConversationID]parley.Entry{}}
}

func (s anyEditor) Append(ctx context.Context, a store.Append) error {
	s.mu.Lock()
	entries := slices.Clone(a.Entries)
	for i := range entries {
		e := &entries[i]
		m, ok := s.message[a.Conversation]
		switch {
		case e.Kind == parley.KindMessage:
			s.message[a.Conversation] = *e
		case e.Kind == parley.KindEdit && ok && m.Sender != e.Sender:
			e.Ref = m.Seq
		}
	}
	s.mu.Unlock()
	a.Entries = entries
	return s.Store.Append(ctx, a)
}

// markersBack forgets, with every start, the last move of every read marker. It
// outlives its servers.
type markersBack struct {
	mu     sync.Mutex
	before map[parley.UserID]map[parley.ConversationID][2]parley.Row // the last two with different markers
}

type markersStore struct {
	store.Store
	disk *markersBack
}

func (d *markersBack) wrap(s store.Store) store.Store { return markersStore{s, d} }

func (s markersStore) WriteInboxes(ctx context.Context, writes []*store.InboxWrite) error {
	s.disk.mu.Lock()
	for _, w := range writes {
		if s.disk.before[w.User] == nil {
			s.disk.before[w.User] = map[parley.ConversationID][2]parley.Row{}
		}
		for _, r := range w.Rows {
			if b := s.disk.before[w.User][r.Conversation]; b[1].Read != r.Read {
				s.disk.before[w.User][r.Conversation] = [2]parley.Row{b[1], r}
			}
		}
	}
	s.disk.mu.Unlock()
	return s.Store.WriteInboxes(ctx, writes)
}

func (s markersStore) LoadInbox(ctx context.Context, u parley.UserID) (store.Inbox, error) {
	inbox, err := s.Store.LoadInbox(ctx, u)
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	for i := range inbox.Rows {
		r := &inbox.Rows[i]
		if b := s.disk.before[u][r.Conversation][0]; b.Read < r.Read && b.Since == r.Since {
			r.Read, r.ReadCount = b.Read, b.ReadCount
		}
	}
	return inbox, err
}

// exMembers takes everybody who ever belonged for a member: what is told goes
// to them as well.
type exMembers struct{ store.Store }

func (s exMembers) Load(ctx context.Context, c parley.ConversationID) (store.Head, error) {
	h, err := s.Store.Load(ctx, c)
	if h.State != nil {
		state := *h.State
		state.Members = slices.Clone(state.Members)
		for i := range state.Members {
			state.Members[i].Until = 0
		}
		h.State = &state
	}
	return h, err
}

// withheldMentions counts mentions in what is withheld as well. It outlives its
// servers, each of which begins to count anew.
type withheldMentions struct {
	mu   sync.Mutex
	seqs map[parley.UserID]map[parley.ConversationID][]parley.Seq
}

type mentionsStore struct {
	store.Store
	disk *withheldMentions
}

func (d *withheldMentions) wrap(s store.Store) store.Store { return mentionsStore{s, d} }

func (s mentionsStore) Append(ctx context.Context, a store.Append) error {
	s.disk.mu.Lock()
	for i := range a.Entries {
		for _, u := range a.Entries[i].Mentions {
			if !a.Entries[i].WithheldFrom(u) {
				continue
			}
			if s.disk.seqs[u] == nil {
				s.disk.seqs[u] = map[parley.ConversationID][]parley.Seq{}
			}
			s.disk.seqs[u][a.Conversation] = append(s.disk.seqs[u][a.Conversation], a.Entries[i].Seq)
		}
	}
	s.disk.mu.Unlock()
	return s.Store.Append(ctx, a)
}

func (s mentionsStore) LoadInbox(ctx context.Context, u parley.UserID) (store.Inbox, error) {
	inbox, err := s.Store.LoadInbox(ctx, u)
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	for i := range inbox.Rows {
		r := &inbox.Rows[i]
		for _, seq := range s.disk.seqs[u][r.Conversation] {
			if seq > r.Read && seq <= r.Head {
				r.Mentioned = append(r.Mentioned, seq)
			}
		}
		slices.SortFunc(r.Mentioned, func(a, b parley.Seq) int { return cmp.Compare(a, b) })
		r.Mentioned = slices.Compact(r.Mentioned)
	}
	return inbox, err
}

// earlyBlocks looks up who blocks whom before the commit and not at it: what it
// goes by was true some seconds ago.
type earlyBlocks struct {
	store.Store
	mu    *sync.Mutex
	known map[string]answer
}

// answer is what a list of records was at a time.
type answer struct {
	at      time.Time
	records []store.Record
}

func blocksEarly(s store.Store) store.Store {
	return earlyBlocks{s, new(sync.Mutex), map[string]answer{}}
}

func (s earlyBlocks) ListRecords(ctx context.Context, partition, prefix, after string, limit int) ([]store.Record, error) {
	if !strings.HasPrefix(partition, "blockers/") {
		return s.Store.ListRecords(ctx, partition, prefix, after, limit)
	}
	key := partition + "\x00" + prefix + "\x00" + after
	s.mu.Lock()
	early, ok := s.known[key]
	s.mu.Unlock()
	if ok && time.Since(early.at) < 2*time.Second {
		return early.records, nil
	}
	records, err := s.Store.ListRecords(ctx, partition, prefix, after, limit)
	if err == nil {
		s.mu.Lock()
		s.known[key] = answer{time.Now(), records}
		s.mu.Unlock()
	}
	return records, err
}

// TestSeededFaultsOfPeopleAreCaught lives a few worlds with each fault, and
// dies when the checker, or what devices do, lets one pass. Those of several
// nodes keep nothing in memory about who blocks whom, so that one is seeded
// there.
func TestSeededFaultsOfPeopleAreCaught(t *testing.T) {
	const worlds = 20
	one := func(wrap func(store.Store) store.Store) func(*testing.T, int64) lived {
		return func(t *testing.T, seed int64) lived { return live(t, WorldConfig{Seed: seed, Wrap: wrap}, Rules{}) }
	}
	for _, fault := range []struct {
		name  string
		check string
		words string
		live  func(t *testing.T, seed int64) lived
	}{
		{"delete without tombstone", "C8", "after it was deleted", one(func(s store.Store) store.Store { return noTombstones{s} })},
		{"block checked before but not at the commit", "C8", "blocked before that", func(t *testing.T, seed int64) lived {
			return liveCluster(t, ClusterConfig{Seed: seed, Wrap: func(_ cluster.NodeID, s store.Store) store.Store { return blocksEarly(s) }})
		}},
		{"marker moved back", "C6", "marker of", func(t *testing.T, seed int64) lived {
			return one((&markersBack{before: map[parley.UserID]map[parley.ConversationID][2]parley.Row{}}).wrap)(t, seed)
		}},
		{"an ex-member is still delivered to", "C9", "reached", one(func(s store.Store) store.Store { return exMembers{s} })},
		{"an edit by another is accepted", "C1", "edits what", one(anyEdits)},
		{"an unread mention that counts withheld", "C6", "mentioned", func(t *testing.T, seed int64) lived {
			return one((&withheldMentions{seqs: map[parley.UserID]map[parley.ConversationID][]parley.Seq{}}).wrap)(t, seed)
		}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			for seed := int64(1); seed <= worlds; seed++ {
				o := fault.live(t, seed)
				if slices.ContainsFunc(o.found, func(f Finding) bool { return f.Check == fault.check && strings.Contains(f.Text, fault.words) }) {
					t.Logf("world %d", seed)
					return
				}
				t.Logf("world %d: %v, %d findings: %v", seed, o.err, len(o.found), o.found)
			}
			t.Errorf("no finding of %s in %d worlds", fault.check, worlds)
		})
	}
}
