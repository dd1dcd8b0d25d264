package edge

import (
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// farAhead is until when a conversation is muted that is muted until further
// notice.
var farAhead = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// patchConversation changes the title for everybody, and the rest for the
// asker alone.
func (e *Edge) patchConversation(c *call) (int, any, error) {
	q := c.body.(*wire.ConversationPatch)
	change, err := e.wishes(q)
	if err != nil {
		return 0, nil, err
	}
	wishes := change.Muted != nil || change.Archived != nil || change.Pinned != nil || change.Draft != nil
	if q.Title == nil && !wishes {
		return 0, nil, parley.E(parley.BadRequest, "edge.patch", "nothing is to change; send title, muted, muted_until, archived, pinned or draft")
	}
	if q.Title != nil {
		if err := e.rename(c, q.ID, *q.Title); err != nil {
			return 0, nil, err
		}
	}
	if wishes {
		if _, err := e.cfg.Inboxes.Personal(c.Context(), c.id.User, parley.ConversationID(c.PathValue("conversation")), change); err != nil {
			return 0, nil, err
		}
	}
	return e.conversation(c)
}

// wishes is what q changes for the asker alone.
func (e *Edge) wishes(q *wire.ConversationPatch) (change parley.PersonalChange, err error) {
	change.Archived, change.Pinned = q.Archived, q.Pinned
	switch {
	case q.MutedUntil != nil && *q.MutedUntil != "":
		until, err := wire.ParseTime(*q.MutedUntil)
		if err != nil {
			return change, err
		}
		if until.After(farAhead) {
			until = farAhead
		}
		if q.Muted == nil || *q.Muted {
			change.Muted = &until
			break
		}
		change.Muted = new(time.Time)
	case q.Muted != nil && *q.Muted:
		until := farAhead
		change.Muted = &until
	case q.Muted != nil:
		change.Muted = new(time.Time)
	}
	if q.Draft == nil {
		return change, nil
	}
	d := parley.Draft{Text: q.Draft.Text, ReplyTo: parley.Seq(q.Draft.ReplyTo), At: e.cfg.Now()}
	if q.Draft.At != "" {
		if d.At, err = wire.ParseTime(q.Draft.At); err != nil {
			return change, err
		}
		if now := e.cfg.Now(); d.At.After(now) {
			d.At = now // a clock ahead must not win for ever
		}
	}
	if len(d.Text) > wire.MaxBodyBytes || utf8.RuneCountInString(d.Text) > 4*e.cfg.Limits.Text {
		return change, parley.E(parley.TooLarge, "edge.draft", "a draft is at most %d characters; shorten it", 4*e.cfg.Limits.Text)
	}
	change.Draft = &d
	return change, nil
}

// maxHide bounds the entries of one request.
const maxHide = 200

// hide deletes entries for the asker alone.
func (e *Edge) hide(c *call) (int, any, error) {
	q := c.body.(*wire.Hide)
	if len(q.Entries) == 0 || len(q.Entries) > maxHide {
		return 0, nil, parley.E(parley.BadRequest, "edge.hide", "entries: name 1 to %d numbers", maxHide)
	}
	change := parley.PersonalChange{Hide: make([]parley.Run, len(q.Entries))}
	for i, n := range q.Entries {
		if n == 0 {
			return 0, nil, parley.E(parley.BadRequest, "edge.hide", "entries: a number is 1 or more")
		}
		change.Hide[i] = parley.Run{From: parley.Seq(n), To: parley.Seq(n)}
	}
	if _, err := e.cfg.Inboxes.Personal(c.Context(), c.id.User, parley.ConversationID(c.PathValue("conversation")), change); err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, nil
}
