package account

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/picture"
	"github.com/parley-im/parley/internal/store"
)

const (
	avatarSide   = 256       // pixels
	litterAfter  = time.Hour // no upload takes so long: a picture that no profile names is nobody's
	keyPicture   = "picture/"
	pictureTries = 5
)

func avatarAddress(u parley.UserID) string { return "avatar/" + string(u) }

// pictureRecord is one picture. It is written under a key of its own, never
// changed, and shown while the profile names the key.
type pictureRecord struct {
	version
	Type string    `json:"type"`
	Data []byte    `json:"data"`
	At   time.Time `json:"at"`
}

// SetAvatar makes the middle of a picture what user is shown by. The user's
// Avatar names it: another name for another picture. Codes are those of
// [picture.Square].
func (a *Accounts) SetAvatar(ctx context.Context, user parley.UserID, data []byte) (User, error) {
	const op = "account.avatar"
	if _, err := a.User(ctx, user); err != nil {
		return User{}, err
	}
	out, mediaType, err := picture.Square(data, avatarSide)
	if err != nil {
		return User{}, err
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	a.sweepPictures(ctx, op, user)
	sum := sha256.Sum256(out)
	name := base64.RawURLEncoding.EncodeToString(sum[:16])
	key := keyPicture + a.newID("p")
	rec := pictureRecord{Type: mediaType, Data: out, At: a.clock()}
	if err := a.commit(ctx, avatarAddress(user), creation(key, &rec)); err != nil {
		return User{}, failed(op, err)
	}
	u, was, err := a.reprofile(ctx, op, user, func(p *profileRecord) error {
		p.Avatar, p.Picture = name, key
		return nil
	})
	if err != nil {
		return User{}, err // the picture is litter, unless the profile names it
	}
	if was.Picture != "" {
		a.tidy(ctx, op, avatarAddress(user), was.Picture)
	}
	return u, nil
}

// RemoveAvatar takes user's picture away; to have none is no error.
func (a *Accounts) RemoveAvatar(ctx context.Context, user parley.UserID) (User, error) {
	const op = "account.avatar"
	ctx, cancel := detached(ctx)
	defer cancel()
	u, was, err := a.reprofile(ctx, op, user, func(p *profileRecord) error {
		p.Avatar, p.Picture = "", ""
		return nil
	})
	if err == nil && was.Picture != "" {
		a.tidy(ctx, op, avatarAddress(user), was.Picture)
	}
	return u, err
}

// Avatar returns user's picture, its media type and its name, or not_found.
func (a *Accounts) Avatar(ctx context.Context, user parley.UserID) (data []byte, mediaType, name string, err error) {
	const op = "account.avatar"
	none := parley.E(parley.NotFound, op, "This user has no picture.")
	if !IsUserID(string(user)) {
		return nil, "", "", none
	}
	for range pictureTries {
		// Not from memory: another node may have changed the picture by now.
		var p profileRecord
		if _, _, err := a.read(ctx, userAddress(user), keyProfile, &p); err != nil {
			return nil, "", "", failed(op, err)
		}
		if p.Picture == "" {
			return nil, "", "", none
		}
		var rec pictureRecord
		_, ok, err := a.read(ctx, avatarAddress(user), p.Picture, &rec)
		if err != nil {
			return nil, "", "", failed(op, err)
		}
		if ok {
			return rec.Data, rec.Type, p.Avatar, nil
		}
		// Replaced between the two looks.
	}
	return nil, "", "", none
}

// sweepPictures removes what uploads left behind that never came to an end,
// or whose tidying did not. It need not succeed.
func (a *Accounts) sweepPictures(ctx context.Context, op string, user parley.UserID) {
	rs, err := a.records.ListRecords(ctx, avatarAddress(user), keyPicture, "", 4)
	if err != nil || len(rs) < 2 {
		return
	}
	var p profileRecord
	if _, _, err := a.read(ctx, userAddress(user), keyProfile, &p); err != nil {
		return
	}
	for _, r := range rs {
		var rec pictureRecord
		if err := decode(r, &rec); err != nil || r.Key == p.Picture || a.clock().Sub(rec.At) < litterAfter {
			continue
		}
		if err := a.commit(ctx, avatarAddress(user), removal(r)); err != nil && !errors.Is(err, store.ErrConflict) {
			a.log.Warn("litter left behind", "op", op, "err", err)
			return
		}
	}
}
