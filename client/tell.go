package client

import (
	"context"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// take takes one frame. Frames of other types are for others, or of a later
// version.
func (f *feed) take(ctx context.Context, frame *wire.ServerFrame) error {
	switch frame.T {
	case wire.FrameEntries:
		if err := f.pushed(ctx, frame); err != nil {
			return err
		}
		return f.moved(ctx, frame.Cursor)
	case wire.FrameChanges:
		return f.changed(ctx, frame)
	case wire.FrameReceipts, wire.FramePresence, wire.FrameWhisper, wire.FrameContacts:
		f.heard(frame)
	case wire.FrameWelcome:
		if f.sub.Online != nil {
			f.sub.Online(*frame)
		}
	case wire.FrameResync:
		f.held, f.fresh = map[parley.ConversationID]parley.Seq{}, true
		return f.tell(ctx, News{Reset: true})
	case wire.FrameGoaway:
		return away{millis(frame.AfterMS), frame.URL}
	case wire.FrameError:
		return &parley.Error{Code: parley.Code(frame.Code), Op: "client.connection", Detail: frame.Message, After: millis(frame.RetryAfterMS)}
	}
	return nil
}

// pushed takes entries that the server told unasked.
func (f *feed) pushed(ctx context.Context, frame *wire.ServerFrame) error {
	conv := parley.ConversationID(frame.Conversation)
	if len(frame.Entries) == 0 || !f.follows(conv) {
		return nil
	}
	entries, err := entriesOf(conv, frame.Entries)
	if err != nil {
		return err
	}
	last := entries[len(entries)-1].Seq
	held, err := f.begin(ctx, conv, last)
	if err != nil {
		return err
	}
	if !contiguous(entries) || entries[0].Seq > held+1 {
		// Also when the user was away from a group and is back: then the log
		// goes on for them where the membership does.
		return f.read(ctx, conv, last)
	}
	return f.entries(ctx, conv, held, entries)
}

// changed takes rows: first what they stand for, then they and the cursor.
func (f *feed) changed(ctx context.Context, frame *wire.ServerFrame) error {
	news := News{Cursor: frame.Cursor, Held: map[parley.ConversationID]parley.Seq{}}
	for _, row := range frame.Rows {
		conv, head := parley.ConversationID(row.ID), parley.Seq(row.Head)
		if !f.follows(conv) {
			continue
		}
		held, err := f.begin(ctx, conv, head)
		if err != nil {
			return err
		}
		if head > held {
			if err := f.read(ctx, conv, head); err != nil {
				return err
			}
		}
		news.Rows = append(news.Rows, row)
		news.Held[conv] = f.held[conv]
	}
	if err := f.tell(ctx, news); err != nil {
		return err
	}
	f.fresh = f.fresh && frame.More
	return nil
}

// heard takes what is no step of the subscription: nothing of it is kept.
func (f *feed) heard(frame *wire.ServerFrame) {
	conv := parley.ConversationID(frame.Conversation)
	switch {
	case frame.T == wire.FrameReceipts && f.sub.Receipts != nil && f.follows(conv):
		f.sub.Receipts(parley.Receipt{
			Conversation: conv, User: parley.UserID(frame.Member),
			Delivered: parley.Seq(frame.Delivered), Read: parley.Seq(frame.Read),
		})
	case frame.T == wire.FrameWhisper && f.sub.Whispers != nil && f.follows(conv):
		f.sub.Whispers(Whisper{Conversation: conv, Sender: parley.UserID(frame.Sender), Kind: frame.Kind})
	case frame.T == wire.FramePresence && f.sub.Presence != nil:
		f.sub.Presence(frame.Items)
	case frame.T == wire.FrameContacts && f.sub.Contacts != nil:
		f.sub.Contacts(frame.Rev)
	}
}

func (f *feed) follows(conv parley.ConversationID) bool {
	return f.sub.Only == "" || f.sub.Only == conv
}

// moved keeps a cursor that came with entries.
func (f *feed) moved(ctx context.Context, cursor string) error {
	if cursor == "" {
		return nil
	}
	return f.tell(ctx, News{Cursor: cursor})
}

// begin returns the number held in conv. If there is none it decides where to
// begin, given that head exists.
func (f *feed) begin(ctx context.Context, conv parley.ConversationID, head parley.Seq) (parley.Seq, error) {
	if held, ok := f.held[conv]; ok {
		return held, nil
	}
	held, ok, err := f.sub.Store.Held(ctx, conv)
	if err != nil {
		return 0, storeFault(err)
	}
	if !ok && f.fresh && f.sub.Backlog != All {
		held = head - min(head, parley.Seq(f.sub.Backlog))
	}
	f.held[conv] = held
	return held, nil
}

// read tells what the log of conv has after the number held, at least up to
// head. What the log does not have is not told, and what is held does not
// move over it.
func (f *feed) read(ctx context.Context, conv parley.ConversationID, head parley.Seq) error {
	for f.held[conv] < head {
		page, err := f.page(ctx, conv)
		if parley.CodeOf(err) == parley.NotFound {
			return nil // this user was removed while the row was on its way
		}
		if err != nil {
			return err
		}
		if len(page.Entries) == 0 {
			return nil // beyond the end of a membership
		}
		// A membership may begin later than the number held, so the first entry
		// may leave numbers out, but no other.
		if !contiguous(page.Entries) || page.Entries[0].Seq <= f.held[conv] {
			return parley.E(parley.Internal, "client.read", "the server left out entries")
		}
		if err := f.entries(ctx, conv, page.Entries[0].Seq-1, page.Entries); err != nil {
			return err
		}
	}
	return nil
}

func (f *feed) page(ctx context.Context, conv parley.ConversationID) (Page, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	return f.client.After(ctx, conv, f.held[conv], wire.MaxLimit)
}

// entries tells those of entries, which are contiguous, that come after held.
func (f *feed) entries(ctx context.Context, conv parley.ConversationID, held parley.Seq, entries []Entry) error {
	i := 0
	for i < len(entries) && entries[i].Seq <= held {
		i++
	}
	if entries = entries[i:]; len(entries) == 0 {
		return nil
	}
	last := entries[len(entries)-1].Seq
	return f.tell(ctx, News{Entries: entries, Held: map[parley.ConversationID]parley.Seq{conv: last}})
}

// tell keeps news, then tells the application.
func (f *feed) tell(ctx context.Context, n News) error {
	if err := f.sub.Store.Keep(ctx, &n); err != nil {
		return storeFault(err)
	}
	for conv, seq := range n.Held {
		f.held[conv] = seq
	}
	if !f.yield(n, nil) {
		return errStopped
	}
	return nil
}

// contiguous reports whether entries are of one conversation, each with the
// number after that of the one before.
func contiguous(entries []Entry) bool {
	for i := range entries[1:] {
		if a, b := &entries[i], &entries[i+1]; a.Conversation != b.Conversation || a.Seq+1 != b.Seq {
			return false
		}
	}
	return true
}

func entriesOf(conv parley.ConversationID, in []wire.Entry) ([]Entry, error) {
	out := make([]Entry, len(in))
	for i := range in {
		var err error
		if out[i], err = entryOf(conv, &in[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
