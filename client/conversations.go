package client

import (
	"context"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// Entry is an entry as this device reads it: the number of the log, and what
// later entries, up to AsOf, made of it. [Timeline] applies those after AsOf.
type Entry struct {
	parley.Entry
	Edited    bool // the body is that of an edit
	EditedAt  time.Time
	Deleted   bool // the body is gone
	Reactions []parley.Reaction
	AsOf      parley.Seq // its own number when it was streamed, the head of its page when it was read
}

// Wire returns e as it crosses the wire.
func (e *Entry) Wire() wire.Entry {
	w := wire.EntryOf(&e.Entry)
	w.Edited, w.Deleted = e.Edited, e.Deleted
	if !e.EditedAt.IsZero() {
		w.EditedAt = wire.Time(e.EditedAt)
	}
	for _, r := range e.Reactions {
		w.Reactions = append(w.Reactions, wire.Reaction{Text: r.Text, Count: uint64(r.Count), Users: idsOf[string](r.Users)})
	}
	return w
}

// idsOf returns ids as others of their kind.
func idsOf[To, From ~string](ids []From) []To {
	out := make([]To, len(ids))
	for i, id := range ids {
		out[i] = To(id)
	}
	return out
}

// entryOf reads an entry of conversation conv off the wire.
func entryOf(conv parley.ConversationID, w *wire.Entry) (Entry, error) {
	e, err := w.Parley()
	if err != nil {
		return Entry{}, err
	}
	if e.Conversation == "" {
		e.Conversation = conv
	}
	if conv != "" && e.Conversation != conv {
		return Entry{}, parley.E(parley.Internal, "client.entry", "the server mixed up two conversations")
	}
	out := Entry{Entry: e, AsOf: e.Seq}
	if f := e.Fold; f != nil {
		out.Edited, out.EditedAt, out.Deleted, out.Reactions = w.Edited, f.EditedAt, f.Deleted, f.Reactions
		out.Fold = nil
	}
	return out, nil
}

func conversationPath(conv parley.ConversationID) string {
	return "/v1/conversations/" + url.PathEscape(string(conv))
}

// Conversations yields this user's conversations, the most recent first. It
// ends after the first error.
func (c *Client) Conversations(ctx context.Context) iter.Seq2[wire.Row, error] {
	return pages[wire.Row](ctx, c, "/v1/conversations")
}

// pages yields the items of a list, page after page.
func pages[T any](ctx context.Context, c *Client, path string) iter.Seq2[T, error] {
	return pagesOf[T](ctx, c, path, url.Values{"limit": {strconv.Itoa(wire.MaxLimit)}})
}

// pagesOf is pages with a query.
func pagesOf[T any](ctx context.Context, c *Client, path string, q url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		q := maps.Clone(q)
		for cursor := ""; ; {
			if cursor != "" {
				q.Set("cursor", cursor)
			}
			list, err := get[wire.List[T]](ctx, c, path+"?"+q.Encode())
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, item := range list.Items {
				if !yield(item, nil) {
					return
				}
			}
			// A cursor that does not move would have us ask for ever.
			if list.Next == nil || *list.Next == "" || *list.Next == cursor {
				return
			}
			cursor = *list.Next
		}
	}
}

// Conversation returns one conversation with its members.
func (c *Client) Conversation(ctx context.Context, conv parley.ConversationID) (wire.Conversation, error) {
	return get[wire.Conversation](ctx, c, conversationPath(conv))
}

// Direct returns the conversation with one other user, by id or handle, and
// makes it if there is none.
func (c *Client) Direct(ctx context.Context, user string) (wire.Conversation, error) {
	return call[wire.Conversation](ctx, c, http.MethodPost, "/v1/conversations",
		wire.NewConversation{Kind: string(parley.Direct), Members: []string{user}})
}

// NewGroup makes a group of this user and members, by id or handle.
func (c *Client) NewGroup(ctx context.Context, title string, members ...string) (wire.Conversation, error) {
	if members == nil {
		members = []string{}
	}
	return call[wire.Conversation](ctx, c, http.MethodPost, "/v1/conversations",
		wire.NewConversation{Kind: string(parley.Group), Title: title, Members: members})
}

// Page is a stretch of a log, and where the log ended when it was read.
type Page struct {
	Entries []Entry
	Head    parley.Seq
}

// After returns up to limit entries after seq, the oldest first. No entries
// means that this user may read nothing after seq.
func (c *Client) After(ctx context.Context, conv parley.ConversationID, seq parley.Seq, limit int) (Page, error) {
	return c.page(ctx, conv, "after="+strconv.FormatUint(uint64(seq), 10)+"&limit="+strconv.Itoa(limit))
}

// Before returns up to limit entries before seq, the newest first; a seq of 0
// is past the end.
func (c *Client) Before(ctx context.Context, conv parley.ConversationID, seq parley.Seq, limit int) (Page, error) {
	q := "limit=" + strconv.Itoa(limit)
	if seq > 0 {
		q += "&before=" + strconv.FormatUint(uint64(seq), 10)
	}
	return c.page(ctx, conv, q)
}

func (c *Client) page(ctx context.Context, conv parley.ConversationID, query string) (Page, error) {
	in, err := get[wire.EntryPage](ctx, c, conversationPath(conv)+"/entries?"+query)
	if err != nil {
		return Page{}, err
	}
	out := Page{Entries: make([]Entry, len(in.Items)), Head: parley.Seq(in.Head)}
	for i := range in.Items {
		if out.Entries[i], err = entryOf(conv, &in.Items[i]); err != nil {
			return Page{}, err
		}
		out.Entries[i].AsOf = max(out.Head, out.Entries[i].Seq)
	}
	return out, nil
}

// ByID returns the entry that carries this message id, or parley.NotFound:
// was this message committed?
func (c *Client) ByID(ctx context.Context, conv parley.ConversationID, id parley.MessageID) (Entry, error) {
	w, err := get[wire.Entry](ctx, c, conversationPath(conv)+"/entries/by-id/"+url.PathEscape(string(id)))
	if err != nil {
		return Entry{}, err
	}
	return entryOf(conv, &w)
}

// Mark moves this user's markers forward, what a device has stored (delivered)
// and what the user has seen (read), and returns where they stand. Zero leaves
// a marker alone.
func (c *Client) Mark(ctx context.Context, conv parley.ConversationID, delivered, read parley.Seq) (wire.MarkersNow, error) {
	return call[wire.MarkersNow](ctx, c, http.MethodPut, conversationPath(conv)+"/markers",
		wire.Markers{Delivered: uint64(delivered), Read: uint64(read)})
}

// Sync asks once what changed after cursor ("": everything), and waits for
// news up to wait, at most [wire.MaxPollSeconds]. It is for programs that
// cannot hold a connection; others use Subscribe.
func (c *Client) Sync(ctx context.Context, cursor string, wait time.Duration) (wire.Sync, error) {
	seconds := max(0, min(int(wait/time.Second), wire.MaxPollSeconds))
	q := url.Values{"timeout": {strconv.Itoa(seconds)}}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+tryTimeout)
	defer cancel()
	return get[wire.Sync](ctx, c, "/v1/sync?"+q.Encode())
}

// Text returns a text/plain body.
func Text(s string) parley.Body { return parley.Body{Type: parley.TextPlain, Data: []byte(s)} }
