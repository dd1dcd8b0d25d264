package account

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// people registers users by these handles.
func (w *world) people(handles ...string) []parley.UserID {
	w.t.Helper()
	us := make([]parley.UserID, len(handles))
	for i, h := range handles {
		us[i] = w.register(h).User.ID
	}
	return us
}

// strangers makes users that have a profile and nothing else.
func (w *world) strangers(n int) []parley.UserID {
	w.t.Helper()
	us := make([]parley.UserID, n)
	for i := range us {
		us[i] = parley.UserID(w.newID(userPrefix))
		p := profileRecord{Handle: fmt.Sprint("stranger", i), Name: "Stranger", Created: w.clock.now()}
		if err := w.store.CommitRecords(w.t.Context(), userAddress(us[i]), []store.Change{creation(keyProfile, &p)}); err != nil {
			w.t.Fatal(err)
		}
	}
	return us
}

// ask asks with the rev that follows what stands.
func (w *world) ask(a *Accounts, user, other parley.UserID, ask ContactState) error {
	w.t.Helper()
	now, err := a.Contact(w.t.Context(), user, other)
	if err != nil {
		return err
	}
	if ask == ContactNone {
		return a.DeleteContact(w.t.Context(), user, other)
	}
	_, err = a.SetContact(w.t.Context(), user, other, ask, now.Rev+1)
	return err
}

// stand holds a pair to how they stand with each other.
func (w *world) stand(a, b parley.UserID, want string) {
	w.t.Helper()
	x, err := w.Contact(w.t.Context(), a, b)
	y, err2 := w.Contact(w.t.Context(), b, a)
	if err != nil || err2 != nil {
		w.t.Fatal(err, err2)
	}
	if got := string(x.State + " " + y.State); got != want {
		w.t.Errorf("they stand %q, want %q", got, want)
	}
	for user, c := range map[parley.UserID]Contact{a: x, b: y} {
		list := w.contacts(user)
		at := slices.IndexFunc(list, func(l Contact) bool { return l.User == c.User })
		if (at >= 0) != (c.State != ContactNone) || at >= 0 && list[at] != c {
			w.t.Errorf("asked for one it is %+v, on the list %+v", c, list)
		}
		blocks, err := w.Blocks(w.t.Context(), user)
		if err != nil || slices.Contains(blocks, c.User) != (c.State == ContactBlocked) {
			w.t.Errorf("%s, and blocked are %v, %v", c.State, blocks, err)
		}
		blockers, err := w.Blockers(w.t.Context(), c.User)
		if err != nil || slices.Contains(blockers, user) != (c.State == ContactBlocked) {
			w.t.Errorf("%s, and blockers are %v, %v", c.State, blockers, err)
		}
	}
}

func (w *world) contacts(user parley.UserID) (all []Contact) {
	w.t.Helper()
	limit := 3
	for cursor := ""; ; limit = 200 {
		page, next, err := w.Contacts(w.t.Context(), user, cursor, limit)
		if err != nil {
			w.t.Fatal(err)
		}
		if all = append(all, page...); next == "" {
			return all
		}
		cursor = next
	}
}

// contactStories are what two people may do, and how they stand afterwards:
// "A requested" is A asking for that state of B.
var contactStories = []struct{ story, want string }{
	{"A requested", "requested pending"},
	{"A requested, A requested", "requested pending"},
	{"A requested, B accepted", "accepted accepted"},
	{"A requested, B requested", "accepted accepted"},
	{"A requested, B rejected", "requested rejected"},
	{"A requested, B rejected, A requested", "requested rejected"},
	{"A requested, B rejected, B accepted", "accepted accepted"},
	{"A requested, B rejected, B none, A requested", "requested pending"},
	{"A requested, A none", "none none"},
	{"A requested, A none, B accepted!", "none none"},
	{"A requested, B rejected, A none, A requested", "requested rejected"},
	{"A requested, B none", "requested none"},
	{"A requested, B none, A requested", "requested pending"},
	{"A requested, B accepted, A none", "none accepted"},
	{"A requested, B accepted, A none, B requested", "pending accepted"},
	{"A requested, B accepted, A none, B requested, A accepted", "accepted accepted"},
	{"A requested, B accepted, A none, A requested", "accepted accepted"},
	{"A requested, B accepted, A none, B none, A requested", "requested pending"},
	{"A requested, B accepted, B rejected!", "accepted accepted"},
	{"A requested, B accepted, A accepted", "accepted accepted"},
	{"A accepted!, A rejected!, A none!", "none none"},
	{"A blocked", "blocked none"},
	{"A blocked, A blocked", "blocked none"},
	{"A blocked, A requested!, A none!, A rejected!, A accepted!", "blocked none"},
	{"A blocked, A unblocked", "none none"},
	{"A unblocked", "none none"},
	{"A requested, A unblocked", "requested pending"},
	{"A requested, A blocked", "blocked pending"},
	{"A requested, A blocked, B accepted", "blocked accepted"},
	{"A requested, A blocked, B accepted, A unblocked", "none accepted"},
	{"A requested, A blocked, A unblocked", "none none"},
	{"A requested, B blocked", "requested blocked"},
	{"A requested, B blocked, B unblocked", "requested none"},
	{"A requested, B blocked, B unblocked, B requested", "accepted accepted"},
	{"B blocked, A requested", "requested blocked"},
	{"B blocked, A requested, A none, A requested", "requested blocked"},
	{"B blocked, A requested, B unblocked", "requested none"},
	{"B blocked, A requested, B unblocked, A requested", "requested pending"},
	{"A requested, B accepted, B blocked", "accepted blocked"},
	{"A requested, B accepted, B blocked, A none, A requested", "accepted blocked"},
	{"A requested, B accepted, B blocked, B unblocked", "accepted none"},
	{"A requested, B accepted, B blocked, B unblocked, A none, A requested", "requested pending"},
	{"A blocked, B blocked", "blocked blocked"},
	{"A blocked, B blocked, A unblocked", "none blocked"},
}

// tellStory lets a and b do what story says; a step with "!" is refused.
func (w *world) tellStory(story string, a, b parley.UserID) {
	w.t.Helper()
	for step := range strings.SplitSeq(story, ", ") {
		who, ask, _ := strings.Cut(step, " ")
		ask, refused := strings.CutSuffix(ask, "!")
		user, other := a, b
		if who == "B" {
			user, other = b, a
		}
		if err := w.ask(w.Accounts, user, other, ContactState(ask)); (err != nil) != refused {
			w.t.Errorf("%q: %v", step, err)
		}
		w.clock.pass(time.Second)
	}
}

func TestContactStories(t *testing.T) {
	for _, c := range contactStories {
		t.Run(c.story, func(t *testing.T) {
			w := newWorld(t, noLimits)
			us := w.people("ann", "bob")
			w.tellStory(c.story, us[0], us[1])
			w.stand(us[0], us[1], c.want)
			w.restart()
			w.stand(us[0], us[1], c.want)
		})
	}
}

// Whoever is blocked must see on their own side exactly what they would see if
// the other did nothing. It kills a block that takes the wish back, a request
// that is answered otherwise, and a list that moves.
func TestNothingTellsOfABlock(t *testing.T) {
	for _, before := range []string{"B unblocked", "A requested", "B requested", "A requested, B accepted", "A requested, B rejected"} {
		for _, after := range []string{"A requested", "A accepted", "A none", "A none, A requested", "A blocked, A unblocked, A requested", "A rejected"} {
			type seen struct {
				contact Contact
				rev     uint64
				codes   string
			}
			var saw [2]seen
			for i, between := range []string{"", "B blocked"} {
				w := newWorld(t, noLimits)
				us := w.people("ann", "bob")
				w.tellStory(before, us[0], us[1])
				if between != "" {
					w.tellStory(between, us[0], us[1])
				} else {
					w.clock.pass(time.Second)
				}
				for step := range strings.SplitSeq(after, ", ") {
					_, ask, _ := strings.Cut(step, " ")
					err := w.ask(w.Accounts, us[0], us[1], ContactState(ask))
					saw[i].codes += " " + string(parley.CodeOf(err))
					w.clock.pass(time.Second)
				}
				var err error
				if saw[i].contact, err = w.Contact(t.Context(), us[0], us[1]); err != nil {
					t.Fatal(err)
				}
				saw[i].contact.User = "" // ids are random
				if saw[i].rev, err = w.ContactsRev(t.Context(), us[0]); err != nil {
					t.Fatal(err)
				}
			}
			if saw[0] != saw[1] {
				t.Errorf("%q, then %q: not blocked %+v, blocked %+v", before, after, saw[0], saw[1])
			}
		}
	}
}

// Between devices the greater rev stays; a block wins at its own rev; a retry
// is no change. It kills a change that looks at the state alone.
func TestRevs(t *testing.T) {
	w := newWorld(t, noLimits)
	us := w.people("ann", "bob")
	type try struct {
		ask  ContactState
		rev  uint64
		code parley.Code
		want ContactState
	}
	for _, c := range []try{
		{ContactRequested, 5, "", ContactRequested},
		{ContactRequested, 5, "", ContactRequested},
		{ContactRequested, 4, parley.Conflict, ContactRequested},
		{ContactUnblocked, 5, parley.Conflict, ContactRequested},
		{ContactBlocked, 4, parley.Conflict, ContactRequested},
		{ContactBlocked, 5, "", ContactBlocked},
		{ContactBlocked, 5, "", ContactBlocked},
		{ContactUnblocked, 5, parley.Conflict, ContactBlocked},
		{ContactUnblocked, 4, parley.Conflict, ContactBlocked},
		{ContactRequested, 9, parley.Conflict, ContactBlocked},
		{ContactUnblocked, 6, "", ContactNone},
		{ContactBlocked, 5, parley.Conflict, ContactNone},
		{ContactBlocked, 6, "", ContactBlocked},
		{ContactUnblocked, maxRev, "", ContactNone},
		{ContactRequested, maxRev, parley.Conflict, ContactNone},
		{ContactRequested, maxRev + 1, parley.BadRequest, ""},
	} {
		got, err := w.SetContact(t.Context(), us[0], us[1], c.ask, c.rev)
		if code := parley.CodeOf(err); code != c.code || got.State != c.want {
			t.Errorf("%s at %d: %q, %+v; want %q, %s", c.ask, c.rev, code, got, c.code, c.want)
		}
	}
	// Nobody asked anything of the other side yet: any rev is greater.
	if c, err := w.SetContact(t.Context(), us[1], us[0], ContactBlocked, 0); err != nil || c.State != ContactBlocked || c.Rev != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	// A deletion leaves a rev behind: what a device asked for before it is too late.
	w = newWorld(t, noLimits)
	us = w.people("ann", "bob")
	if _, err := w.SetContact(t.Context(), us[0], us[1], ContactRequested, 7); err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteContact(t.Context(), us[0], us[1]); err != nil {
		t.Fatal(err)
	}
	c, err := w.SetContact(t.Context(), us[0], us[1], ContactRequested, 8)
	wantCode(t, err, parley.Conflict)
	if c.State != ContactNone || c.Rev != 8 {
		t.Errorf("%+v", c)
	}
}

func TestContactRefusals(t *testing.T) {
	w := newWorld(t)
	us := w.people("ann", "bob")
	for _, c := range []struct {
		other parley.UserID
		ask   ContactState
		want  parley.Code
	}{
		{us[0], ContactRequested, parley.BadRequest},
		{us[0], ContactBlocked, parley.BadRequest},
		{us[1], "friends", parley.BadRequest},
		{us[1], ContactNone, parley.BadRequest},
		{us[1], ContactPending, parley.BadRequest},
		{us[1], "", parley.BadRequest},
		{parley.UserID(parley.NewID("u", newRand(7))), ContactBlocked, parley.NotFound},
		{"bob", ContactRequested, parley.NotFound},
	} {
		_, err := w.SetContact(t.Context(), us[0], c.other, c.ask, 1)
		wantCode(t, err, c.want)
	}
	wantCode(t, w.DeleteContact(t.Context(), us[0], us[1]), parley.NotFound)
	_, _, err := w.Contacts(t.Context(), us[0], "x", 10)
	wantCode(t, err, parley.BadRequest)
	if rev, err := w.ContactsRev(t.Context(), us[0]); rev != 0 || err != nil {
		t.Errorf("what was refused moved the list to %d, %v", rev, err)
	}
	w.stand(us[0], us[1], "none none")
}

// Requests in bulk wait; answers, blocks and retries do not.
func TestRequestsAreLimited(t *testing.T) {
	w := newWorld(t)
	us := w.strangers(30)
	me := w.register("ann").User.ID
	for i, u := range us[:20] {
		if _, err := w.SetContact(t.Context(), me, u, ContactRequested, 1); err != nil {
			t.Fatal(i, err)
		}
	}
	_, err := w.SetContact(t.Context(), me, us[20], ContactRequested, 1)
	wantCode(t, err, parley.RateLimited)
	if after(err) != time.Minute {
		t.Errorf("wait %v", after(err))
	}
	w.stand(me, us[20], "none none")
	if _, err := w.SetContact(t.Context(), me, us[3], ContactRequested, 1); err != nil {
		t.Errorf("a retry: %v", err)
	}
	if _, err := w.SetContact(t.Context(), me, us[21], ContactBlocked, 1); err != nil {
		t.Errorf("a block: %v", err)
	}
	if _, err := w.SetContact(t.Context(), us[22], me, ContactRequested, 1); err != nil {
		t.Errorf("another's request: %v", err)
	}
	if _, err := w.SetContact(t.Context(), me, us[22], ContactAccepted, 1); err != nil {
		t.Errorf("an answer: %v", err)
	}
	w.clock.pass(time.Minute)
	if _, err := w.SetContact(t.Context(), me, us[20], ContactRequested, 1); err != nil {
		t.Error(err)
	}
	_, err = w.SetContact(t.Context(), me, us[24], ContactRequested, 1)
	wantCode(t, err, parley.RateLimited)
}

// A list takes a thousand contacts and a thousand blocks, counted apart; what
// strangers ask takes nobody's place.
func TestListsAreBounded(t *testing.T) {
	w := newWorld(t, noLimits)
	us := w.strangers(MaxContacts + 2)
	me := w.register("ann").User.ID
	for _, ask := range []ContactState{ContactRequested, ContactBlocked} {
		for i, u := range us[:MaxContacts] {
			if err := w.ask(w.Accounts, me, u, ask); err != nil {
				t.Fatal(ask, i, err)
			}
		}
		wantCode(t, w.ask(w.Accounts, me, us[MaxContacts], ask), parley.TooLarge)
		if ask == ContactRequested {
			// One place is freed, and taken again.
			if err := w.ask(w.Accounts, me, us[7], ContactNone); err != nil {
				t.Fatal(err)
			}
			if err := w.ask(w.Accounts, me, us[MaxContacts], ask); err != nil {
				t.Fatal(err)
			}
			wantCode(t, w.ask(w.Accounts, me, us[7], ask), parley.TooLarge)
		}
	}
	// Blocking emptied the contacts but for the last.
	if err := w.ask(w.Accounts, me, us[MaxContacts+1], ContactRequested); err != nil {
		t.Error(err)
	}
	if got := len(w.contacts(me)); got != MaxBlocks+2 {
		t.Errorf("%d on the list", got)
	}
	var head contactsRecord
	if _, _, err := w.read(t.Context(), contactsAddress(me), keyList, &head); err != nil ||
		head.Contacts != 2 || head.Blocks != MaxBlocks || head.Pending != 0 || head.Rest != 0 {
		t.Errorf("%+v, %v", head, err)
	}
}

// More requests than a list takes wait for nobody, and what is over is
// forgotten, the oldest first.
func TestRequestsAndRestAreBounded(t *testing.T) {
	w := newWorld(t, noLimits)
	us := w.strangers(maxPending + 1)
	me := w.register("ann").User.ID
	for i, u := range us {
		if err := w.ask(w.Accounts, u, me, ContactRequested); err != nil {
			t.Fatal(i, err)
		}
	}
	late := us[maxPending]
	w.stand(late, me, "requested none")
	for _, u := range us[:maxPending] {
		if err := w.ask(w.Accounts, me, u, ContactRejected); err != nil {
			t.Fatal(err)
		}
		w.clock.pass(time.Second)
	}
	if err := w.ask(w.Accounts, late, me, ContactRequested); err != nil {
		t.Fatal(err)
	}
	w.stand(late, me, "requested pending")
	if err := w.ask(w.Accounts, me, late, ContactRejected); err != nil {
		t.Fatal(err)
	}
	w.stand(us[0], me, "requested none")
	w.stand(us[1], me, "requested rejected")
	if got := len(w.contacts(me)); got != maxRest {
		t.Errorf("%d on the list", got)
	}
}

// The list's number grows with whatever its user can see, and the hook is told.
func TestContactsRev(t *testing.T) {
	var mu sync.Mutex
	told := map[parley.UserID]int{}
	w := newWorld(t, noLimits, func(c *Config) {
		c.ContactsChanged = func(u parley.UserID) {
			mu.Lock()
			defer mu.Unlock()
			told[u]++
		}
	})
	us := w.people("ann", "bob")
	revs := func() (a, b uint64) {
		a, err := w.ContactsRev(t.Context(), us[0])
		b, err2 := w.ContactsRev(t.Context(), us[1])
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		return a, b
	}
	for _, c := range []struct {
		story    string
		ann, bob bool // whose list moves
	}{
		{"A requested", true, true},
		{"B rejected", false, true},
		{"B accepted", true, true}, // that a yes came is seen
		{"B blocked", false, true},
		{"A none", true, false},
		{"A requested", true, false},
		{"B unblocked", false, true},
	} {
		a, b := revs()
		before := told
		told = map[parley.UserID]int{}
		w.tellStory(c.story, us[0], us[1])
		a2, b2 := revs()
		if (a2 > a) != c.ann || (b2 > b) != c.bob || a2 < a || b2 < b {
			t.Errorf("%s: from %d and %d to %d and %d", c.story, a, b, a2, b2)
		}
		if (told[us[0]] > 0) != c.ann || (told[us[1]] > 0) != c.bob {
			t.Errorf("%s: told %v, and before %v", c.story, told, before)
		}
	}
}
