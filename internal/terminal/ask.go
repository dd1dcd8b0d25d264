package terminal

import (
	"context"
	"errors"
	"fmt"

	tea "charm.land/bubbletea/v2"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/wire"
)

// The answers of the server to what the state asked.
type (
	pageRead struct {
		conv   parley.ConversationID
		before parley.Seq
		page   client.Page
		err    error
	}
	entryRead struct {
		conv  parley.ConversationID
		entry client.Entry
	}
	conversationRead struct {
		id   parley.ConversationID
		conv wire.Conversation
		err  error
	}
	// opened is a conversation that a person asked for.
	opened struct {
		conv wire.Conversation
		with string // the handle it was asked by
		err  error
	}
	met          struct{ user wire.User }
	contactsRead struct {
		items []wire.Contact
		err   error
	}
	presenceRead struct{ items []wire.Presence }
	found        struct {
		text  string
		items []wire.Found
		err   error
	}
	about struct { // what is known of one message
		conv     parley.ConversationID
		seq      parley.Seq
		editions []wire.Edition
		reactors []wire.Reactor
		err      error
	}
	// done answers a command: a sentence for the status line, or what went wrong.
	done struct {
		text  string
		err   error
		after func(s *state) []effect // when it did
	}
)

// pageSize is how many entries are read at once.
const pageSize = 100

func readPage(conv parley.ConversationID, before parley.Seq) effect {
	return call{fmt.Sprintf("page %s before %d", conv, before), func(ctx context.Context, c *client.Client) tea.Msg {
		page, err := c.Before(ctx, conv, before, pageSize)
		return pageRead{conv, before, page, err}
	}}
}

// readAgain reads one entry as it is now.
func readAgain(conv parley.ConversationID, seq parley.Seq) effect {
	return call{fmt.Sprintf("entry %s %d", conv, seq), func(ctx context.Context, c *client.Client) tea.Msg {
		page, err := c.After(ctx, conv, seq-1, 1)
		if err != nil || len(page.Entries) == 0 {
			return nil
		}
		return entryRead{conv, page.Entries[0]}
	}}
}

func readConversation(conv parley.ConversationID) effect {
	return call{"conversation " + string(conv), func(ctx context.Context, c *client.Client) tea.Msg {
		got, err := c.Conversation(ctx, conv)
		return conversationRead{conv, got, err}
	}}
}

func openDirect(handle string) effect {
	return call{"direct @" + handle, func(ctx context.Context, c *client.Client) tea.Msg {
		conv, err := c.Direct(ctx, handle)
		if parley.CodeOf(err) == parley.NotFound {
			err = fmt.Errorf("nobody here is called @%s; check the handle", handle)
		}
		return opened{conv, handle, err}
	}}
}

func readUser(id parley.UserID) effect {
	return call{"user " + string(id), func(ctx context.Context, c *client.Client) tea.Msg {
		u, err := c.User(ctx, string(id))
		if err != nil {
			return nil // they stay someone
		}
		return met{u}
	}}
}

func readContacts() effect {
	return call{"contacts", func(ctx context.Context, c *client.Client) tea.Msg {
		items, err := c.Contacts(ctx)
		return contactsRead{items, err}
	}}
}

func readPresence(users []parley.UserID) effect {
	return call{fmt.Sprint("presence ", users), func(ctx context.Context, c *client.Client) tea.Msg {
		items, err := c.Presence(ctx, users...)
		if err != nil {
			return nil // it is a hint
		}
		return presenceRead{items}
	}}
}

// maxFound bounds what a search shows.
const maxFound = 50

func search(q client.Search) effect {
	return call{fmt.Sprintf("search %s %q", q.Conversation, q.Text), func(ctx context.Context, c *client.Client) tea.Msg {
		f := found{text: q.Text}
		for item, err := range c.Search(ctx, q) {
			if err != nil {
				f.err = err
				break
			}
			if f.items = append(f.items, item); len(f.items) == maxFound {
				break
			}
		}
		return f
	}}
}

func readAbout(conv parley.ConversationID, seq parley.Seq, edited, reacted bool) effect {
	return call{fmt.Sprintf("about %s %d", conv, seq), func(ctx context.Context, c *client.Client) tea.Msg {
		out := about{conv: conv, seq: seq}
		var failed error
		if edited {
			out.editions, failed = c.Editions(ctx, conv, seq)
		}
		if reacted {
			var err error
			out.reactors, err = c.Reactors(ctx, conv, seq)
			failed = errors.Join(failed, err)
		}
		out.err = failed
		return out
	}}
}

// command asks the server to do something and says text when it did.
func command(what, text string, run func(ctx context.Context, c *client.Client) error, after ...func(s *state) []effect) effect {
	return call{what, func(ctx context.Context, c *client.Client) tea.Msg {
		d := done{text: text, err: run(ctx, c)}
		if d.err == nil && len(after) > 0 {
			d.after = after[0]
		}
		return d
	}}
}

// sentence is what a person is told of err.
func sentence(err error) string {
	var e *parley.Error
	if errors.As(err, &e) && e.Detail != "" {
		return e.Detail
	}
	return err.Error()
}
