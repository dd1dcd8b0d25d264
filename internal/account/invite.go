package account

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// Limits of invites.
const (
	MaxInviteUses    = 1000
	MaxInviteTime    = 365 * 24 * time.Hour
	DefaultInviteFor = 7 * 24 * time.Hour
	maxInvites       = 1000 // in one user's list
)

// Invite lets people register who have its code.
type Invite struct {
	Code    string
	By      parley.UserID
	Uses    int // how many it lets in
	Used    int // how many it has let in
	Created time.Time
	Expires time.Time
}

type (
	inviteRecord struct {
		version
		Code    string        `json:"code"`
		By      parley.UserID `json:"by"`
		Listed  string        `json:"listed"` // its key in the list of By
		Uses    int           `json:"uses"`
		Used    int           `json:"used"`
		Created time.Time     `json:"created"`
		Expires time.Time     `json:"expires"`
		Holds   []hold        `json:"holds,omitempty"` // uses put aside; they count as used
	}
	// listedRecord stands in the list of whoever made the invite.
	listedRecord struct {
		version
		Invite  string    `json:"invite"` // SHA-256 of its code
		Expires time.Time `json:"expires"`
	}
)

func (i *inviteRecord) opens(now time.Time) bool { return now.Before(i.Expires) && i.Used < i.Uses }

func (i *inviteRecord) invite() Invite {
	return Invite{Code: i.Code, By: i.By, Uses: i.Uses, Used: i.Used + len(i.Holds), Created: i.Created, Expires: i.Expires}
}

// settle ends the hold of user; it is false when there is none.
func (i *inviteRecord) settle(user parley.UserID, used bool) bool {
	at := slices.IndexFunc(i.Holds, func(h hold) bool { return h.User == user })
	if at < 0 {
		return false
	}
	i.Holds = slices.Delete(i.Holds, at, at+1)
	if used {
		i.Used++
	}
	return true
}

// CreateInvite makes an invite by user for so many registrations (0: one),
// good for ttl (0: a week).
func (a *Accounts) CreateInvite(ctx context.Context, by parley.UserID, uses int, ttl time.Duration) (Invite, error) {
	const op = "account.invite"
	if uses == 0 {
		uses = 1
	}
	if ttl == 0 {
		ttl = DefaultInviteFor
	}
	if err := inviteBounds(op, uses, ttl); err != nil {
		return Invite{}, err
	}
	if err := a.mayInvite(ctx, op, by); err != nil {
		return Invite{}, err
	}
	if err := a.makeRoom(ctx, op, by); err != nil {
		return Invite{}, err
	}
	now := a.clock()
	code := a.newID("")
	hash := hashOf(code)
	// Newest first: the time counted down. The hash tells apart what was made
	// in the same millisecond.
	listed := fmt.Sprintf("%s%016x-%s", keyInvites, math.MaxInt64-now.UnixMilli(), hash[:16])
	rec := inviteRecord{Code: code, By: by, Listed: listed, Uses: uses, Created: now, Expires: now.Add(ttl)}
	// The invite first: unlisted, its code is known to nobody.
	if err := a.commit(ctx, inviteAddress(hash), creation(keyInvite, &rec)); err != nil {
		return Invite{}, failed(op, err)
	}
	entry := listedRecord{Invite: hash, Expires: rec.Expires}
	if err := a.commit(ctx, userAddress(by), creation(listed, &entry)); err != nil {
		return Invite{}, failed(op, err)
	}
	return rec.invite(), nil
}

// inviteBounds holds an invite to its limits.
func inviteBounds(op string, uses int, ttl time.Duration) error {
	switch {
	case uses < 0 || uses > MaxInviteUses:
		return parley.E(parley.BadRequest, op, "An invite has 1 to %d uses.", MaxInviteUses)
	case ttl < 0 || ttl > MaxInviteTime:
		return parley.E(parley.BadRequest, op, "An invite is good for at most %d hours.", MaxInviteTime/time.Hour)
	}
	return nil
}

// mayInvite refuses who is no person.
func (a *Accounts) mayInvite(ctx context.Context, op string, by parley.UserID) error {
	u, err := a.User(ctx, by)
	if err == nil && u.Bot {
		err = parley.E(parley.Forbidden, op, "Bots invite nobody.")
	}
	return err
}

// makeRoom removes expired invites from a full list, and refuses when that
// does not help.
func (a *Accounts) makeRoom(ctx context.Context, op string, by parley.UserID) error {
	all, err := a.list(ctx, userAddress(by), keyInvites)
	if err != nil || len(all) < maxInvites {
		return failed(op, err)
	}
	removed := 0
	for _, r := range all {
		var l listedRecord
		if err := decode(r, &l); err != nil {
			return failed(op, err)
		}
		if a.clock().Before(l.Expires) {
			continue
		}
		var inv inviteRecord
		ir, ok, err := a.read(ctx, inviteAddress(l.Invite), keyInvite, &inv)
		if err == nil && ok {
			err = a.commit(ctx, inviteAddress(l.Invite), removal(ir))
		}
		if err == nil {
			err = a.commit(ctx, userAddress(by), removal(r))
		}
		if err != nil {
			return failed(op, err)
		}
		removed++
	}
	if removed == 0 {
		return parley.E(parley.Forbidden, op, "You have %d invites. Revoke some that are not needed, then make new ones.", maxInvites)
	}
	return nil
}

// Invites lists the invites of by, newest first, also those that are used up
// or expired: at most limit of them, after cursor (empty: the newest). next is
// the cursor of the following page, empty at the end.
func (a *Accounts) Invites(ctx context.Context, by parley.UserID, cursor string, limit int) (page []Invite, next string, err error) {
	return listed(ctx, a, "account.invites", userAddress(by), cursor, limit, func(hash string) (Invite, bool, error) {
		var i inviteRecord
		_, ok, err := a.read(ctx, inviteAddress(hash), keyInvite, &i)
		return i.invite(), ok, err
	})
}

// listed returns a page of a list of invites as Invites does; read finds one by
// its hash, and whether it is still there.
func listed[T any](ctx context.Context, a *Accounts, op, address, cursor string, limit int, read func(hash string) (T, bool, error)) (page []T, next string, err error) {
	after, err := invitesAfter(op, cursor)
	if err != nil {
		return nil, "", err
	}
	limit = min(max(limit, 1), 200)
	page = make([]T, 0, limit)
	for len(page) < limit {
		want := limit - len(page)
		rs, err := a.records.ListRecords(ctx, address, keyInvites, after, want)
		if err != nil {
			return nil, "", failed(op, err)
		}
		for _, r := range rs {
			after = r.Key
			var l listedRecord
			if err := decode(r, &l); err != nil {
				return nil, "", failed(op, err)
			}
			i, ok, err := read(l.Invite)
			if err != nil {
				return nil, "", failed(op, err)
			}
			if ok { // else revoked, and a crash kept it in the list
				page = append(page, i)
			}
		}
		if len(rs) < want {
			return page, "", nil
		}
	}
	return page, strings.TrimPrefix(after, keyInvites), nil
}

// invitesAfter is the key in a list of invites that cursor stands for.
func invitesAfter(op, cursor string) (after string, err error) {
	if cursor == "" {
		return "", nil
	}
	if len(cursor) != 33 || strings.Trim(cursor, "0123456789abcdef-") != "" {
		return "", parley.E(parley.BadRequest, op, "This cursor is not from here. Start without one.")
	}
	return keyInvites + cursor, nil
}

// RevokeInvite ends an invite of by; an administrator may end any. For what
// does not exist, or is somebody else's, it is not_found.
func (a *Accounts) RevokeInvite(ctx context.Context, by parley.UserID, code string) error {
	const op = "account.revoke"
	hash := hashOf(cleanCode(code))
	for range casTries {
		var i inviteRecord
		r, ok, err := a.read(ctx, inviteAddress(hash), keyInvite, &i)
		if err != nil {
			return failed(op, err)
		}
		if ok && i.By != by {
			u, err := a.User(ctx, by)
			if err != nil && parley.CodeOf(err) != parley.NotFound {
				return err
			}
			ok = err == nil && u.Admin
		}
		if !ok {
			return parley.E(parley.NotFound, op, "You have no such invite.")
		}
		err = a.commit(ctx, inviteAddress(hash), removal(r))
		if err == nil {
			a.tidy(ctx, op, userAddress(i.By), i.Listed)
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return failed(op, err)
		}
	}
	return failed(op, errContended)
}

type invitePass struct {
	a    *Accounts
	hash string
}

func (p *invitePass) admin() bool { return false }

func (p *invitePass) hold(ctx context.Context, h hold) error {
	for range casTries {
		var i inviteRecord
		r, ok, err := p.a.read(ctx, inviteAddress(p.hash), keyInvite, &i)
		switch {
		case err != nil:
			return err
		case ok && slices.ContainsFunc(i.Holds, func(o hold) bool { return o.User == h.User }):
			return nil // ours, by an earlier try
		case !ok || !i.opens(h.At):
			return errNoPass
		}
		if i.Used+len(i.Holds) >= i.Uses {
			moved, err := p.resolveOldest(ctx, &i, h.At)
			if err != nil {
				return err
			}
			if !moved {
				return errNoPass
			}
		} else {
			i.Holds = append(i.Holds, h)
		}
		err = p.a.commit(ctx, inviteAddress(p.hash), change(keyInvite, r.Version, &i))
		held := slices.ContainsFunc(i.Holds, func(o hold) bool { return o.User == h.User })
		if err == nil && held {
			return nil
		}
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return errContended
}

// resolveOldest settles in i a hold that a crash left behind; it is false
// when there is none.
func (p *invitePass) resolveOldest(ctx context.Context, i *inviteRecord, now time.Time) (bool, error) {
	for _, h := range i.Holds {
		if now.Sub(h.At) < staleHold {
			continue
		}
		used, err := p.a.resolve(ctx, h)
		if err != nil {
			return false, err
		}
		return i.settle(h.User, used), nil
	}
	return false, nil
}

func (p *invitePass) settle(ctx context.Context, user parley.UserID, used bool) error {
	for range casTries {
		var i inviteRecord
		r, ok, err := p.a.read(ctx, inviteAddress(p.hash), keyInvite, &i)
		if err != nil || !ok || !i.settle(user, used) {
			return err
		}
		err = p.a.commit(ctx, inviteAddress(p.hash), change(keyInvite, r.Version, &i))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return errContended
}
