package inbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/fanout"
	"github.com/parley-im/parley/internal/inbox"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
)

// foe is somebody whom me blocked: what foe says is withheld from me.
const foe = parley.UserID("u-foe")

// talk is one conversation, a log that is the truth, and two keepers over one
// store that are told of it badly: late, again, in another order, or never.
type talk struct {
	t       *testing.T
	rng     *rand.Rand
	store   *memstore.Store
	keepers [2]*inbox.Keeper
	state   *parley.Conversation
	log     []parley.Entry
	batches [][2]int // stretches of log that were committed at once

	// what the rows must come to
	read     parley.Seq   // the farthest marker of this membership
	anew     parley.Seq   // this membership began after it
	begins   []parley.Seq // so did those before
	personal parley.Personal

	devices [3]device
}

// device is a client of me: how far it has read its inbox, and what it has.
type device struct {
	cursor parley.Cursor
	had    parley.Seq
}

// told takes advances of me to a keeper.
type told struct{ keeper *inbox.Keeper }

func (o told) Advance(u parley.UserID, a parley.Advance) {
	if u == me {
		o.keeper.Advance(u, a)
	}
}
func (told) Flush(context.Context) error { return nil }

const theTalk = parley.ConversationID("g1")

func newTalk(t *testing.T, seed uint64) *talk {
	k := &talk{t: t, rng: rand.New(rand.NewPCG(seed, 3)), store: memstore.New()}
	for i := range k.keepers {
		k.open(i)
	}
	since := parley.Seq(1 + k.rng.IntN(3))
	k.state = &parley.Conversation{ID: theTalk, Kind: parley.Group, Members: []parley.Member{{User: me, Since: since}, {User: you, Since: 1}, {User: foe, Since: 1}}}
	k.anew, k.read, k.begins = since-1, since-1, []parley.Seq{since - 1}
	k.say(parley.KindMembers, you)
	k.say(parley.KindMessage, you, me)
	k.say(parley.KindMessage, foe)
	k.batches = append(k.batches, [2]int{0, 3})
	return k
}

func (k *talk) open(i int) {
	k.keepers[i] = inbox.New(inbox.Config{
		Store: k.store, Log: k.store, Logger: slog.New(slog.DiscardHandler), Changed: func(parley.UserID) {},
		Term: func(parley.UserID) uint64 { return 0 }, Coalesce: time.Microsecond,
	})
}

func (k *talk) close(ctx context.Context) {
	for _, keeper := range k.keepers {
		_ = keeper.Close(ctx)
	}
	_ = k.store.Close()
}

func (k *talk) keeper() *inbox.Keeper { return k.keepers[k.rng.IntN(2)] }

// say commits one entry, with the state as it is by then.
func (k *talk) say(kind parley.Kind, sender parley.UserID, mentions ...parley.UserID) parley.Seq {
	k.t.Helper()
	e := parley.Entry{
		Conversation: theTalk, Seq: parley.Seq(len(k.log) + 1), Kind: kind, Sender: sender, Mentions: mentions,
		ID: parley.MessageID(fmt.Sprint(len(k.log))), Body: parley.Body{Type: parley.TextPlain, Data: []byte("x")},
	}
	if len(k.log) > 0 {
		e.Count = k.log[len(k.log)-1].Count
	}
	if kind == parley.KindMessage {
		e.Count++
	}
	if sender == foe {
		e.Withheld = []parley.UserID{me}
	}
	state := *k.state
	state.Members = slices.Clone(k.state.Members)
	if err := k.store.Append(k.t.Context(), store.Append{Conversation: theTalk, Base: e.Seq - 1, Entries: []parley.Entry{e}, State: &state}); err != nil {
		k.t.Fatal(err)
	}
	k.log = append(k.log, e)
	return e.Seq
}

// mine is the membership of me as the log says.
func (k *talk) mine() *parley.Member { return &k.state.Members[0] }

// head is how far me may read.
func (k *talk) head() parley.Seq {
	head := parley.Seq(len(k.log))
	if u := k.mine().Until; u != 0 {
		head = min(head, u)
	}
	return head
}

// go on talking: a batch of some entries, with a change of membership or not.
func (k *talk) talk() {
	from := len(k.log)
	for range 1 + k.rng.IntN(4) {
		m := k.mine()
		seq := parley.Seq(len(k.log) + 1)
		switch r := k.rng.IntN(14); {
		case r == 0 && m.Until == 0 && seq > m.Since:
			m.Until = seq
			k.say(parley.KindMembers, you)
		case r < 3 && m.Until != 0:
			if k.rng.IntN(3) == 0 {
				k.sweep() // or the row would go on from a membership before the last
				k.row()
				m.Since, m.Until = 1, 0 // reads from the start
			} else {
				m.Since, m.Until, k.anew, k.read = seq, 0, seq-1, seq-1
				k.begins = append(k.begins, seq-1)
			}
			k.say(parley.KindMembers, you)
		case r < 6 && m.Until == 0:
			k.say(parley.KindMessage, me, you)
		case r < 8:
			k.say(parley.KindMessage, foe)
		case r < 9:
			k.say(parley.KindReaction, you)
		case r < 11 && m.Until == 0:
			k.say(parley.KindMessage, you, foe, me)
		default:
			k.say(parley.KindMessage, you)
		}
	}
	k.batches = append(k.batches, [2]int{from, len(k.log)})
	if k.rng.IntN(4) > 0 {
		k.publish(len(k.batches) - 1)
	}
}

// publish tells a keeper of a batch, by what the state is now.
func (k *talk) publish(i int) {
	f := fanout.New(fanout.Config{Inboxes: told{k.keeper()}, Log: k.store, Logger: slog.New(slog.DiscardHandler)})
	f.Deliver(k.state, k.log[k.batches[i][0]:k.batches[i][1]], k.rng.IntN(2) == 0)
}

// sweep tells a keeper where the log stands, and nothing else.
func (k *talk) sweep() {
	m, last := k.mine(), &k.log[len(k.log)-1]
	k.keeper().Advance(me, parley.Advance{Conversation: theTalk, Kind: parley.Group, Since: m.Since, Until: m.Until, From: last.Seq, Head: last.Seq, Count: last.Count})
}

// row is the row in the store, once all that was noted is there.
func (k *talk) row() (parley.Row, parley.Pos) {
	k.t.Helper()
	for _, keeper := range k.keepers {
		if err := keeper.Flush(k.t.Context()); err != nil {
			k.t.Fatal(err)
		}
	}
	in, err := k.store.LoadInbox(k.t.Context(), me)
	if err != nil || len(in.Rows) > 1 {
		k.t.Fatalf("%d rows, %v", len(in.Rows), err)
	}
	if len(in.Rows) == 0 {
		return parley.Row{}, 0
	}
	return in.Rows[0], in.Pos
}

// mark moves the read marker to a number that there is.
func (k *talk) mark() {
	r, _ := k.row()
	if r.Head <= k.anew {
		return // of a membership that the row does not know of yet
	}
	read := k.anew + 1 + parley.Seq(k.rng.IntN(int(r.Head-k.anew)))
	k.keeper().MarkSoon(me, theTalk, read, read)
	k.read = max(k.read, read)
}

// wish changes something personal.
func (k *talk) wish() {
	r, _ := k.row()
	if r.Head == 0 {
		return
	}
	yes, at := k.rng.IntN(2) == 0, time.UnixMilli(int64(k.rng.IntN(1000))).UTC()
	n := parley.Seq(1 + k.rng.IntN(int(r.Head)))
	c := []parley.PersonalChange{
		{Archived: &yes}, {Pinned: &yes, Muted: &at}, {Hide: []parley.Run{{From: n, To: n}}}, {Draft: &parley.Draft{Text: "d", At: at}},
	}[k.rng.IntN(4)]
	if _, err := k.personal.Apply(c, r.Head); err != nil {
		k.t.Fatal(err)
	}
	got, err := k.keeper().Personal(k.t.Context(), me, theTalk, c)
	if err != nil || !reflect.DeepEqual(got.Personal, k.personal) {
		k.t.Fatalf("wished %+v: %+v, %v; want %+v", c, got.Personal, err, k.personal)
	}
	if moved, _ := k.row(); moved.Moved() != r.Moved() && moved.Head == r.Head {
		k.t.Errorf("a wish reorders the list: it moved at %d, and now at %d", r.Moved(), moved.Moved())
	}
}

// sync has a device catch up, as the row allows, and checks that it is given
// nothing that it has and nothing is left out.
func (k *talk) sync() {
	r, pos := k.row()
	d := &k.devices[k.rng.IntN(len(k.devices))]
	if r.Pos <= d.cursor.Pos {
		return
	}
	begun := parley.Seq(0) // where the membership that the row is of began
	for _, b := range k.begins {
		if b < r.Head {
			begun = b
		}
	}
	if d.cursor.Pos == 0 {
		begun = r.Since - 1
	}
	if had, ok := r.HeadFor(d.cursor); ok != (len(r.Past) < parley.MaxCheckpoints) || ok && had != max(d.had, begun) {
		k.t.Errorf("a device at %+v that has all to %d goes on at %d; %+v", d.cursor, d.had, had, r)
	}
	d.cursor.Pos, d.had = pos, r.Head
}

// check sweeps, and compares the row with the log.
func (k *talk) check() {
	k.t.Helper()
	k.sweep()
	r, _ := k.row()
	m := k.mine()
	if k.head() < m.Since {
		return // belongs from later on
	}
	want := parley.Row{Since: m.Since, Until: m.Until, Head: k.head(), Personal: k.personal}
	unread := uint64(0)
	for _, e := range k.log[:k.head()] {
		if want.Count = e.Count; e.Kind != parley.KindMessage || e.Seq <= k.anew {
			continue
		}
		want.Spoke = want.Spoke || e.Sender == me
		if e.Sender != me && e.Sender != foe && e.Seq > k.read {
			unread++
			if slices.Contains(e.Mentions, me) {
				want.Mentioned = append(want.Mentioned, e.Seq)
			}
		}
	}
	if r.Since != want.Since || r.Until != want.Until || r.Head != want.Head || r.Count != want.Count || r.Spoke != want.Spoke {
		k.t.Fatalf("the row is %+v\nthe log says %+v", r, want)
	}
	if r.Unread() != unread || !slices.Equal(r.Mentioned, want.Mentioned) || r.UnreadMentions() != uint64(len(want.Mentioned)) {
		k.t.Fatalf("%d unread, mentioned %v; the log says %d and %v (read to %d, %+v)", r.Unread(), r.Mentioned, unread, want.Mentioned, k.read, r)
	}
	if !reflect.DeepEqual(r.Personal, want.Personal) {
		k.t.Fatalf("personal is %+v, wished was %+v", r.Personal, want.Personal)
	}
	if r.Read < k.read || r.Read > r.Head || r.ReadCount > r.Count {
		k.t.Fatalf("read to %d of %d, marked was %d", r.Read, r.Head, k.read)
	}
}

// TestRowsAreWhatTheLogSays plays talk with blocked people, mentions, leaving
// and coming back, of which two keepers over one store hear badly, with
// markers, wishes, devices and crashes in between. It kills a head beyond a
// removal, an earlier membership that counts on, news of an earlier membership
// that wins over a later one, a withheld or own message that counts as unread,
// a mention that is forgotten by a sweep or remembered past the marker, a wish
// lost to a conflict, and a device that is sent on from a number it lacks.
func TestRowsAreWhatTheLogSays(t *testing.T) {
	for seed := range uint64(200) {
		k := newTalk(t, seed)
		k.publish(0)
		for range 40 {
			switch k.rng.IntN(9) {
			case 0:
				k.mark()
			case 1:
				k.wish()
			case 2:
				k.publish(k.rng.IntN(len(k.batches)))
			case 3:
				if k.rng.IntN(3) == 0 { // a crash: what was not written is swept
					ended, cancel := context.WithCancel(context.Background())
					cancel()
					i := k.rng.IntN(2)
					if _, pos := k.row(); pos > 0 { // markers are not swept
						_ = k.keepers[i].Close(ended)
						k.open(i)
					}
				}
			case 4:
				k.sync()
			case 5:
				k.check()
			default:
				k.talk()
			}
		}
		k.check()
		k.close(t.Context())
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
