package convo_test

import (
	"context"
	crand "crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/convo"
	"github.com/parley-im/parley/internal/fold"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
)

// fault is what a race may have broken in it on purpose.
type fault string

const (
	none         fault = ""
	blocksBefore fault = "blocks are looked up before the commit, not at it"
	noErasure    fault = "a delete leaves the bodies in the store"
	noTombstone  fault = "a delete leaves no trace to fold"
	exMember     fault = "who was removed is still delivered to"
)

// race is one interleaving: a group of four, two owners on one store that both
// believe to own it, every call to the store taking its time, and everybody
// doing what they like. What came of it is judged by race.check.
//
// "ann" writes, edits and deletes; "bob" blocks ann and unblocks her; "cem" is
// removed and let in again, and writes; "dan" owns the group.
type race struct {
	fault  fault
	unsure bool // the store now and then does not know what became of a write
	store  *memstore.Store
	log    slow
	owners [2]*convo.Owner
	blocks blocks
	early  map[parley.UserID][]parley.UserID // of blocksBefore: the first answers
	c      parley.ConversationID

	mu      sync.Mutex
	rand    *rand.Rand
	clock   int // counts what begins and what ends
	ids     int
	said    []*said
	changes []span // of bob's changes, in order: on, off, on, …
	told    map[parley.UserID]map[parley.Seq]int
	read    map[parley.UserID]map[parley.Seq]bool
	wrong   []string
	failed  int
}

// span is when something began and when it was answered; 0: not yet.
type span struct{ began, ended int }

// said is a message and all that it was edited to.
type said struct {
	span
	seq     parley.Seq // 0: not answered
	sender  parley.UserID
	texts   []string
	deleted int // when a delete was acknowledged; 0: not yet
}

// slow is the store, each call of which takes a moment before and after.
type slow struct {
	*memstore.Store
	r *race
}

func (s slow) Append(ctx context.Context, a store.Append) error {
	defer s.r.pause(s.r.pause())
	err := s.Store.Append(ctx, a)
	if err == nil && s.r.fails() {
		return store.ErrUnavailable // and yet it happened
	}
	return err
}

func (s slow) Load(ctx context.Context, c parley.ConversationID) (store.Head, error) {
	defer s.r.pause(s.r.pause())
	return s.Store.Load(ctx, c)
}

func (s slow) Acts(ctx context.Context, c parley.ConversationID, from, to parley.Seq) ([]parley.Act, error) {
	defer s.r.pause(s.r.pause())
	acts, err := s.Store.Acts(ctx, c, from, to)
	if s.r.fault == noTombstone {
		kept := acts[:0]
		for _, a := range acts {
			if a.Kind != parley.KindDelete {
				kept = append(kept, a)
			}
		}
		acts = kept
	}
	return acts, err
}

func (s slow) Erase(ctx context.Context, c parley.ConversationID, seqs []parley.Seq) error {
	defer s.r.pause(s.r.pause())
	if s.r.fault == noErasure || s.r.fault == noTombstone {
		return nil
	}
	if s.r.fails() {
		return store.ErrUnavailable
	}
	return s.Store.Erase(ctx, c, seqs)
}

// Blockers implements convo.Blocks.
func (r *race) Blockers(ctx context.Context, sender parley.UserID) ([]parley.UserID, error) {
	defer r.pause(r.pause())
	users, err := r.blocks.Blockers(ctx, sender)
	if r.fault == blocksBefore {
		r.mu.Lock()
		defer r.mu.Unlock()
		if early, ok := r.early[sender]; ok {
			return early, err
		}
		r.early[sender] = users
	}
	return users, err
}

// Blocks implements convo.Blocks.
func (r *race) Blocks(ctx context.Context, user parley.UserID) ([]parley.UserID, error) {
	defer r.pause(r.pause())
	return r.blocks.Blocks(ctx, user)
}

// Publish implements convo.Publisher: it delivers as fanout does, to whom the
// state says.
func (r *race) Publish(c *parley.Conversation, entries []parley.Entry, told func(error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer told(nil)
	for _, m := range c.Members {
		if m.Until != 0 && r.fault != exMember && m.Until < entries[0].Seq {
			continue
		}
		for _, e := range entries {
			if e.Seq >= m.Since && (m.Until == 0 || r.fault == exMember || e.Seq <= m.Until) {
				r.told[m.User][e.Seq]++
			}
		}
	}
}

func (r *race) Confirm(_ *parley.Conversation, _ *parley.Entry, told func(error)) { told(nil) }

// pause lets the others run for a moment of its choice. It takes and returns
// nothing, so that "defer r.pause(r.pause())" pauses now and at the end.
func (r *race) pause(...struct{}) (_ struct{}) {
	<-time.After(time.Duration(r.n(4)) * time.Millisecond)
	return
}

// fails is true now and then, where the store is unsure of itself.
func (r *race) fails() bool {
	if !r.unsure || r.n(8) > 0 {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed++
	return true
}

func (r *race) n(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rand.IntN(n)
}

func (r *race) now() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock++
	return r.clock
}

func (r *race) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

// post posts at one of the owners. Whoever else wrote is no reason to give up.
func (r *race) post(p parley.Post) (parley.Ack, error) {
	r.mu.Lock()
	r.ids++
	p.Conversation, p.ID = r.c, parley.MessageID(fmt.Sprint("p", r.ids))
	r.mu.Unlock()
	for {
		ack, err := postWith(r.owners[r.n(2)], p)
		if err == nil || parley.CodeOf(err).Retry() == parley.GiveUp {
			return ack, err
		}
	}
}

func textBody(s string) parley.Body { return parley.Body{Type: parley.TextPlain, Data: []byte(s)} }

func (r *race) say(u parley.UserID) {
	s := &said{sender: u, span: span{began: r.now()}}
	r.mu.Lock()
	s.texts = []string{fmt.Sprintf("<%s %d>", u, len(r.said))}
	r.said = append(r.said, s)
	r.mu.Unlock()
	ack, err := r.post(parley.Post{Sender: u, Body: textBody(s.texts[0])})
	ended := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		s.seq, s.ended = ack.Seq, ended
	}
}

// one picks a message that ann said.
func (r *race) one() *said {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*said
	for _, s := range r.said {
		if s.seq != 0 && s.sender == "ann" {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[r.rand.IntN(len(all))]
}

func (r *race) edit() {
	s := r.one()
	if s == nil {
		return
	}
	r.mu.Lock()
	text := fmt.Sprintf("%s edit %d>", s.texts[0], len(s.texts))
	s.texts = append(s.texts, text)
	r.mu.Unlock()
	_, err := r.post(parley.Post{Sender: "ann", Kind: parley.KindEdit, Ref: s.seq, Body: textBody(text)})
	if err != nil && parley.CodeOf(err) != parley.Conflict {
		r.note("an edit of one's own: %v", err)
	}
}

func (r *race) delete(by parley.UserID) {
	s := r.one()
	if s == nil {
		return
	}
	if _, err := r.post(parley.Post{Sender: by, Kind: parley.KindDelete, Ref: s.seq}); err != nil {
		r.note("a delete: %v", err)
		return
	}
	ended := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.deleted == 0 {
		s.deleted = ended
	}
}

// block blocks ann, and the next time unblocks her.
func (r *race) block() {
	began := r.now()
	r.pause()
	r.mu.Lock()
	on := len(r.changes)%2 == 0
	r.mu.Unlock()
	r.blocks.set("bob", "ann", on)
	r.pause()
	ended := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, span{began, ended})
}

// admit removes cem, or lets cem in.
func (r *race) admit(in bool) {
	b := parley.MembersBody{Remove: users("cem")}
	if in {
		b = parley.MembersBody{Add: users("cem")}
	}
	data, _ := json.Marshal(b)
	if _, err := r.post(parley.Post{Sender: "dan", Kind: parley.KindMembers, Body: parley.Body{Type: parley.MembersType, Data: data}}); err != nil {
		r.note("a change of members: %v", err)
	}
}

// look reads all that u may read, as a page and as a stream, and all that is
// there: what was deleted by then must not be in it.
func (r *race) look(u parley.UserID) {
	began := r.now()
	ctx := context.Background()
	_, m, head, err := r.owners[r.n(2)].Get(ctx, u, r.c)
	if err != nil {
		r.note("%s does not see the group: %v", u, err)
		return
	}
	raw, _ := r.log.Read(ctx, r.c, 0, 1000)
	entries, _ := r.log.Read(ctx, r.c, m.Since-1, int(head-m.Since+1))
	f := fold.Folder{Acts: r.log, Log: r.log}
	gone, _ := f.Deleted(ctx, r.c, entries)
	for _, e := range entries {
		raw = append(raw, fold.Scrub(u, e, gone))
	}
	if err := f.Page(ctx, r.c, fold.Reader{User: u, Since: m.Since, Head: head}, entries); err != nil {
		r.note("a page: %v", err)
	}
	all := append(raw, entries...)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range entries {
		r.read[u][e.Seq] = true
	}
	for _, s := range r.said {
		if s.deleted == 0 || s.deleted > began {
			continue
		}
		for _, e := range all {
			for _, text := range s.texts {
				if string(e.Body.Data) == text {
					r.wrong = append(r.wrong, fmt.Sprintf("P8: %s reads %q at %d after it was deleted", u, text, e.Seq))
				}
			}
		}
	}
}

// run has everybody do what they like.
func (r *race) run() {
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 3 + r.n(4) {
			switch r.n(6) {
			case 0:
				r.edit()
			case 1:
				r.delete("ann")
			case 2:
				r.look("ann")
			default:
				r.say("ann")
			}
			r.pause()
		}
	})
	wg.Go(func() {
		for range 2 + r.n(3) {
			if r.n(3) == 0 {
				r.look("bob")
			} else {
				r.block()
			}
			r.pause()
		}
	})
	wg.Go(func() {
		for range 1 + r.n(4) {
			if r.n(2) == 0 {
				r.look("cem")
			} else {
				r.say("cem")
			}
			r.pause()
		}
	})
	wg.Go(func() {
		in := true
		for range 1 + r.n(4) {
			if r.n(3) == 0 {
				r.delete("dan")
			} else {
				in = !in
				r.admit(in)
			}
			r.pause()
		}
	})
	wg.Wait()
	for _, u := range users("ann", "bob", "cem", "dan") {
		r.look(u)
	}
}

// runRace runs one interleaving and returns what is wrong with it.
func runRace(t *testing.T, seed uint64, f fault, s *seen) (wrong []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &race{
			fault: f, store: memstore.New(), rand: rand.New(rand.NewPCG(seed, 19)),
			early: make(map[parley.UserID][]parley.UserID),
			told:  make(map[parley.UserID]map[parley.Seq]int), read: make(map[parley.UserID]map[parley.Seq]bool),
		}
		r.log = slow{r.store, r}
		for _, u := range users("ann", "bob", "cem", "dan") {
			r.told[u], r.read[u] = make(map[parley.Seq]int), make(map[parley.Seq]bool)
		}
		for i := range r.owners {
			r.owners[i] = convo.New(convo.Config{
				Log: r.log, Acts: r.log, Publisher: r, Blocks: r, Now: time.Now, Rand: crand.Reader, Logger: slog.New(slog.DiscardHandler),
				Term: func(parley.ConversationID) uint64 { return 0 }, // each knows of the other
			})
		}
		c, _, err := r.owners[0].Create(t.Context(), "dan", parley.Group, "race", users("ann", "bob", "cem"))
		if err != nil {
			t.Fatal(err)
		}
		r.c, r.unsure = c.ID, seed%2 == 1
		r.run()
		for _, o := range r.owners {
			o.Close(context.Background())
		}
		wrong = r.check()
		s.add(r)
	})
	return wrong
}

// TestRaces (T19) races blocks, deletes, edits, removals and posts at the
// commit, and judges P8, P9 and C9.
func TestRaces(t *testing.T) {
	begun := time.Now()
	var n int
	var s seen
	for ; n < interleavings && time.Since(begun) < 18*time.Second; n++ {
		if wrong := runRace(t, uint64(n), none, &s); len(wrong) > 0 {
			t.Fatalf("seed %d:\n%s", n, strings.Join(wrong, "\n"))
		}
	}
	t.Logf("%d interleavings in %v: %+v", n, time.Since(begun).Round(time.Millisecond), s)
	if least := min(s.withheld, s.must, s.mustNot, s.deleted, s.edits, s.removals, s.unsure, s.refused); least < n/10 {
		t.Errorf("%d interleavings saw too little: %+v", n, s)
	}
}

// TestRacesFindFaults: the races fail on each fault that they are for.
func TestRacesFindFaults(t *testing.T) {
	for f, promise := range map[fault]string{blocksBefore: "P9", noErasure: "P8", noTombstone: "P8", exMember: "C9"} {
		found := func() bool {
			for seed := range uint64(300) {
				for _, w := range runRace(t, seed, f, new(seen)) {
					if strings.HasPrefix(w, promise) {
						return true
					}
				}
			}
			return false
		}
		if !found() {
			t.Errorf("%s: 300 races saw nothing", f)
		}
	}
}
