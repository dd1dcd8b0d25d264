package account

import (
	"context"
	"errors"
	"strings"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// UseGroupInvite puts a use of an invite aside for user and returns the group
// it leads to; not_found as with [Accounts.GroupInvite]. The caller has the
// user join and then calls settle: with true when they joined, or may have,
// with false when they certainly did not.
//
// A use is a record of its own beside the invite and counts from its commit
// on, once for each user however often they come: who used an invite before
// is let in by the same use, also when the invite is used up since, for as
// long as it is neither expired nor revoked. So a join whose answer was lost
// may be tried again. A use that nobody settled counts until somebody needs
// it; then the group itself says whether the user ever joined, see
// [Config.Joined].
func (a *Accounts) UseGroupInvite(ctx context.Context, code string, user parley.UserID) (group parley.ConversationID, settle func(ctx context.Context, joined bool) error, err error) {
	const op = "account.join"
	if _, err := a.User(ctx, user); err != nil {
		return "", nil, err
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	fence := a.newID("f")
	for range casTries {
		i, at, hash, err := a.openGroupInvite(ctx, op, code)
		if err != nil {
			return "", nil, err
		}
		settle := func(ctx context.Context, joined bool) error {
			ctx, cancel := detached(ctx)
			defer cancel()
			return failed(op, a.settleUse(ctx, hash, user, fence, joined))
		}
		var use useRecord
		r, stands, err := a.read(ctx, groupInviteAddress(hash), keyUse+string(user), &use)
		switch {
		case err != nil:
			return "", nil, failed(op, err)
		case stands && use.Settled:
			return i.Conversation, func(context.Context, bool) error { return nil }, nil
		case !stands && i.Used >= i.Uses:
			freed, err := a.freeUse(ctx, hash)
			if err != nil {
				return "", nil, failed(op, err)
			}
			if !freed {
				return "", nil, noGroupInvite(op)
			}
			continue
		case !stands:
			i.Used++
		}
		// Of several attempts of one user the last one may give the use back.
		use = useRecord{At: a.clock(), Fence: fence}
		err = a.commit(ctx, groupInviteAddress(hash), change(keyGroupInvite, at.Version, &i), change(r.Key, r.Version, &use))
		if err == nil {
			return i.Conversation, settle, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return "", nil, failed(op, err)
		}
	}
	return "", nil, failed(op, errContended)
}

// settleUse ends what an attempt put aside. Who joined counts, even when
// somebody took the use for dead meanwhile; a use is given back only by the
// attempt that holds it.
func (a *Accounts) settleUse(ctx context.Context, hash string, user parley.UserID, fence string, joined bool) error {
	address, key := groupInviteAddress(hash), keyUse+string(user)
	for range casTries {
		var i groupInviteRecord
		at, ok, err := a.read(ctx, address, keyGroupInvite, &i)
		if err != nil || !ok {
			return err // without the invite nothing counts any more
		}
		var use useRecord
		r, stands, err := a.read(ctx, address, key, &use)
		if err != nil {
			return err
		}
		var mark store.Change
		switch {
		case joined && use.Settled, !joined && (use.Settled || !stands || use.Fence != fence):
			return nil
		case joined:
			if !stands {
				i.Used++
			}
			use.At, use.Settled = a.clock(), true
			mark = change(key, r.Version, &use)
		default:
			i.Used--
			mark = removal(r)
		}
		err = a.commit(ctx, address, change(keyGroupInvite, at.Version, &i), mark)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return errContended
}

// freeUse settles the uses of an invite that a crash left behind. It reports
// whether one was given back, or somebody else changed the invite meanwhile.
func (a *Accounts) freeUse(ctx context.Context, hash string) (bool, error) {
	address := groupInviteAddress(hash)
	var i groupInviteRecord
	at, ok, err := a.read(ctx, address, keyGroupInvite, &i)
	if err != nil || !ok {
		return false, err
	}
	rs, err := a.list(ctx, address, keyUse)
	if err != nil {
		return false, err
	}
	for _, r := range rs {
		var use useRecord
		if err := decode(r, &use); err != nil {
			return false, err
		}
		if use.Settled || a.clock().Sub(use.At) < staleUse {
			continue
		}
		joined, err := a.joined(ctx, i.Conversation, parley.UserID(strings.TrimPrefix(r.Key, keyUse)))
		if err != nil {
			return false, err
		}
		next, mark := i, removal(r)
		if joined {
			use.Settled = true
			mark = change(r.Key, r.Version, &use)
		} else {
			next.Used--
		}
		err = a.commit(ctx, address, change(keyGroupInvite, at.Version, &next), mark)
		if errors.Is(err, store.ErrConflict) || err == nil && !joined {
			return true, nil // look again
		}
		if err != nil {
			return false, err
		}
		i, at.Version = next, at.Version+1
	}
	return false, nil
}
