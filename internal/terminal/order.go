package terminal

import (
	"context"
	"fmt"

	tea "charm.land/bubbletea/v2"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/wire"
)

// What commands ask of the server.

func newGroup(title string, handles []string) effect {
	return call{fmt.Sprintf("new %q %v", title, handles), func(ctx context.Context, c *client.Client) tea.Msg {
		conv, err := c.NewGroup(ctx, title, handles...)
		return opened{conv: conv, err: err}
	}}
}

func join(code string) effect {
	return call{"join " + code, func(ctx context.Context, c *client.Client) tea.Msg {
		conv, err := c.Join(ctx, code)
		if parley.CodeOf(err) == parley.NotFound {
			err = parley.E(parley.NotFound, "terminal.join", "this link is not good: it was used up, has expired or was revoked")
		}
		return opened{conv: conv, err: err}
	}}
}

func invite(conv parley.ConversationID, uses, hours uint64) effect {
	return call{fmt.Sprint("invite ", conv, " ", uses, " ", hours), func(ctx context.Context, c *client.Client) tea.Msg {
		got, err := c.NewGroupInvite(ctx, conv, uses, hours)
		if err != nil {
			return done{err: err}
		}
		return done{after: func(s *state) []effect {
			text := []string{"Who has this may join the group:", "", got.Link, "", "or in a terminal:", "", "  :join " + got.Code}
			if got.Link == "" {
				text = []string{"Who has this may join the group:", "", "  :join " + got.Code}
			}
			if at, err := wire.ParseTime(got.Expires); err == nil {
				text = append(text, "", fmt.Sprintf("Good %s, until %s.", plural(int(got.Uses), "time", "times"), at.In(s.zone).Format("Monday, 2 January, 15:04")))
			}
			s.read("A link into the group", text)
			if got.Link != "" {
				return []effect{clip{got.Link}}
			}
			return nil
		}}
	}}
}

// saveDraft has the server keep a draft. If it cannot, nothing is lost here.
func saveDraft(conv parley.ConversationID, d parley.Draft) effect {
	return call{fmt.Sprintf("draft %s %q", conv, d.Text), func(ctx context.Context, c *client.Client) tea.Msg {
		_ = c.SetPersonal(ctx, conv, parley.PersonalChange{Draft: &d})
		return nil
	}}
}

func profile(what, text string, p wire.MePatch) effect {
	return command(what, text, func(ctx context.Context, c *client.Client) error {
		_, err := c.SetProfile(ctx, p)
		return err
	})
}
