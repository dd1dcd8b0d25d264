package account

import (
	"context"
	"errors"
	"slices"
	"strings"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// SignIn signs a new device in. A wrong password and an unknown handle get the
// same answer (unauthorized) after the same work. Failures are limited by
// address and by account; so that strangers cannot keep the owner out, an
// address from which the account was entered before has a limit of its own.
func (a *Accounts) SignIn(ctx context.Context, handle, password, device, addr string) (SignedIn, error) {
	const op = "account.signin"
	device, err := goodName(op, "device", device, defaultDevice)
	if err != nil {
		return SignedIn{}, err
	}
	if password, err = givenPassword(op, password); err != nil {
		return SignedIn{}, err
	}
	handle, ok := CleanHandle(handle)
	if !ok {
		handle = "" // nobody's: unknown, like any other
	}
	home := handle + " " + network(addr)
	end, err := a.attempt(ctx, op, a.signInClaims(handle, home, addr)...)
	if err != nil {
		return SignedIn{}, err
	}
	guess := true
	defer func() { end(guess) }()
	in, err := a.signIn(ctx, op, handle, password, device)
	guess = parley.CodeOf(err) == parley.Unauthorized
	if err != nil {
		return SignedIn{}, failed(op, err)
	}
	a.known.keep(home, struct{}{}, a.now())
	return in, nil
}

// signInClaims are the limits of one sign-in; home is the account together
// with the network it is entered from.
func (a *Accounts) signInClaims(handle, home, addr string) []claim {
	claims := addressClaims("signin", addr)
	if handle == "" {
		return claims // no account to guard
	}
	key := handle
	if _, _, known := a.known.get(home, a.now()); known {
		key = home
	}
	return append(claims, claim{"account/" + key, perAccount})
}

func (a *Accounts) signIn(ctx context.Context, op, handle, password, device string) (SignedIn, error) {
	wrong := parley.E(parley.Unauthorized, op, "Handle or password is wrong.")
	user, secret, err := a.secretOf(ctx, handle)
	if err != nil {
		return SignedIn{}, err
	}
	right, err := a.hasher.verify(ctx, secret.Hash, password)
	if err != nil {
		return SignedIn{}, err
	}
	if !right {
		return SignedIn{}, wrong
	}
	rehashed := ""
	if a.hasher.outdated(secret.Hash) {
		if rehashed, err = a.hasher.hash(ctx, password); err != nil {
			return SignedIn{}, err
		}
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	profile, err := a.User(ctx, user)
	if err != nil {
		return SignedIn{}, err
	}
	token, hash := a.newToken()
	now := a.clock()
	rec := deviceRecord{Name: device, Token: hash, Created: now, Seen: now}
	id := parley.DeviceID(a.newID(devicePrefix))
	index := tokenRecord{User: user, Device: id}
	if err := a.commit(ctx, tokenAddress(hash), creation(keyToken, &index)); err != nil {
		return SignedIn{}, err
	}
	ok, err := a.addDevice(ctx, user, id, &rec, secret.Serial, rehashed)
	if err == nil && !ok {
		err = wrong // the password was changed meanwhile
	}
	if err != nil {
		if errors.As(err, new(*parley.Error)) || sure(err) {
			a.tidy(ctx, op, tokenAddress(hash), keyToken)
		}
		return SignedIn{}, err
	}
	return SignedIn{User: profile, Device: rec.device(id), Token: token}, nil
}

// secretOf returns whose handle it is, with the password hash. For nobody's
// handle both are empty, after as many reads.
func (a *Accounts) secretOf(ctx context.Context, handle string) (parley.UserID, secretRecord, error) {
	var (
		owner  ownerRecord
		secret secretRecord
	)
	if _, _, err := a.read(ctx, handleAddress(handle), keyOwner, &owner); err != nil {
		return "", secret, err
	}
	if _, _, err := a.read(ctx, userAddress(owner.User), keySecret, &secret); err != nil {
		return "", secret, err
	}
	return owner.User, secret, nil
}

// addDevice makes a sign-in true, if the password is still the one with this
// serial. It writes the secret's record again, so that a change of password
// at the same moment conflicts. Above the limit it signs out the devices
// unseen for longest: whoever has the password must always be able to enter.
func (a *Accounts) addDevice(ctx context.Context, user parley.UserID, id parley.DeviceID, rec *deviceRecord, serial uint64, rehashed string) (bool, error) {
	for range casTries {
		var secret secretRecord
		sr, ok, err := a.read(ctx, userAddress(user), keySecret, &secret)
		if err != nil || !ok || secret.Serial != serial {
			return false, err
		}
		all, err := a.devices(ctx, user)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(all, func(d heldDevice) bool { return d.id == id }) {
			return true, nil // by an earlier try
		}
		if rehashed != "" {
			secret.Hash = rehashed
		}
		changes := []store.Change{change(keySecret, sr.Version, &secret), creation(deviceKey(id), rec)}
		slices.SortFunc(all, func(x, y heldDevice) int { return y.rec.Seen.Compare(x.rec.Seen) })
		gone := all[min(len(all), a.maxDevices-1):]
		for _, d := range gone {
			changes = append(changes, removal(d.at))
		}
		err = a.commit(ctx, userAddress(user), changes...)
		if err == nil {
			a.signedOut(ctx, user, gone...)
			return true, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return false, err
		}
	}
	return false, errContended
}

// ChangePassword gives the user of by a new password and signs all their
// other devices out. A wrong old password is forbidden; failures count
// against a limit of this device's own.
func (a *Accounts) ChangePassword(ctx context.Context, by Identity, old, wanted string) error {
	const op = "account.password"
	wanted, err := newPassword(op, wanted)
	if err != nil {
		return err
	}
	if old, err = givenPassword(op, old); err != nil {
		return err
	}
	end, err := a.attempt(ctx, op, claim{"password/" + string(by.User) + "/" + string(by.Device), perAccount})
	if err != nil {
		return err
	}
	guess := true
	defer func() { end(guess) }()
	err = a.changePassword(ctx, op, by, old, wanted)
	guess = parley.CodeOf(err) == parley.Forbidden
	return failed(op, err)
}

func (a *Accounts) changePassword(ctx context.Context, op string, by Identity, old, wanted string) error {
	wrong := parley.E(parley.Forbidden, op, "The old password is wrong.")
	var secret secretRecord
	_, ok, err := a.read(ctx, userAddress(by.User), keySecret, &secret)
	if err != nil {
		return err
	}
	if !ok {
		return noUser(op)
	}
	if right, err := a.hasher.verify(ctx, secret.Hash, old); err != nil {
		return err
	} else if !right {
		return wrong
	}
	hash, err := a.hasher.hash(ctx, wanted)
	if err != nil {
		return err
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	next := secretRecord{Hash: hash, Serial: secret.Serial + 1, Changed: a.clock()}
	for range casTries {
		var now secretRecord
		sr, _, err := a.read(ctx, userAddress(by.User), keySecret, &now)
		if err != nil {
			return err
		}
		if now.Serial != secret.Serial && now.Hash != hash {
			return wrong // by now it is
		}
		all, err := a.devices(ctx, by.User)
		if err != nil {
			return err
		}
		others := slices.DeleteFunc(all, func(d heldDevice) bool { return d.id == by.Device })
		changes := []store.Change{change(keySecret, sr.Version, &next)}
		for _, d := range others {
			changes = append(changes, removal(d.at))
		}
		err = a.commit(ctx, userAddress(by.User), changes...)
		if err == nil {
			a.signedOut(ctx, by.User, others...)
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			// Unknown: whoever was signed out must not go on from memory.
			a.forget(others...)
			return err
		}
	}
	return errContended
}

// Devices lists the devices of user, oldest first.
func (a *Accounts) Devices(ctx context.Context, user parley.UserID) ([]Device, error) {
	all, err := a.devices(ctx, user)
	if err != nil {
		return nil, failed("account.devices", err)
	}
	ds := make([]Device, len(all))
	for i, d := range all {
		ds[i] = d.rec.device(d.id)
	}
	slices.SortFunc(ds, func(x, y Device) int {
		if c := x.Created.Compare(y.Created); c != 0 {
			return c
		}
		return strings.Compare(string(x.ID), string(y.ID))
	})
	return ds, nil
}

// SignOut signs a device of user out: when it returns nil its token is no
// good. It is not_found for a device that is not theirs.
func (a *Accounts) SignOut(ctx context.Context, user parley.UserID, device parley.DeviceID) error {
	const op = "account.signout"
	ctx, cancel := detached(ctx)
	defer cancel()
	for range casTries {
		d := heldDevice{id: device}
		r, ok, err := a.read(ctx, userAddress(user), deviceKey(device), &d.rec)
		if err != nil {
			return failed(op, err)
		}
		if !ok {
			return parley.E(parley.NotFound, op, "You have no such device.")
		}
		d.at = r
		err = a.commit(ctx, userAddress(user), removal(r))
		if err == nil {
			a.signedOut(ctx, user, d)
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			a.forget(d)
			return failed(op, err)
		}
	}
	return failed(op, errContended)
}

// heldDevice is a device as it stands in the store.
type heldDevice struct {
	id  parley.DeviceID
	rec deviceRecord
	at  store.Record
}

func (r *deviceRecord) device(id parley.DeviceID) Device {
	return Device{ID: id, Name: r.Name, Created: r.Created, LastSeen: r.Seen}
}

func (a *Accounts) devices(ctx context.Context, user parley.UserID) ([]heldDevice, error) {
	rs, err := a.list(ctx, userAddress(user), keyDevice)
	if err != nil {
		return nil, err
	}
	all := make([]heldDevice, len(rs))
	for i, r := range rs {
		all[i] = heldDevice{id: parley.DeviceID(strings.TrimPrefix(r.Key, keyDevice)), at: r}
		if err := decode(r, &all[i].rec); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// signedOut tells whoever must know that these devices' records are gone.
func (a *Accounts) signedOut(ctx context.Context, user parley.UserID, gone ...heldDevice) {
	if len(gone) == 0 {
		return
	}
	a.forget(gone...)
	for _, d := range gone {
		a.revoked(user, d.id)
	}
	for _, d := range gone {
		a.tidy(ctx, "account.signout", tokenAddress(d.rec.Token), keyToken)
	}
}

// forget drops the devices' tokens from memory.
func (a *Accounts) forget(ds ...heldDevice) {
	hashes := make([]string, len(ds))
	for i, d := range ds {
		hashes[i] = d.rec.Token
	}
	a.tokens.drop(hashes...)
}
