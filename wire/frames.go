package wire

import (
	"strconv"
	"time"

	"github.com/parley-im/parley"
)

// Welcome is what the server says after a good hello.
type Welcome struct {
	User   User
	Device Device
	Epoch  parley.Epoch
	Server string // name/version
	Limits Limits
	Rev    uint64 // how far the list of contacts has got; 0: there is none
}

// AppendWelcome appends a welcome frame.
func AppendWelcome(dst []byte, w *Welcome) []byte {
	dst = appendUser(append(dst, `{"t":"welcome","user":`...), &w.User)
	dst = appendStringField(dst, `,"device":{"id":`, w.Device.ID)
	dst = appendStringField(dst, `,"name":`, w.Device.Name)
	if w.Device.Created != "" {
		dst = appendStringField(dst, `,"created":`, w.Device.Created)
	}
	if w.Device.LastSeen != "" {
		dst = appendStringField(dst, `,"last_seen":`, w.Device.LastSeen)
	}
	if w.Device.Current {
		dst = append(dst, `,"current":true`...)
	}
	dst = appendStringField(dst, `},"epoch":`, w.Epoch)
	dst = appendStringField(dst, `,"server":`, w.Server)
	dst = appendIntField(dst, `,"limits":{"frame":`, int64(w.Limits.Frame))
	dst = appendIntField(dst, `,"text":`, int64(w.Limits.Text))
	dst = appendIntField(dst, `,"body_bytes":`, int64(w.Limits.BodyBytes))
	dst = appendIntField(dst, `,"members":`, int64(w.Limits.Members))
	dst = appendUintField(append(dst, '}'), `,"rev":`, w.Rev)
	return append(dst, '}')
}

// AppendAck appends an ack frame: the post is committed.
func AppendAck(dst []byte, ref Ref, ack parley.Ack) []byte {
	dst = appendRef(append(dst, `{"t":"ack"`...), ref)
	dst = appendStringField(dst, `,"conversation":`, ack.Conversation)
	dst = appendStringField(dst, `,"id":`, ack.ID)
	dst = strconv.AppendUint(append(dst, `,"seq":`...), uint64(ack.Seq), 10)
	dst = AppendTime(append(dst, `,"at":"`...), ack.At)
	return append(dst, '"', '}')
}

// AppendEntries appends an entries frame. Each of entries is one entry as
// AppendEntry wrote it. An empty ref or cursor is left out. The caller keeps
// the frame within MaxFrame: see FitEntries.
func AppendEntries(dst []byte, ref Ref, conv parley.ConversationID, entries [][]byte, head parley.Seq, cursor string) []byte {
	dst = appendRef(append(dst, `{"t":"entries"`...), ref)
	dst = appendStringField(dst, `,"conversation":`, conv)
	dst = append(dst, `,"entries":[`...)
	for i, e := range entries {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, e...)
	}
	dst = strconv.AppendUint(append(dst, `],"head":`...), uint64(head), 10)
	if cursor != "" {
		dst = appendStringField(dst, `,"cursor":`, cursor)
	}
	return append(dst, '}')
}

// EntriesOverhead is more than an entries frame takes beside its entries and
// the commas between them, whatever its ref, conversation, head and cursor.
const EntriesOverhead = 512

// FitEntries returns how many of entries, from the first, fit into one entries
// frame. It is at least 1 for anything that AppendEntry wrote of a body that
// CheckBody let pass, and 0 only if there are none.
func FitEntries(entries [][]byte) int {
	size := EntriesOverhead
	for i, e := range entries {
		if size += len(e) + 1; size > MaxFrame && i > 0 {
			return i
		}
	}
	return len(entries)
}

// AppendChanges appends a changes frame. The caller keeps it within MaxFrame:
// see FitRows.
func AppendChanges(dst []byte, rows []Row, cursor string, more bool) []byte {
	dst = append(dst, `{"t":"changes","rows":[`...)
	for i := range rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendRow(dst, &rows[i])
	}
	dst = appendStringField(dst, `],"cursor":`, cursor)
	dst = strconv.AppendBool(append(dst, `,"more":`...), more)
	return append(dst, '}')
}

// FitRows returns how many of rows, from the first, fit into one changes
// frame. It is 0 only if there are none.
func FitRows(rows []Row) int {
	size := EntriesOverhead
	for i := range rows {
		if size += rowSize(&rows[i]); size > MaxFrame && i > 0 {
			return i
		}
	}
	return len(rows)
}

// rowSize is at least what AppendRow appends for r, and a comma.
func rowSize(r *Row) int {
	const fixed = 768 // names, punctuation, numbers and a time
	n := fixed + stringSize(r.ID) + stringSize(r.Kind) + stringSize(r.Title)
	if r.With != nil {
		const fields = 64 // the names of status and avatar, and bot
		n += fields + stringSize(r.With.ID) + stringSize(r.With.Handle) + stringSize(r.With.Name) + stringSize(r.With.Status) + stringSize(r.With.Avatar)
	}
	if r.Draft != nil {
		const fields = 64 // names, and the number answered
		n += fields + stringSize(r.Draft.Text) + stringSize(r.Draft.At)
	}
	if r.Hidden != nil {
		const run = 36 // brackets, commas and two numbers
		n += 16 + run*len(r.Hidden)
	}
	if r.Last != nil {
		n += stringSize(r.Last.Sender) + stringSize(r.Last.At) + stringSize(r.Last.Text)
	}
	return n
}

// AppendRow appends r as JSON.
func AppendRow(dst []byte, r *Row) []byte {
	dst = appendStringField(dst, `{"id":`, r.ID)
	dst = appendStringField(dst, `,"kind":`, r.Kind)
	dst = appendStringField(dst, `,"title":`, r.Title)
	if r.With != nil {
		dst = appendUser(append(dst, `,"with":`...), r.With)
	}
	dst = strconv.AppendUint(append(dst, `,"head":`...), r.Head, 10)
	dst = strconv.AppendUint(append(dst, `,"unread":`...), r.Unread, 10)
	dst = strconv.AppendUint(append(dst, `,"read":`...), r.Read, 10)
	dst = strconv.AppendUint(append(dst, `,"delivered":`...), r.Delivered, 10)
	if r.Last == nil {
		dst = append(dst, `,"last":null`...)
	} else {
		dst = strconv.AppendUint(append(dst, `,"last":{"seq":`...), r.Last.Seq, 10)
		dst = appendStringField(dst, `,"sender":`, r.Last.Sender)
		dst = appendStringField(dst, `,"at":`, r.Last.At)
		dst = appendStringField(dst, `,"text":`, r.Last.Text)
		dst = append(appendFlag(dst, `,"deleted":true`, r.Last.Deleted), '}')
	}
	dst = strconv.AppendUint(append(dst, `,"pos":`...), r.Pos, 10)
	dst = strconv.AppendBool(append(dst, `,"muted":`...), r.Muted)
	dst = appendUintField(dst, `,"mentions":`, r.Mentions)
	if r.MutedUntil != "" {
		dst = appendStringField(dst, `,"muted_until":`, r.MutedUntil)
	}
	dst = appendFlag(dst, `,"archived":true`, r.Archived)
	dst = appendFlag(dst, `,"pinned":true`, r.Pinned)
	dst = appendFlag(dst, `,"request":true`, r.Request)
	if len(r.Hidden) > 0 {
		dst = append(dst, `,"hidden":[`...)
		for i, run := range r.Hidden {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendUint(append(dst, '['), run[0], 10)
			dst = strconv.AppendUint(append(dst, ','), run[1], 10)
			dst = append(dst, ']')
		}
		dst = append(dst, ']')
	}
	if r.Draft != nil {
		dst = appendStringField(dst, `,"draft":{"text":`, r.Draft.Text)
		dst = appendUintField(dst, `,"reply_to":`, r.Draft.ReplyTo)
		if r.Draft.At != "" {
			dst = appendStringField(dst, `,"at":`, r.Draft.At)
		}
		dst = append(dst, '}')
	}
	dst = appendUintField(dst, `,"since":`, r.Since)
	dst = appendUintField(dst, `,"until":`, r.Until)
	return append(dst, '}')
}

// appendFlag appends field if it is set.
func appendFlag(dst []byte, field string, set bool) []byte {
	if set {
		return append(dst, field...)
	}
	return dst
}

func appendUser(dst []byte, u *User) []byte {
	dst = appendStringField(dst, `{"id":`, u.ID)
	dst = appendStringField(dst, `,"handle":`, u.Handle)
	dst = appendStringField(dst, `,"name":`, u.Name)
	if u.Status != "" {
		dst = appendStringField(dst, `,"status":`, u.Status)
	}
	if u.Avatar != "" {
		dst = appendStringField(dst, `,"avatar":`, u.Avatar)
	}
	return append(appendFlag(dst, `,"bot":true`, u.Bot), '}')
}

func appendIntField(dst []byte, name string, n int64) []byte {
	return strconv.AppendInt(append(dst, name...), n, 10)
}

// AppendReceipts appends a receipts frame: how far a member has got.
func AppendReceipts(dst []byte, r parley.Receipt) []byte {
	dst = appendStringField(dst, `{"t":"receipts","conversation":`, r.Conversation)
	dst = appendStringField(dst, `,"member":`, r.User)
	dst = strconv.AppendUint(append(dst, `,"delivered":`...), uint64(r.Delivered), 10)
	dst = strconv.AppendUint(append(dst, `,"read":`...), uint64(r.Read), 10)
	return append(dst, '}')
}

// AppendWhisper appends a whisper frame: sender is doing kind ("typing").
func AppendWhisper(dst []byte, conv parley.ConversationID, sender parley.UserID, kind string) []byte {
	dst = appendStringField(dst, `{"t":"whisper","conversation":`, conv)
	dst = appendStringField(dst, `,"sender":`, sender)
	dst = appendStringField(dst, `,"kind":`, kind)
	return append(dst, '}')
}

// AppendPresence appends a presence frame. The caller keeps it within
// MaxFrame: 400 items always fit.
func AppendPresence(dst []byte, items []Presence) []byte {
	dst = append(dst, `{"t":"presence","items":[`...)
	for i := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendStringField(dst, `{"user":`, items[i].User)
		dst = strconv.AppendBool(append(dst, `,"online":`...), items[i].Online)
		if items[i].LastSeen != "" {
			dst = appendStringField(dst, `,"last_seen":`, items[i].LastSeen)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']', '}')
}

// AppendContacts appends a contacts frame: the user's list of contacts has got
// to rev, and may be fetched.
func AppendContacts(dst []byte, rev uint64) []byte {
	return append(strconv.AppendUint(append(dst, `{"t":"contacts","rev":`...), rev, 10), '}')
}

// AppendError appends an error frame with err's code, sentence and wait. The
// cause of err is never in it. An empty ref is left out.
func AppendError(dst []byte, ref Ref, err error) []byte {
	p := ProblemOf(err)
	dst = appendRef(append(dst, `{"t":"error"`...), ref)
	dst = appendStringField(dst, `,"code":`, p.Code)
	dst = appendStringField(dst, `,"message":`, p.Detail)
	if p.RetryAfterMS > 0 {
		dst = appendIntField(dst, `,"retry_after_ms":`, p.RetryAfterMS)
	}
	return append(dst, '}')
}

// AppendResync appends a resync frame: drop the cursor and start over.
func AppendResync(dst []byte, epoch parley.Epoch) []byte {
	return append(appendStringField(dst, `{"t":"resync","epoch":`, epoch), '}')
}

// AppendGoaway appends a goaway frame: reconnect after that time, at url if
// there is one.
func AppendGoaway(dst []byte, after time.Duration, url string) []byte {
	dst = appendIntField(dst, `{"t":"goaway","after_ms":`, after.Milliseconds())
	if url != "" {
		dst = appendStringField(dst, `,"url":`, url)
	}
	return append(dst, '}')
}
