package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/wire"
)

// send is what the command was told.
type send struct {
	lines, flush, json bool
	id                 string
	wait               time.Duration
}

func newSend(e env) *cobra.Command {
	var s send
	cmd := &cobra.Command{
		Use:   "send TO [TEXT]",
		Short: "Send a message, or many",
		Long: `Send TEXT, or what comes on standard input, to TO: @handle or the id of a
conversation. With --lines every line is a message; empty lines are passed over.

What was read is kept on disk before it is sent, and the command exits 0 only
when the server has acknowledged all of it. If the command is killed, or gives
up because the server is silent for longer than --wait, what was not
acknowledged stays: parley send --flush sends it, and nothing is said twice.

With --id ID the message carries that id: sent again, by whomever and
whenever, it is the same message.`,
		Example: `  parley send @bob "See you at six."
  git log -1 | parley send @bob
  parley send --lines @bob < lines.txt
  parley send --flush`,
		Args: takes(cobra.MaximumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := s.check(args); err != nil {
				return err
			}
			c, h, err := dial(e)
			if err != nil {
				return err
			}
			if s.flush {
				if err := s.flushAll(cmd.Context(), e, c, h); err != nil || len(args) == 0 {
					return err
				}
			}
			return s.run(cmd.Context(), e, c, h, args)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&s.lines, "lines", false, "every line of standard input is a message")
	f.BoolVar(&s.flush, "flush", false, "first send what earlier runs could not; without TO only that")
	f.BoolVar(&s.json, "json", false, "print each acknowledgement as JSON, a line each")
	f.StringVar(&s.id, "id", "", "the id of the message (default: a fresh one)")
	f.DurationVar(&s.wait, "wait", time.Minute, "give up when the server is silent for so long")
	return cmd
}

func (s *send) check(args []string) error {
	switch {
	case len(args) == 0 && !s.flush:
		return usageError{errors.New("say to whom: parley send TO [TEXT]; see parley send --help")}
	case len(args) == 0 && (s.lines || s.id != ""):
		return usageError{errors.New("--lines and --id are for a new message; say to whom: parley send TO [TEXT]")}
	case s.lines && len(args) == 2:
		return usageError{errors.New("--lines reads standard input; leave TEXT out")}
	case s.lines && s.id != "":
		return usageError{errors.New("--id is for one message, and --lines sends many; use one of them")}
	case s.id != "" && !parley.ValidID(s.id):
		return usageError{fmt.Errorf("--id is at most %d letters, digits and the characters - . _ ~ : alone", parley.MaxID)}
	case s.wait <= 0:
		return usageError{errors.New("--wait is a time above zero, such as 30s")}
	}
	return nil
}

// run queues what there is to say and sends it.
func (s *send) run(ctx context.Context, e env, c *client.Client, h home, args []string) error {
	conv, err := address(args[0])
	if err != nil {
		return err
	}
	draft := parley.Post{Conversation: conv, Sender: parley.UserID(c.Credentials().User.ID)}
	var one *parley.Post
	if !s.lines {
		text := ""
		if len(args) == 2 {
			text = args[1]
		} else if text, err = readText(e.stdin); err != nil {
			return err
		}
		draft.ID, draft.Body = parley.MessageID(s.id), client.Text(text)
		if err := wire.CheckBody(wire.BodyOf(draft.Body), wire.MaxBodyBytes); err != nil {
			return err
		}
		one = &draft
	}
	q, err := newQueue(e, h)
	if err != nil {
		return err
	}
	d := newDelivery(e, c, q, s)
	if one != nil {
		err = d.one(ctx, *one)
	} else {
		err = d.lines(ctx, draft)
	}
	return errors.Join(err, q.Remove())
}

// address is where a message to TO goes. It asks nobody: what was read is on
// disk before the server is.
func address(to string) (parley.ConversationID, error) {
	handle, person, err := recipient(to)
	if person {
		return client.To(handle), err
	}
	return parley.ConversationID(to), err
}

// readText reads a whole message. One line break at its end is not part of it.
func readText(r io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, wire.MaxBodyBytes+2))
	if err != nil {
		return "", fmt.Errorf("standard input cannot be read: %w", err)
	}
	if n := len(data); n > 0 && data[n-1] == '\n' {
		data = data[:n-1]
	}
	if len(data) == 0 {
		return "", errors.New("there is nothing to send; give TEXT or standard input")
	}
	return string(data), nil
}

// queueSuffix ends the names of queues. Every run has a queue of its own, so
// that runs do not wait for each other; names sort by age.
const queueSuffix = ".queue"

func newQueue(e env, h home) (*client.Queue, error) {
	if err := os.MkdirAll(h.queue(), 0o700); err != nil {
		return nil, fmt.Errorf("there is nowhere to queue messages: %w", err)
	}
	name := e.now().UTC().Format("20060102T150405.000000000") + parley.NewID("-", e.rand) + queueSuffix
	return client.OpenQueue(filepath.Join(h.queue(), name), e.rand)
}

// flushAll sends what earlier runs left.
func (s *send) flushAll(ctx context.Context, e env, c *client.Client, h home) error {
	files, err := filepath.Glob(filepath.Join(h.queue(), "*"+queueSuffix)) // sorted
	if err != nil {
		return err
	}
	for _, file := range files {
		q, err := client.OpenQueue(file, e.rand)
		if errors.Is(err, client.ErrQueueBusy) {
			continue // its run is alive and sends by itself
		}
		if err != nil {
			return err
		}
		if n := q.Damaged(); n > 0 {
			fmt.Fprintf(e.stderr, "parley: %d records of a queue were damaged and are passed over; a copy is in %s.damaged\n", n, file)
		}
		err = newDelivery(e, c, q, s).flush(ctx)
		if err = errors.Join(err, q.Remove()); err != nil {
			return err
		}
	}
	return nil
}
