package account

import (
	"context"
	"crypto/subtle"
	"errors"
	"strings"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// hold is a use of a pass that a registration has put aside. It is taken
// before the handle is claimed and settled after: used or given back. When a
// crash leaves one behind, the handle tells: it is the user's, then the use
// counts; it is somebody else's, then it does not; it is nobody's, then the
// owner record is written as nobody's, which moves its version, so that the
// registration, should it still be on its way, can no longer claim it.
type hold struct {
	User   parley.UserID `json:"user"`
	Handle string        `json:"handle"`
	At     time.Time     `json:"at"`
}

// staleHold is when others begin to ask what became of a hold. It only
// spares registrations that are on their way; correctness does not need it.
const staleHold = time.Minute

// pass is what lets a registration in: an invite, or the link that makes the
// first administrator.
type pass interface {
	// hold puts a use aside for h, or returns errNoPass.
	hold(ctx context.Context, h hold) error
	// settle ends the hold of user.
	settle(ctx context.Context, user parley.UserID, used bool) error
	// admin reports whether it makes an administrator.
	admin() bool
}

// errNoPass: guessed, used up, expired or revoked; nobody is told which.
var errNoPass = errors.New("account: no such pass, or not any more")

// badInvite is the one answer to every invite that lets nobody in.
func badInvite(op string) error {
	return parley.E(parley.NotFound, op, "This invite is not valid (any more). Ask for a new one.")
}

func cleanCode(code string) string { return strings.ToLower(strings.TrimSpace(code)) }

// passFor finds what code is good for in this mode; nil when none is needed.
// It is only a first look, before any work is done: what counts is hold.
func (a *Accounts) passFor(ctx context.Context, op, code string) (pass, error) {
	code = cleanCode(code)
	if code == "" {
		switch a.mode {
		case Open:
			return nil, nil
		case Closed:
			return nil, parley.E(parley.Forbidden, op, "Registration is closed here. Ask the operator for an account.")
		default:
			return nil, parley.E(parley.Forbidden, op, "Registration needs an invite. Ask somebody who is here for one.")
		}
	}
	if len(code) != idLen {
		return nil, badInvite(op)
	}
	hash := hashOf(code)
	var setup setupRecord
	if _, ok, err := a.read(ctx, setupAddress, keyAdmin, &setup); err != nil {
		return nil, failed(op, err)
	} else if ok && setup.opens(hash, a.clock()) {
		return &setupPass{a, hash}, nil
	}
	if a.mode == Closed {
		return nil, badInvite(op)
	}
	var invite inviteRecord
	_, ok, err := a.read(ctx, inviteAddress(hash), keyInvite, &invite)
	switch {
	case err != nil:
		return nil, failed(op, err)
	case !ok || !invite.opens(a.clock()):
		return nil, badInvite(op)
	}
	return &invitePass{a, hash}, nil
}

// resolve decides a hold that was left behind: whether its use counts. When
// it says no, that registration can no longer succeed.
func (a *Accounts) resolve(ctx context.Context, h hold) (used bool, err error) {
	for range casTries {
		var owner ownerRecord
		r, _, err := a.read(ctx, handleAddress(h.Handle), keyOwner, &owner)
		if err != nil {
			return false, err
		}
		if owner.User != "" {
			return owner.User == h.User, nil
		}
		// Nobody's: not even an earlier fence tells whether the registration
		// looked at the handle before or after it. So move the version now.
		err = a.commit(ctx, handleAddress(h.Handle), change(keyOwner, r.Version, &ownerRecord{Fence: a.newID("f")}))
		if !errors.Is(err, store.ErrConflict) {
			return false, err
		}
	}
	return false, errContended
}

// setupRecord is the way to the first administrator.
type setupRecord struct {
	version
	Hash    string        `json:"hash,omitempty"` // SHA-256 of the code
	Expires time.Time     `json:"expires"`
	Hold    *hold         `json:"hold,omitempty"`
	Admin   parley.UserID `json:"admin,omitempty"` // done, for ever
}

const setupFor = 30 * time.Minute

func (s *setupRecord) opens(hash string, now time.Time) bool {
	return s.Admin == "" && now.Before(s.Expires) && subtle.ConstantTimeCompare([]byte(s.Hash), []byte(hash)) == 1
}

// SetupCode makes the one-time code of the link that makes the first
// administrator, good for 30 minutes and in every registration mode. Called
// at each start, it makes a new code (fresh) and voids the one before; once
// there is an administrator it makes none, and code is empty.
func (a *Accounts) SetupCode(ctx context.Context) (code string, expires time.Time, fresh bool, err error) {
	const op = "account.setup"
	code = a.newID("")
	expires = a.clock().Add(setupFor)
	for range casTries {
		var s setupRecord
		r, _, err := a.read(ctx, setupAddress, keyAdmin, &s)
		if err != nil {
			return "", time.Time{}, false, failed(op, err)
		}
		if s.Hold != nil {
			if err := a.resolveSetup(ctx, r, s); err != nil && !errors.Is(err, store.ErrConflict) {
				return "", time.Time{}, false, failed(op, err)
			}
			continue
		}
		if s.Admin != "" {
			return "", time.Time{}, false, nil
		}
		s.Hash, s.Expires = hashOf(code), expires
		err = a.commit(ctx, setupAddress, change(keyAdmin, r.Version, &s))
		if err == nil {
			return code, expires, true, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return "", time.Time{}, false, failed(op, err)
		}
	}
	return "", time.Time{}, false, failed(op, errContended)
}

// resolveSetup decides the hold in s, which was read as r.
func (a *Accounts) resolveSetup(ctx context.Context, r store.Record, s setupRecord) error {
	used, err := a.resolve(ctx, *s.Hold)
	if err != nil {
		return err
	}
	s.settle(used)
	return a.commit(ctx, setupAddress, change(keyAdmin, r.Version, &s))
}

func (s *setupRecord) settle(used bool) {
	if used {
		s.Admin, s.Hash = s.Hold.User, ""
	}
	s.Hold = nil
}

type setupPass struct {
	a    *Accounts
	hash string
}

func (p *setupPass) admin() bool { return true }

func (p *setupPass) hold(ctx context.Context, h hold) error {
	for range casTries {
		var s setupRecord
		r, ok, err := p.a.read(ctx, setupAddress, keyAdmin, &s)
		switch {
		case err != nil:
			return err
		case !ok || !s.opens(p.hash, h.At):
			return errNoPass
		case s.Hold != nil && s.Hold.User == h.User:
			return nil // ours, by an earlier try
		case s.Hold != nil && h.At.Sub(s.Hold.At) < staleHold:
			return errNoPass
		case s.Hold != nil:
			err = p.a.resolveSetup(ctx, r, s)
		default:
			s.Hold = &h
			err = p.a.commit(ctx, setupAddress, change(keyAdmin, r.Version, &s))
			if err == nil {
				return nil
			}
		}
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return errContended
}

func (p *setupPass) settle(ctx context.Context, user parley.UserID, used bool) error {
	for range casTries {
		var s setupRecord
		r, _, err := p.a.read(ctx, setupAddress, keyAdmin, &s)
		if err != nil || s.Hold == nil || s.Hold.User != user {
			return err
		}
		s.settle(used)
		err = p.a.commit(ctx, setupAddress, change(keyAdmin, r.Version, &s))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return errContended
}
