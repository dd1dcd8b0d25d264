package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/internal/terminal"
)

func newChat(e env) *cobra.Command {
	return &cobra.Command{
		Use:   "chat [TO]",
		Short: "Chat, on the full screen",
		Long: `Chat on the full screen of a terminal: your conversations, what is said in
them, live, and a line to say something. TO, which is @handle or a
conversation's id, is opened first.

What you say is kept on disk before it is sent. Without a connection it waits,
also when the program is killed, and is sent, once, by the next parley chat or
parley send --flush.

F1 shows every key and command. Colours follow the terminal; NO_COLOR is kept to.`,
		Example: `  parley chat
  parley chat @bob
  ssh -t host parley chat`,
		Args: takes(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			to := ""
			if len(args) == 1 {
				if _, _, err := recipient(args[0]); err != nil {
					return err
				}
				to = args[0]
			}
			if !e.terminal(e.stdout) {
				return errors.New("there is no terminal to chat on; parley tail and parley send work without one")
			}
			c, h, err := dial(e)
			if err != nil {
				return err
			}
			return chat(cmd.Context(), e, c, h, to)
		},
	}
}

// chat shows the client, and sends what earlier runs left.
func chat(ctx context.Context, e env, c *client.Client, h home, to string) (err error) {
	q, others, err := chatQueues(e, h)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var sending sync.WaitGroup
	for _, other := range others {
		sending.Go(func() { _ = c.Flush(ctx, other, client.Notes{}) }) // what it cannot send stays
	}
	width, height := e.screen()
	err = terminal.Run(ctx, terminal.Config{
		Client: c, Queue: q, Shelf: h.shelf(), To: to,
		In: e.stdin, Out: e.stdout, Environ: e.environ(), Now: e.now, Zone: time.Local, Width: width, Height: height,
	})
	cancel()
	sending.Wait()
	left := q.Len()
	for _, other := range others {
		left += other.Len()
		err = errors.Join(err, other.Remove())
	}
	if err = errors.Join(err, q.Remove()); err != nil {
		return err
	}
	if left > 0 {
		what := fmt.Sprintf("%d messages are", left)
		if left == 1 {
			what = "one message is"
		}
		fmt.Fprintf(e.stderr, "%s kept and not sent yet; parley chat or parley send --flush sends what waits\n", what)
	}
	return nil
}

// chatQueues returns the queue to chat with, and others that earlier runs left
// and nobody sends from. The youngest of those is chatted with: what waits in
// it stays before what is said now.
func chatQueues(e env, h home) (q *client.Queue, others []*client.Queue, err error) {
	files, err := filepath.Glob(filepath.Join(h.queue(), "*"+queueSuffix)) // sorted
	if err != nil {
		return nil, nil, err
	}
	for _, file := range files {
		left, err := client.OpenQueue(file, e.rand)
		if errors.Is(err, client.ErrQueueBusy) {
			continue // its run is alive and sends by itself
		}
		if err != nil {
			for _, o := range others {
				_ = o.Close() // what is in it stays
			}
			return nil, nil, err
		}
		if n := left.Damaged(); n > 0 {
			fmt.Fprintf(e.stderr, "parley: %d records of a queue were damaged and are passed over; a copy is in %s.damaged\n", n, file)
		}
		others = append(others, left)
	}
	if n := len(others); n > 0 {
		return others[n-1], others[:n-1], nil
	}
	q, err = newQueue(e, h)
	return q, nil, err
}

// screen is the size of a screen that cannot be asked, 0 for one that can.
func (e env) screen() (width, height int) {
	if _, file := e.stdout.(*os.File); file {
		return 0, 0
	}
	return 80, 24
}

// environ is what of the environment says how to draw.
func (e env) environ() []string {
	var out []string
	for _, name := range []string{"TERM", "COLORTERM", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM_PROGRAM", "TMUX", "STY", "SSH_TTY", "WT_SESSION"} {
		if v := e.getenv(name); v != "" {
			out = append(out, name+"="+v)
		}
	}
	return out
}
