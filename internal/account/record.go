package account

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// The layout. Values are JSON with a version field "v". What is secret is
// addressed by its SHA-256 only.
//
//	user/<id>         profile, secret, device/<id>, invite/<newest first>
//	handle/<handle>   owner
//	token/<hash>      token
//	invite/<hash>     invite
//	setup             admin
//
//	user/<id>         also bots, of who has some
//	contacts/<id>     list, with/<other>, block/<other>
//	blockers/<id>     list, by/<who blocks them>
//	avatar/<id>       picture/<random>
//	webhooks/<shards> hook/<bot>
//	group/<id>        invite/<newest first>
//	ginvite/<hash>    invite, use/<user>
const (
	keyProfile   = "profile"
	keySecret    = "secret"
	keyDevice    = "device/" // + device id
	keyInvites   = "invite/" // + sortable; in a user's partition
	keyOwner     = "owner"
	keyToken     = "token"
	keyInvite    = "invite"
	keyAdmin     = "admin"
	setupAddress = "setup"
)

func userAddress(u parley.UserID) string { return "user/" + string(u) }
func handleAddress(handle string) string { return "handle/" + handle }
func tokenAddress(hash string) string    { return "token/" + hash }
func inviteAddress(hash string) string   { return "invite/" + hash }
func deviceKey(d parley.DeviceID) string { return keyDevice + string(d) }
func hashOf(secret string) string {
	h := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(h[:])
}
func removal(r store.Record) store.Change {
	return store.Change{Key: r.Key, Version: r.Version, Remove: true}
}
func creation(key string, v versioned) store.Change { return change(key, 0, v) }

// version is embedded in every stored value.
type version struct {
	V int `json:"v"`
}

const recordVersion = 1

func (v *version) stamp() *int { return &v.V }

type versioned interface{ stamp() *int }

type (
	profileRecord struct {
		version
		Handle  string    `json:"handle"`
		Name    string    `json:"name"`
		Admin   bool      `json:"admin,omitempty"`
		Created time.Time `json:"created"`

		Status       string        `json:"status,omitempty"`
		Avatar       string        `json:"avatar,omitempty"`  // hash of the picture
		Picture      string        `json:"picture,omitempty"` // key of its record
		HideReceipts bool          `json:"hide_receipts,omitempty"`
		HidePresence bool          `json:"hide_presence,omitempty"`
		Bot          bool          `json:"bot,omitempty"`
		Owner        parley.UserID `json:"owner,omitempty"`
		Deleted      bool          `json:"deleted,omitempty"`
	}
	secretRecord struct {
		version
		Hash    string    `json:"hash"`    // PHC string
		Serial  uint64    `json:"serial"`  // one more with each new password
		Changed time.Time `json:"changed"` // when the password was set
	}
	deviceRecord struct {
		version
		Name    string    `json:"name"`
		Token   string    `json:"token"` // SHA-256 of its token
		Created time.Time `json:"created"`
		Seen    time.Time `json:"seen"`
	}
	ownerRecord struct {
		version
		User  parley.UserID `json:"user"`            // empty: nobody's, see hold
		Fence string        `json:"fence,omitempty"` // tells one writing of nobody from another
	}
	tokenRecord struct {
		version
		User   parley.UserID   `json:"user"`
		Device parley.DeviceID `json:"device"`
	}
)

// change is the change that writes v; expected is the version it replaces.
func change(key string, expected uint64, v versioned) store.Change {
	*v.stamp() = recordVersion
	value, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("account: a record that is no JSON: %v", err)) // structs of ours: cannot happen
	}
	return store.Change{Key: key, Version: expected, Value: value}
}

// decode reads what change wrote.
func decode(r store.Record, into versioned) error {
	if err := json.Unmarshal(r.Value, into); err != nil {
		// The JSON error could quote what it read.
		return fmt.Errorf("account: unreadable record: %w", store.ErrCorrupt)
	}
	if got := *into.stamp(); got != recordVersion {
		return fmt.Errorf("account: record version %d, this program knows %d", got, recordVersion)
	}
	return nil
}

// read decodes a record into v. It is false when there is none.
func (a *Accounts) read(ctx context.Context, partition, key string, into versioned) (store.Record, bool, error) {
	r, err := a.records.GetRecord(ctx, partition, key)
	if err != nil || r.Version == 0 {
		return store.Record{Key: key}, false, err
	}
	return r, true, decode(r, into)
}

// list returns all records of a partition whose key begins with prefix.
func (a *Accounts) list(ctx context.Context, partition, prefix string) ([]store.Record, error) {
	const page = 256
	var all []store.Record
	for after := ""; ; {
		rs, err := a.records.ListRecords(ctx, partition, prefix, after, page)
		if err != nil {
			return nil, err
		}
		all = append(all, rs...)
		if len(rs) < page {
			return all, nil
		}
		after = rs[len(rs)-1].Key
	}
}

// commitTries bounds how often a commit of unknown outcome is repeated.
const commitTries = 3

// commit is CommitRecords with unknown outcomes looked into: it reads again,
// and repeats the identical commit if it did not happen. What it returns nil
// for has happened; ErrConflict, ErrFull and ErrClosed mean that it has not;
// after any other error nobody knows (see sure).
//
// Recognising its own write takes values that nobody else would write at the
// same version: each change set of ours carries fresh randomness (an id, a
// hash), or says the same thing whoever wrote it.
func (a *Accounts) commit(ctx context.Context, partition string, changes ...store.Change) error {
	var unknown error
	for range commitTries {
		err := a.records.CommitRecords(ctx, partition, changes)
		switch {
		case err == nil:
			return nil
		case !sure(err):
			unknown = err
		case unknown == nil:
			return err
		case !errors.Is(err, store.ErrConflict):
			return unknown // refused now, but an earlier try may have happened
		}
		done, rerr := a.happened(ctx, partition, changes)
		if rerr != nil {
			return unknown
		}
		if done {
			return nil
		}
		if errors.Is(err, store.ErrConflict) {
			return err // somebody else moved it, so no earlier try can happen any more
		}
	}
	return unknown
}

// happened reports whether the records stand as changes would have left them.
func (a *Accounts) happened(ctx context.Context, partition string, changes []store.Change) (bool, error) {
	for _, c := range changes {
		r, err := a.records.GetRecord(ctx, partition, c.Key)
		if err != nil {
			return false, err
		}
		if c.Remove {
			if r.Version != 0 {
				return false, nil
			}
			continue
		}
		if r.Version != c.Version+1 || !bytes.Equal(r.Value, c.Value) {
			return false, nil
		}
	}
	return true, nil
}

// sure reports whether a failed commit certainly wrote nothing.
func sure(err error) bool {
	return errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrClosed)
}

// casTries bounds loops that reload after a conflict. Each conflict means
// that somebody else got ahead, so few are ever needed.
const casTries = 100

var errContended = fmt.Errorf("account: lost %d races in a row: %w", casTries, store.ErrConflict)

// failed turns an error of the store into one that may reach a person.
func failed(op string, err error) error {
	if err == nil {
		return nil
	}
	var coded *parley.Error
	if errors.As(err, &coded) {
		return coded
	}
	e := &parley.Error{Op: op, Err: err}
	switch {
	case errors.Is(err, store.ErrFull):
		e.Code, e.Detail = parley.StorageFull, "The server's disk is full. Try again after its operator has made room."
	case errors.Is(err, store.ErrClosed):
		e.Code, e.Detail = parley.Draining, "The server is shutting down. Try again in a moment."
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrConflict),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Code, e.Detail, e.After = parley.Overloaded, "The server could not do this in time. Try again in a moment.", time.Second
	default:
		e.Code, e.Detail = parley.Internal, "The server has a problem with its data. Tell its operator."
	}
	return e
}
