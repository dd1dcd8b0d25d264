package convo_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/convo"
	"github.com/parley-im/parley/internal/store/memstore"
	"github.com/parley-im/parley/wire"
)

// blocks is who blocks whom.
type blocks struct {
	mu  sync.Mutex
	all map[[2]parley.UserID]bool // blocker, sender
}

func (b *blocks) Blockers(_ context.Context, sender parley.UserID) (out []parley.UserID, _ error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for pair, on := range b.all {
		if on && pair[1] == sender {
			out = append(out, pair[0])
		}
	}
	return out, nil
}

func (b *blocks) Blocks(_ context.Context, user parley.UserID) (out []parley.UserID, _ error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for pair, on := range b.all {
		if on && pair[0] == user {
			out = append(out, pair[1])
		}
	}
	return out, nil
}

func (b *blocks) set(blocker, sender parley.UserID, on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == nil {
		b.all = make(map[[2]parley.UserID]bool)
	}
	b.all[[2]parley.UserID{blocker, sender}] = on
}

// party is a group of an owner, an admin, two members and one who left, on a
// store of its own: "u-o", "u-a", "u-m", "u-n", "u-x".
type party struct {
	t      *testing.T
	store  *memstore.Store
	owner  *convo.Owner
	told   *published
	blocks *blocks
	c      parley.ConversationID
	made   int
}

func newParty(t *testing.T, change ...func(*convo.Config)) *party {
	t.Helper()
	p := &party{t: t, store: newStore(t), blocks: new(blocks)}
	p.owner, p.told = newOwner(t, p.store, append(change, func(c *convo.Config) { c.Blocks = p.blocks })...)
	p.c = group(t, p.owner, "u-o", "u-a", "u-m", "u-n", "u-x")
	p.must(p.members("u-o", parley.MembersBody{Roles: map[parley.UserID]parley.Role{"u-a": parley.RoleAdmin}}))
	p.must(p.members("u-x", parley.MembersBody{Remove: []parley.UserID{"u-x"}}))
	return p
}

func (p *party) id() parley.MessageID {
	p.made++
	return parley.MessageID(fmt.Sprint("made-", p.made))
}

func (p *party) post(sender parley.UserID, kind parley.Kind, ref parley.Seq, text string) parley.Post {
	post := parley.Post{Conversation: p.c, Sender: sender, ID: p.id(), Kind: kind, Ref: ref}
	if text != "" {
		post.Body = parley.Body{Type: parley.TextPlain, Data: []byte(text)}
	}
	return post
}

func (p *party) say(sender parley.UserID, text string) parley.Seq {
	p.t.Helper()
	return p.must(p.post(sender, parley.KindMessage, 0, text))
}

func (p *party) members(sender parley.UserID, b parley.MembersBody) parley.Post {
	data, err := json.Marshal(b)
	if err != nil {
		p.t.Fatal(err)
	}
	post := p.post(sender, parley.KindMembers, 0, "")
	post.Body = parley.Body{Type: parley.MembersType, Data: data}
	return post
}

func (p *party) must(post parley.Post) parley.Seq {
	p.t.Helper()
	ack, err := postWith(p.owner, post)
	if err != nil {
		p.t.Fatalf("%s by %s: %v", post.Kind, post.Sender, err)
	}
	return ack.Seq
}

// hold has the owner write a message that is not stored until release is called.
func (p *party) hold() (release func()) {
	p.t.Helper()
	begun, gate := make(chan struct{}), make(chan struct{})
	var once sync.Once
	p.store.Fail(func(op string) error {
		if op == "Append" {
			once.Do(func() { close(begun); <-gate })
		}
		return nil
	})
	p.owner.Post(p.post("u-o", parley.KindMessage, 0, "wait for me"), func(_ parley.Ack, err error) {
		if err != nil {
			p.t.Error(err)
		}
	})
	<-begun
	return func() { close(gate) }
}

func (p *party) head() parley.Seq {
	p.t.Helper()
	h, err := p.store.Load(p.t.Context(), p.c)
	if err != nil {
		p.t.Fatal(err)
	}
	return h.Seq
}

// refused posts what must be refused with that code, and change nothing.
func (p *party) refused(what string, post parley.Post, want parley.Code) {
	p.t.Helper()
	head := p.head()
	if _, err := postWith(p.owner, post); parley.CodeOf(err) != want {
		p.t.Errorf("%s: %v, want %s", what, err, want)
	}
	if now := p.head(); now != head {
		p.t.Errorf("%s: refused, and the log went from %d to %d", what, head, now)
	}
}

func (p *party) state() *parley.Conversation {
	p.t.Helper()
	h, err := p.store.Load(p.t.Context(), p.c)
	if err != nil {
		p.t.Fatal(err)
	}
	return h.State
}

// belongs says who belongs, by id and role.
func (p *party) belongs() string {
	var out []string
	for _, m := range p.state().Members {
		if m.Until == 0 {
			out = append(out, fmt.Sprintf("%s:%s", m.User, m.Role))
		}
	}
	return fmt.Sprint(out)
}

func (p *party) entry(seq parley.Seq) parley.Entry {
	p.t.Helper()
	e, err := p.store.Read(p.t.Context(), p.c, seq-1, 1)
	if err != nil || len(e) == 0 {
		p.t.Fatalf("entry %d: %v", seq, err)
	}
	return e[0]
}

type roles = map[parley.UserID]parley.Role

func users(u ...parley.UserID) []parley.UserID { return u }

// TestMembersRefused has every refusal of a change of members, each of which
// kills the rule's absence; nothing changes.
func TestMembersRefused(t *testing.T) {
	if convo.MaxMembers != wire.MaxMembers {
		t.Errorf("a group has %d members, and clients are told %d", convo.MaxMembers, wire.MaxMembers)
	}
	p := newParty(t)
	many := func(n int) (out []parley.UserID) {
		for i := range n {
			out = append(out, parley.UserID(fmt.Sprint("u-many-", i)))
		}
		return out
	}
	for _, c := range []struct {
		what string
		by   parley.UserID
		body parley.MembersBody
		want parley.Code
	}{
		{"a stranger adds", "u-z", parley.MembersBody{Add: users("u-z")}, parley.NotFound},
		{"who left adds", "u-x", parley.MembersBody{Add: users("u-x")}, parley.NotFound},
		{"who left leaves", "u-x", parley.MembersBody{Remove: users("u-x")}, parley.NotFound},
		{"a member adds", "u-m", parley.MembersBody{Add: users("u-z")}, parley.Forbidden},
		{"a member removes", "u-m", parley.MembersBody{Remove: users("u-n")}, parley.Forbidden},
		{"a member promotes themself", "u-m", parley.MembersBody{Roles: roles{"u-m": parley.RoleAdmin}}, parley.Forbidden},
		{"an admin removes the owner", "u-a", parley.MembersBody{Remove: users("u-o")}, parley.Forbidden},
		{"an admin gives roles", "u-a", parley.MembersBody{Roles: roles{"u-m": parley.RoleAdmin}}, parley.Forbidden},
		{"an admin becomes owner", "u-a", parley.MembersBody{Roles: roles{"u-a": parley.RoleOwner}}, parley.Forbidden},
		{"the owner gives up by themself", "u-o", parley.MembersBody{Roles: roles{"u-o": parley.RoleMember}}, parley.Forbidden},
		{"two owners", "u-o", parley.MembersBody{Roles: roles{"u-m": parley.RoleOwner, "u-n": parley.RoleOwner}}, parley.BadRequest},
		{"no role", "u-o", parley.MembersBody{Roles: roles{"u-m": "king"}}, parley.BadRequest},
		{"a role for who left", "u-o", parley.MembersBody{Roles: roles{"u-x": parley.RoleAdmin}}, parley.NotFound},
		{"removes who left", "u-o", parley.MembersBody{Remove: users("u-x")}, parley.NotFound},
		{"removes a stranger", "u-o", parley.MembersBody{Remove: users("u-z")}, parley.NotFound},
		{"adds a member", "u-o", parley.MembersBody{Add: users("u-z", "u-m")}, parley.Conflict},
		{"adds twice", "u-o", parley.MembersBody{Add: users("u-z", "u-z")}, parley.Conflict},
		{"adds and removes", "u-o", parley.MembersBody{Add: users("u-m"), Remove: users("u-m")}, parley.Conflict},
		{"a role for who is removed", "u-o", parley.MembersBody{Remove: users("u-m"), Roles: roles{"u-m": parley.RoleAdmin}}, parley.Conflict},
		{"leaves with another", "u-o", parley.MembersBody{Remove: users("u-m", "u-o")}, parley.BadRequest},
		{"leaves and gives roles", "u-o", parley.MembersBody{Remove: users("u-o"), Roles: roles{"u-m": parley.RoleOwner}}, parley.BadRequest},
		{"nothing", "u-o", parley.MembersBody{}, parley.BadRequest},
		{"all of nobody", "u-o", parley.MembersBody{Remove: users("u-m"), All: true}, parley.BadRequest},
		{"a title", "u-o", parley.MembersBody{Title: "t", Add: users("u-z")}, parley.BadRequest},
		{"no user", "u-o", parley.MembersBody{Add: users("not an id")}, parley.BadRequest},
		{"the 1,001st", "u-o", parley.MembersBody{Add: many(convo.MaxMembers - 3)}, parley.TooLarge},
		{"thousands", "u-o", parley.MembersBody{Add: many(convo.MaxMembers + 1)}, parley.TooLarge},
	} {
		p.refused(c.what, p.members(c.by, c.body), c.want)
	}
	raw := p.members("u-o", parley.MembersBody{})
	for what, body := range map[string]string{"no JSON": "{", "an unknown field": `{"add":["u-z"],"by":"u-o"}`, "two values": `{"add":["u-z"]}{}`, "null": "null"} {
		raw.Body.Data = []byte(body)
		p.refused(what, raw, parley.BadRequest)
	}
	raw.Body = parley.Body{Type: parley.TextPlain, Data: []byte(`{"add":["u-z"]}`)}
	p.refused("another type", raw, parley.BadRequest)
	if got, want := p.belongs(), "[u-a:admin u-m:member u-n:member u-o:owner]"; got != want {
		t.Errorf("after nothing but refusals: %s, want %s", got, want)
	}
	p.must(p.members("u-o", parley.MembersBody{Add: many(convo.MaxMembers - 4)}))
	p.refused("one more", p.members("u-o", parley.MembersBody{Add: users("u-z")}), parley.TooLarge)
	p.must(p.members("u-o", parley.MembersBody{Add: users("u-z"), Remove: users("u-m")}))
	if _, _, err := p.owner.Create(t.Context(), "u-o", parley.Group, "", many(convo.MaxMembers)); parley.CodeOf(err) != parley.TooLarge {
		t.Errorf("founding with 1,001: %v", err)
	}
}

// TestDirectHasNoMembers: two people stay two, and oneself alone.
func TestDirectHasNoMembers(t *testing.T) {
	p := newParty(t)
	for _, other := range []parley.UserID{"u-m", "u-o"} {
		c, _, err := p.owner.Create(t.Context(), "u-o", parley.Direct, "", users(other))
		if err != nil {
			t.Fatal(err)
		}
		p.c = c.ID
		p.refused("adds", p.members("u-o", parley.MembersBody{Add: users("u-z")}), parley.BadRequest)
		p.refused("leaves", p.members("u-o", parley.MembersBody{Remove: users("u-o")}), parley.BadRequest)
		join := p.members("u-z", parley.MembersBody{Add: users("u-z")})
		join.Invited = true
		p.refused("joins", join, parley.BadRequest)
		p.refused("renames", p.post("u-o", parley.KindTitle, 0, "ours"), parley.BadRequest)
		said := p.say("u-o", "hello")
		p.must(p.post("u-o", parley.KindPin, said, ""))
		p.must(p.post(other, parley.KindUnpin, said, ""))
	}
}

// TestMembersChange has who belongs after each change, and kills a state that
// is changed in place: what was published before says what it said.
func TestMembersChange(t *testing.T) {
	p := newParty(t)
	before, _, _, err := p.owner.Get(t.Context(), "u-o", p.c)
	if err != nil {
		t.Fatal(err)
	}
	was := slices.Clone(before.Members)
	for _, c := range []struct {
		by   parley.UserID
		body parley.MembersBody
		want string
	}{
		{"u-a", parley.MembersBody{Add: users("u-z", "u-b")}, "[u-a:admin u-b:member u-m:member u-n:member u-o:owner u-z:member]"},
		{"u-a", parley.MembersBody{Remove: users("u-b", "u-n")}, "[u-a:admin u-m:member u-o:owner u-z:member]"},
		{"u-o", parley.MembersBody{Roles: roles{"u-m": parley.RoleOwner}}, "[u-a:admin u-m:owner u-o:admin u-z:member]"},
		{"u-m", parley.MembersBody{Remove: users("u-a"), Add: users("u-n"), Roles: roles{"u-z": parley.RoleAdmin}}, "[u-m:owner u-n:member u-o:admin u-z:admin]"},
		{"u-m", parley.MembersBody{Remove: users("u-m")}, "[u-n:member u-o:owner u-z:admin]"}, // u-o is an admin for longer
		{"u-o", parley.MembersBody{Remove: users("u-o")}, "[u-n:member u-z:owner]"},
		{"u-z", parley.MembersBody{Remove: users("u-z")}, "[u-n:owner]"},
		{"u-n", parley.MembersBody{Remove: users("u-n")}, "[]"},
	} {
		p.must(p.members(c.by, c.body))
		if got := p.belongs(); got != c.want {
			t.Errorf("%s did %+v: %s, want %s", c.by, c.body, got, c.want)
		}
	}
	if !slices.Equal(was, before.Members) {
		t.Error("what was read before changed")
	}
	join := p.members("u-k", parley.MembersBody{Add: users("u-k")})
	join.Invited = true
	p.must(join)
	if got := p.belongs(); got != "[u-k:owner]" {
		t.Errorf("who came to an empty group: %s", got)
	}
}

// TestHeir: an admin comes before who has been a member for longer.
func TestHeir(t *testing.T) {
	p := newParty(t)
	p.must(p.members("u-o", parley.MembersBody{Add: users("u-late"), Remove: users("u-a")}))
	p.must(p.members("u-o", parley.MembersBody{Roles: roles{"u-late": parley.RoleAdmin}}))
	p.must(p.members("u-o", parley.MembersBody{Remove: users("u-o")}))
	if got, want := p.belongs(), "[u-late:owner u-m:member u-n:member]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestMembersRetried kills a comparison of the whole body: what the server
// filled in is nothing the client asked for. It also kills one that looks at
// the membership first: who left may ask again whether they did.
func TestMembersRetried(t *testing.T) {
	p := newParty(t)
	for _, post := range []parley.Post{
		p.members("u-o", parley.MembersBody{Roles: roles{"u-m": parley.RoleOwner, "u-n": parley.RoleAdmin}}),
		p.members("u-m", parley.MembersBody{Remove: users("u-n")}),
		p.members("u-m", parley.MembersBody{Remove: users("u-m")}),
		p.members("u-a", parley.MembersBody{Add: users("u-m"), All: true}),
	} {
		seq := p.must(post)
		ack, err := postWith(p.owner, post)
		if err != nil || ack.Seq != seq || !ack.Again || ack.ID != post.ID {
			t.Errorf("%s again: %+v, %v; want %d", post.Body.Data, ack, err, seq)
		}
		want := parley.IDConflict
		if !strings.Contains(p.belongs(), string(post.Sender)) {
			want = parley.NotFound // left: hears nothing new
		}
		post.Body.Data = []byte(`{"add":["u-other"]}`)
		p.refused("another change under the same id", post, want)
	}
	// An ex-member's retry, and no more than that.
	said := p.post("u-m", parley.KindMessage, 0, "mine")
	seq := p.must(said)
	p.must(p.members("u-a", parley.MembersBody{Remove: users("u-m")}))
	if ack, err := postWith(p.owner, said); err != nil || ack.Seq != seq || !ack.Again {
		t.Errorf("a retry by who was removed since: %+v, %v", ack, err)
	}
	said.Body.Data = []byte("other")
	p.refused("who was removed, with a known id", said, parley.NotFound)
	for _, kind := range []parley.Kind{parley.KindMessage, parley.KindEdit, parley.KindDelete, parley.KindReaction, parley.KindPin, parley.KindTitle, "what"} {
		p.refused("who was removed", p.post("u-m", kind, seq, "x"), parley.NotFound)
		p.refused("a stranger", p.post("u-y", kind, seq, "x"), parley.NotFound)
	}
}

// TestInvited: an invite lets its bearer in once, and nobody else.
func TestInvited(t *testing.T) {
	p := newParty(t)
	join := func(by parley.UserID, b parley.MembersBody) parley.Post {
		post := p.members(by, b)
		post.Invited = true
		return post
	}
	p.refused("brings a friend", join("u-z", parley.MembersBody{Add: users("u-z", "u-y")}), parley.Forbidden)
	p.refused("sends a friend", join("u-z", parley.MembersBody{Add: users("u-y")}), parley.Forbidden)
	p.refused("removes the owner", join("u-z", parley.MembersBody{Add: users("u-z"), Remove: users("u-o")}), parley.Forbidden)
	p.refused("as the owner", join("u-z", parley.MembersBody{Roles: roles{"u-z": parley.RoleOwner}}), parley.Forbidden)
	p.refused("a member", join("u-m", parley.MembersBody{Add: users("u-m")}), parley.Conflict)
	p.refused("to say something", func() parley.Post {
		post := p.post("u-m", parley.KindMessage, 0, "x")
		post.Invited = true
		return post
	}(), parley.BadRequest)
	p.refused("to say something, a stranger", func() parley.Post {
		post := p.post("u-z", parley.KindMessage, 0, "x")
		post.Invited = true
		return post
	}(), parley.NotFound)
	post := join("u-z", parley.MembersBody{Add: users("u-z")})
	seq := p.must(post)
	if ack, err := postWith(p.owner, post); err != nil || !ack.Again || ack.Seq != seq {
		t.Errorf("again: %+v, %v", ack, err)
	}
	if m, _ := p.state().Member("u-z"); m.Since != seq || m.Role != parley.RoleMember || m.Until != 0 {
		t.Errorf("who joined is %+v, want since %d", m, seq)
	}
	p.must(join("u-x", parley.MembersBody{Add: users("u-x"), All: true})) // had left
	if m, _ := p.state().Member("u-x"); m.Since != 1 || m.Until != 0 {
		t.Errorf("who rejoined with everything is %+v", m)
	}
}

// TestMembershipBounds kills an owner that shows who left what came later, or
// who came what was before, whatever stood in one batch; and one that appends
// a change of members together with anything else.
func TestMembershipBounds(t *testing.T) {
	p := newParty(t)
	p.say("u-o", "before")
	removal := p.members("u-o", parley.MembersBody{Remove: users("u-m")})
	rejoin := p.members("u-o", parley.MembersBody{Add: users("u-m")})
	posts := []parley.Post{
		p.post("u-o", parley.KindMessage, 0, "1"), removal, p.post("u-o", parley.KindMessage, 0, "2"),
		p.post("u-o", parley.KindTitle, 0, "later"), rejoin, p.post("u-m", parley.KindMessage, 0, "3"),
	}
	acks := make(chan error, len(posts))
	for _, post := range posts {
		p.owner.Post(post, func(_ parley.Ack, err error) { acks <- err })
	}
	for range posts {
		if err := <-acks; err != nil {
			t.Fatal(err)
		}
	}
	head := p.head()
	m, _ := p.state().Member("u-m")
	if m.Since != head-1 || m.Until != 0 {
		t.Errorf("who was removed and came back is %+v at %d", m, head)
	}
	p.told.mu.Lock()
	got, mixed := p.told.to["u-m"], p.told.mixed
	p.told.mu.Unlock()
	if mixed > 0 {
		t.Errorf("%d commits changed members and said something", mixed)
	}
	if n := len(got); n < 4 || !slices.Equal(got[n-4:], []parley.Seq{head - 5, head - 4, head - 1, head}) {
		t.Errorf("told of %v, want all but %d and %d", got, head-3, head-2)
	}
	// What is known of the group ends with the membership, too.
	last := p.must(p.members("u-o", parley.MembersBody{Remove: users("u-n")}))
	p.must(p.post("u-o", parley.KindTitle, 0, "secret"))
	p.must(p.members("u-o", parley.MembersBody{Add: users("u-new")}))
	p.must(p.post("u-o", parley.KindPin, 4, ""))
	c, m, end, err := p.owner.Get(t.Context(), "u-n", p.c)
	if err != nil || end != last || m.Until != last || c.Title != "later" || c.Pins != nil {
		t.Errorf("who left sees %q, %v to %d, %v", c.Title, c.Pins, end, err)
	}
	if _, ok := c.Member("u-new"); ok {
		t.Error("who left sees who came later")
	}
	if me, ok := c.Member("u-n"); !ok || me.Until != last {
		t.Errorf("who left sees themself as %+v", me)
	}
	if c, _, _, err := p.owner.Get(t.Context(), "u-new", p.c); err != nil || len(c.Pins) != 0 || c.Title != "secret" {
		t.Errorf("who came sees the pins %v, %v", c.Pins, err)
	}
	if c, _, _, err := p.owner.Get(t.Context(), "u-o", p.c); err != nil || len(c.Pins) != 1 {
		t.Errorf("the owner sees the pins %v, %v", c.Pins, err)
	}
}

// TestAllIsNotWhatOneBlocks: who is added with the whole history and blocks
// somebody who belongs, or did, reads from where they came: what that one said
// was withheld from nobody. It kills a block that ends with the next group.
func TestAllIsNotWhatOneBlocks(t *testing.T) {
	p := newParty(t)
	p.blocks.set("u-1", "u-n", true) // belongs
	p.blocks.set("u-2", "u-x", true) // left
	p.blocks.set("u-3", "u-far", true)
	p.blocks.set("u-o", "u-4", true) // the other way
	added := users("u-1", "u-2", "u-3", "u-4")
	at := p.must(p.members("u-o", parley.MembersBody{Add: added, All: true}))
	for i, want := range []parley.Seq{at, at, 1, 1} {
		if m, _ := p.state().Member(added[i]); m.Since != want {
			t.Errorf("%s, who came at %d, reads from %d, want %d", added[i], at, m.Since, want)
		}
	}
}
