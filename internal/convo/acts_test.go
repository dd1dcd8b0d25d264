package convo_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/convo"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
)

// TestActsRefused has every refusal of an act, each of which kills the rule's
// absence; nothing changes.
func TestActsRefused(t *testing.T) {
	p := newParty(t)
	mine := p.say("u-m", "mine")
	gone := p.say("u-m", "gone")
	edit := p.must(p.post("u-m", parley.KindEdit, gone, "gone, still"))
	del := p.must(p.post("u-m", parley.KindDelete, gone, ""))
	picture := p.post("u-m", parley.KindMessage, 0, "")
	picture.Body = parley.Body{Type: "image/png", Data: []byte("x")}
	image := p.must(picture)
	late := p.must(p.members("u-o", parley.MembersBody{Add: users("u-late"), Roles: roles{"u-n": parley.RoleAdmin}}))
	p.blocks.set("u-n", "u-a", true)
	hidden := p.say("u-a", "hidden from n")
	head := p.head()

	for _, kind := range []parley.Kind{parley.KindEdit, parley.KindDelete, parley.KindReaction, parley.KindPin, parley.KindUnpin} {
		text := map[parley.Kind]string{parley.KindEdit: "x", parley.KindReaction: "+"}[kind]
		about := func(what string, by parley.UserID, ref parley.Seq) {
			t.Helper()
			p.refused(fmt.Sprintf("%s of %s", kind, what), p.post(by, kind, ref, text), parley.BadRequest)
		}
		about("nothing", "u-o", 0)
		about("what is not", "u-o", head+1)
		about("a change of members", "u-o", late)
		about("an edit", "u-o", edit)
		about("a delete", "u-o", del)
		about("what was before", "u-late", mine)
		about("what is withheld", "u-n", hidden)
	}
	with := func(post parley.Post, change func(*parley.Post)) parley.Post {
		change(&post)
		return post
	}
	long := strings.Repeat("x", parley.MaxReaction+1)
	for _, c := range []struct {
		what string
		post parley.Post
		want parley.Code
	}{
		{"edits another's", p.post("u-o", parley.KindEdit, mine, "x"), parley.Forbidden},
		{"edits what is deleted", p.post("u-m", parley.KindEdit, gone, "x"), parley.Conflict},
		{"edits to nothing", p.post("u-m", parley.KindEdit, mine, ""), parley.BadRequest},
		{"edits to a picture", with(p.post("u-m", parley.KindEdit, mine, "x"), func(p *parley.Post) { p.Body.Type = "image/png" }), parley.BadRequest},
		{"edits a picture", p.post("u-m", parley.KindEdit, image, "x"), parley.BadRequest},
		{"deletes another's", p.post("u-n", parley.KindDelete, mine, ""), ""}, // admin by now
		{"deletes another's, a member", p.post("u-late", parley.KindDelete, hidden, ""), parley.Forbidden},
		{"deletes with a body", p.post("u-m", parley.KindDelete, image, "x"), parley.BadRequest},
		{"feels about what is deleted", p.post("u-o", parley.KindReaction, gone, "+"), parley.Conflict},
		{"feels too much", p.post("u-o", parley.KindReaction, hidden, long), parley.TooLarge},
		{"feels a picture", with(p.post("u-o", parley.KindReaction, hidden, "x"), func(p *parley.Post) { p.Body.Type = "image/png" }), parley.BadRequest},
		{"pins as a member", p.post("u-m", parley.KindPin, hidden, ""), parley.Forbidden},
		{"unpins as a member", p.post("u-m", parley.KindUnpin, hidden, ""), parley.Forbidden},
		{"pins what is deleted", p.post("u-o", parley.KindPin, gone, ""), parley.Conflict},
		{"pins with a body", p.post("u-o", parley.KindPin, hidden, "x"), parley.BadRequest},
		{"renames as a member", p.post("u-m", parley.KindTitle, 0, "ours"), parley.Forbidden},
		{"renames to nothing", p.post("u-o", parley.KindTitle, 0, ""), parley.BadRequest},
		{"a kind of its own", p.post("u-o", "dance", 0, "x"), parley.BadRequest},
		{"says that it is withheld", p.post("u-o", parley.KindWithheld, 0, ""), parley.BadRequest},
		{"a message about another", p.post("u-o", parley.KindMessage, hidden, "x"), parley.BadRequest},
		{"an edit that answers", with(p.post("u-a", parley.KindEdit, hidden, "x"), func(p *parley.Post) { p.ReplyTo = 1 }), parley.BadRequest},
		{"an edit that mentions", with(p.post("u-a", parley.KindEdit, hidden, "x"), func(p *parley.Post) { p.Mentions = users("u-o") }), parley.BadRequest},
		{"a reaction from elsewhere", with(p.post("u-a", parley.KindReaction, hidden, "x"), func(p *parley.Post) { p.Forwarded = true }), parley.BadRequest},
		{"mentions a stranger", with(p.post("u-o", "", 0, "x"), func(p *parley.Post) { p.Mentions = users("u-a", "u-z") }), parley.BadRequest},
		{"mentions who left", with(p.post("u-o", "", 0, "x"), func(p *parley.Post) { p.Mentions = users("u-x") }), parley.BadRequest},
		{"mentions too many", with(p.post("u-o", "", 0, "x"), func(p *parley.Post) { p.Mentions = make([]parley.UserID, parley.MaxMentions+1) }), parley.BadRequest},
	} {
		if c.want == "" {
			p.must(c.post)
			continue
		}
		p.refused(c.what, c.post, c.want)
	}
	if s := p.state(); s.Title != "a group" || len(s.Pins) != 0 {
		t.Errorf("after nothing but refusals: %q, %v", s.Title, s.Pins)
	}
}

// TestActsBounded: so many edits of a message and pins of a conversation.
func TestActsBounded(t *testing.T) {
	p := newParty(t)
	m := p.say("u-m", "0")
	for i := range parley.MaxEdits {
		p.must(p.post("u-m", parley.KindEdit, m, fmt.Sprint(i)))
	}
	p.refused("one edit more", p.post("u-m", parley.KindEdit, m, "x"), parley.TooLarge)
	var pins []parley.Seq
	for i := range parley.MaxPins {
		pins = append(pins, p.say("u-m", fmt.Sprint(i)))
		p.must(p.post("u-a", parley.KindPin, pins[i], ""))
	}
	p.refused("one pin more", p.post("u-o", parley.KindPin, m, ""), parley.TooLarge)
	p.must(p.post("u-o", parley.KindPin, pins[7], "")) // is so already
	if got := p.state().Pins; !slices.Equal(got, pins) {
		t.Errorf("pinned %v, want %v", got, pins)
	}
	p.must(p.post("u-o", parley.KindUnpin, pins[0], ""))
	p.must(p.post("u-o", parley.KindUnpin, pins[0], ""))
	p.must(p.post("u-m", parley.KindDelete, pins[1], "")) // a pin goes with its message
	if got := p.state().Pins; !slices.Equal(got, pins[2:]) {
		t.Errorf("pinned %v, want %v", got, pins[2:])
	}
}

// TestActsInOneBatch kills a plan that asks the store alone: what was said,
// edited and deleted a moment ago, in the same append, counts.
func TestActsInOneBatch(t *testing.T) {
	p := newParty(t)
	head := p.head() + 1 // what hold says
	at := func(n parley.Seq) parley.Seq { return head + n }
	posts := []struct {
		post parley.Post
		seq  parley.Seq
		want parley.Code
	}{
		{p.post("u-m", parley.KindMessage, 0, "secret"), at(1), ""},
		{p.post("u-m", parley.KindEdit, at(1), "secret still"), at(2), ""},
		{p.post("u-n", parley.KindReaction, at(1), "+"), at(3), ""},
		{p.post("u-o", parley.KindPin, at(1), ""), at(4), ""},
		{p.post("u-n", parley.KindDelete, at(1), ""), 0, parley.Forbidden},
		{p.post("u-m", parley.KindDelete, at(1), ""), at(5), ""},
		{p.post("u-o", parley.KindDelete, at(1), ""), at(5), ""}, // deleted already
		{p.post("u-m", parley.KindEdit, at(1), "back"), 0, parley.Conflict},
		{p.post("u-n", parley.KindReaction, at(1), "-"), 0, parley.Conflict},
		{p.post("u-m", parley.KindMessage, 0, "next"), at(6), ""},
	}
	type outcome struct {
		ack parley.Ack
		err error
	}
	out := make([]chan outcome, len(posts))
	all := p.hold() // what is posted from here on waits, and is one batch
	for i, c := range posts {
		out[i] = make(chan outcome, 1)
		p.owner.Post(c.post, func(a parley.Ack, err error) { out[i] <- outcome{a, err} })
	}
	all()
	for i, c := range posts {
		if o := <-out[i]; parley.CodeOf(o.err) != c.want || o.ack.Seq != c.seq || c.want == "" && o.ack.ID != c.post.ID {
			t.Errorf("%d, a %s: %+v, %v; want %d %s", i, c.post.Kind, o.ack, o.err, c.seq, c.want)
		}
	}
	for _, seq := range []parley.Seq{at(1), at(2)} {
		if e := p.entry(seq); e.Body.Type != "" || len(e.Body.Data) > 0 {
			t.Errorf("%d still says %q", seq, e.Body.Data)
		}
		if e := p.told.entries[p.c][seq-1]; len(e.Body.Data) > 0 {
			t.Errorf("%d was told to say %q", seq, e.Body.Data)
		}
	}
	if s := p.state(); len(s.Pins) > 0 {
		t.Errorf("what is deleted is pinned: %v", s.Pins)
	}
}

// TestDeleteErases kills a delete without erasure: after the ack no body of
// the message or of its edits is in the store, whoever deleted; and it kills a
// retry that takes what is erased for another message.
func TestDeleteErases(t *testing.T) {
	p := newParty(t)
	said := p.post("u-m", parley.KindMessage, 0, "secret")
	m := p.must(said)
	edited := p.post("u-m", parley.KindEdit, m, "secret two")
	e := p.must(edited)
	del := p.post("u-a", parley.KindDelete, m, "")
	d := p.must(del)
	for _, seq := range []parley.Seq{m, e} {
		if entry := p.entry(seq); entry.Body.Type != "" || len(entry.Body.Data) > 0 || entry.Sender != "u-m" {
			t.Errorf("%d is %+v", seq, entry)
		}
	}
	for _, post := range []parley.Post{said, edited, del, p.post("u-m", parley.KindDelete, m, "")} {
		want := map[parley.MessageID]parley.Seq{said.ID: m, edited.ID: e}[post.ID]
		if want == 0 {
			want = d
		}
		if ack, err := postWith(p.owner, post); err != nil || ack.Seq != want || !ack.Again || ack.ID != post.ID {
			t.Errorf("a %s again: %+v, %v; want %d", post.Kind, ack, err, want)
		}
	}
	if p.head() != d {
		t.Errorf("the log went on to %d", p.head())
	}
}

// TestEraseFails kills a delete that is acknowledged though its bodies are
// still there, and a retry, also another's delete, that does not finish it.
// Members hear of the delete all the same.
func TestEraseFails(t *testing.T) {
	for name, retry := range map[string]func(p *party, first parley.Post) parley.Post{
		"the same":  func(_ *party, first parley.Post) parley.Post { return first },
		"another's": func(p *party, first parley.Post) parley.Post { return p.post("u-o", parley.KindDelete, first.Ref, "") },
	} {
		p := newParty(t)
		m := p.say("u-m", "secret")
		p.store.Fail(func(op string) error {
			if op == "Erase" {
				return errors.New("a broken disk")
			}
			return nil
		})
		first := p.post("u-m", parley.KindDelete, m, "")
		for _, post := range []parley.Post{first, retry(p, first)} {
			if _, err := postWith(p.owner, post); parley.CodeOf(err).Retry() == parley.GiveUp {
				t.Errorf("%s: answered with %v though the body is there", name, err)
			}
		}
		if ack, err := postWith(p.owner, p.post("u-m", parley.KindMessage, 0, "meanwhile")); err != nil || ack.Seq != m+2 {
			t.Errorf("%s: another post meanwhile: %+v, %v", name, ack, err)
		}
		if n := len(p.told.entries[p.c]); n != int(m+2) {
			t.Errorf("%s: %d entries were told, want %d", name, n, m+2)
		}
		p.store.Fail(nil)
		if ack, err := postWith(p.owner, retry(p, first)); err != nil || ack.Seq != m+1 || !ack.Again {
			t.Errorf("%s: the retry: %+v, %v", name, ack, err)
		}
		if e := p.entry(m); len(e.Body.Data) > 0 {
			t.Errorf("%s: after the ack it says %q", name, e.Body.Data)
		}
	}
}

// TestUnknownDeleteErases kills an owner that publishes a delete it finds in
// the log, of unknown outcome and never tried again, and leaves the bodies.
func TestUnknownDeleteErases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		defer s.Close()
		o, _ := newOwner(t, s)
		c := group(t, o, "u-a", "u-b")
		if _, err := post(o, c, "u-a", "m1", "secret"); err != nil {
			t.Fatal(err)
		}
		s.FailAfter(func(op string) error {
			if op == "Append" {
				return store.ErrUnavailable
			}
			return nil
		})
		if _, err := postWith(o, parley.Post{Conversation: c, Sender: "u-a", ID: "d1", Kind: parley.KindDelete, Ref: 2}); parley.CodeOf(err) != parley.Overloaded {
			t.Fatalf("an unknown outcome was answered with %v", err)
		}
		s.FailAfter(nil)
		<-time.After(time.Second)
		if e := readAll(t, s, c); len(e) != 3 || len(e[1].Body.Data) > 0 {
			t.Errorf("the log is %+v", e)
		}
		o.Close(t.Context())
	})
}

// TestNobodyIsRefusedOnMemoryAlone kills an owner that tells a sender for good
// what another owner's commits made untrue.
func TestNobodyIsRefusedOnMemoryAlone(t *testing.T) {
	p := newParty(t)
	other, _ := newOwner(t, p.store)
	p.say("u-o", "so that both know the group")
	if _, err := post(other, p.c, "u-o", "by-other", "x"); err != nil {
		t.Fatal(err)
	}
	p.must(p.members("u-o", parley.MembersBody{Add: users("u-z")})) // other does not know
	if _, err := post(other, p.c, "u-z", "hello", "I am here"); err != nil {
		t.Errorf("who was added on another node posts: %v", err)
	}
	said := p.say("u-m", "x")
	if _, err := postWith(other, parley.Post{Conversation: p.c, Sender: "u-z", ID: "re", ReplyTo: said}); err != nil {
		t.Errorf("an answer to what another node committed: %v", err)
	}
}

// TestActsOfAnotherOwner kills an owner that judges an act by what it
// remembers: the message was deleted by another's commit.
func TestActsOfAnotherOwner(t *testing.T) {
	p := newParty(t)
	other, _ := newOwner(t, p.store)
	m := p.say("u-m", "x")
	if _, err := post(other, p.c, "u-o", "by-other", "so that it knows the group"); err != nil {
		t.Fatal(err)
	}
	d := p.must(p.post("u-m", parley.KindDelete, m, ""))
	if ack, err := postWith(other, p.post("u-o", parley.KindDelete, m, "")); err != nil || ack.Seq != d || !ack.Again {
		t.Errorf("a delete of what another node deleted: %+v, %v; want %d", ack, err, d)
	}
	if _, err := postWith(other, p.post("u-m", parley.KindEdit, m, "y")); parley.CodeOf(err) != parley.Conflict {
		t.Errorf("an edit of what another node deleted: %v", err)
	}
}

// TestBlocks has who may have what of whom, and kills an owner that tells the
// sender, that withholds from who left, and that shows the acts of what it
// withheld.
func TestBlocks(t *testing.T) {
	knew := make(map[parley.UserID]int)
	p := newParty(t, func(c *convo.Config) { c.KnewBetter = func(u parley.UserID) { knew[u]++ } })
	withheld := func(seq parley.Seq) string { return fmt.Sprint(p.entry(seq).Withheld) }
	before := p.say("u-m", "before")
	p.blocks.set("u-o", "u-m", true)
	p.blocks.set("u-n", "u-m", true)
	p.blocks.set("u-x", "u-m", true) // left
	p.blocks.set("u-z", "u-m", true) // never was a member
	p.blocks.set("u-m", "u-m", true) // nobody blocks themself
	said := p.say("u-m", "blocked")
	for what, seq := range map[string]parley.Seq{
		"a message":           said,
		"an edit":             p.must(p.post("u-m", parley.KindEdit, before, "x")),
		"a reaction":          p.must(p.post("u-m", parley.KindReaction, before, "+")),
		"another's act on it": p.must(p.post("u-a", parley.KindReaction, said, "+")),
	} {
		if got := withheld(seq); got != "[u-n u-o]" {
			t.Errorf("%s is withheld from %s", what, got)
		}
	}
	// A delete takes something from them, and is theirs.
	if got := withheld(p.must(p.post("u-m", parley.KindDelete, before, ""))); got != "[]" {
		t.Errorf("a delete of what they had is withheld from %s", got)
	}
	p.blocks.set("u-o", "u-m", false)
	p.blocks.set("u-n", "u-m", false)
	if got := withheld(p.say("u-m", "again")); got != "[]" {
		t.Errorf("after the unblock: withheld from %s", got)
	}
	if got := withheld(p.must(p.post("u-m", parley.KindEdit, said, "x"))); got != "[u-n u-o]" {
		t.Errorf("an edit of what was withheld: withheld from %s", got)
	}

	// Between two people.
	p.blocks.set("u-o", "u-m", true)
	d, created, err := p.owner.Create(t.Context(), "u-m", parley.Direct, "", users("u-o"))
	if err != nil || !created {
		t.Fatalf("who is blocked writes for the first time: %v", err)
	}
	group := p.c
	p.c = d.ID
	if got := withheld(1); got != "[u-o]" {
		t.Errorf("the founding is withheld from %s", got)
	}
	said = p.say("u-m", "to who blocks me")
	if got := withheld(said); got != "[u-o]" {
		t.Errorf("withheld from %s", got)
	}
	mine := p.post("u-m", parley.KindMessage, 0, "and again")
	p.must(mine)
	p.refused("who blocks writes", p.post("u-o", parley.KindMessage, 0, "x"), parley.Forbidden)
	p.blocks.set("u-m", "u-o", true)
	p.refused("both block", p.post("u-m", parley.KindMessage, 0, "x"), parley.Forbidden)
	p.refused("who blocks edits", p.post("u-m", parley.KindEdit, said, "x"), parley.Forbidden)
	if ack, err := postWith(p.owner, mine); err != nil || !ack.Again {
		t.Errorf("a retry of what was said before the block: %+v, %v", ack, err)
	}
	p.must(p.post("u-m", parley.KindDelete, said, ""))
	if knew["u-o"] != 1 || knew["u-m"] != 2 {
		t.Errorf("counted %v", knew)
	}
	p.c = group
	p.say("u-o", "in a group a block hides, and refuses nothing")
	if c, created, err := p.owner.Create(t.Context(), "u-m", parley.Group, "mine", users("u-o")); err != nil || !created || len(c.Members) != 2 {
		t.Errorf("who is blocked makes a group: %v", err)
	}
}

// TestReactionIDs: each reaction is a post of its own, and each is retried as
// itself.
func TestReactionIDs(t *testing.T) {
	p := newParty(t)
	m := p.say("u-m", "x")
	first := p.post("u-o", parley.KindReaction, m, "+")
	a := p.must(first)
	b := p.must(p.post("u-o", parley.KindReaction, m, "-"))
	back := p.must(p.post("u-o", parley.KindReaction, m, ""))
	if ack, err := postWith(p.owner, first); err != nil || ack.Seq != a || !ack.Again {
		t.Errorf("the first again: %+v, %v", ack, err)
	}
	if b != a+1 || back != b+1 {
		t.Errorf("numbers %d, %d, %d", a, b, back)
	}
	first.Body.Data = []byte("?")
	p.refused("another under its id", first, parley.IDConflict)
	first = p.post("u-o", "", 0, "hi @u-m")
	first.Mentions = users("u-m")
	p.must(first)
	first.Mentions = users("u-n")
	p.refused("other mentions under an id", first, parley.IDConflict)
	first.Mentions, first.Forwarded = users("u-m"), true
	p.refused("forwarded under an id", first, parley.IDConflict)
}
