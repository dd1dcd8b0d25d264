package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

var lifeCases = []testCase{
	{"life/epoch", "Epoch names this unbroken life of the store; it does not change while the store is open.",
		"devices that resync at every start, or never",
		func(t *testing.T, w *world) {
			epoch := w.s.Epoch()
			if epoch == "" || len(epoch) > parley.MaxID {
				t.Fatalf("epoch %q", epoch)
			}
			w.append(texts("c", 0, 1))
			w.again()
			w.again()
			if got := w.s.Epoch(); got != epoch {
				t.Errorf("epoch was %q and is %q", epoch, got)
			}
		}},
	{"life/closed", "ErrClosed: the store was closed. A write that returned … ErrClosed wrote nothing. A second Close does nothing.",
		"a write that is accepted by a store that is gone",
		func(t *testing.T, w *world) {
			w.append(texts("c", 0, 1))
			if err := w.s.Writable(); err != nil {
				t.Fatalf("writable: %v", err)
			}
			s := w.s
			w.close()
			if err := s.Close(); err != nil {
				t.Errorf("second close: %v", err)
			}
			for name, err := range afterClose(w, s) {
				if !errors.Is(err, store.ErrClosed) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if !w.place.Durable {
				return
			}
			w.open()
			wantEntries(t, w.read("c", 0, 10), texts("c", 0, 1).Entries)
		}},
	{"life/close under load", "Close waits for what is under way, refuses what comes, and lets go of the store.",
		"an acknowledgement that Close takes back; a caller that waits for ever", closeUnderLoad},
}

// afterClose calls everything on a closed store.
func afterClose(w *world, s store.Store) map[string]error {
	out := map[string]error{"writable": s.Writable(), "append": s.Append(w.ctx(), texts("c", 1, 1))}
	_, out["load"] = s.Load(w.ctx(), "c")
	_, out["read"] = s.Read(w.ctx(), "c", 0, 1)
	_, out["find"] = s.Find(w.ctx(), "c", "m1", 0)
	_, out["acts"] = s.Acts(w.ctx(), "c", 1, 1)
	out["erase"] = s.Erase(w.ctx(), "c", []parley.Seq{1})
	_, out["dirty"] = s.DirtyAfter(w.ctx(), nil, "", 1)
	out["settle"] = s.Settle(w.ctx(), "c", 1)
	_, out["conversations"] = s.Conversations(w.ctx(), "", 1)
	_, out["users"] = s.Users(w.ctx(), "", 1)
	_, out["partitions"] = s.Partitions(w.ctx(), "", 1)
	_, out["load inbox"] = s.LoadInbox(w.ctx(), "u")
	out["write inboxes"] = s.WriteInboxes(w.ctx(), []*store.InboxWrite{{User: "u", Rows: []parley.Row{row("c", 1)}}})
	_, out["get record"] = s.GetRecord(w.ctx(), "p", "k")
	_, out["list records"] = s.ListRecords(w.ctx(), "p", "", "", 1)
	out["commit records"] = s.CommitRecords(w.ctx(), "p", []store.Change{put("k", 0, "v")})
	return out
}

func closeUnderLoad(t *testing.T, w *world) {
	const writers = 8
	var acked [writers]parley.Seq
	var total atomic.Int64
	enough := make(chan struct{})
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for {
				err := w.s.Append(w.ctx(), texts(lane(i), acked[i], 1))
				if errors.Is(err, store.ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				acked[i]++
				if total.Add(1) == 100 {
					close(enough)
				}
			}
		})
	}
	<-enough
	s := w.s
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	wg.Wait()
	if !w.place.Durable {
		return
	}
	w.open()
	for i := range writers {
		if h := w.load(lane(i)); h.Seq != acked[i] {
			t.Errorf("writer %d has %d acknowledged, the head is %d", i, acked[i], h.Seq)
		}
	}
}

func lane(i int) parley.ConversationID { return parley.ConversationID(fmt.Sprintf("lane-%d", i)) }

var concurrencyCases = []testCase{
	{"concurrent/one conversation", "It succeeds if the partition is still where the writer thinks it is, else Conflict.",
		"two owners of one conversation that are both told yes", contended},
	{"concurrent/many conversations", "Concurrent appends to different conversations share their syncs.",
		"commits that mix up whose condition failed",
		func(t *testing.T, w *world) {
			const writers, each = 32, 20
			var wg sync.WaitGroup
			for i := range writers {
				wg.Go(func() {
					for seq := range parley.Seq(each) {
						if err := w.s.Append(w.ctx(), texts(lane(i), seq, 1)); err != nil {
							t.Errorf("append: %v", err)
						}
						if err := w.s.Append(w.ctx(), texts(lane(i), seq, 1)); !errors.Is(err, store.ErrConflict) {
							t.Errorf("the same append again: %v", err)
						}
					}
				})
			}
			wg.Wait()
			w.again()
			for i := range writers {
				wantEntries(t, w.read(lane(i), 0, 2*each), texts(lane(i), 0, each).Entries)
			}
		}},
	{"concurrent/read your writes", "It happened when Append returns: whoever reads after that sees it.",
		"a reader that is shown a state older than an acknowledgement",
		func(t *testing.T, w *world) {
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					for seq := parley.Seq(0); seq < 30; seq++ {
						if err := w.s.Append(w.ctx(), texts(lane(i), seq, 1)); err != nil {
							t.Errorf("append: %v", err)
							return
						}
						h, err := w.s.Load(w.ctx(), lane(i))
						if err != nil || h.Seq != seq+1 {
							t.Errorf("head is %d after the append of %d: %v", h.Seq, seq+1, err)
						}
						if got, err := w.s.Find(w.ctx(), lane(i), messageID(seq+1), seq); err != nil || got != seq+1 {
							t.Errorf("found at %d: %v", got, err)
						}
					}
				})
			}
			wg.Wait()
		}},
	{"concurrent/one inbox", "If the inbox's position is still Base; otherwise ErrConflict.", "a position given to two rows",
		func(t *testing.T, w *world) {
			var won atomic.Int64
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					one := &store.InboxWrite{User: "u", Rows: []parley.Row{row(lane(i), 1)}}
					if err := w.s.WriteInboxes(w.ctx(), []*store.InboxWrite{one}); err != nil {
						t.Errorf("write: %v", err)
					}
					if one.Err == nil {
						won.Add(1)
					}
				})
			}
			wg.Wait()
			if won.Load() != 1 || len(w.inbox("u").Rows) != 1 {
				t.Errorf("%d writers won, %d rows stand", won.Load(), len(w.inbox("u").Rows))
			}
		}},
	{"concurrent/one record", "CommitRecords applies the changes … if each record still has the version.", "a counter that loses an increment",
		func(t *testing.T, w *world) {
			const writers, each = 8, 10
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for done := 0; done < each; {
						r, err := w.s.GetRecord(w.ctx(), "p", "n")
						if err != nil {
							t.Errorf("get: %v", err)
							return
						}
						switch err := w.s.CommitRecords(w.ctx(), "p", []store.Change{put("n", r.Version, "v")}); {
						case err == nil:
							done++
						case !errors.Is(err, store.ErrConflict):
							t.Errorf("commit: %v", err)
							return
						}
					}
				})
			}
			wg.Wait()
			if r := w.record("p", "n"); r.Version != writers*each {
				t.Errorf("version is %d after %d changes", r.Version, writers*each)
			}
		}},
}

// contended lets owners of one conversation append at what they believe is
// its head; each number must be won by exactly one of them.
func contended(t *testing.T, w *world) {
	const owners, each = 8, 15
	winners := make([][]parley.Seq, owners)
	var wg sync.WaitGroup
	for i := range owners {
		wg.Go(func() {
			for len(winners[i]) < each {
				h, err := w.s.Load(w.ctx(), "c")
				if err != nil {
					t.Errorf("load: %v", err)
					return
				}
				a := texts("c", h.Seq, 1)
				a.Entries[0].Device = parley.DeviceID(lane(i))
				switch err := w.s.Append(w.ctx(), a); {
				case err == nil:
					winners[i] = append(winners[i], h.Seq+1)
				case !errors.Is(err, store.ErrConflict):
					t.Errorf("append: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	w.again()
	all := w.read("c", 0, 2*owners*each)
	if len(all) != owners*each {
		t.Fatalf("%d entries stand, %d were acknowledged", len(all), owners*each)
	}
	for i, seqs := range winners {
		for _, seq := range seqs {
			if all[seq-1].Device != parley.DeviceID(lane(i)) {
				t.Errorf("owner %d was told yes for %d, which is not its own", i, seq)
			}
		}
	}
}
