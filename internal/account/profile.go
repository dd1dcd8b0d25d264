package account

import (
	"context"
	"errors"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

func (p *profileRecord) user(id parley.UserID) User {
	return User{ID: id, Handle: p.Handle, Name: p.Name, Admin: p.Admin, Created: p.Created}
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
	return a.User(ctx, owner.User)
}

// Rename gives user another name to be shown by.
func (a *Accounts) Rename(ctx context.Context, user parley.UserID, name string) (User, error) {
	const op = "account.rename"
	name, err := givenName(op, "display", name)
	if err != nil {
		return User{}, err
	}
	for range casTries {
		var p profileRecord
		r, ok, err := a.read(ctx, userAddress(user), keyProfile, &p)
		if err != nil {
			return User{}, failed(op, err)
		}
		if !ok {
			return User{}, noUser(op)
		}
		p.Name = name
		err = a.commit(ctx, userAddress(user), change(keyProfile, r.Version, &p))
		a.profiles.drop(user)
		if err == nil {
			return p.user(user), nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return User{}, failed(op, err)
		}
	}
	return User{}, failed(op, errContended)
}
