package account

import (
	"context"
	"errors"
	"strings"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// ContactState is how a user stands with another, as the user sees it.
type ContactState string

// The states, and what a user may ask for: requested, accepted, rejected,
// blocked and unblocked.
const (
	ContactNone      ContactState = "none"
	ContactRequested ContactState = "requested" // this user asked; no answer yet, or a no
	ContactPending   ContactState = "pending"   // the other asked
	ContactAccepted  ContactState = "accepted"  // both did
	ContactRejected  ContactState = "rejected"  // this user said no
	ContactBlocked   ContactState = "blocked"
	ContactUnblocked ContactState = "unblocked" // is only asked for; what stands then is none
)

// Bounds of one user's list.
const (
	MaxContacts = 1000 // requested and accepted
	MaxBlocks   = 1000
	maxPending  = 1000 // what comes when so many wait is not put on
	maxRest     = 1000 // rejected, and none with a rev: beyond, the oldest is forgotten
	maxRev      = 1<<53 - 1
)

// Requests for contacts, by one user.
var (
	perRequester = rule{n: 20, drip: time.Minute}
	perBot       = rule{n: 5, drip: 10 * time.Minute}
)

// Contact is how a user stands with another. Rev is of the user's devices:
// zero until one of them said something about the other.
type Contact struct {
	User  parley.UserID
	State ContactState
	Rev   uint64
	At    time.Time // since when; zero with none
}

// SetContact asks for a state with other, on behalf of a device of user that
// gave the change a rev. What stands then is returned, also with a conflict.
//
//   - requested: other is asked, unless the user is asked already or other
//     wants it too: then it is accepted. Asking again, with a greater rev,
//     reaches an other who has forgotten, not one who said no.
//   - accepted, rejected: answer a request. Nothing tells of a rejection.
//   - blocked: from any state. When this returns, no [Accounts.Blockers] that
//     is called after misses it, on no node. Nothing tells the other, who goes
//     on seeing what was; what they ask from now on looks the same to them and
//     never reaches this user.
//   - unblocked: the user stands with other as if they had never met.
//
// The greater rev stays: an equal or smaller one is a conflict, but that a
// block wins over anything else of its own rev, and that the same asked again
// (a retry) is no change. Also a conflict: to answer what was not asked, and
// anything but unblocking while other is blocked. Other codes: bad_request for
// oneself or an unknown state, not_found, too_large for one above MaxContacts
// or MaxBlocks, rate_limited for requests in bulk. After an error that says to
// retry the change may stand.
func (a *Accounts) SetContact(ctx context.Context, user, other parley.UserID, ask ContactState, rev uint64) (Contact, error) {
	const op = "account.contact"
	by, err := a.mayAsk(ctx, op, user, other, ask, rev)
	if err != nil {
		return Contact{}, err
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	counted := false
	for range casTries {
		s, err := a.settled(ctx, user, other)
		if err != nil {
			return Contact{}, failed(op, err)
		}
		if s.rec.Asked == ask && s.rec.Rev == rev {
			return s.contact(), nil
		}
		if !s.rec.yieldsTo(ask, rev) {
			return s.contact(), parley.E(parley.Conflict, op, "Another device was first. Look at what stands.")
		}
		next, err := a.asked(ctx, op, s, ask)
		if err != nil {
			return s.contact(), failed(op, err)
		}
		next.Asked, next.Rev = ask, rev
		if ask == ContactRequested && !counted {
			if err := a.requestAllowed(op, by); err != nil {
				return s.contact(), err
			}
			counted = true
		}
		err = a.write(ctx, s, next)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return Contact{}, failed(op, err)
		}
		return a.told(ctx, op, user, other)
	}
	return Contact{}, failed(op, errContended)
}

// mayAsk applies the rules of SetContact that need no list, and returns who
// asks.
func (a *Accounts) mayAsk(ctx context.Context, op string, user, other parley.UserID, ask ContactState, rev uint64) (User, error) {
	switch ask {
	case ContactRequested, ContactAccepted, ContactRejected, ContactBlocked, ContactUnblocked:
	default:
		return User{}, parley.E(parley.BadRequest, op, "Ask for requested, accepted, rejected, blocked or unblocked.")
	}
	if user == other {
		return User{}, parley.E(parley.BadRequest, op, "This is yourself.")
	}
	if rev > maxRev {
		return User{}, parley.E(parley.BadRequest, op, "A rev is at most %d.", uint64(maxRev))
	}
	by, err := a.User(ctx, user)
	if err != nil {
		return User{}, err
	}
	u, err := a.User(ctx, other)
	if err == nil && u.Deleted && ask == ContactRequested {
		err = noUser(op)
	}
	return by, err
}

// requestAllowed counts one request for a contact.
func (a *Accounts) requestAllowed(op string, by User) error {
	if !a.limited {
		return nil
	}
	r := perRequester
	if by.Bot {
		r = perBot
	}
	if wait := a.requests.count(a.now(), claim{"contact/" + string(by.ID), r}); wait > 0 {
		return tooOften(op, "Too many people were asked to be contacts.", wait)
	}
	return nil
}

// asked returns the record that s becomes when its user asks for ask.
func (a *Accounts) asked(ctx context.Context, op string, s *side, ask ContactState) (contactRecord, error) {
	next := s.rec
	var theirs contactRecord // what the other wishes, whatever we were told of it
	if ask == ContactRequested || ask == ContactAccepted {
		if _, _, err := a.read(ctx, contactsAddress(s.other), withKey(s.user), &theirs); err != nil {
			return next, err
		}
	}
	if err := next.ask(op, ask, theirs.Mine == wishYes); err != nil {
		return next, err
	}
	before, after := s.rec.state(), next.state()
	if before != after {
		next.At = a.clock()
	}
	mine, full := s.head.count(after), 0
	switch after {
	case ContactBlocked:
		full = MaxBlocks
	case ContactRequested, ContactAccepted:
		full = MaxContacts
	default:
		return next, nil
	}
	if mine != s.head.count(before) && *mine >= full {
		return next, parley.E(parley.TooLarge, op, "Your list is full: it takes %d. Remove some first.", full)
	}
	return next, nil
}

// told settles what user just wrote about other, and returns what stands.
func (a *Accounts) told(ctx context.Context, op string, user, other parley.UserID) (Contact, error) {
	s, err := a.settled(ctx, user, other)
	a.contactsChanged(user) // the user's own record stands in any case
	if err != nil {
		return Contact{}, failed(op, err)
	}
	return s.contact(), nil
}

// DeleteContact forgets other: what stands is none, with a rev that no change
// made before has. A request that was not answered is taken back; an accepted
// contact is not told and keeps user on their own list, as somebody who does
// not answer any more. It is not_found where there is nothing to forget, and a
// conflict for somebody blocked, who must be unblocked.
func (a *Accounts) DeleteContact(ctx context.Context, user, other parley.UserID) error {
	const op = "account.forget"
	ctx, cancel := detached(ctx)
	defer cancel()
	for range casTries {
		s, err := a.settled(ctx, user, other)
		if err != nil {
			return failed(op, err)
		}
		switch s.rec.state() {
		case ContactNone:
			return parley.E(parley.NotFound, op, "You have no such contact.")
		case ContactBlocked:
			return parley.E(parley.Conflict, op, "You block this person. Unblock them first.")
		}
		next := s.rec
		next.Mine, next.Theirs, next.OwesWord = "", false, true
		next.Asked, next.Rev, next.At = ContactNone, min(next.Rev+1, maxRev), a.clock()
		err = a.write(ctx, s, next)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err == nil {
			_, err = a.told(ctx, op, user, other)
		}
		return failed(op, err)
	}
	return failed(op, errContended)
}

// Contact returns how user stands with other: none when they do not.
func (a *Accounts) Contact(ctx context.Context, user, other parley.UserID) (Contact, error) {
	s, err := a.settled(ctx, user, other)
	if err != nil {
		return Contact{}, failed("account.contact", err)
	}
	return s.contact(), nil
}

// Contacts lists whom user stands with in any way but none, in an order that
// does not change: at most limit of them, after cursor (empty: from the first).
// next is the cursor of the following page, empty at the end. A list whose
// [Accounts.ContactsRev] was the same before the first page and after the last
// is whole; who is not on it is none.
func (a *Accounts) Contacts(ctx context.Context, user parley.UserID, cursor string, limit int) (page []Contact, next string, err error) {
	const op = "account.contacts"
	after := ""
	if cursor != "" {
		if !IsUserID(cursor) {
			return nil, "", parley.E(parley.BadRequest, op, "This cursor is not from here. Start without one.")
		}
		after = keyWith + cursor
	}
	limit = min(max(limit, 1), 200)
	page = make([]Contact, 0, limit)
	for len(page) < limit {
		want := limit - len(page)
		rs, err := a.records.ListRecords(ctx, contactsAddress(user), keyWith, after, want)
		if err != nil {
			return nil, "", failed(op, err)
		}
		for _, r := range rs {
			after = r.Key
			c, err := a.listed(ctx, user, r)
			if err != nil {
				return nil, "", failed(op, err)
			}
			if c.State != ContactNone {
				page = append(page, c)
			}
		}
		if len(rs) < want {
			return page, "", nil
		}
	}
	return page, strings.TrimPrefix(after, keyWith), nil
}

// listed is the contact in r; what it owes is settled first.
func (a *Accounts) listed(ctx context.Context, user parley.UserID, r store.Record) (Contact, error) {
	s := &side{user: user, other: parley.UserID(strings.TrimPrefix(r.Key, keyWith))}
	if err := decode(r, &s.rec); err != nil {
		return Contact{}, err
	}
	if s.rec.owes() {
		var err error
		if s, err = a.settled(ctx, user, s.other); err != nil {
			return Contact{}, err
		}
	}
	return s.contact(), nil
}

// ContactsRev is how far user's list of contacts has got: a number that grows
// with each change of it. 0: nothing was ever on it.
func (a *Accounts) ContactsRev(ctx context.Context, user parley.UserID) (uint64, error) {
	var head contactsRecord
	_, _, err := a.read(ctx, contactsAddress(user), keyList, &head)
	return head.Rev, failed("account.contacts", err)
}
