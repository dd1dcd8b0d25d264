package account

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-im/parley"
)

// madeBot is a bot with what is shown once.
type madeBot struct {
	Bot
	token, secret string
}

func (b madeBot) signedIn(w *world) SignedIn {
	ds, err := w.Devices(w.t.Context(), b.User.ID)
	if err != nil || len(ds) != 1 {
		w.t.Fatal(ds, err)
	}
	return SignedIn{User: b.User, Device: ds[0], Token: b.token}
}

func (w *world) bot(owner parley.UserID, handle, webhook string) madeBot {
	w.t.Helper()
	b, token, secret, err := w.CreateBot(w.t.Context(), owner, handle, "", webhook)
	if err != nil {
		w.t.Fatal(err)
	}
	return madeBot{b, token, secret}
}

// ownBots are the handles of owner's bots.
func (w *world) ownBots(owner parley.UserID) string {
	w.t.Helper()
	bots, err := w.Bots(w.t.Context(), owner)
	if err != nil {
		w.t.Fatal(err)
	}
	var handles []string
	for _, b := range bots {
		if one, err := w.Bot(w.t.Context(), owner, b.User.ID); err != nil || one.User != b.User {
			w.t.Errorf("%+v, on the list %+v, %v", one, b, err)
		}
		handles = append(handles, b.User.Handle)
	}
	return strings.Join(handles, " ")
}

const hookURL = "https://example.org/hook?to=parley"

func TestBots(t *testing.T) {
	w := newWorld(t)
	us := w.people("ann", "bob")
	b := w.bot(us[0], "Weather", hookURL)
	if u := b.User; !u.Bot || u.Owner != us[0] || u.Handle != "weather" || u.Name != "weather" || u.Admin || u.Deleted || !IsUserID(string(u.ID)) {
		t.Errorf("%+v", u)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(b.secret, "whsec_"))
	if err != nil || len(key) < 24 || len(key) > 64 || !strings.HasPrefix(b.secret, "whsec_") {
		t.Errorf("secret %q, %v", b.secret, err)
	}
	if b.Webhook == nil || b.Webhook.URL != hookURL || !b.Webhook.Since.Equal(w.clock.now()) {
		t.Errorf("%+v", b.Webhook)
	}
	w.restart()
	in := b.signedIn(w)
	if !good(t, w.Accounts, in) {
		t.Error("its token is no good")
	}
	if u, err := w.UserByHandle(t.Context(), "weather"); err != nil || u != b.User {
		t.Errorf("%+v, %v", u, err)
	}
	// It has no password, and nobody can give it one.
	for _, password := range []string{secret, "        "} {
		_, err := w.SignIn(t.Context(), "weather", password, "", homeAddr)
		wantCode(t, err, parley.Unauthorized)
	}
	wantCode(t, w.ChangePassword(t.Context(), Identity{in.User.ID, in.Device.ID}, secret, secret+"2"), parley.NotFound)
	// What is not for bots.
	_, _, _, err = w.CreateBot(t.Context(), b.User.ID, "child", "", "")
	wantCode(t, err, parley.Forbidden)
	_, err = w.CreateInvite(t.Context(), b.User.ID, 1, 0)
	wantCode(t, err, parley.Forbidden)
	_, err = w.CreateGroupInvite(t.Context(), b.User.ID, club, 1, 0)
	wantCode(t, err, parley.Forbidden)
	// Others' bots are nobody's.
	for _, owner := range []parley.UserID{us[1], b.User.ID} {
		_, err := w.Bot(t.Context(), owner, b.User.ID)
		wantCode(t, err, parley.NotFound)
		_, _, err = w.UpdateBot(t.Context(), owner, b.User.ID, BotChange{})
		wantCode(t, err, parley.NotFound)
		_, err = w.RenewBotToken(t.Context(), owner, b.User.ID)
		wantCode(t, err, parley.NotFound)
		wantCode(t, w.ReplayWebhook(t.Context(), owner, b.User.ID, time.Time{}), parley.NotFound)
		wantCode(t, w.DeleteBot(t.Context(), owner, b.User.ID), parley.NotFound)
		if got := w.ownBots(owner); got != "" {
			t.Errorf("lists %s", got)
		}
	}
	_, err = w.Bot(t.Context(), us[0], us[1])
	wantCode(t, err, parley.NotFound)
	wantCode(t, w.DeleteBot(t.Context(), us[0], us[1]), parley.NotFound)
	if got := w.ownBots(us[0]); got != "weather" || !good(t, w.Accounts, in) {
		t.Errorf("lists %s", got)
	}
}

func TestBotRefusals(t *testing.T) {
	w := newWorld(t)
	us := w.people("ann", "bob")
	for _, c := range []struct {
		handle, name, webhook string
		want                  parley.Code
	}{
		{"bob", "", "", parley.Conflict},
		{"b", "", "", parley.BadRequest},
		{"robot", "a\nb", "", parley.BadRequest},
		{"robot", "", "http://example.org/", parley.BadRequest},
	} {
		_, _, _, err := w.CreateBot(t.Context(), us[0], c.handle, c.name, c.webhook)
		wantCode(t, err, c.want)
	}
	_, _, _, err := w.CreateBot(t.Context(), parley.UserID(parley.NewID("u", newRand(7))), "robot", "", "")
	wantCode(t, err, parley.NotFound)
	if got := w.ownBots(us[0]); got != "" {
		t.Errorf("lists %q", got)
	}
}

func TestUpdateAndRenewBot(t *testing.T) {
	var mu sync.Mutex
	told := 0
	w := newWorld(t, func(c *Config) {
		c.WebhookChanged = func(parley.UserID) {
			mu.Lock()
			defer mu.Unlock()
			told++
		}
	})
	me := w.register("ann").User.ID
	b := w.bot(me, "robot", "")
	if b.secret != "" || b.Webhook != nil || told != 0 {
		t.Errorf("%+v, of which %d were told", b, told)
	}
	if w.bot(me, "hooked", hookURL); told != 1 {
		t.Errorf("of a new webhook %d were told", told) // else it waits until somebody looks
	}
	told = 0
	name, url, none, bad := "Robby", hookURL, "", "ftp://x.org"
	got, hookSecret, err := w.UpdateBot(t.Context(), me, b.User.ID, BotChange{Name: &name, Webhook: &url})
	if err != nil || got.User.Name != "Robby" || got.Webhook == nil || got.Webhook.URL != url || got.Webhook.Secret != hookSecret || told != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, _, err := w.UpdateBot(t.Context(), me, b.User.ID, BotChange{Name: &name, Webhook: &bad}); parley.CodeOf(err) != parley.BadRequest {
		t.Error(err)
	}
	_, again, err := w.UpdateBot(t.Context(), me, b.User.ID, BotChange{Webhook: &url})
	if err != nil || again == hookSecret {
		t.Error("the same secret once more", err)
	}
	got, hookSecret, err = w.UpdateBot(t.Context(), me, b.User.ID, BotChange{Webhook: &none})
	if err != nil || got.Webhook != nil || hookSecret != "" || got.User.Name != "Robby" {
		t.Errorf("%+v, %v", got, err)
	}
	old := b.signedIn(w)
	token, err := w.RenewBotToken(t.Context(), me, b.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	b.token = token
	if good(t, w.Accounts, old) || !good(t, w.Accounts, b.signedIn(w)) || !w.wasRevoked(old) {
		t.Error("the old token is good, or the new one is not")
	}
}

func TestDeleteBot(t *testing.T) {
	w := newWorld(t)
	us := w.people("ann", "bob")
	b, other := w.bot(us[0], "robot", hookURL), w.bot(us[0], "other", hookURL)
	if _, err := w.SetAvatar(t.Context(), b.User.ID, portrait(t, 1)); err != nil {
		t.Fatal(err)
	}
	in := b.signedIn(w)
	if err := w.DeleteBot(t.Context(), us[0], b.User.ID); err != nil {
		t.Fatal(err)
	}
	if good(t, w.Accounts, in) || !w.wasRevoked(in) {
		t.Error("it is signed in")
	}
	if u, err := w.User(t.Context(), b.User.ID); err != nil || !u.Deleted || !u.Bot || u.Avatar != "" || w.pictures(u.ID) != 0 {
		t.Errorf("%+v, %v", u, err)
	}
	_, err := w.UserByHandle(t.Context(), "robot")
	wantCode(t, err, parley.NotFound)
	_, err = w.Register(t.Context(), Registration{Handle: "robot", Password: secret})
	wantCode(t, err, parley.Conflict)
	_, err = w.Webhook(t.Context(), b.User.ID)
	wantCode(t, err, parley.NotFound)
	_, err = w.RenewBotToken(t.Context(), us[0], b.User.ID)
	wantCode(t, err, parley.NotFound)
	_, err = w.Rename(t.Context(), b.User.ID, "Back")
	wantCode(t, err, parley.NotFound)
	_, err = w.SetContact(t.Context(), us[1], b.User.ID, ContactRequested, 1)
	wantCode(t, err, parley.NotFound)
	wantCode(t, w.DeleteBot(t.Context(), us[0], b.User.ID), parley.NotFound)
	if got := w.ownBots(us[0]); got != "other" || !good(t, w.Accounts, other.signedIn(w)) {
		t.Errorf("lists %s", got)
	}
}

// A token made at the moment of the deletion must not outlive it. It kills a
// renewal that does not write the profile along.
func TestRenewalMeetsDeletion(t *testing.T) {
	for _, signedOut := range []bool{false, true} { // then the profile alone stands between them
		w := newWorld(t)
		me := w.register("ann").User.ID
		b := w.bot(me, "robot", "")
		if signedOut {
			if err := w.SignOut(t.Context(), b.User.ID, b.signedIn(w).Device.ID); err != nil {
				t.Fatal(err)
			}
		}
		w.store.set(nil, func(partition string, commit func() error) error {
			if partition == userAddress(b.User.ID) {
				w.store.set(nil, nil)
				if err := w.another().DeleteBot(t.Context(), me, b.User.ID); err != nil {
					t.Error(err)
				}
			}
			return commit()
		})
		_, err := w.RenewBotToken(t.Context(), me, b.User.ID)
		wantCode(t, err, parley.NotFound)
		if ds, err := w.Devices(t.Context(), b.User.ID); err != nil || len(ds) != 0 {
			t.Errorf("a deleted bot is signed in: %v, %v", ds, err)
		}
	}
}

// Twenty and no more, on however many nodes; and making them waits.
func TestBotsAreBounded(t *testing.T) {
	w := newWorld(t, noLimits)
	me := w.register("ann").User.ID
	nodes := []*Accounts{w.Accounts, w.another()}
	var mu sync.Mutex
	made := 0
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 4 {
				_, _, _, err := nodes[n%2].CreateBot(t.Context(), me, fmt.Sprintf("robot%d-%d", n, i), "", "")
				switch parley.CodeOf(err) {
				case "":
					mu.Lock()
					made++
					mu.Unlock()
				case parley.TooLarge:
				default:
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	bots, err := w.Bots(t.Context(), me)
	if made != MaxBots || len(bots) != MaxBots || err != nil {
		t.Fatalf("%d made, %d listed, %v", made, len(bots), err)
	}
	if err := w.DeleteBot(t.Context(), me, bots[3].User.ID); err != nil {
		t.Fatal(err)
	}
	w.bot(me, "another", "")
	w.conf.RateLimits = true
	w.restart()
	us := w.people("bob")
	for n := range MaxBots {
		w.bot(us[0], fmt.Sprint("limited", n), "")
	}
	_, _, _, err = w.CreateBot(t.Context(), us[0], "limited", "", "")
	wantCode(t, err, parley.RateLimited)
}

// The making of a bot is cut at every write: it is there whole, with its
// webhook and on its owner's list, or not at all, and takes no place.
func TestCrashWhileMakingBots(t *testing.T) {
	for n := 1; ; n++ {
		more := false
		for _, after := range []bool{false, true} {
			w := newWorld(t, noLimits)
			me := w.register("ann").User.ID
			for i := range MaxBots - 1 {
				w.bot(me, fmt.Sprint("robot", i), "")
			}
			ran := w.crashAt(n, after)
			_, _, _, err := w.CreateBot(t.Context(), me, "last", "", hookURL)
			more = more || *ran >= n
			w.restart()
			w.clock.pass(2 * staleHold)
			u, lookup := w.UserByHandle(t.Context(), "last")
			exists := lookup == nil
			listed := strings.Contains(w.ownBots(me), "last")
			if exists != listed || err == nil && !exists {
				t.Errorf("%d, %v: exists %v, listed %v, %v", n, after, exists, listed, err)
			}
			if exists {
				if hook, err := w.Webhook(t.Context(), u.ID); err != nil || hook.URL != hookURL {
					t.Errorf("%d, %v: %+v, %v", n, after, hook, err)
				}
			}
			_, _, _, err = w.CreateBot(t.Context(), me, "next", "", "")
			if want := map[bool]parley.Code{true: parley.TooLarge, false: ""}[exists]; parley.CodeOf(err) != want {
				t.Errorf("%d, %v: exists %v, and the next gets %v", n, after, exists, err)
			}
		}
		if !more {
			break
		}
	}
}

// A deletion is cut at every write. Trying again finishes it, and a bot that
// says deleted has nothing any more, whoever looks.
func TestCrashWhileDeletingBots(t *testing.T) {
	for n := 1; ; n++ {
		more := false
		for _, after := range []bool{false, true} {
			w := newWorld(t, noLimits)
			me := w.register("ann").User.ID
			b := w.bot(me, "robot", hookURL)
			in := b.signedIn(w)
			for i := range MaxBots - 1 {
				w.bot(me, fmt.Sprint("robot", i), "")
			}
			ran := w.crashAt(n, after)
			err := w.DeleteBot(t.Context(), me, b.User.ID)
			more = more || *ran >= n
			w.restart()
			u, _ := w.User(t.Context(), b.User.ID)
			if err == nil && !u.Deleted {
				t.Errorf("%d, %v: success, and it lives", n, after)
			}
			hooks, herr := w.Webhooks(t.Context(), nil, "", 10)
			if good(t, w.Accounts, in) == u.Deleted || (len(hooks) == 0) != u.Deleted || herr != nil {
				t.Errorf("%d, %v: deleted %v, and its token or webhook is not: %v, %v", n, after, u.Deleted, hooks, herr)
			}
			if !u.Deleted || n%2 == 0 { // else making the next one mends it
				if err := w.DeleteBot(t.Context(), me, b.User.ID); err != nil && !u.Deleted {
					t.Errorf("%d, %v: again: %v", n, after, err)
				}
			}
			w.bot(me, "next", "")
			if got := w.ownBots(me); strings.Contains(got+" ", "robot ") {
				t.Errorf("%d, %v: %s", n, after, got)
			}
		}
		if !more {
			break
		}
	}
}
