package account

import (
	"context"
	"errors"
	"slices"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// MaxBots bounds the bots of one owner.
const MaxBots = 20

// perOwner bounds how often an owner makes a bot: its handle is taken for good.
var perOwner = rule{n: MaxBots, drip: 10 * time.Minute}

const (
	keyBots   = "bots" // in the owner's partition
	botDevice = "bot"
)

// Bot is an account without a password, as its owner sees it. Its token is
// like that of a device.
type Bot struct {
	User    User
	Webhook *Webhook // nil: the bot asks
	Created time.Time
}

type (
	// botsRecord is the bots of one owner. It bounds and lists them; whether a
	// bot is, and whose, its handle and its profile say.
	botsRecord struct {
		version
		Bots  []parley.UserID `json:"bots,omitempty"`
		Holds []hold          `json:"holds,omitempty"` // places put aside; they count
	}
	// botPass lets a bot of owner in.
	botPass struct {
		a     *Accounts
		owner parley.UserID
		op    string
	}
)

func (b *botsRecord) settle(bot parley.UserID, made bool) bool {
	at := slices.IndexFunc(b.Holds, func(h hold) bool { return h.User == bot })
	if at < 0 {
		return false
	}
	b.Holds = slices.Delete(b.Holds, at, at+1)
	if made {
		b.Bots = append(b.Bots, bot)
	}
	return true
}

// CreateBot makes a bot of owner's, with a webhook unless that is empty. Token
// and secret are shown this once. Codes are those of Register; too_large for
// one above MaxBots, forbidden for a bot of a bot.
func (a *Accounts) CreateBot(ctx context.Context, owner parley.UserID, handle, name, webhook string) (bot Bot, token, secret string, err error) {
	const op = "account.bot"
	u, err := a.User(ctx, owner)
	if err != nil {
		return Bot{}, "", "", err
	}
	if u.Bot {
		return Bot{}, "", "", parley.E(parley.Forbidden, op, "Bots make no bots.")
	}
	if webhook, err = a.goodWebhook(op, webhook); err != nil {
		return Bot{}, "", "", err
	}
	n, err := a.newcomer(op, handle, name, botDevice)
	if err != nil {
		return Bot{}, "", "", err
	}
	n.profile.Bot, n.profile.Owner = true, owner
	n.pass = &botPass{a, owner, op}
	if _, err := a.vacant(ctx, op, n); err != nil {
		return Bot{}, "", "", failed(op, err)
	}
	if a.limited {
		if wait := a.requests.count(a.now(), claim{"bot/" + string(owner), perOwner}); wait > 0 {
			return Bot{}, "", "", tooOften(op, "Too many bots were made.", wait)
		}
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	// The webhook before the bot, so that there is no bot without its webhook.
	if webhook != "" {
		if secret, err = a.setWebhook(ctx, op, n.user, webhook); err != nil {
			return Bot{}, "", "", err
		}
	}
	if err := a.found(ctx, op, n); err != nil {
		if webhook != "" && !errors.Is(err, errUnknown) {
			a.tidy(ctx, op, webhookAddress(n.user), hookKey(n.user))
		}
		return Bot{}, "", "", failed(op, err)
	}
	a.log.Info("bot registered", "user", string(n.user))
	if webhook != "" {
		a.webhookChanged(n.user)
	}
	bot, err = a.bot(ctx, n.profile.user(n.user))
	return bot, n.token, secret, failed(op, err)
}

// bot completes what is shown of a bot.
func (a *Accounts) bot(ctx context.Context, u User) (Bot, error) {
	b := Bot{User: u, Created: u.Created}
	w, err := a.webhook(ctx, u.ID)
	if err != nil {
		return Bot{}, err
	}
	if w.URL != "" {
		b.Webhook = &w
	}
	return b, nil
}

// Bots lists the bots of owner, in the order they were made.
func (a *Accounts) Bots(ctx context.Context, owner parley.UserID) ([]Bot, error) {
	const op = "account.bots"
	var rec botsRecord
	if _, _, err := a.read(ctx, userAddress(owner), keyBots, &rec); err != nil {
		return nil, failed(op, err)
	}
	ids := rec.Bots
	for _, h := range rec.Holds { // what a crash kept from being settled
		var holder ownerRecord
		if _, _, err := a.read(ctx, handleAddress(h.Handle), keyOwner, &holder); err != nil {
			return nil, failed(op, err)
		}
		if holder.User == h.User {
			ids = append(ids, h.User)
		}
	}
	bots := make([]Bot, 0, len(ids))
	for _, id := range ids {
		b, err := a.Bot(ctx, owner, id)
		switch {
		case err == nil:
			bots = append(bots, b)
		case parley.CodeOf(err) != parley.NotFound: // else deleted, and a crash kept it in the list
			return nil, err
		}
	}
	slices.SortStableFunc(bots, func(x, y Bot) int { return x.Created.Compare(y.Created) })
	return bots, nil
}

// Bot returns a bot of owner's, or not_found.
func (a *Accounts) Bot(ctx context.Context, owner, bot parley.UserID) (Bot, error) {
	const op = "account.bot"
	u, err := a.ownBot(ctx, op, owner, bot)
	if err != nil {
		return Bot{}, err
	}
	b, err := a.bot(ctx, u)
	return b, failed(op, err)
}

func noBot(op string) error { return parley.E(parley.NotFound, op, "You have no such bot.") }

func (a *Accounts) ownBot(ctx context.Context, op string, owner, bot parley.UserID) (User, error) {
	u, err := a.User(ctx, bot)
	if err != nil && parley.CodeOf(err) != parley.NotFound {
		return User{}, err
	}
	if err != nil || !u.Bot || u.Owner != owner || u.Deleted {
		return User{}, noBot(op)
	}
	return u, nil
}

// BotChange is what of a bot is to change; nil: stays.
type BotChange struct {
	Name    *string
	Webhook *string // empty: none
}

// UpdateBot changes a bot of owner's. A webhook, also the same once more, makes
// a new secret, which is shown this once. It is one change after the other:
// after an error the name may have changed, and a retry does the rest.
func (a *Accounts) UpdateBot(ctx context.Context, owner, bot parley.UserID, c BotChange) (b Bot, secret string, err error) {
	const op = "account.botupdate"
	u, err := a.ownBot(ctx, op, owner, bot)
	if err != nil {
		return Bot{}, "", err
	}
	url := ""
	if c.Webhook != nil {
		if url, err = a.goodWebhook(op, *c.Webhook); err != nil {
			return Bot{}, "", err
		}
	}
	if c.Name != nil {
		if u, err = a.UpdateProfile(ctx, bot, ProfileChange{Name: c.Name}); err != nil {
			return Bot{}, "", err
		}
	}
	if c.Webhook != nil {
		if secret, err = a.setWebhook(ctx, op, bot, url); err != nil {
			return Bot{}, "", err
		}
		a.webhookChanged(bot)
	}
	b, err = a.bot(ctx, u)
	return b, secret, failed(op, err)
}

// RenewBotToken gives a bot of owner's a new token; the one before is no good
// any more.
func (a *Accounts) RenewBotToken(ctx context.Context, owner, bot parley.UserID) (token string, err error) {
	const op = "account.bottoken"
	if _, err := a.ownBot(ctx, op, owner, bot); err != nil {
		return "", err
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	token, hash := a.newToken()
	id, now := parley.DeviceID(a.newID(devicePrefix)), a.clock()
	rec := deviceRecord{Name: botDevice, Token: hash, Created: now, Seen: now}
	index := tokenRecord{User: bot, Device: id}
	if err := a.commit(ctx, tokenAddress(hash), creation(keyToken, &index)); err != nil {
		return "", failed(op, err)
	}
	err = a.replaceDevices(ctx, op, bot, func(p *profileRecord) ([]store.Change, error) {
		if p.Deleted {
			return nil, noBot(op)
		}
		return []store.Change{creation(deviceKey(id), &rec)}, nil
	})
	if err != nil {
		if errors.As(err, new(*parley.Error)) || sure(err) {
			a.tidy(ctx, op, tokenAddress(hash), keyToken)
		}
		return "", failed(op, err)
	}
	return token, nil
}

// replaceDevices signs all devices of a bot out and writes what edit says
// instead. The profile is written along, so that a deletion and a new token
// never pass each other unseen.
func (a *Accounts) replaceDevices(ctx context.Context, op string, bot parley.UserID, edit func(*profileRecord) ([]store.Change, error)) error {
	for range casTries {
		var p profileRecord
		r, ok, err := a.read(ctx, userAddress(bot), keyProfile, &p)
		if err != nil {
			return err
		}
		if !ok {
			return noBot(op)
		}
		gone, err := a.devices(ctx, bot)
		if err != nil {
			return err
		}
		more, err := edit(&p)
		if err != nil {
			return err
		}
		changes := append(more, change(keyProfile, r.Version, &p))
		for _, d := range gone {
			changes = append(changes, removal(d.at))
		}
		err = a.commit(ctx, userAddress(bot), changes...)
		a.profiles.drop(bot)
		if err == nil {
			a.signedOut(ctx, bot, gone...)
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			a.forget(gone...)
			return err
		}
	}
	return errContended
}

// DeleteBot ends a bot of owner's: it is signed out, its profile says deleted,
// and its handle stays taken, so that nobody else speaks in its name. A retry
// finishes what a crash left.
func (a *Accounts) DeleteBot(ctx context.Context, owner, bot parley.UserID) error {
	const op = "account.botdelete"
	u, err := a.User(ctx, bot)
	if err != nil && parley.CodeOf(err) != parley.NotFound {
		return err
	}
	if err != nil || !u.Bot || u.Owner != owner {
		return noBot(op)
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	picture := ""
	err = a.replaceDevices(ctx, op, bot, func(p *profileRecord) ([]store.Change, error) {
		picture = p.Picture
		p.Deleted, p.Status, p.Avatar, p.Picture = true, "", "", ""
		return nil, nil
	})
	if err != nil {
		return failed(op, err)
	}
	if picture != "" {
		a.tidy(ctx, op, avatarAddress(bot), picture)
	}
	a.tidy(ctx, op, webhookAddress(bot), hookKey(bot))
	a.webhookChanged(bot)
	listed, err := a.unlistBots(ctx, owner, bot)
	if err == nil && u.Deleted && !listed {
		return noBot(op)
	}
	return failed(op, err)
}

// unlistBots takes these bots off the list of owner; it is false when none of
// them is on it.
func (a *Accounts) unlistBots(ctx context.Context, owner parley.UserID, bots ...parley.UserID) (bool, error) {
	for range casTries {
		var rec botsRecord
		r, _, err := a.read(ctx, userAddress(owner), keyBots, &rec)
		if err != nil {
			return false, err
		}
		before := len(rec.Bots) + len(rec.Holds)
		rec.Bots = slices.DeleteFunc(rec.Bots, func(id parley.UserID) bool { return slices.Contains(bots, id) })
		rec.Holds = slices.DeleteFunc(rec.Holds, func(h hold) bool { return slices.Contains(bots, h.User) })
		if len(rec.Bots)+len(rec.Holds) == before {
			return false, nil
		}
		err = a.commit(ctx, userAddress(owner), change(keyBots, r.Version, &rec))
		if !errors.Is(err, store.ErrConflict) {
			return true, err
		}
	}
	return false, errContended
}

func (p *botPass) admin() bool { return false }

func (p *botPass) hold(ctx context.Context, h hold) error {
	for range casTries {
		var rec botsRecord
		r, _, err := p.a.read(ctx, userAddress(p.owner), keyBots, &rec)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(rec.Holds, func(o hold) bool { return o.User == h.User }) {
			return nil // ours, by an earlier try
		}
		if len(rec.Bots)+len(rec.Holds) >= MaxBots {
			freed, err := p.a.freeBots(ctx, p.owner, rec, h.At)
			if err != nil {
				return err
			}
			if !freed {
				return parley.E(parley.TooLarge, p.op, "You have %d bots. Delete one that is not needed.", MaxBots)
			}
			continue
		}
		rec.Holds = append(rec.Holds, h)
		err = p.a.commit(ctx, userAddress(p.owner), change(keyBots, r.Version, &rec))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return errContended
}

func (p *botPass) settle(ctx context.Context, user parley.UserID, used bool) error {
	for range casTries {
		var rec botsRecord
		r, ok, err := p.a.read(ctx, userAddress(p.owner), keyBots, &rec)
		if err != nil || !ok || !rec.settle(user, used) {
			return err
		}
		err = p.a.commit(ctx, userAddress(p.owner), change(keyBots, r.Version, &rec))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return errContended
}

// freeBots makes room on a full list: of what crashes left behind there.
func (a *Accounts) freeBots(ctx context.Context, owner parley.UserID, rec botsRecord, now time.Time) (bool, error) {
	var gone []parley.UserID
	for _, id := range rec.Bots {
		u, err := a.User(ctx, id)
		if err != nil {
			return false, err
		}
		if u.Deleted {
			gone = append(gone, id)
		}
	}
	for _, h := range rec.Holds {
		if now.Sub(h.At) < staleHold {
			continue
		}
		made, err := a.resolve(ctx, h)
		if err != nil {
			return false, err
		}
		if !made {
			gone = append(gone, h.User)
		}
	}
	if len(gone) == 0 {
		return false, nil
	}
	return a.unlistBots(ctx, owner, gone...)
}
