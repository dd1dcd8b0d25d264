package account

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/parley-im/parley"
)

// The link works once, in every mode, and makes an administrator.
func TestSetup(t *testing.T) {
	for _, mode := range []Mode{Open, ByInvite, Closed} {
		w := newWorld(t, func(c *Config) { c.Registration = mode })
		code, expires, fresh, err := w.SetupCode(t.Context())
		if err != nil || !fresh || len(code) != idLen || !expires.Equal(w.clock.now().Add(setupFor)) {
			t.Fatal(code, expires, fresh, err)
		}
		rs, err := w.store.ListRecords(t.Context(), setupAddress, "", "", 10)
		if err != nil || len(rs) != 1 || strings.Contains(string(rs[0].Value), code) {
			t.Errorf("the code stands in the store: %v, %v", rs, err)
		}
		if in := w.registerWith("founder", code); !in.User.Admin {
			t.Error("the first is no administrator")
		}
		_, err = w.Register(t.Context(), Registration{Handle: "second", Password: secret, Invite: code})
		wantCode(t, err, parley.NotFound)
		w.restart()
		if u, err := w.UserByHandle(t.Context(), "founder"); err != nil || !u.Admin {
			t.Errorf("%+v, %v", u, err)
		}
		if code, _, fresh, err := w.SetupCode(t.Context()); code != "" || fresh || err != nil {
			t.Errorf("a second link: %v, %v, %v", code, fresh, err)
		}
	}
}

// A link is good until the next start or for half an hour, and a failed try
// does not use it up.
func TestSetupCodesEnd(t *testing.T) {
	w := newWorld(t, byInvite)
	old, _, _, err := w.SetupCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.restart()
	code, _, _, err := w.SetupCode(t.Context())
	if err != nil || code == old {
		t.Fatal(code, err)
	}
	try := func(code, handle string) parley.Code {
		_, err := w.Register(t.Context(), Registration{Handle: handle, Password: secret, Invite: code})
		return parley.CodeOf(err)
	}
	if got := try(old, "founder"); got != parley.NotFound {
		t.Errorf("the link of the start before: %q", got)
	}
	if got := try(code, "x"); got != parley.BadRequest {
		t.Errorf("a bad handle: %q", got)
	}
	w.clock.pass(setupFor)
	if got := try(code, "founder"); got != parley.NotFound {
		t.Errorf("a link of half an hour ago: %q", got)
	}
	w.founder()
}

// However many use the link at once, on however many nodes, it makes one
// administrator. It kills a link that is looked at and marked in two steps.
func TestOneFirstAdministrator(t *testing.T) {
	for round := range 10 {
		w := newWorld(t, byInvite, noLimits)
		code, _, _, err := w.SetupCode(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		nodes := []*Accounts{w.Accounts, w.another()}
		var mu sync.Mutex
		admins := 0
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				in, err := nodes[i%2].Register(t.Context(), Registration{Handle: fmt.Sprint("user", i), Password: secret, Invite: code})
				if err != nil {
					wantCode(t, err, parley.NotFound)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if admins++; !in.User.Admin {
					t.Error("let in without being an administrator")
				}
			})
		}
		wg.Wait()
		if admins != 1 {
			t.Fatalf("round %d: %d administrators", round, admins)
		}
	}
}
