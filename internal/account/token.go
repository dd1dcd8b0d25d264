package account

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

const (
	tokenPrefix = "pt_" // so that scanners of leaked secrets can know one
	tokenBytes  = 32
	seenEvery   = time.Hour
)

// newToken makes a token and its hash.
func (a *Accounts) newToken() (token, hash string) {
	var b [tokenBytes]byte
	if _, err := io.ReadFull(a.rand, b[:]); err != nil {
		// Like parley.NewID: a process without randomness must not go on.
		panic(fmt.Sprintf("account: no randomness: %v", err))
	}
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	return token, hashOf(token)
}

func (a *Accounts) newID(prefix string) string { return parley.NewID(prefix, a.rand) }

// Authenticate returns who holds token, or unauthorized. A token that was
// signed out here is refused from that moment, one that was signed out on
// another node within 5 s.
func (a *Accounts) Authenticate(ctx context.Context, token string) (Identity, error) {
	const op = "account.authenticate"
	refused := parley.E(parley.Unauthorized, op, "This device is not signed in (any more). Sign in again.")
	if len(token) != len(tokenPrefix)+base64.RawURLEncoding.EncodedLen(tokenBytes) || !strings.HasPrefix(token, tokenPrefix) {
		return Identity{}, refused
	}
	hash := hashOf(token)
	id, mark, ok := a.tokens.get(hash, a.now())
	if ok {
		return id, nil
	}
	var index tokenRecord
	if _, ok, err := a.read(ctx, tokenAddress(hash), keyToken, &index); err != nil {
		return Identity{}, failed(op, err)
	} else if !ok {
		return Identity{}, refused
	}
	var rec deviceRecord
	r, ok, err := a.read(ctx, userAddress(index.User), deviceKey(index.Device), &rec)
	if err != nil {
		return Identity{}, failed(op, err)
	}
	if !ok || subtle.ConstantTimeCompare([]byte(rec.Token), []byte(hash)) != 1 {
		return Identity{}, refused
	}
	id = Identity{User: index.User, Device: index.Device}
	a.tokens.put(hash, id, a.now(), mark)
	a.seen(ctx, id, r, rec)
	return id, nil
}

// seen notes that a device was here, at most once an hour. Nobody waits long
// for that, and nothing depends on it; the version keeps it from bringing back
// a device that was signed out meanwhile.
func (a *Accounts) seen(ctx context.Context, id Identity, r store.Record, rec deviceRecord) {
	now := a.clock()
	if now.Sub(rec.Seen) < seenEvery {
		return
	}
	rec.Seen = now
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	err := a.records.CommitRecords(ctx, userAddress(id.User), []store.Change{change(r.Key, r.Version, &rec)})
	if err != nil && !errors.Is(err, store.ErrConflict) {
		a.log.Debug("device not marked as seen", "user", string(id.User), "device", string(id.Device), "err", err)
	}
}

// Forget takes a device that was signed out elsewhere out of memory, so that
// its token is looked up again.
func (a *Accounts) Forget(d parley.DeviceID) {
	a.tokens.dropWhere(func(id Identity) bool { return id.Device == d })
}
