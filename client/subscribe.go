package client

import (
	"context"
	"iter"
	"maps"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// News is one step of a subscription. What it says is contiguous: it may be
// kept as it is, and the next subscription goes on after it.
type News struct {
	// Reset says that the server lost or replaced its history (it was
	// restored from a backup, say): everything kept is void, and comes again.
	Reset bool
	// Entries are new, ascending without a gap per conversation.
	Entries []Entry
	// Rows changed. Entries up to their heads were told before, as far as the
	// subscription tells entries of that conversation.
	Rows []wire.Row
	// Held is, for each conversation this step is about, the last number told.
	Held map[parley.ConversationID]parley.Seq
	// Cursor is where the inbox stands; empty: where it stood before.
	Cursor string
}

// A Store keeps what a subscription says, so that the next one, in this
// process or another, goes on after it. One subscription uses it at a time.
type Store interface {
	// Cursor returns the last cursor kept, "" if there is none.
	Cursor(ctx context.Context) (string, error)
	// Held returns the last number kept in News.Held for conv, and whether
	// there is one.
	Held(ctx context.Context, conv parley.ConversationID) (parley.Seq, bool, error)
	// Keep keeps n, all of it or nothing, and returns when it is safe: the
	// application sees n afterwards. A Reset voids all that was kept.
	Keep(ctx context.Context, n *News) error
}

// Place is a Store in memory: how far a device has read, and nothing of what it
// read. A program that must go on where it stopped writes it to a file, as
// JSON, when it has done what the news asked of it. The zero Place is at the
// beginning.
type Place struct {
	Inbox string                               `json:"cursor"`
	Heads map[parley.ConversationID]parley.Seq `json:"held"`
}

// Cursor implements Store.
func (p *Place) Cursor(context.Context) (string, error) { return p.Inbox, nil }

// Held implements Store.
func (p *Place) Held(_ context.Context, conv parley.ConversationID) (parley.Seq, bool, error) {
	seq, ok := p.Heads[conv]
	return seq, ok, nil
}

// Keep implements Store.
func (p *Place) Keep(_ context.Context, n *News) error {
	if n.Reset {
		*p = Place{}
	}
	if p.Heads == nil {
		p.Heads = map[parley.ConversationID]parley.Seq{}
	}
	maps.Copy(p.Heads, n.Held)
	if n.Cursor != "" {
		p.Inbox = n.Cursor
	}
	return nil
}

// All is the Backlog that leaves nothing out.
const All = -1

// Subscription says what to follow.
type Subscription struct {
	// Store is required: where the last subscription stopped, and this one goes on.
	Store Store
	// Backlog is how many of the newest entries of each conversation are told
	// when the store is empty; All: every one. [Client.Before] reads the others.
	// A conversation that comes later is told from its beginning.
	Backlog int
	// Only, if it is not empty, is the one conversation to follow.
	Only parley.ConversationID
	// Receipts, if it is not nil, hears how far other members have got in what
	// it follows. Receipts are hints: some never come, and none is told again;
	// [Client.Conversation] knows. It must not block.
	Receipts func(r parley.Receipt)
	// Presence, Whispers and Contacts, if they are not nil, hear who came and
	// went among those whom Voice watches and this user's contacts, who is
	// typing, and that the list of contacts has got to rev ([Client.Contacts]).
	// They are hints like receipts and must not block.
	Presence func(items []wire.Presence)
	Whispers func(w Whisper)
	Contacts func(rev uint64)
	// Voice, if it is not nil, is what this user says on the same connection.
	Voice *Voice
	// Online, if it is not nil, hears that a connection stands, and what the
	// server said in its welcome. It must not block.
	Online func(welcome wire.ServerFrame)
	// Lost, if it is not nil, hears why a connection was lost, before the next
	// try. It must not block.
	Lost func(err error)
}

// Subscribe follows this user's inbox: first what changed after the cursor in
// the store, then what happens, live, across reconnects, without a gap or a
// repeat. Each step is kept in the store before it is yielded.
//
// It ends, with an error, when ctx is done, when the store fails, or when
// coming back is of no use: the device was signed out or is too old.
func (c *Client) Subscribe(ctx context.Context, s Subscription) iter.Seq2[News, error] {
	return func(yield func(News, error) bool) {
		f := &feed{client: c, sub: s, yield: yield}
		if err := f.run(ctx); err != nil {
			yield(News{}, err)
		}
	}
}

// Entries yields the entries of conv after that number, the oldest first, to
// the end as it is when it gets there. What fails and is worth a retry is tried
// again for as long as ctx lets it; any other error is the end.
func (c *Client) Entries(ctx context.Context, conv parley.ConversationID, after parley.Seq) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for {
			var page Page
			err := c.Retry(ctx, nil, func(ctx context.Context) (err error) {
				page, err = c.After(ctx, conv, after, wire.MaxLimit)
				return err
			})
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range page.Entries {
				if after = e.Seq; !yield(e, nil) {
					return
				}
			}
			if len(page.Entries) == 0 || after >= page.Head {
				return
			}
		}
	}
}

// Follow is Entries that goes on live when it has reached the end, across
// reconnects, without a gap or a repeat, until ctx is done or coming back is
// of no use. If the server is restored from a backup, it goes on after the
// newest entry that it told and that is still there.
func (c *Client) Follow(ctx context.Context, conv parley.ConversationID, after parley.Seq) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		t := newThreads(c, map[parley.ConversationID]parley.Seq{conv: after})
		for e, err := range c.Entries(ctx, conv, after) {
			if err == nil {
				t.told(&e)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
		c.follow(ctx, Subscription{Store: t, Backlog: All, Only: conv}, yield)
	}
}

// FollowAll is Follow for every conversation there is and will be. after says
// where to begin in some; the others begin at their beginning.
func (c *Client) FollowAll(ctx context.Context, after map[parley.ConversationID]parley.Seq) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		c.follow(ctx, Subscription{Store: newThreads(c, after), Backlog: All}, yield)
	}
}

func (c *Client) follow(ctx context.Context, s Subscription, yield func(Entry, error) bool) {
	for news, err := range c.Subscribe(ctx, s) {
		if err != nil {
			yield(Entry{}, err)
			return
		}
		for _, e := range news.Entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}
