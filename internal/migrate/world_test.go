package migrate_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/migrate"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
	"github.com/parley-im/parley/internal/store/pebblestore"
)

// source is a store with a life: what it holds came by steps that an engine's
// callers take.
type source struct {
	t     *testing.T
	s     store.Store
	rng   *rand.Rand
	heads map[parley.ConversationID]store.Head
	pos   map[parley.UserID]parley.Pos
	vers  map[string]map[string]uint64
	ids   string // stands in the ids that add makes
}

func newSource(t *testing.T, s store.Store, seed uint64) *source {
	return &source{t: t, s: s, rng: rand.New(rand.NewPCG(seed, 7)),
		heads: map[parley.ConversationID]store.Head{}, pos: map[parley.UserID]parley.Pos{}, vers: map[string]map[string]uint64{}}
}

func (w *source) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func conversation(i int) parley.ConversationID {
	return parley.ConversationID(fmt.Sprintf("conv-%d", i))
}

// say appends n entries of every shape to a conversation.
func (w *source) say(c parley.ConversationID, n int) {
	w.t.Helper()
	for n > 0 {
		h := w.heads[c]
		a, settled := store.Append{Conversation: c, Base: h.Seq}, w.rng.IntN(2) != 0
		for range min(n, store.Room(h.Seq), 1+w.rng.IntN(400)) {
			h.Seq++
			n--
			a.Entries = append(a.Entries, w.entry(c, &h))
		}
		if h.State == nil || w.rng.IntN(4) == 0 {
			h.State = &parley.Conversation{ID: c, Kind: parley.Group, Title: fmt.Sprint("title ", h.Seq), Created: at(1),
				Members: []parley.Member{{User: "ann", Role: parley.RoleOwner, Since: 1}, {User: "bob", Role: parley.RoleMember, Since: h.Seq, Until: h.Seq}}, Pins: []parley.Seq{h.Seq, 1}}
			a.State = h.State
		}
		w.must(w.s.Append(w.t.Context(), a))
		if settled {
			w.must(w.s.Settle(w.t.Context(), c, h.Seq))
		}
		w.eraseDeleted(c)
		w.heads[c] = h
	}
}

// eraseDeleted erases what deletes take: the message and its edits.
func (w *source) eraseDeleted(c parley.ConversationID) {
	w.t.Helper()
	acts, err := w.s.Acts(w.t.Context(), c, 1, w.heads[c].Seq+store.BucketSize)
	w.must(err)
	deleted := map[parley.Seq]bool{}
	for _, a := range acts {
		deleted[a.Target] = deleted[a.Target] || a.Kind == parley.KindDelete
	}
	var gone []parley.Seq
	for _, a := range acts {
		if deleted[a.Target] {
			gone = append(gone, a.Target)
			if a.Kind == parley.KindEdit {
				gone = append(gone, a.Seq)
			}
		}
	}
	w.must(w.s.Erase(w.t.Context(), c, gone))
}

func at(n parley.Seq) time.Time { return time.UnixMilli(1772366400000 + int64(n)).UTC() }

func (w *source) entry(c parley.ConversationID, h *store.Head) parley.Entry {
	e := parley.Entry{Conversation: c, Seq: h.Seq, Kind: parley.KindMessage, ID: parley.MessageID(fmt.Sprint("m", h.Seq)),
		Sender: "ann", Device: "v1", At: at(h.Seq), Body: parley.Body{Type: parley.TextPlain, Data: fmt.Appendf(nil, "text %d", h.Seq)}}
	switch w.rng.IntN(24) {
	case 0, 1, 2, 3:
		e.Kind, e.Ref, e.Device, e.Body = parley.KindEdit, h.Seq-1, "", parley.Body{Type: "x/y"}
	case 4, 5, 6, 7:
		e.ReplyTo, e.Sender = h.Seq-1, "bob"
	case 8, 9:
		e.Mentions, e.Forwarded, e.Withheld = []parley.UserID{"ann", "bob"}, true, []parley.UserID{"eve"}
	case 10, 11:
		e.Kind, e.Ref, e.Withheld = parley.KindReaction, 1+parley.Seq(w.rng.IntN(int(h.Seq))), []parley.UserID{"eve"}
	case 12:
		e.Kind, e.Ref, e.Body = parley.KindDelete, 1+parley.Seq(w.rng.IntN(int(h.Seq))), parley.Body{}
	}
	if e.Kind == parley.KindMessage {
		h.Count++
	}
	e.Count = h.Count
	return e
}

// move changes rows of a user's inbox.
func (w *source) move(u parley.UserID, conversations ...int) {
	w.t.Helper()
	one := &store.InboxWrite{User: u, Base: w.pos[u]}
	for _, i := range conversations {
		w.pos[u] += 1 + parley.Pos(w.rng.IntN(3))
		n := parley.Seq(w.rng.IntN(90) + 5)
		one.Rows = append(one.Rows, parley.Row{Conversation: conversation(i), Kind: parley.Group, Pos: w.pos[u], Since: 1, Head: n, Count: uint64(n),
			Delivered: n, Read: n - 2, ReadCount: uint64(n) - 2, Own: []parley.Run{{From: n, To: n}}, Past: []parley.Checkpoint{{Head: 0}, {Pos: w.pos[u] - 1, Head: n - 1}},
			Mentioned: []parley.Seq{n - 1}, Spoke: n%2 == 0, Personal: parley.Personal{Muted: at(n), Pinned: n%3 == 0, Archived: n%5 == 0,
				Hidden: []parley.Run{{From: 1, To: 2}}, Draft: parley.Draft{Text: "draft", ReplyTo: n, At: at(n)}}})
	}
	w.must(w.s.WriteInboxes(w.t.Context(), []*store.InboxWrite{one}))
	w.must(one.Err)
}

// put writes a record, or removes it when value is empty.
func (w *source) put(partition, key, value string) {
	w.t.Helper()
	p := w.vers[partition]
	if p == nil {
		p = map[string]uint64{}
		w.vers[partition] = p
	}
	w.must(w.s.CommitRecords(w.t.Context(), partition, []store.Change{{Key: key, Version: p[key], Value: []byte(value), Remove: value == ""}}))
	if p[key]++; value == "" {
		delete(p, key)
	}
}

// fill gives the source some of everything, and of everything more than one
// step of a copy takes.
func (w *source) fill() {
	w.say(conversation(0), store.BucketSize+300) // over the edge of a bucket
	for i := 1; i < 30; i++ {
		w.say(conversation(i), 1+w.rng.IntN(40))
	}
	for u := range 20 {
		w.move(parley.UserID(fmt.Sprint("u", u)), w.rng.Perm(30)[:1+w.rng.IntN(20)]...)
	}
	var all []int
	for i := range 300 {
		all = append(all, i)
	}
	w.move("busy", all...)
	for i := range 40 {
		w.put(fmt.Sprint("user/", i%7), fmt.Sprint("k", i), fmt.Sprint("value ", i))
	}
	w.put("user/0", "k0", "changed")
	w.put("user/1", "k1", "")
	w.put("cluster/nodes", "a", "a row of the node table")
}

// grow is what people do while a copy is made.
func (w *source) grow() {
	w.say(conversation(0), 5)
	w.say(conversation(3), 700)
	w.say(conversation(99), 2)
	w.move("u1", 3, 99)
	w.move("new", 99)
	w.put("user/2", "k2", "other")
	w.put("user/3", "k3", "")
	w.put("user/new", "k", "v")
	for i := range 40 { // a partition that goes away wholly
		if i%7 == 4 {
			w.put("user/4", fmt.Sprint("k", i), "")
		}
	}
}

// content is everything in a store that a copy has to bring, read by the
// contract alone.
type content struct {
	Entries map[parley.ConversationID][]parley.Entry
	Acts    map[parley.ConversationID][]parley.Act
	States  map[parley.ConversationID]*parley.Conversation
	Dirty   []parley.ConversationID
	Inboxes map[parley.UserID]store.Inbox
	Records map[string]map[string]string
}

func contentOf(t *testing.T, s store.Store) content {
	t.Helper()
	ctx := t.Context()
	c := content{Entries: map[parley.ConversationID][]parley.Entry{}, Acts: map[parley.ConversationID][]parley.Act{}, States: map[parley.ConversationID]*parley.Conversation{},
		Inboxes: map[parley.UserID]store.Inbox{}, Records: map[string]map[string]string{}}
	ids, err := s.Conversations(ctx, "", 10000)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		h, err := s.Load(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		c.States[id] = h.State
		if c.Entries[id], err = s.Read(ctx, id, 0, 1<<20); err != nil {
			t.Fatal(err)
		}
		if c.Acts[id], err = s.Acts(ctx, id, 1, h.Seq); err != nil {
			t.Fatal(err)
		}
		for i := range c.Entries[id] {
			if e := &c.Entries[id][i]; len(e.Body.Data) == 0 {
				e.Body.Data = nil
			}
		}
	}
	if c.Dirty, err = s.DirtyAfter(ctx, nil, "", 10000); err != nil {
		t.Fatal(err)
	}
	slices.Sort(c.Dirty)
	users, err := s.Users(ctx, "", 10000)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		if c.Inboxes[u], err = s.LoadInbox(ctx, u); err != nil {
			t.Fatal(err)
		}
	}
	partitions, err := s.Partitions(ctx, "", 10000)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range partitions {
		if p == "cluster/nodes" || p == "migrate" {
			continue
		}
		rs, err := s.ListRecords(ctx, p, "", "", 10000)
		if err != nil {
			t.Fatal(err)
		}
		c.Records[p] = map[string]string{}
		for _, r := range rs {
			c.Records[p][r.Key] = string(r.Value)
		}
	}
	return c
}

func wantSame(t *testing.T, from, to store.Store) {
	t.Helper()
	want, got := contentOf(t, from), contentOf(t, to)
	for i := range reflect.TypeFor[content]().NumField() {
		if a, b := reflect.ValueOf(want).Field(i).Interface(), reflect.ValueOf(got).Field(i).Interface(); !reflect.DeepEqual(a, b) {
			t.Errorf("%s of the two stores are not the same", reflect.TypeFor[content]().Field(i).Name)
		}
	}
}

func openPebble(t *testing.T) store.Store {
	t.Helper()
	s, err := pebblestore.Open(pebblestore.Options{FS: vfs.NewMem(), Dir: "data"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func begin(t *testing.T, to, from store.Store) *migrate.Copy {
	t.Helper()
	c, err := migrate.Begin(t.Context(), migrate.Config{To: to}, from)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// carry is a whole copy of a store that rests.
func carry(t *testing.T, from, to store.Store) (migrate.Counts, string) {
	t.Helper()
	c := begin(t, to, from)
	if err := c.Pass(t.Context(), from, migrate.Counts{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c.Report()
}

// wantRefused wants a coded error with a sentence.
func wantRefused(t *testing.T, err error, code parley.Code) {
	t.Helper()
	if e, ok := errors.AsType[*parley.Error](err); !ok || e.Code != code || e.Detail == "" {
		t.Errorf("got %v, want a sentence with the code %s", err, code)
	}
}

var _ store.Store = (*memstore.Store)(nil)
