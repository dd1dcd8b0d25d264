package account

import (
	"context"
	"errors"
	"strings"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

func (p *profileRecord) user(id parley.UserID) User {
	return User{
		ID: id, Handle: p.Handle, Name: p.Name, Status: p.Status, Avatar: p.Avatar, Admin: p.Admin,
		Bot: p.Bot, Owner: p.Owner, Deleted: p.Deleted,
		Privacy: Privacy{Receipts: !p.HideReceipts, Presence: !p.HidePresence},
		Created: p.Created,
	}
}

func noUser(op string) error { return parley.E(parley.NotFound, op, "There is no such user.") }

// User returns a user by id, or not_found.
func (a *Accounts) User(ctx context.Context, id parley.UserID) (User, error) {
	const op = "account.user"
	u, mark, ok := a.profiles.get(id, a.now())
	if ok {
		return u, nil
	}
	if !IsUserID(string(id)) {
		return User{}, noUser(op)
	}
	var p profileRecord
	_, ok, err := a.read(ctx, userAddress(id), keyProfile, &p)
	if err != nil {
		return User{}, failed(op, err)
	}
	if !ok {
		return User{}, noUser(op)
	}
	u = p.user(id)
	a.profiles.put(id, u, a.now(), mark)
	return u, nil
}

// Users returns the users with these ids; ids that are nobody's are left out.
func (a *Accounts) Users(ctx context.Context, ids []parley.UserID) (map[parley.UserID]User, error) {
	us := make(map[parley.UserID]User, len(ids))
	for _, id := range ids {
		if _, ok := us[id]; ok {
			continue
		}
		u, err := a.User(ctx, id)
		switch {
		case err == nil:
			us[id] = u
		case parley.CodeOf(err) != parley.NotFound:
			return nil, err
		}
	}
	return us, nil
}

// UserByHandle returns the user who has exactly this handle, in any case, or
// not_found. Whether somebody may ask is for LookupAllowed to say.
func (a *Accounts) UserByHandle(ctx context.Context, handle string) (User, error) {
	const op = "account.lookup"
	handle, ok := CleanHandle(handle)
	if !ok {
		return User{}, noUser(op)
	}
	var owner ownerRecord
	if _, _, err := a.read(ctx, handleAddress(handle), keyOwner, &owner); err != nil {
		return User{}, failed(op, err)
	}
	if owner.User == "" {
		return User{}, noUser(op)
	}
	u, err := a.User(ctx, owner.User)
	if err == nil && u.Deleted {
		return User{}, noUser(op)
	}
	return u, err
}

// Rename gives user another name to be shown by.
func (a *Accounts) Rename(ctx context.Context, user parley.UserID, name string) (User, error) {
	return a.UpdateProfile(ctx, user, ProfileChange{Name: &name})
}

// ProfileChange is what of a profile is to change; nil: stays.
type ProfileChange struct {
	Name     *string
	Status   *string // empty: none
	Receipts *bool
	Presence *bool
}

// UpdateProfile changes what others see of user. All of it changes, or nothing.
func (a *Accounts) UpdateProfile(ctx context.Context, user parley.UserID, c ProfileChange) (User, error) {
	const op = "account.profile"
	var name, status string
	var err error
	if c.Name != nil {
		if name, err = givenName(op, "display", *c.Name); err != nil {
			return User{}, err
		}
	}
	if c.Status != nil && strings.TrimSpace(*c.Status) != "" {
		var ok bool
		if status, ok = cleanLine(*c.Status, MaxStatus); !ok {
			return User{}, parley.E(parley.BadRequest, op,
				"Choose a status of one line and at most %d characters, without control characters.", MaxStatus)
		}
	}
	u, _, err := a.reprofile(ctx, op, user, func(p *profileRecord) error {
		if c.Name != nil {
			p.Name = name
		}
		if c.Status != nil {
			p.Status = status
		}
		if c.Receipts != nil {
			p.HideReceipts = !*c.Receipts
		}
		if c.Presence != nil {
			p.HidePresence = !*c.Presence
		}
		return nil
	})
	if err == nil && c.Presence != nil {
		a.presenceShown(user)
	}
	return u, err
}

// reprofile changes the profile of user, together with further changes in
// their partition, and returns it as it is now and as it was. A profile that
// says deleted is nobody's.
func (a *Accounts) reprofile(ctx context.Context, op string, user parley.UserID, edit func(*profileRecord) error, more ...store.Change) (now User, was profileRecord, err error) {
	for range casTries {
		var p profileRecord
		r, ok, err := a.read(ctx, userAddress(user), keyProfile, &p)
		if err != nil {
			return User{}, p, failed(op, err)
		}
		if !ok || p.Deleted {
			return User{}, p, noUser(op)
		}
		was = p
		if err := edit(&p); err != nil {
			return User{}, was, err
		}
		err = a.commit(ctx, userAddress(user), append([]store.Change{change(keyProfile, r.Version, &p)}, more...)...)
		a.profiles.drop(user)
		if err == nil {
			return p.user(user), was, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return User{}, was, failed(op, err)
		}
	}
	return User{}, was, failed(op, errContended)
}

// HidesRead returns who of users does not show how far they have read: true
// for each of them, and for who is nobody.
func (a *Accounts) HidesRead(ctx context.Context, users []parley.UserID) (map[parley.UserID]bool, error) {
	return a.hides(ctx, users, func(p Privacy) bool { return !p.Receipts })
}

// HidesPresence returns who of users does not show whether they are online:
// true for each of them, and for who is nobody.
func (a *Accounts) HidesPresence(ctx context.Context, users []parley.UserID) (map[parley.UserID]bool, error) {
	return a.hides(ctx, users, func(p Privacy) bool { return !p.Presence })
}

func (a *Accounts) hides(ctx context.Context, users []parley.UserID, what func(Privacy) bool) (map[parley.UserID]bool, error) {
	us, err := a.Users(ctx, users)
	if err != nil {
		return nil, err
	}
	hidden := make(map[parley.UserID]bool)
	for _, id := range users {
		if u, ok := us[id]; !ok || what(u.Privacy) {
			hidden[id] = true
		}
	}
	return hidden, nil
}
