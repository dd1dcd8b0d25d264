package account

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

func byInvite(c *Config) { c.Registration = ByInvite }
func noLimits(c *Config) { c.RateLimits = false }

// founder returns an administrator, made by the setup link.
func (w *world) founder() SignedIn {
	w.t.Helper()
	code, _, fresh, err := w.SetupCode(w.t.Context())
	if err != nil || !fresh {
		w.t.Fatal(fresh, err)
	}
	return w.registerWith("founder", code)
}

func TestModes(t *testing.T) {
	for _, c := range []struct {
		mode              Mode
		without, with, no parley.Code // no invite, a good one, a bad one
	}{
		{Open, "", "", parley.NotFound},
		{ByInvite, parley.Forbidden, "", parley.NotFound},
		{Closed, parley.Forbidden, parley.NotFound, parley.NotFound},
	} {
		w := newWorld(t, func(conf *Config) { conf.Registration = c.mode })
		code := w.invite(w.founder(), 5)
		for i, try := range []struct {
			invite string
			want   parley.Code
		}{{"", c.without}, {code, c.with}, {" " + strings.ToUpper(code) + "\n", c.with}, {code[1:] + code[:1], c.no}, {"x", c.no}} {
			_, err := w.Register(t.Context(), Registration{Handle: fmt.Sprint("user", i), Password: secret, Invite: try.invite})
			if got := parley.CodeOf(err); got != try.want {
				t.Errorf("%s with %q: %q, want %q: %v", c.mode, try.invite, got, try.want, err)
			}
		}
	}
}

// Guessed, used up, expired and revoked must not be told apart.
func TestBadInvitesAreAllTheSame(t *testing.T) {
	w := newWorld(t, byInvite)
	founder := w.founder()
	used, expired := w.invite(founder, 1), w.invite(founder, 1)
	w.registerWith("ann", used)
	w.clock.pass(DefaultInviteFor)
	revoked := w.invite(founder, 1)
	if err := w.RevokeInvite(t.Context(), founder.User.ID, revoked); err != nil {
		t.Fatal(err)
	}
	var first string
	for name, code := range map[string]string{"guessed": strings.Repeat("7", idLen), "used": used, "expired": expired, "revoked": revoked} {
		// Also for a handle that is taken: who has no invite does not learn who is here.
		for _, handle := range []string{"bob", "ann"} {
			_, err := w.Register(t.Context(), Registration{Handle: handle, Password: secret, Invite: code})
			wantCode(t, err, parley.NotFound)
			if first == "" {
				first = err.Error()
			}
			if err.Error() != first {
				t.Errorf("%s: %v, another: %s", name, err, first)
			}
		}
	}
}

// An invite lets in as many as it says, however many ask at once, on however
// many nodes. It kills a use that is counted before or after the commit.
func TestInviteUsesUnderContention(t *testing.T) {
	for round := range 10 {
		w := newWorld(t, byInvite, noLimits)
		founder := w.founder()
		const uses, guests = 3, 8
		code := w.invite(founder, uses)
		nodes := []*Accounts{w.Accounts, w.another()}
		var in, out atomic.Int64
		var wg sync.WaitGroup
		for i := range guests {
			wg.Go(func() {
				_, err := nodes[i%2].Register(t.Context(), Registration{Handle: fmt.Sprint("guest", i), Password: secret, Invite: code})
				switch parley.CodeOf(err) {
				case "":
					in.Add(1)
				case parley.NotFound:
					out.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if in.Load() != uses || out.Load() != guests-uses {
			t.Fatalf("round %d: %d let in, %d refused, of %d for %d uses", round, in.Load(), out.Load(), guests, uses)
		}
		is, _, err := w.Invites(t.Context(), founder.User.ID, "", 10)
		if err != nil || len(is) != 1 || is[0].Used != uses || is[0].Uses != uses {
			t.Errorf("%+v, %v", is, err)
		}
	}
}

// A registration that fails after it took an invite gives the use back.
func TestTheUseComesBack(t *testing.T) {
	w := newWorld(t, byInvite, noLimits)
	founder := w.founder()
	code := w.invite(founder, 1)
	w.store.set(nil, func(partition string, commit func() error) error {
		if partition == handleAddress("ann") {
			return store.ErrFull
		}
		return commit()
	})
	_, err := w.Register(t.Context(), Registration{Handle: "ann", Password: secret, Invite: code})
	wantCode(t, err, parley.StorageFull)
	w.store.set(nil, nil)
	w.registerWith("bob", code)
}

func TestCreateInvite(t *testing.T) {
	w := newWorld(t)
	ann := w.register("ann")
	i, err := w.CreateInvite(t.Context(), ann.User.ID, 0, 0)
	if err != nil || i.Uses != 1 || i.Used != 0 || i.By != ann.User.ID || !i.Expires.Equal(w.clock.now().Add(DefaultInviteFor)) {
		t.Errorf("%+v, %v", i, err)
	}
	if len(i.Code) != idLen || strings.Trim(i.Code, idAlphabet) != "" { // 26 × 5 bits
		t.Errorf("%q does not hold 128 bits", i.Code)
	}
	for _, c := range []struct {
		uses int
		ttl  time.Duration
	}{{-1, 0}, {MaxInviteUses + 1, 0}, {1, -time.Second}, {1, MaxInviteTime + time.Second}} {
		_, err := w.CreateInvite(t.Context(), ann.User.ID, c.uses, c.ttl)
		wantCode(t, err, parley.BadRequest)
	}
	_, err = w.CreateInvite(t.Context(), "unobody", 1, 0)
	wantCode(t, err, parley.NotFound)
}

func TestRevokeInvite(t *testing.T) {
	w := newWorld(t)
	founder, ann, bob := w.founder(), w.register("ann"), w.register("bob")
	code := w.invite(ann, 1)
	guess := strings.Repeat("7", idLen)
	theirs, nobodys := w.RevokeInvite(t.Context(), bob.User.ID, code), w.RevokeInvite(t.Context(), bob.User.ID, guess)
	wantCode(t, theirs, parley.NotFound)
	if theirs.Error() != nobodys.Error() {
		t.Errorf("somebody else's: %v, nobody's: %v", theirs, nobodys)
	}
	if err := w.RevokeInvite(t.Context(), ann.User.ID, code); err != nil {
		t.Error(err)
	}
	wantCode(t, w.RevokeInvite(t.Context(), ann.User.ID, code), parley.NotFound)
	if err := w.RevokeInvite(t.Context(), founder.User.ID, w.invite(ann, 1)); err != nil {
		t.Errorf("an administrator may end any: %v", err)
	}
	if is, next, err := w.Invites(t.Context(), ann.User.ID, "", 10); err != nil || len(is) != 0 || next != "" {
		t.Errorf("%+v, %q, %v", is, next, err)
	}
}

func TestInvitesAreListedInPages(t *testing.T) {
	w := newWorld(t)
	ann, bob := w.register("ann"), w.register("bob")
	var codes []string // newest first
	for i := range 7 {
		if i%2 == 0 { // some are of the same millisecond
			w.clock.pass(time.Millisecond)
		}
		codes = append([]string{w.invite(ann, 1)}, codes...)
	}
	w.invite(bob, 1)
	if err := w.RevokeInvite(t.Context(), ann.User.ID, codes[3]); err != nil {
		t.Fatal(err)
	}
	for limit := 1; limit <= 8; limit++ {
		seen := map[string]bool{}
		last, cursor := w.clock.now(), ""
		for {
			page, next, err := w.Invites(t.Context(), ann.User.ID, cursor, limit)
			if err != nil || len(page) > limit {
				t.Fatalf("%d of %d, %v", len(page), limit, err)
			}
			for _, i := range page {
				if seen[i.Code] || i.Created.After(last) {
					t.Errorf("limit %d: %+v comes twice or too late", limit, i)
				}
				seen[i.Code], last = true, i.Created
			}
			if next == "" {
				break
			}
			cursor = next
		}
		if len(seen) != 6 || seen[codes[3]] {
			t.Errorf("limit %d: %d invites", limit, len(seen))
		}
	}
	for _, cursor := range []string{"x", strings.Repeat("g", 33), strings.Repeat("0", 34)} {
		_, _, err := w.Invites(t.Context(), ann.User.ID, cursor, 1)
		wantCode(t, err, parley.BadRequest)
	}
}

// A full list makes room by what expired, and is refused when nothing did.
func TestInvitesAreBounded(t *testing.T) {
	w := newWorld(t)
	ann := w.register("ann")
	expires := w.clock.now().Add(time.Hour)
	changes := make([]store.Change, maxInvites)
	for i := range changes {
		l := listedRecord{Invite: fmt.Sprintf("%064x", i), Expires: expires}
		changes[i] = creation(fmt.Sprintf("%s%016x-%016x", keyInvites, i, i), &l)
	}
	if err := w.store.CommitRecords(t.Context(), userAddress(ann.User.ID), changes); err != nil {
		t.Fatal(err)
	}
	_, err := w.CreateInvite(t.Context(), ann.User.ID, 1, 0)
	wantCode(t, err, parley.Forbidden)
	w.clock.pass(time.Hour)
	w.invite(ann, 1)
	if all, err := w.list(t.Context(), userAddress(ann.User.ID), keyInvites); err != nil || len(all) != 1 {
		t.Errorf("%d left, %v", len(all), err)
	}
}
