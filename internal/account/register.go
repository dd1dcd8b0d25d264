package account

import (
	"context"
	"errors"
	"fmt"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// Registration asks for an account.
type Registration struct {
	Handle   string
	Password string
	Name     string // empty: the handle
	Invite   string // code of an invite, or of the link that makes the first administrator
	Device   string // a name for this device; empty: "device"
	Addr     string // the network address of the asker, for the limits
}

const defaultDevice = "device"

// Register makes an account and signs its first device in. Codes: bad_request
// for what breaks a rule, forbidden when registration needs an invite or is
// closed, not_found for any invite that lets nobody in, conflict when the
// handle is taken, rate_limited, overloaded. After any error that says to
// retry, the account may exist all the same: then the retry gets a conflict,
// and signing in works.
func (a *Accounts) Register(ctx context.Context, q Registration) (SignedIn, error) {
	const op = "account.register"
	n, err := a.check(op, q)
	if err != nil {
		return SignedIn{}, err
	}
	end, err := a.attempt(ctx, op, addressClaims("register", q.Addr)...)
	if err != nil {
		return SignedIn{}, err
	}
	// Guessing at invites and handles is what is limited.
	guess := true
	defer func() { end(guess) }()
	// First what is cheap, so that a hash is only made for who can succeed.
	// The pass before the handle, so that nobody without one learns who is here.
	n.pass, err = a.passFor(ctx, op, q.Invite)
	if err == nil {
		_, err = a.vacant(ctx, op, n)
	}
	if err == nil {
		n.secret.Hash, err = a.hasher.hash(ctx, n.password)
	}
	if err == nil {
		// From here on a client that goes away changes nothing.
		ctx, cancel := detached(ctx)
		defer cancel()
		err = a.found(ctx, op, n)
	}
	if err != nil {
		err = failed(op, err)
		code := parley.CodeOf(err)
		guess = code == parley.NotFound || code == parley.Conflict
		return SignedIn{}, err
	}
	guess = false
	a.log.Info("account registered", "user", string(n.user), "admin", n.profile.Admin)
	return SignedIn{
		User:   n.profile.user(n.user),
		Device: n.deviceRec.device(n.device),
		Token:  n.token,
	}, nil
}

// newcomer is an account on its way.
type newcomer struct {
	user      parley.UserID
	device    parley.DeviceID
	token     string
	password  string
	profile   profileRecord
	secret    secretRecord
	deviceRec deviceRecord
	pass      pass // nil: none needed
}

// check applies the rules that need no store, and makes the ids.
func (a *Accounts) check(op string, q Registration) (*newcomer, error) {
	n, err := a.newcomer(op, q.Handle, q.Name, q.Device)
	if err != nil {
		return nil, err
	}
	if n.password, err = newPassword(op, q.Password); err != nil {
		return nil, err
	}
	n.secret = secretRecord{Serial: 1, Changed: n.profile.Created}
	return n, nil
}

// newcomer is one without a password, as bots are.
func (a *Accounts) newcomer(op, handle, name, device string) (*newcomer, error) {
	handle, err := goodHandle(op, handle)
	if err != nil {
		return nil, err
	}
	if name, err = goodName(op, "display", name, handle); err != nil {
		return nil, err
	}
	if device, err = goodName(op, "device", device, defaultDevice); err != nil {
		return nil, err
	}
	now := a.clock()
	n := &newcomer{
		user:    parley.UserID(a.newID(userPrefix)),
		device:  parley.DeviceID(a.newID(devicePrefix)),
		profile: profileRecord{Handle: handle, Name: name, Created: now},
	}
	var hash string
	n.token, hash = a.newToken()
	n.deviceRec = deviceRecord{Name: device, Token: hash, Created: now, Seen: now}
	return n, nil
}

// vacant returns the version of the handle's record, or says that it is taken.
func (a *Accounts) vacant(ctx context.Context, op string, n *newcomer) (version uint64, err error) {
	var owner ownerRecord
	r, _, err := a.read(ctx, handleAddress(n.profile.Handle), keyOwner, &owner)
	if err != nil {
		return 0, err
	}
	if owner.User != "" && owner.User != n.user {
		return 0, parley.E(parley.Conflict, op, "This handle is taken. Choose another; if it is yours, sign in.")
	}
	return r.Version, nil
}

// found writes the account: its own records, then the hold on the pass, then
// the handle, which makes it true. What fails before that is cleared away;
// what cannot be cleared away is harmless.
func (a *Accounts) found(ctx context.Context, op string, n *newcomer) error {
	n.profile.Admin = n.pass != nil && n.pass.admin()
	err := a.prepare(ctx, n)
	if err == nil {
		err = a.enter(ctx, op, n)
		if errors.Is(err, errUnknown) {
			// Nobody knows whether the handle is ours. Leave everything: if it
			// is, the account works; if not, the hold is resolved one day.
			a.log.Warn("registration of unknown outcome", "user", string(n.user), "err", err)
			return err
		}
		if n.pass != nil {
			// Also when hold failed: it may have happened.
			if serr := n.pass.settle(ctx, n.user, err == nil); serr != nil {
				a.log.Warn("pass not settled; it will be when next used", "user", string(n.user), "err", serr)
			}
		}
	}
	if err != nil {
		a.tidy(ctx, op, userAddress(n.user), keyProfile, keySecret, deviceKey(n.device))
		a.tidy(ctx, op, tokenAddress(n.deviceRec.Token), keyToken)
	}
	return err
}

// prepare writes everything but the handle.
func (a *Accounts) prepare(ctx context.Context, n *newcomer) error {
	index := tokenRecord{User: n.user, Device: n.device}
	if err := a.commit(ctx, tokenAddress(n.deviceRec.Token), creation(keyToken, &index)); err != nil {
		return err
	}
	changes := []store.Change{creation(keyProfile, &n.profile), creation(deviceKey(n.device), &n.deviceRec)}
	if n.secret.Hash != "" { // a bot has none, and can never sign in
		changes = append(changes, creation(keySecret, &n.secret))
	}
	return a.commit(ctx, userAddress(n.user), changes...)
}

// errUnknown: the handle may be the newcomer's, now or a little later.
var errUnknown = errors.New("account: the handle may have been taken")

// enter takes the handle: the moment the account begins to exist. Any error
// but errUnknown means that it does not.
func (a *Accounts) enter(ctx context.Context, op string, n *newcomer) error {
	for range casTries {
		// The handle is looked at before the hold is taken: whoever gives the
		// hold up for dead moves the version, and the commit below fails.
		claim, err := a.vacant(ctx, op, n)
		if err != nil {
			return err
		}
		if n.pass != nil {
			err := n.pass.hold(ctx, hold{User: n.user, Handle: n.profile.Handle, At: a.clock()})
			if errors.Is(err, errNoPass) {
				return badInvite(op)
			}
			if err != nil {
				return err
			}
		}
		err = a.commit(ctx, handleAddress(n.profile.Handle), change(keyOwner, claim, &ownerRecord{User: n.user}))
		switch {
		case err == nil:
			return nil
		case !sure(err):
			return fmt.Errorf("%w: %w", errUnknown, err)
		case !errors.Is(err, store.ErrConflict):
			return err
		}
		if n.pass != nil {
			// The hold counts for nothing any more, so it is taken anew.
			if err := n.pass.settle(ctx, n.user, false); err != nil {
				return err
			}
		}
	}
	return errContended
}

// tidy removes records that mean nothing any more. It need not succeed.
func (a *Accounts) tidy(ctx context.Context, op, partition string, keys ...string) {
	ctx, cancel := detached(ctx)
	defer cancel()
	var changes []store.Change
	for _, key := range keys {
		r, err := a.records.GetRecord(ctx, partition, key)
		if err != nil {
			a.log.Warn("litter left behind", "op", op, "err", err)
			return
		}
		if r.Version != 0 {
			changes = append(changes, removal(r))
		}
	}
	if len(changes) == 0 {
		return
	}
	if err := a.records.CommitRecords(ctx, partition, changes); err != nil && !errors.Is(err, store.ErrConflict) {
		a.log.Warn("litter left behind", "op", op, "err", err)
	}
}
