package account

import (
	"context"
	"errors"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

const (
	keyList  = "list"
	keyWith  = "with/"  // + the other
	keyBlock = "block/" // + the other; stands while with/ says blocked
)

func contactsAddress(u parley.UserID) string { return "contacts/" + string(u) }
func withKey(other parley.UserID) string     { return keyWith + string(other) }

// The wishes of contactRecord.Mine.
const (
	wishYes = "yes"
	wishNo  = "no"
)

type (
	// contactRecord is how one user stands with another. Mine and Blocked are
	// the user's own word and true as they stand. Theirs is what the other's
	// record said of its own Mine when this list was last told.
	contactRecord struct {
		version
		Mine    string       `json:"mine,omitempty"` // stays while blocked, so that the other sees no change
		Theirs  bool         `json:"theirs,omitempty"`
		Blocked bool         `json:"blocked,omitempty"`
		Asked   ContactState `json:"asked,omitempty"` // what a device asked for last, with this rev
		Rev     uint64       `json:"rev,omitempty"`
		At      time.Time    `json:"at"` // when the state last changed

		OwesWord  bool `json:"owes_word,omitempty"`  // the other's list may not have been told yet
		OwesBlock bool `json:"owes_block,omitempty"` // the mirror may not have followed yet
	}
	// contactsRecord is the head of a list: it is written with every change, so
	// that two changes never pass each other unseen, and counts what there is.
	contactsRecord struct {
		version
		Rev      uint64 `json:"rev"` // one more with each change that the user can see
		Contacts int    `json:"contacts,omitempty"`
		Blocks   int    `json:"blocks,omitempty"`
		Pending  int    `json:"pending,omitempty"`
		Rest     int    `json:"rest,omitempty"`
	}
	// noteRecord says that something is so by being there.
	noteRecord struct {
		version
		At time.Time `json:"at"`
	}
)

func (r *contactRecord) state() ContactState {
	switch {
	case r.Blocked:
		return ContactBlocked
	case r.Mine == wishYes && r.Theirs:
		return ContactAccepted
	case r.Mine == wishYes:
		return ContactRequested
	case r.Mine == wishNo:
		return ContactRejected
	case r.Theirs:
		return ContactPending
	}
	return ContactNone
}

func (r *contactRecord) owes() bool { return r.OwesWord || r.OwesBlock }

// yieldsTo reports whether a device may ask for ask with this rev.
func (r *contactRecord) yieldsTo(ask ContactState, rev uint64) bool {
	if r.Asked == "" || rev > r.Rev {
		return true
	}
	return rev == r.Rev && ask == ContactBlocked && r.Asked != ContactBlocked
}

// ask makes r what it becomes when its user asks for ask while the other
// wants it, or does not. A conflict leaves it as it was.
func (r *contactRecord) ask(op string, ask ContactState, wanted bool) error {
	if r.Blocked && ask != ContactBlocked && ask != ContactUnblocked {
		return parley.E(parley.Conflict, op, "You block this person. Unblock them first.")
	}
	switch ask {
	case ContactRequested:
		// Who is on the list as accepted stays so: that the other forgot is not told.
		r.Theirs = wanted || r.state() == ContactAccepted
		r.Mine, r.OwesWord = wishYes, true
	case ContactAccepted:
		if !wanted && r.state() != ContactAccepted {
			return parley.E(parley.Conflict, op, "There is no request to accept (any more).")
		}
		r.Mine, r.Theirs, r.OwesWord = wishYes, true, true
	case ContactRejected:
		if s := r.state(); s != ContactPending && s != ContactRejected {
			return parley.E(parley.Conflict, op, "There is no request to reject (any more).")
		}
		r.Mine = wishNo
	case ContactBlocked:
		r.Blocked, r.OwesBlock = true, true
	case ContactUnblocked:
		if r.Blocked {
			r.Mine, r.Theirs, r.Blocked = "", false, false
			r.OwesWord, r.OwesBlock = true, true
		}
	}
	return nil
}

// hear makes r what it becomes when its user is told of the other's wish. A yes
// that was heard once is not taken back from who said yes too: it would tell
// of a refusal. What is heard while blocked is forgotten with the block.
func (r *contactRecord) hear(wanted bool) {
	r.Theirs = wanted || r.Theirs && r.Mine == wishYes
}

// count is the counter that a record of this state is counted in.
func (h *contactsRecord) count(s ContactState) *int {
	switch s {
	case ContactRequested, ContactAccepted:
		return &h.Contacts
	case ContactBlocked:
		return &h.Blocks
	case ContactPending:
		return &h.Pending
	}
	return &h.Rest
}

// side is one user's record of another together with the head of the list, as
// they were read: the head first, so that what is read later, from anywhere,
// is not older than it.
type side struct {
	user, other parley.UserID

	head    contactsRecord
	headAt  uint64 // version
	rec     contactRecord
	version uint64 // 0: there is none
}

func (a *Accounts) side(ctx context.Context, user, other parley.UserID) (*side, error) {
	s := &side{user: user, other: other}
	r, _, err := a.read(ctx, contactsAddress(user), keyList, &s.head)
	if err != nil {
		return nil, err
	}
	s.headAt = r.Version
	r, _, err = a.read(ctx, contactsAddress(user), withKey(other), &s.rec)
	s.version = r.Version
	return s, err
}

func (s *side) contact() Contact {
	c := Contact{User: s.other, State: s.rec.state(), Rev: s.rec.Rev, At: s.rec.At}
	if c.State == ContactNone {
		c.At = time.Time{}
	}
	return c
}

// write replaces the record of s by next, with the head, if both still stand
// as they were read.
func (a *Accounts) write(ctx context.Context, s *side, next contactRecord) error {
	head, key := s.head, withKey(s.other)
	// What nobody said anything about need not be remembered.
	keep := next.Asked != "" || next.state() != ContactNone || next.owes()
	if s.version != 0 {
		*head.count(s.rec.state())--
	}
	if keep {
		*head.count(next.state())++
	}
	if s.rec.state() != next.state() || s.rec.Rev != next.Rev || !s.rec.At.Equal(next.At) {
		head.Rev++
	}
	var changes []store.Change
	switch {
	case keep && (s.version == 0 || s.rec != next):
		changes = append(changes, change(key, s.version, &next))
	case !keep && s.version != 0:
		changes = append(changes, store.Change{Key: key, Version: s.version, Remove: true})
	}
	switch note := keyBlock + string(s.other); {
	case next.Blocked && !s.rec.Blocked:
		changes = append(changes, creation(note, &noteRecord{At: next.At}))
	case !next.Blocked && s.rec.Blocked:
		// It is made and removed, and never changed.
		changes = append(changes, store.Change{Key: note, Version: 1, Remove: true})
	}
	if head.Rest > maxRest {
		oldest, err := a.oldestRest(ctx, s)
		if err != nil {
			return err
		}
		if oldest.Version != 0 {
			changes = append(changes, removal(oldest))
			head.Rest--
		}
	}
	changes = append(changes, change(keyList, s.headAt, &head))
	return a.commit(ctx, contactsAddress(s.user), changes...)
}

// oldestRest returns the record of the list of s that is missed least.
func (a *Accounts) oldestRest(ctx context.Context, s *side) (oldest store.Record, err error) {
	all, err := a.list(ctx, contactsAddress(s.user), keyWith)
	if err != nil {
		return oldest, err
	}
	var since time.Time
	for _, r := range all {
		var rec contactRecord
		if err := decode(r, &rec); err != nil {
			return store.Record{}, err
		}
		state := rec.state()
		rest := state == ContactRejected || state == ContactNone
		if !rest || rec.owes() || r.Key == withKey(s.other) {
			continue
		}
		if oldest.Version == 0 || rec.At.Before(since) {
			oldest, since = r, rec.At
		}
	}
	return oldest, nil
}

// settled returns how user stands with other, after settling what that owes.
func (a *Accounts) settled(ctx context.Context, user, other parley.UserID) (*side, error) {
	for range casTries {
		s, err := a.side(ctx, user, other)
		if err != nil || !s.rec.owes() {
			return s, err
		}
		ctx, cancel := detached(ctx)
		err = a.settle(ctx, s)
		cancel()
		if err != nil {
			return nil, err
		}
	}
	return nil, errContended
}

// settle makes what follows the record of s follow it: the mirror that senders
// are held to, and the other's list. Whoever changes a record marks in the
// same commit what it owes. Nobody is told of a change before it is settled:
// not who made it, and not who reads the list after a crash, for every reading
// settles first. So who was told "blocked" is on the mirror.
//
// A record changes only while it owes nothing, so what follows it has caught
// up with each state before the next one is there. And what follows is written
// together with the head of its own list, which was read before the record: a
// writer that sleeps over a change of the record sleeps over the commit that
// followed it too, and its own comes to nothing. So what follows never goes
// back, however late a writer wakes up, on whatever node.
func (a *Accounts) settle(ctx context.Context, s *side) error {
	if s.rec.OwesBlock {
		if err := a.mirror(ctx, s.user, s.other); err != nil {
			return err
		}
	}
	if s.rec.OwesWord {
		if err := a.tell(ctx, s.user, s.other); err != nil {
			return err
		}
	}
	for range casTries {
		now, err := a.side(ctx, s.user, s.other)
		if err != nil {
			return err
		}
		next := now.rec
		next.OwesWord, next.OwesBlock = next.OwesWord && !s.rec.OwesWord, next.OwesBlock && !s.rec.OwesBlock
		if next == now.rec {
			return nil // somebody else was faster
		}
		if now.rec.Mine != s.rec.Mine || now.rec.Blocked != s.rec.Blocked || now.rec.Rev != s.rec.Rev {
			return nil // it changed since, and owes anew
		}
		if err := a.write(ctx, now, next); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return errContended
}

// tell brings the list of to up to what from wishes.
func (a *Accounts) tell(ctx context.Context, from, to parley.UserID) error {
	for range casTries {
		s, err := a.side(ctx, to, from)
		if err != nil {
			return err
		}
		var wish contactRecord
		if _, _, err := a.read(ctx, contactsAddress(from), withKey(to), &wish); err != nil {
			return err
		}
		next := s.rec
		next.hear(wish.Mine == wishYes)
		state, before := next.state(), s.rec.state()
		if state == ContactPending && before != state && s.head.Pending >= maxPending {
			next, state = s.rec, before
		}
		if state != before {
			next.At = wish.At
		}
		if next != s.rec {
			err = a.write(ctx, s, next)
		}
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		if state != before {
			a.contactsChanged(to)
		}
		if s.rec.Mine == wishYes && wish.Mine == wishYes && !wish.Theirs {
			// Both asked at once, or a crash kept one from hearing.
			return a.tell(ctx, to, from)
		}
		return nil
	}
	return errContended
}
