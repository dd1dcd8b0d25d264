package account

import (
	"context"
	"errors"
	"slices"
	"strings"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

const keyBy = "by/" // + who blocks

func blockersAddress(sender parley.UserID) string { return "blockers/" + string(sender) }

// mirrorRecord is the head of the list of who blocks somebody: it is written
// with every change of that list, so that a removal never meets a block that
// was lifted and made again.
type mirrorRecord struct{ version }

// mirror makes the list of who blocks sender follow the record of user. See
// settle for why the record is read after the head, and the head written too.
func (a *Accounts) mirror(ctx context.Context, user, sender parley.UserID) error {
	address, key := blockersAddress(sender), keyBy+string(user)
	for range casTries {
		var head mirrorRecord
		h, _, err := a.read(ctx, address, keyList, &head)
		if err != nil {
			return err
		}
		stands, err := a.records.GetRecord(ctx, address, key)
		if err != nil {
			return err
		}
		var truth contactRecord
		if _, _, err := a.read(ctx, contactsAddress(user), withKey(sender), &truth); err != nil {
			return err
		}
		if truth.Blocked == (stands.Version != 0) {
			return nil
		}
		follow := removal(stands)
		if truth.Blocked {
			follow = creation(key, &noteRecord{At: truth.At})
		}
		err = a.commit(ctx, address, change(keyList, h.Version, &head), follow)
		// Whatever became of it: what was read before is not kept past here.
		a.blockers.drop(sender)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return errContended
}

// Blockers returns who blocks sender: certainly everybody who was told so
// before the call, by any node, and nobody who was told otherwise.
func (a *Accounts) Blockers(ctx context.Context, sender parley.UserID) ([]parley.UserID, error) {
	mark := uint64(0)
	if a.alone {
		us, m, ok := a.blockers.get(sender, a.now())
		if ok {
			return slices.Clone(us), nil
		}
		mark = m
	}
	rs, err := a.list(ctx, blockersAddress(sender), keyBy)
	if err != nil {
		return nil, failed("account.blockers", err)
	}
	us := make([]parley.UserID, len(rs))
	for i, r := range rs {
		us[i] = parley.UserID(strings.TrimPrefix(r.Key, keyBy))
	}
	if a.alone && len(us) <= blockersLong {
		a.blockers.put(sender, slices.Clone(us), a.now(), mark)
	}
	return us, nil
}

// BlockersAmong is Blockers for a commit to a conversation of those members:
// who of them blocks sender. Of few it asks one by one.
func (a *Accounts) BlockersAmong(ctx context.Context, sender parley.UserID, among []parley.UserID) ([]parley.UserID, error) {
	const few = 2 // a direct conversation
	if len(among) == 0 {
		return nil, nil
	}
	if a.alone || len(among) > few {
		us, err := a.Blockers(ctx, sender)
		if len(us) == 0 || err != nil {
			return nil, err
		}
		member := make(map[parley.UserID]bool, len(among))
		for _, u := range among {
			member[u] = true
		}
		return slices.DeleteFunc(us, func(u parley.UserID) bool { return !member[u] }), nil
	}
	var us []parley.UserID
	for _, u := range among {
		r, err := a.records.GetRecord(ctx, blockersAddress(sender), keyBy+string(u))
		if err != nil {
			return nil, failed("account.blockers", err)
		}
		if r.Version != 0 {
			us = append(us, u)
		}
	}
	return us, nil
}

// Blocks returns whom user blocks.
func (a *Accounts) Blocks(ctx context.Context, user parley.UserID) ([]parley.UserID, error) {
	rs, err := a.list(ctx, contactsAddress(user), keyBlock)
	if err != nil {
		return nil, failed("account.blocks", err)
	}
	us := make([]parley.UserID, len(rs))
	for i, r := range rs {
		us[i] = parley.UserID(strings.TrimPrefix(r.Key, keyBlock))
	}
	return us, nil
}
