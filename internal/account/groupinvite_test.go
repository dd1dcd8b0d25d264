package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

const club parley.ConversationID = "gclub"

// hall is who joined which group.
type hall struct {
	mu  sync.Mutex
	in  map[parley.UserID]bool
	err error
}

func (h *hall) config(c *Config) {
	c.RateLimits = false
	c.Joined = func(_ context.Context, group parley.ConversationID, u parley.UserID) (bool, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		return group == club && h.in[u], h.err
	}
}

func (h *hall) enter(u parley.UserID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.in == nil {
		h.in = map[parley.UserID]bool{}
	}
	h.in[u] = true
}

func (w *world) groupInvite(by parley.UserID, uses int) GroupInvite {
	w.t.Helper()
	i, err := w.CreateGroupInvite(w.t.Context(), by, club, uses, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return i
}

// join uses an invite as a caller does, and says whether the user got in.
func (w *world) join(a *Accounts, h *hall, code string, u parley.UserID) bool {
	w.t.Helper()
	group, settle, err := a.UseGroupInvite(w.t.Context(), code, u)
	if parley.CodeOf(err) == parley.NotFound {
		return false
	}
	if err != nil || group != club {
		w.t.Fatal(group, err)
	}
	h.enter(u)
	if err := settle(w.t.Context(), true); err != nil {
		w.t.Error(err)
	}
	return true
}

// used holds an invite to its count.
func (w *world) used(code string, want int) {
	w.t.Helper()
	all, _, err := w.GroupInvites(w.t.Context(), club, "", 200)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, i := range all {
		if i.Code == code {
			rs, err := w.store.ListRecords(w.t.Context(), groupInviteAddress(hashOf(code)), keyUse, "", 5000)
			if i.Used != want || len(rs) != want || err != nil {
				w.t.Errorf("used %d times by %d, want %d, %v", i.Used, len(rs), want, err)
			}
			return
		}
	}
	w.t.Error("no such invite")
}

func TestGroupInvites(t *testing.T) {
	h := &hall{}
	w := newWorld(t, h.config)
	us := w.people("ann", "bob", "cleo", "dora")
	i := w.groupInvite(us[0], 2)
	if i.Uses != 2 || i.Used != 0 || i.By != us[0] || i.Conversation != club || len(i.Code) != idLen ||
		!i.Expires.Equal(w.clock.now().Add(DefaultInviteFor)) {
		t.Errorf("%+v", i)
	}
	if got, err := w.GroupInvite(t.Context(), " "+strings.ToUpper(i.Code)+"\n"); err != nil || got != i {
		t.Errorf("%+v, %v", got, err)
	}
	// The same user twice counts once, also when the invite is used up since.
	for _, c := range []struct {
		u    parley.UserID
		in   bool
		used int
	}{{us[1], true, 1}, {us[1], true, 1}, {us[2], true, 2}, {us[3], false, 2}, {us[1], true, 2}} {
		if got := w.join(w.Accounts, h, i.Code, c.u); got != c.in {
			t.Errorf("let in: %v, want %v", got, c.in)
		}
		w.used(i.Code, c.used)
	}
	if def := w.groupInvite(us[0], 0); def.Uses != DefaultGroupUses {
		t.Errorf("%+v", def)
	}
	for _, c := range []struct {
		uses int
		ttl  time.Duration
	}{{-1, 0}, {MaxInviteUses + 1, 0}, {1, -1}, {1, MaxInviteTime + 1}} {
		_, err := w.CreateGroupInvite(t.Context(), us[0], club, c.uses, c.ttl)
		wantCode(t, err, parley.BadRequest)
	}
	_, err := w.CreateGroupInvite(t.Context(), parley.UserID(parley.NewID("u", newRand(7))), club, 1, 0)
	wantCode(t, err, parley.NotFound)
	_, _, err = w.UseGroupInvite(t.Context(), i.Code, parley.UserID(parley.NewID("u", newRand(7))))
	wantCode(t, err, parley.NotFound)
}

// Guessed, used up, expired, revoked, and another sort of invite must not be
// told apart.
func TestBadGroupInvitesAreAllTheSame(t *testing.T) {
	h := &hall{}
	w := newWorld(t, h.config)
	us := w.people("ann", "bob", "cleo")
	used, expired := w.groupInvite(us[0], 1), w.groupInvite(us[0], 1)
	w.clock.pass(DefaultInviteFor)
	used = w.groupInvite(us[0], 1)
	w.join(w.Accounts, h, used.Code, us[1])
	revoked := w.groupInvite(us[0], 1)
	wantCode(t, w.RevokeGroupInvite(t.Context(), "gother", revoked.Code), parley.NotFound)
	if err := w.RevokeGroupInvite(t.Context(), club, revoked.Code); err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.RevokeGroupInvite(t.Context(), club, revoked.Code), parley.NotFound)
	signUp, err := w.CreateInvite(t.Context(), us[0], 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	first := map[string]string{}
	for name, code := range map[string]string{
		"guessed": strings.Repeat("7", idLen), "short": "x", "used up": used.Code, "expired": expired.Code,
		"revoked": revoked.Code, "for signing up": signUp.Code,
	} {
		_, err := w.GroupInvite(t.Context(), code)
		_, _, err2 := w.UseGroupInvite(t.Context(), code, us[2])
		for call, err := range map[string]error{"preview": err, "use": err2} {
			wantCode(t, err, parley.NotFound)
			if first[call] == "" {
				first[call] = err.Error()
			}
			if err.Error() != first[call] {
				t.Errorf("%s: %v, another: %s", name, err, first[call])
			}
		}
	}
	// Nobody comes in by what is revoked or expired, not even again.
	revoked = w.groupInvite(us[0], 2)
	w.join(w.Accounts, h, revoked.Code, us[1])
	if err := w.RevokeGroupInvite(t.Context(), club, revoked.Code); err != nil {
		t.Fatal(err)
	}
	if w.join(w.Accounts, h, revoked.Code, us[1]) {
		t.Error("a revoked link lets in")
	}
	rs, err := w.store.ListRecords(t.Context(), groupInviteAddress(hashOf(revoked.Code)), "", "", 10)
	if err != nil || len(rs) != 0 {
		t.Errorf("left behind: %v, %v", rs, err)
	}
}

// What certainly did not happen gives its use back; what did does not, whoever
// says so later.
func TestGroupUsesComeBack(t *testing.T) {
	h := &hall{}
	w := newWorld(t, h.config)
	us := w.people("ann", "bob", "cleo")
	i := w.groupInvite(us[0], 1)
	use := func(u parley.UserID) func(context.Context, bool) error {
		t.Helper()
		_, settle, err := w.UseGroupInvite(t.Context(), i.Code, u)
		if err != nil {
			t.Fatal(err)
		}
		return settle
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	settle := use(us[1])
	if w.join(w.Accounts, h, i.Code, us[2]) {
		t.Error("two in for one use")
	}
	must(settle(t.Context(), false))
	must(settle(t.Context(), false))
	w.used(i.Code, 0)
	// Two attempts of one user: the first, refused late, takes nothing from the second.
	first, second := use(us[1]), use(us[1])
	must(first(t.Context(), false))
	w.used(i.Code, 1)
	must(second(t.Context(), true))
	must(second(t.Context(), true))
	must(first(t.Context(), false))
	w.used(i.Code, 1)
	// Who joined counts, whatever becomes of coming again.
	must(use(us[1])(t.Context(), false))
	w.used(i.Code, 1)
	if w.join(w.Accounts, h, i.Code, us[2]) {
		t.Error("two in for one use")
	}
}

// However many come at once, on however many nodes and each of them twice, as
// many as it says get in. It kills a use that is counted in a step of its own.
func TestGroupUsesUnderContention(t *testing.T) {
	for round := range 10 {
		h := &hall{}
		w := newWorld(t, h.config)
		us := w.strangers(6)
		i := w.groupInvite(us[0], 3)
		nodes := []*Accounts{w.Accounts, w.another()}
		var mu sync.Mutex
		in := map[parley.UserID]bool{}
		var wg sync.WaitGroup
		for n := range 12 {
			wg.Go(func() {
				if w.join(nodes[n%2], h, i.Code, us[n%6]) {
					mu.Lock()
					defer mu.Unlock()
					in[us[n%6]] = true
				}
			})
		}
		wg.Wait()
		if len(in) != 3 {
			t.Errorf("round %d: %d let in", round, len(in))
		}
		w.used(i.Code, 3)
	}
}

// A join is cut at every write. Who is in is counted, once; who is not, is not
// for long. It kills a use that is only counted at the end, and one that is
// lost with its server.
func TestCrashWhileJoining(t *testing.T) {
	for n := 1; n <= 3; n++ {
		for _, after := range []bool{false, true} {
			for _, joins := range []bool{false, true} {
				h := &hall{}
				w := newWorld(t, h.config)
				us := w.people("ann", "bob", "cleo")
				i := w.groupInvite(us[0], 1)
				w.crashAt(n, after)
				_, settle, err := w.UseGroupInvite(t.Context(), i.Code, us[1])
				if err == nil && joins {
					h.enter(us[1])
				}
				if err == nil {
					_ = settle(t.Context(), joins)
				}
				in := h.in[us[1]]
				w.restart()
				w.clock.pass(2 * staleUse)
				if got := w.join(w.Accounts, h, i.Code, us[2]); got == in {
					t.Errorf("%d, %v, %v: one is in: %v, and another: %v", n, after, joins, in, got)
				}
				w.used(i.Code, 1)
			}
		}
	}
}

// A use of which nothing is known counts while it is young, when nobody can
// say, and when it was taken for dead and turned up after all.
func TestUndecidedUses(t *testing.T) {
	h := &hall{}
	w := newWorld(t, h.config)
	us := w.people("ann", "bob", "cleo")
	i := w.groupInvite(us[0], 1)
	_, settle, err := w.UseGroupInvite(t.Context(), i.Code, us[1])
	if err != nil {
		t.Fatal(err)
	}
	w.clock.pass(staleUse - time.Second)
	_, err = w.GroupInvite(t.Context(), i.Code)
	wantCode(t, err, parley.NotFound)
	w.clock.pass(time.Second)
	h.err = errors.New("cannot say")
	_, err = w.GroupInvite(t.Context(), i.Code)
	wantCode(t, err, parley.Internal)
	h.err = nil
	if got, err := w.GroupInvite(t.Context(), i.Code); err != nil || got.Used != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if !w.join(w.Accounts, h, i.Code, us[2]) {
		t.Error("a use that came to nothing is lost")
	}
	if err := settle(t.Context(), true); err != nil {
		t.Error(err)
	}
	w.used(i.Code, 2)

	w.conf.Joined = nil
	w.restart()
	i = w.groupInvite(us[0], 1)
	if _, _, err = w.UseGroupInvite(t.Context(), i.Code, us[1]); err != nil {
		t.Fatal(err)
	}
	w.clock.pass(2 * staleUse)
	_, err = w.GroupInvite(t.Context(), i.Code)
	wantCode(t, err, parley.NotFound)
}

func TestListOfGroupInvites(t *testing.T) {
	w := newWorld(t, noLimits)
	us := w.people("ann")
	var made []string
	for n := range maxGroupInvites {
		i, err := w.CreateGroupInvite(t.Context(), us[0], club, 1, time.Duration(1+n)*time.Hour)
		if err != nil {
			t.Fatal(n, err)
		}
		made = append([]string{i.Code}, made...)
		w.clock.pass(time.Millisecond)
	}
	var got []string
	for cursor := ""; ; {
		page, next, err := w.GroupInvites(t.Context(), club, cursor, 30)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page {
			got = append(got, i.Code)
		}
		if cursor = next; next == "" {
			break
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(made) {
		t.Errorf("%d listed, not those made, or not the newest first", len(got))
	}
	_, err := w.CreateGroupInvite(t.Context(), us[0], club, 1, 0)
	wantCode(t, err, parley.TooLarge)
	w.clock.pass(2 * time.Hour)
	w.groupInvite(us[0], 1) // in the place of what expired
	if _, _, err := w.GroupInvites(t.Context(), club, "x", 30); parley.CodeOf(err) != parley.BadRequest {
		t.Error(err)
	}
	if page, next, err := w.GroupInvites(t.Context(), "gother", "", 30); len(page) != 0 || next != "" || err != nil {
		t.Error(page, next, err)
	}
	// The code stands in the store only where its hash leads.
	rs, err := w.store.ListRecords(t.Context(), groupAddress(club), "", "", 200)
	if err != nil || len(rs) == 0 {
		t.Fatal(rs, err)
	}
	for _, r := range rs {
		for _, code := range made {
			if strings.Contains(string(r.Value)+r.Key, code) {
				t.Fatal("a code stands in the list")
			}
		}
	}
	w.store.set(nil, func(string, func() error) error { return store.ErrFull })
	_, err = w.CreateGroupInvite(t.Context(), us[0], "gother", 1, 0)
	wantCode(t, err, parley.StorageFull)
}
