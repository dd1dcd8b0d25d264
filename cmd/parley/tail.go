package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/spf13/cobra"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/wire"
)

// tail is what the command was told.
type tail struct {
	after      uint64
	follow     bool
	json, text bool
}

func newTail(e env) *cobra.Command {
	var t tail
	cmd := &cobra.Command{
		Use:   "tail [TO]",
		Short: "Print what was said, and follow what is being said",
		Long: `Print entries, the oldest first: of the conversation TO, which is @handle or a
conversation's id, or of all there are.

With --follow it goes on live, across lost connections and restarts of the
server, without a gap or a repeat, until it is interrupted.

A line is the time, who, and what, with control characters written out, so
that no message can play tricks with the terminal. --text prints the texts of
messages alone, exactly as they were sent. --json prints every entry as JSON.`,
		Example: `  parley tail @bob
  parley tail @bob --follow --text > got
  parley tail --follow --json | jq .body.text`,
		Args: takes(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("after") && len(args) == 0 {
				return usageError{errors.New("--after is a number of one conversation; say which: parley tail TO --after SEQ")}
			}
			if t.json && t.text {
				return usageError{errors.New("--json and --text are two ways to print; use one of them")}
			}
			c, _, err := dial(e)
			if err != nil {
				return err
			}
			to := ""
			if len(args) == 1 {
				to = args[0]
			}
			return t.run(cmd.Context(), e, c, to)
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&t.after, "after", 0, "begin after the entry with this number")
	f.BoolVarP(&t.follow, "follow", "f", false, "go on live")
	f.BoolVar(&t.json, "json", false, "print JSON, an entry a line")
	f.BoolVar(&t.text, "text", false, "print the texts of messages alone, as they are")
	return cmd
}

func (t *tail) run(ctx context.Context, e env, c *client.Client, to string) error {
	p := printer{tail: t, out: e.stdout, names: newNames(c)}
	var entries iter.Seq2[client.Entry, error]
	switch {
	case to == "":
		p.where = true
		entries = everything(ctx, c, t.follow)
	default:
		conv, err := find(ctx, c, to, t.follow)
		if err != nil {
			return err
		}
		if t.follow {
			entries = c.Follow(ctx, conv, parley.Seq(t.after))
		} else {
			entries = c.Entries(ctx, conv, parley.Seq(t.after))
		}
	}
	for entry, err := range entries {
		if err == nil {
			err = p.print(ctx, &entry)
		}
		if t.follow && ctx.Err() != nil {
			return nil // this is how following ends
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// find returns the conversation that to means, and asks the server for it once:
// a server that does not answer now is said so now. A conversation with a
// person is made when it is to be followed and there is none.
func find(ctx context.Context, c *client.Client, to string, follow bool) (parley.ConversationID, error) {
	handle, person, err := recipient(to)
	if err != nil {
		return "", err
	}
	conv := parley.ConversationID(to)
	if person && follow {
		direct, err := c.Direct(ctx, handle)
		return parley.ConversationID(direct.ID), unknown(err, to)
	}
	if person {
		user, err := c.User(ctx, handle)
		if err != nil {
			return "", unknown(err, to)
		}
		conv = parley.DirectID(parley.UserID(c.Credentials().User.ID), parley.UserID(user.ID))
	}
	_, err = c.Conversation(ctx, conv)
	if person && parley.CodeOf(err) == parley.NotFound {
		return "", fmt.Errorf("there is nothing between you and %s yet; parley send %s TEXT begins", to, to)
	}
	return conv, unknown(err, to)
}

// recipient reads TO: the handle of a person, or the id of a conversation.
func recipient(to string) (handle string, person bool, err error) {
	if len(to) > 0 && to[0] == '@' {
		handle, err = wire.CleanHandle(to)
		person = true
	} else if !parley.ValidID(to) {
		err = errors.New("TO is @handle or the id of a conversation; parley list shows the ids")
	}
	if err != nil {
		return "", person, usageError{errors.New(sentence(err))}
	}
	return handle, person, nil
}

// unknown says of a not_found what was not found.
func unknown(err error, to string) error {
	if parley.CodeOf(err) != parley.NotFound {
		return err
	}
	if to[0] == '@' {
		return fmt.Errorf("nobody here is called %s; check the handle", to)
	}
	return fmt.Errorf("you have no conversation %s; parley list shows those you have, and a person is written @%s", to, to)
}

// printer writes entries as the command was told to.
type printer struct {
	tail  *tail
	out   io.Writer
	names *names
	where bool // lines say in which conversation
}

func (p *printer) print(ctx context.Context, e *client.Entry) error {
	var line string
	switch {
	case p.tail.json:
		data, err := wire.Encode(e.Wire())
		if err != nil {
			return err
		}
		line = string(data)
	case p.tail.text:
		if e.Kind != parley.KindMessage || e.Body.Type != parley.TextPlain {
			return nil
		}
		line = string(e.Body.Data)
	default:
		line = p.line(ctx, e)
	}
	if _, err := fmt.Fprintln(p.out, line); err != nil {
		return fmt.Errorf("what was said cannot be printed: %w", err)
	}
	return nil
}

// line is an entry for a person.
func (p *printer) line(ctx context.Context, e *client.Entry) string {
	at := e.At.Local().Format("15:04")
	if p.where {
		at += " [" + visible(p.names.conversation(ctx, e.Conversation)) + "]"
	}
	who := visible(p.names.user(ctx, e.Conversation, e.Sender))
	if e.Kind == parley.KindMessage && e.Body.Type == parley.TextPlain {
		return at + " " + who + ": " + visible(string(e.Body.Data))
	}
	return at + " " + who + " " + visible(happening(e))
}

// happening says what an entry without a text is.
func happening(e *client.Entry) string {
	switch e.Kind {
	case parley.KindMessage:
		if e.Deleted || e.Body.Type == "" {
			return "(deleted)"
		}
		return fmt.Sprintf("(%s, %d bytes)", e.Body.Type, len(e.Body.Data))
	case parley.KindMembers:
		return "(changed the members)"
	case parley.KindTitle:
		return "(changed the title)"
	case parley.KindEdit:
		if e.Deleted || e.Body.Type != parley.TextPlain {
			return fmt.Sprintf("(edited %d)", e.Ref)
		}
		return fmt.Sprintf("(edited %d: %s)", e.Ref, visible(string(e.Body.Data)))
	case parley.KindReaction:
		if len(e.Body.Data) == 0 {
			return fmt.Sprintf("(took back a reaction to %d)", e.Ref)
		}
		return fmt.Sprintf("(reacted to %d: %s)", e.Ref, visible(string(e.Body.Data)))
	case parley.KindPin:
		return fmt.Sprintf("(pinned %d)", e.Ref)
	case parley.KindUnpin:
		return fmt.Sprintf("(took down %d)", e.Ref)
	case parley.KindDelete:
		return fmt.Sprintf("(deleted %d)", e.Ref)
	case parley.KindWithheld:
		return "(not shown)"
	}
	return fmt.Sprintf("(%s)", e.Kind)
}
