package client

import (
	"context"
	"net/http"
	"strconv"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// The acts on a message, as posts for [Queue.Enqueue], which sends each exactly
// once and in order, or for [Client.Post], which makes one try. Message is the
// number of what they are about.

// Edit replaces what a message of one's own says.
func Edit(conv parley.ConversationID, message parley.Seq, body parley.Body) parley.Post {
	return parley.Post{Conversation: conv, Kind: parley.KindEdit, Ref: message, Body: body}
}

// Delete takes a message away for everyone: one's own, or in a group that one
// administers anybody's.
func Delete(conv parley.ConversationID, message parley.Seq) parley.Post {
	return parley.Post{Conversation: conv, Kind: parley.KindDelete, Ref: message}
}

// React says what one feels about a message, in place of what one said before.
// An empty text takes it back.
func React(conv parley.ConversationID, message parley.Seq, text string) parley.Post {
	return parley.Post{Conversation: conv, Kind: parley.KindReaction, Ref: message, Body: Text(text)}
}

// Pin puts a message where every member finds it.
func Pin(conv parley.ConversationID, message parley.Seq) parley.Post {
	return parley.Post{Conversation: conv, Kind: parley.KindPin, Ref: message}
}

// Unpin takes it down again.
func Unpin(conv parley.ConversationID, message parley.Seq) parley.Post {
	return parley.Post{Conversation: conv, Kind: parley.KindUnpin, Ref: message}
}

// Rename gives a group another title.
func Rename(conv parley.ConversationID, title string) parley.Post {
	return parley.Post{Conversation: conv, Kind: parley.KindTitle, Body: Text(title)}
}

// Post makes one try of one message or act, without a queue: what is not
// acknowledged may or may not be said, and only another try with the same id
// tells. Without an id it gets one, which the acknowledgement tells. Most
// programs want a [Queue].
func (c *Client) Post(ctx context.Context, p parley.Post) (parley.Ack, error) {
	if handle, ok := Handle(p.Conversation); ok {
		conv, err := c.direct(ctx, handle)
		if err != nil {
			return parley.Ack{}, err
		}
		p.Conversation = conv
	}
	if p.ID == "" {
		p.ID = c.NewMessageID()
	}
	return c.postHTTP(ctx, &p)
}

// postHTTP makes one try of one post over HTTP.
func (c *Client) postHTTP(ctx context.Context, p *parley.Post) (parley.Ack, error) {
	method, path, in := requestOf(p)
	if in == nil {
		return parley.Ack{}, parley.E(parley.BadRequest, "client.post", "a post of this kind cannot be sent")
	}
	var out wire.Posted
	status, err := c.do(ctx, method, path, in, &out)
	if err != nil {
		return parley.Ack{}, err
	}
	return ackOf(p, &out, status)
}

// requestOf returns the request that p is. Its body is nil if there is none for
// posts of that kind.
func requestOf(p *parley.Post) (method, path string, in any) {
	id, entry := string(p.ID), entryPath(p.Conversation, p.Ref)
	switch kindOf(p) {
	case parley.KindMessage:
		w := wire.NewEntry{ID: id, Body: wire.BodyOf(p.Body), Base: uint64(p.Base), ReplyTo: uint64(p.ReplyTo), Forwarded: p.Forwarded}
		if len(p.Mentions) > 0 {
			w.Mentions = idsOf[string](p.Mentions)
		}
		return http.MethodPost, conversationPath(p.Conversation) + "/entries", w
	case parley.KindEdit:
		return http.MethodPatch, entry, wire.EntryEdit{ID: id, Body: wire.BodyOf(p.Body)}
	case parley.KindDelete:
		return http.MethodDelete, entry, wire.EntryDelete{ID: id}
	case parley.KindReaction:
		return http.MethodPut, entry + "/reaction", wire.Feeling{ID: id, Text: string(p.Body.Data)}
	case parley.KindPin:
		return http.MethodPut, entry + "/pin", wire.EntryPin{ID: id}
	case parley.KindUnpin:
		return http.MethodDelete, entry + "/pin", wire.EntryPin{ID: id}
	case parley.KindTitle:
		title := string(p.Body.Data)
		return http.MethodPatch, conversationPath(p.Conversation), wire.ConversationPatch{ID: id, Title: &title}
	}
	return "", "", nil
}

func ackOf(p *parley.Post, w *wire.Posted, status int) (parley.Ack, error) {
	ack := parley.Ack{Conversation: p.Conversation, ID: p.ID, Seq: parley.Seq(w.Seq), Again: status == http.StatusOK && kindOf(p) == parley.KindMessage}
	at, err := wire.ParseTime(w.At)
	switch {
	case kindOf(p) == parley.KindTitle:
		return ack, nil // the answer is the conversation
	case err != nil || w.Seq == 0:
		return parley.Ack{}, &parley.Error{Code: parley.Internal, Op: "client.post", Detail: "the server's answer is no acknowledgement", Err: err}
	}
	ack.At = at
	if w.ID != "" {
		ack.ID = parley.MessageID(w.ID)
	}
	return ack, nil
}

// numberOf returns the number of the message with that id, or parley.NotFound.
func (c *Client) numberOf(ctx context.Context, conv parley.ConversationID, id parley.MessageID) (parley.Seq, error) {
	if handle, ok := Handle(conv); ok {
		var err error
		if conv, err = c.direct(ctx, handle); err != nil {
			return 0, err
		}
	}
	e, err := c.ByID(ctx, conv, id)
	return e.Seq, err
}

func entryPath(conv parley.ConversationID, seq parley.Seq) string {
	return conversationPath(conv) + "/entries/" + strconv.FormatUint(uint64(seq), 10)
}

// kindOf returns what p is; a post without a kind is a message.
func kindOf(p *parley.Post) parley.Kind {
	if p.Kind == "" {
		return parley.KindMessage
	}
	return p.Kind
}

// pointing reports whether posts of kind k are about a message.
func pointing(k parley.Kind) bool {
	return k.IsAct() || k == parley.KindPin || k == parley.KindUnpin
}

// check returns a coded error unless p may be sent, as far as one can tell
// here. about is the id of what it is about if that has no number yet.
func check(op string, p *parley.Post, about parley.MessageID) error {
	kind := kindOf(p)
	if pointing(kind) != (p.Ref != 0 || about != "") {
		return parley.E(parley.BadRequest, op, "an act is about one message, and nothing else is")
	}
	switch kind {
	case parley.KindMessage, parley.KindEdit:
		return wire.CheckBody(wire.BodyOf(p.Body), wire.MaxBodyBytes)
	case parley.KindTitle:
		_, err := wire.CleanTitle(string(p.Body.Data))
		return err
	case parley.KindReaction:
		if len(p.Body.Data) > parley.MaxReaction {
			return parley.E(parley.TooLarge, op, "a reaction is at most %d bytes; shorten it", parley.MaxReaction)
		}
		if len(p.Body.Data) > 0 {
			return wire.CheckBody(wire.BodyOf(p.Body), wire.MaxBodyBytes)
		}
		return nil
	case parley.KindDelete, parley.KindPin, parley.KindUnpin:
		return nil
	}
	return parley.E(parley.BadRequest, op, "a post of this kind cannot be queued")
}
