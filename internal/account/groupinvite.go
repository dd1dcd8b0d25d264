package account

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// Limits of group invites; what is not here is as with the invites of a user.
const (
	DefaultGroupUses = 100
	maxGroupInvites  = 100 // in one group's list
	// staleUse is when others begin to ask what became of a use. By then a join
	// that was on its way when its server died has happened, or never will.
	staleUse = 10 * time.Minute
)

// GroupInvite lets people join a group who have its code.
type GroupInvite struct {
	Code         string
	Conversation parley.ConversationID
	By           parley.UserID
	Uses         int // how many it lets in
	Used         int // how many it has let in
	Created      time.Time
	Expires      time.Time
}

const (
	keyGroupInvite = "invite"
	keyUse         = "use/" // + user; beside the invite
)

func groupAddress(c parley.ConversationID) string { return "group/" + string(c) }
func groupInviteAddress(hash string) string       { return "ginvite/" + hash }

type (
	groupInviteRecord struct {
		version
		Code         string                `json:"code"`
		Conversation parley.ConversationID `json:"conversation"`
		By           parley.UserID         `json:"by"`
		Listed       string                `json:"listed"` // its key in the list of the group
		Uses         int                   `json:"uses"`
		Used         int                   `json:"used"` // the use records beside it
		Created      time.Time             `json:"created"`
		Expires      time.Time             `json:"expires"`
	}
	// useRecord is one user's use. It counts while it stands.
	useRecord struct {
		version
		At      time.Time `json:"at"`
		Settled bool      `json:"settled,omitempty"` // the user joined
		Fence   string    `json:"fence"`             // tells one attempt of the user from another
	}
)

func (i *groupInviteRecord) invite() GroupInvite {
	return GroupInvite{
		Code: i.Code, Conversation: i.Conversation, By: i.By, Uses: i.Uses, Used: i.Used, Created: i.Created, Expires: i.Expires,
	}
}

func noGroupInvite(op string) error {
	return parley.E(parley.NotFound, op, "This link is not valid (any more). Ask for a new one.")
}

// CreateGroupInvite makes an invite into a group for so many users (0: 100),
// good for ttl (0: a week). Whether by may do so is for the caller to say, but
// that a bot may not.
func (a *Accounts) CreateGroupInvite(ctx context.Context, by parley.UserID, group parley.ConversationID, uses int, ttl time.Duration) (GroupInvite, error) {
	const op = "account.groupinvite"
	if uses == 0 {
		uses = DefaultGroupUses
	}
	if ttl == 0 {
		ttl = DefaultInviteFor
	}
	if err := inviteBounds(op, uses, ttl); err != nil {
		return GroupInvite{}, err
	}
	if err := a.mayInvite(ctx, op, by); err != nil {
		return GroupInvite{}, err
	}
	if err := a.makeGroupRoom(ctx, op, group); err != nil {
		return GroupInvite{}, err
	}
	now := a.clock()
	code := a.newID("")
	hash := hashOf(code)
	listed := fmt.Sprintf("%s%016x-%s", keyInvites, math.MaxInt64-now.UnixMilli(), hash[:16]) // newest first
	rec := groupInviteRecord{
		Code: code, Conversation: group, By: by, Listed: listed, Uses: uses, Created: now, Expires: now.Add(ttl),
	}
	// The invite first: unlisted, its code is known to nobody.
	if err := a.commit(ctx, groupInviteAddress(hash), creation(keyGroupInvite, &rec)); err != nil {
		return GroupInvite{}, failed(op, err)
	}
	entry := listedRecord{Invite: hash, Expires: rec.Expires}
	if err := a.commit(ctx, groupAddress(group), creation(listed, &entry)); err != nil {
		return GroupInvite{}, failed(op, err)
	}
	return rec.invite(), nil
}

// makeGroupRoom removes expired invites from a full list, and refuses when
// that does not help.
func (a *Accounts) makeGroupRoom(ctx context.Context, op string, group parley.ConversationID) error {
	all, err := a.list(ctx, groupAddress(group), keyInvites)
	if err != nil || len(all) < maxGroupInvites {
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
		if err := a.endGroupInvite(ctx, op, l.Invite); err != nil {
			return failed(op, err)
		}
		if err := a.commit(ctx, groupAddress(group), removal(r)); err != nil {
			return failed(op, err)
		}
		removed++
	}
	if removed == 0 {
		return parley.E(parley.TooLarge, op, "This group has %d links. Revoke some that are not needed, then make new ones.", maxGroupInvites)
	}
	return nil
}

// endGroupInvite removes an invite, if it is there: from then on its code is
// good for nothing. Its uses, which mean nothing without it, go after it.
func (a *Accounts) endGroupInvite(ctx context.Context, op, hash string) error {
	address := groupInviteAddress(hash)
	for range casTries {
		r, err := a.records.GetRecord(ctx, address, keyGroupInvite)
		if err != nil || r.Version == 0 {
			return err
		}
		err = a.commit(ctx, address, removal(r))
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err == nil {
			a.tidyUses(ctx, op, address)
		}
		return err
	}
	return errContended
}

func (a *Accounts) tidyUses(ctx context.Context, op, address string) {
	const few = 50
	rs, err := a.list(ctx, address, keyUse)
	if err != nil {
		a.log.Warn("litter left behind", "op", op, "err", err)
		return
	}
	for ; len(rs) > 0; rs = rs[min(few, len(rs)):] {
		keys := make([]string, min(few, len(rs)))
		for i := range keys {
			keys[i] = rs[i].Key
		}
		a.tidy(ctx, op, address, keys...)
	}
}

// GroupInvites lists the invites into a group, newest first, also those that
// are used up or expired: at most limit of them, after cursor (empty: the
// newest). next is the cursor of the following page, empty at the end.
func (a *Accounts) GroupInvites(ctx context.Context, group parley.ConversationID, cursor string, limit int) (page []GroupInvite, next string, err error) {
	return listed(ctx, a, "account.groupinvites", groupAddress(group), cursor, limit, func(hash string) (GroupInvite, bool, error) {
		var i groupInviteRecord
		_, ok, err := a.read(ctx, groupInviteAddress(hash), keyGroupInvite, &i)
		return i.invite(), ok, err
	})
}

// RevokeGroupInvite ends an invite into that group. For what does not exist,
// or leads elsewhere, it is not_found.
func (a *Accounts) RevokeGroupInvite(ctx context.Context, group parley.ConversationID, code string) error {
	const op = "account.grouprevoke"
	hash := hashOf(cleanCode(code))
	var i groupInviteRecord
	_, ok, err := a.read(ctx, groupInviteAddress(hash), keyGroupInvite, &i)
	if err != nil {
		return failed(op, err)
	}
	if !ok || i.Conversation != group {
		return parley.E(parley.NotFound, op, "This group has no such link.")
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	if err := a.endGroupInvite(ctx, op, hash); err != nil {
		return failed(op, err)
	}
	a.tidy(ctx, op, groupAddress(group), i.Listed)
	return nil
}

// GroupInvite returns what an invite is good for, to show before it is used.
// It is not_found, and never says more, for what was guessed, used up, expired
// or revoked.
func (a *Accounts) GroupInvite(ctx context.Context, code string) (GroupInvite, error) {
	const op = "account.groupinvite"
	for range casTries {
		i, _, hash, err := a.openGroupInvite(ctx, op, code)
		if err != nil {
			return GroupInvite{}, err
		}
		if i.Used < i.Uses {
			return i.invite(), nil
		}
		freed, err := a.freeUse(ctx, hash)
		if err != nil {
			return GroupInvite{}, failed(op, err)
		}
		if !freed {
			return GroupInvite{}, noGroupInvite(op)
		}
	}
	return GroupInvite{}, failed(op, errContended)
}

// openGroupInvite reads an invite that is not expired.
func (a *Accounts) openGroupInvite(ctx context.Context, op, code string) (i groupInviteRecord, at store.Record, hash string, err error) {
	if code = cleanCode(code); len(code) != idLen {
		return i, at, "", noGroupInvite(op)
	}
	hash = hashOf(code)
	at, ok, err := a.read(ctx, groupInviteAddress(hash), keyGroupInvite, &i)
	if err != nil {
		return i, at, hash, failed(op, err)
	}
	if !ok || !a.clock().Before(i.Expires) {
		return i, at, hash, noGroupInvite(op)
	}
	return i, at, hash, nil
}
