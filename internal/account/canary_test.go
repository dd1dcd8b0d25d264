package account

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// lines is a log that many may write to.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// What must not get out.
const (
	canaryHandle   = "kanarie"
	canaryName     = "Vögelchen"
	canaryDevice   = "Käfig"
	canaryPassword = "tirili tirili"
	canaryNext     = "piep piep piep"
	canaryStatus   = "zwitschert gerade"
	canaryBot      = "kuckuck"
	canaryHook     = "nistkasten.example"
)

// flight is what canaries left behind.
type flight struct {
	secrets map[string]bool // all that must not get out
	errs    []error
}

func (f *flight) keep(err error) {
	if err != nil {
		f.errs = append(f.errs, err)
	}
}

// No handle, name, password, token or code gets into a log or an error, on no
// path: right, wrong, and with a store that fails from any write on.
func TestCanaries(t *testing.T) {
	log := &lines{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f := &flight{secrets: map[string]bool{canaryHandle: true, canaryName: true, canaryDevice: true, canaryPassword: true, canaryNext: true,
		canaryStatus: true, canaryBot: true, canaryHook: true}}
	for n := range 12 {
		for _, cause := range []error{nil, store.ErrUnavailable, store.ErrFull, store.ErrConflict, errors.New("fire")} {
			f.fly(newWorld(t, byInvite, func(c *Config) { c.Logger = logger; c.MaxDevices = 2 }), n, cause)
		}
	}
	out := log.String()
	for _, err := range f.errs {
		out += "\n" + err.Error()
		if !errors.As(err, new(*parley.Error)) {
			t.Errorf("an error without a code: %v", err)
		}
	}
	if !strings.Contains(out, "account registered") || len(f.errs) < 100 {
		t.Fatalf("nothing was logged, or only %d errors seen: the test sees nothing", len(f.errs))
	}
	delete(f.secrets, "")
	for s := range f.secrets {
		if strings.Contains(out, s) || strings.Contains(out, strings.TrimPrefix(s, tokenPrefix)) {
			t.Errorf("%q got out", s)
		}
	}
}

// fly does everything there is to do in w, whose store fails with cause after
// n writes; nil: never.
func (f *flight) fly(w *world, n int, cause error) {
	ctx := w.t.Context()
	founder := w.founder()
	code := w.invite(founder, 2)
	ran := 0
	w.store.set(nil, func(_ string, commit func() error) error {
		if ran++; ran > n && cause != nil {
			return cause
		}
		return commit()
	})
	q := Registration{Handle: canaryHandle, Password: canaryPassword, Name: canaryName, Device: canaryDevice, Invite: code, Addr: homeAddr}
	in, err := w.Register(ctx, q)
	f.keep(err)
	for _, password := range []string{canaryPassword, canaryPassword + "?"} {
		again, err := w.SignIn(ctx, canaryHandle, password, canaryDevice, homeAddr)
		f.keep(err)
		f.secrets[again.Token] = true
		f.keep(w.ChangePassword(ctx, Identity{in.User.ID, in.Device.ID}, password+"?", canaryNext))
	}
	w.clock.pass(2 * seenEvery)
	_, err = w.Authenticate(ctx, in.Token)
	f.keep(err)
	for _, name := range []string{canaryName, canaryName + "\n"} {
		_, err = w.Rename(ctx, in.User.ID, name)
		f.keep(err)
	}
	_, err = w.Register(ctx, q) // the handle is taken
	f.keep(err)
	q.Handle += "\x00"
	_, err = w.Register(ctx, q)
	f.keep(err)
	i, err := w.CreateInvite(ctx, in.User.ID, 1, 0)
	f.keep(err)
	f.keep(w.RevokeInvite(ctx, in.User.ID, code))
	_, _, err = w.Invites(ctx, in.User.ID, code, 1)
	f.keep(err)
	f.people(w, founder.User.ID, in.User.ID)
	f.keep(w.SignOut(ctx, in.User.ID, in.Device.ID))
	for _, s := range []string{code, founder.Token, in.Token, i.Code} {
		f.secrets[s] = true
	}
}

// people does what concerns others, as me. Nobody learns from a log or an
// error who asked or blocked whom.
func (f *flight) people(w *world, me, other parley.UserID) {
	ctx := w.t.Context()
	for i, ask := range []ContactState{ContactRequested, ContactBlocked, ContactBlocked, ContactAccepted, ContactUnblocked} {
		_, err := w.SetContact(ctx, me, other, ask, uint64(i))
		f.keep(err)
		if err != nil && other != "" && strings.Contains(err.Error(), string(other)) {
			w.t.Errorf("%v tells who", err)
		}
	}
	f.keep(w.DeleteContact(ctx, me, other))
	for _, status := range []string{canaryStatus, canaryStatus + "\n"} {
		_, err := w.UpdateProfile(ctx, me, ProfileChange{Status: &status})
		f.keep(err)
	}
	_, err := w.SetAvatar(ctx, me, []byte(canaryStatus))
	f.keep(err)
	for _, hook := range []string{"https://" + canaryHook + "/?key=" + canaryPassword[:6], "ftp://" + canaryHook} {
		b, token, key, err := w.CreateBot(ctx, me, canaryBot, canaryName, hook)
		f.keep(err)
		f.secrets[token], f.secrets[key] = true, true
		_, key, err = w.UpdateBot(ctx, me, b.User.ID, BotChange{Webhook: &hook})
		f.keep(err)
		f.secrets[key] = true
		token, err = w.RenewBotToken(ctx, me, b.User.ID)
		f.keep(err)
		f.secrets[token] = true
		f.keep(w.DeleteBot(ctx, me, b.User.ID))
	}
	i, err := w.CreateGroupInvite(ctx, me, club, 1, 0)
	f.keep(err)
	f.secrets[i.Code] = true
	_, settle, err := w.UseGroupInvite(ctx, i.Code, me)
	f.keep(err)
	if err == nil {
		f.keep(settle(ctx, true))
	}
	f.keep(w.RevokeGroupInvite(ctx, club, i.Code))
	_, err = w.GroupInvite(ctx, i.Code)
	f.keep(err)
}
