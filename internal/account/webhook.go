package account

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// Limits of webhooks.
const (
	MaxWebhookURL  = 2 << 10 // bytes
	maxHookCursor  = 1 << 10 // bytes
	maxHookError   = 200     // characters
	hookPartitions = 64
	secretPrefix   = "whsec_"
	secretBytes    = 32
)

const keyHook = "hook/" // + bot

// Webhooks lie together with those of the neighbouring shards: in few enough
// partitions to list them, and in enough to write to them at once.
func webhookAddress(bot parley.UserID) string {
	return hookPartition(parley.ShardOfUser(bot) / (parley.Shards / hookPartitions))
}
func hookPartition(n int) string       { return fmt.Sprintf("webhooks/%02d", n) }
func hookKey(bot parley.UserID) string { return keyHook + string(bot) }
func hookBot(key string) parley.UserID { return parley.UserID(strings.TrimPrefix(key, keyHook)) }
func noWebhook(op string) *parley.Error {
	return parley.E(parley.NotFound, op, "This bot has no webhook.")
}

// Webhook is where a bot is told, and how far that has got. The owner sets URL
// and Since, which make a new Secret; the deliverer keeps the rest, whose
// meaning, but for the zero values, is its own.
type Webhook struct {
	Bot    parley.UserID
	URL    string
	Secret string    // whsec_…, signs what is told
	Since  time.Time // an empty Cursor stands before the first entry of that time

	Cursor   string
	Failures int       // in a row
	Next     time.Time // not before
	Error    string    // of the last failure; no content
	Paused   bool      // after too many; the owner begins it again

	Version uint64 // of all of it; goes back to SaveWebhook
}

type hookRecord struct {
	version
	URL      string    `json:"url,omitempty"` // empty: none, so that no version comes twice
	Secret   string    `json:"secret,omitempty"`
	Since    time.Time `json:"since"`
	Cursor   string    `json:"cursor,omitempty"`
	Failures int       `json:"failures,omitempty"`
	Next     time.Time `json:"next,omitzero"`
	Error    string    `json:"error,omitempty"`
	Paused   bool      `json:"paused,omitempty"`
}

func (r *hookRecord) webhook(bot parley.UserID, version uint64) Webhook {
	return Webhook{
		Bot: bot, URL: r.URL, Secret: r.Secret, Since: r.Since, Cursor: r.Cursor, Failures: r.Failures,
		Next: r.Next, Error: r.Error, Paused: r.Paused, Version: version,
	}
}

// webhook reads a bot's webhook; its URL is empty when there is none.
func (a *Accounts) webhook(ctx context.Context, bot parley.UserID) (Webhook, error) {
	var rec hookRecord
	r, _, err := a.read(ctx, webhookAddress(bot), hookKey(bot), &rec)
	return rec.webhook(bot, r.Version), err
}

// setWebhook makes url the webhook of bot ("": none) and returns its secret.
// What the one before had told is not told again.
func (a *Accounts) setWebhook(ctx context.Context, op string, bot parley.UserID, url string) (secret string, err error) {
	if url != "" {
		secret = a.newSecret()
	}
	err = a.editWebhook(ctx, bot, func(rec *hookRecord) bool {
		if url == "" && rec.URL == "" {
			return false
		}
		if rec.URL == "" {
			*rec = hookRecord{Since: a.clock()}
		}
		rec.URL, rec.Secret = url, secret
		rec.Failures, rec.Next, rec.Error, rec.Paused = 0, time.Time{}, "", false
		return true
	})
	return secret, failed(op, err)
}

// ReplayWebhook has the webhook of a bot of owner's told again from since on,
// also one that was paused.
func (a *Accounts) ReplayWebhook(ctx context.Context, owner, bot parley.UserID, since time.Time) error {
	const op = "account.replay"
	if _, err := a.ownBot(ctx, op, owner, bot); err != nil {
		return err
	}
	none := false
	err := a.editWebhook(ctx, bot, func(rec *hookRecord) bool {
		if none = rec.URL == ""; none {
			return false
		}
		*rec = hookRecord{URL: rec.URL, Secret: rec.Secret, Since: since.UTC().Truncate(time.Millisecond)}
		return true
	})
	if err == nil && none {
		err = noWebhook(op)
	}
	if err != nil {
		return failed(op, err)
	}
	a.webhookChanged(bot)
	return nil
}

// editWebhook changes a bot's webhook, if edit says so.
func (a *Accounts) editWebhook(ctx context.Context, bot parley.UserID, edit func(rec *hookRecord) bool) error {
	for range casTries {
		var rec hookRecord
		r, _, err := a.read(ctx, webhookAddress(bot), hookKey(bot), &rec)
		if err != nil || !edit(&rec) {
			return err
		}
		err = a.commit(ctx, webhookAddress(bot), change(hookKey(bot), r.Version, &rec))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return errContended
}

// Webhooks lists the webhooks of bots in the shards that of reports true for
// (nil: in all), paused or not, after that of bot ("" for the first) in an
// order that does not change; at most limit of them, none at the end. It is
// for a deliverer that runs where the shard of the bot is owned: it lists what
// it owns when that changes, and now and then, for another node may have taken
// the change of an owner that [Config.WebhookChanged] tells of.
func (a *Accounts) Webhooks(ctx context.Context, of func(shard int) bool, bot parley.UserID, limit int) ([]Webhook, error) {
	const op = "account.webhooks"
	const page = 256
	first, after := 0, ""
	if bot != "" {
		first, after = parley.ShardOfUser(bot)/(parley.Shards/hookPartitions), hookKey(bot)
	}
	var hooks []Webhook
	for n := first; n < hookPartitions; n++ {
		for more := anyShard(of, n); more; {
			rs, err := a.records.ListRecords(ctx, hookPartition(n), keyHook, after, page)
			if err != nil {
				return nil, failed(op, err)
			}
			for _, r := range rs {
				after = r.Key
				w, ok, err := a.listedHook(ctx, op, of, r)
				if err != nil {
					return nil, failed(op, err)
				}
				if !ok {
					continue
				}
				if hooks = append(hooks, w); len(hooks) >= limit {
					return hooks, nil
				}
			}
			more = len(rs) == page
		}
		after = ""
	}
	return hooks, nil
}

// anyShard reports whether one of the shards of a partition is wanted.
func anyShard(of func(int) bool, partition int) bool {
	const each = parley.Shards / hookPartitions
	if of == nil {
		return true
	}
	for s := partition * each; s < (partition+1)*each; s++ {
		if of(s) {
			return true
		}
	}
	return false
}

// listedHook is the webhook in r, if it is one to be told. That of a bot which
// was deleted is cleared away.
func (a *Accounts) listedHook(ctx context.Context, op string, of func(int) bool, r store.Record) (w Webhook, ok bool, err error) {
	bot := hookBot(r.Key)
	if of != nil && !of(parley.ShardOfUser(bot)) {
		return w, false, nil
	}
	var rec hookRecord
	if err := decode(r, &rec); err != nil {
		return w, false, err
	}
	if rec.URL == "" {
		return w, false, nil
	}
	u, err := a.User(ctx, bot)
	switch {
	case parley.CodeOf(err) == parley.NotFound:
		return w, false, nil // not yet, or never
	case err != nil:
		return w, false, err
	case u.Deleted:
		a.tidy(ctx, op, webhookAddress(bot), r.Key)
		return w, false, nil
	}
	return rec.webhook(bot, r.Version), true, nil
}

// Webhook returns the webhook of bot, or not_found.
func (a *Accounts) Webhook(ctx context.Context, bot parley.UserID) (Webhook, error) {
	const op = "account.webhook"
	w, err := a.webhook(ctx, bot)
	if err == nil && w.URL == "" {
		err = noWebhook(op)
	}
	if err != nil {
		return Webhook{}, failed(op, err)
	}
	return w, nil
}

// SaveWebhook keeps how far a deliverer got: Cursor, Failures, Next, Error and
// Paused of w, if nothing was changed since w was read. Otherwise it is a
// conflict (somebody else delivers, or the owner changed it: read it again),
// or not_found. It returns w with its new version.
func (a *Accounts) SaveWebhook(ctx context.Context, w Webhook) (Webhook, error) {
	const op = "account.webhook"
	if len(w.Cursor) > maxHookCursor || w.Failures < 0 {
		return Webhook{}, parley.E(parley.BadRequest, op, "This is no progress of a webhook.")
	}
	var rec hookRecord
	r, _, err := a.read(ctx, webhookAddress(w.Bot), hookKey(w.Bot), &rec)
	if err != nil {
		return Webhook{}, failed(op, err)
	}
	if rec.URL == "" {
		return Webhook{}, noWebhook(op)
	}
	if r.Version == w.Version {
		rec.Cursor, rec.Failures, rec.Next, rec.Paused = w.Cursor, w.Failures, w.Next.UTC(), w.Paused
		rec.Error = strings.ToValidUTF8(w.Error[:min(len(w.Error), maxHookError)], "")
		err = a.commit(ctx, webhookAddress(w.Bot), change(r.Key, r.Version, &rec))
	}
	if r.Version != w.Version || errors.Is(err, store.ErrConflict) {
		return Webhook{}, parley.E(parley.Conflict, op, "The webhook was changed meanwhile. Read it again.")
	}
	if err != nil {
		return Webhook{}, failed(op, err)
	}
	return rec.webhook(w.Bot, r.Version+1), nil
}

// newSecret makes the key that a webhook's messages are signed with, in the
// form of the Standard Webhooks convention.
func (a *Accounts) newSecret() string {
	var b [secretBytes]byte
	if _, err := io.ReadFull(a.rand, b[:]); err != nil {
		panic(fmt.Sprintf("account: no randomness: %v", err))
	}
	return secretPrefix + base64.StdEncoding.EncodeToString(b[:])
}

// goodWebhook returns the URL of a webhook as it is kept; empty: none. Where
// its name leads is the deliverer's to look at, each time it is called.
func (a *Accounts) goodWebhook(op, s string) (string, error) {
	if s == "" {
		return "", nil
	}
	bad := func(format string, args ...any) (string, error) {
		return "", parley.E(parley.BadRequest, op, format, args...)
	}
	if len(s) > MaxWebhookURL {
		return bad("The address of a webhook has at most %d bytes.", MaxWebhookURL)
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '#' || s[i] == '\\' {
			return bad("Write the address of a webhook in ASCII, without spaces and without a fragment.")
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return bad("A webhook is an https address without a user name.")
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return bad("A port is 1 to 65535.")
		}
	}
	private, ok := privateHost(host)
	switch {
	case !ok:
		return bad("A webhook needs the name of a host.")
	case private && !a.privateWebhooks:
		return bad("This server tells no webhooks in its own network. Its operator can allow that.")
	case !private && u.Scheme != "https":
		return bad("A webhook in the Internet is an https address.")
	}
	return u.String(), nil
}

// nets are addresses that are not the Internet's, beyond those netip names.
var nets = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("2002::/16"),
}

// PrivateAddr reports whether an address is this machine's, or of a network
// that is not the Internet: where a webhook may only go if the operator says
// so. For who resolves the name of a webhook's host.
func PrivateAddr(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return true
	}
	for _, n := range nets {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}

// privateHost reports whether a host is of this network by its name or
// address. It is not ok for what is neither.
func privateHost(host string) (private, ok bool) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return PrivateAddr(ip), ip.Zone() == ""
	}
	if host == "" || len(host) > 253 || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" {
		return false, false
	}
	last := host
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 {
			return false, false
		}
		last = label
	}
	// "127.1" and "0x7f000001" are addresses to some resolvers.
	if last[0] >= '0' && last[0] <= '9' {
		return false, false
	}
	switch last {
	case host, "localhost", "local", "localdomain", "internal", "lan", "home", "corp", "arpa", "test", "onion":
		return true, true // a name without a dot is one of this network
	}
	return false, true
}
