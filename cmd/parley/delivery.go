package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/wire"
)

const (
	// maxWaiting bounds the messages read and not acknowledged yet. When so
	// many wait, nothing is read.
	maxWaiting = 2048
	// readAtOnce bounds the lines that are queued in one write to disk.
	readAtOnce = 512
	// maxTold bounds the refusals that are told one by one.
	maxTold = 10
	// progressEvery is how often progress is shown.
	progressEvery = 200 * time.Millisecond
)

// delivery takes what is in one queue to the server and tells how it went.
type delivery struct {
	// static
	e      env
	client *client.Client
	queue  *client.Queue
	send   *send
	room   chan int // the numbers of the lines that wait, in order
	bar    bool     // a person watches

	// the goroutine's that sends
	sent     int
	refused  int
	reason   error     // of the first refusal
	shown    time.Time // when progress was
	dirty    bool      // the terminal's line is not empty
	silence  *time.Timer
	waiting  bool // silence runs
	giveUp   context.CancelCauseFunc
	printing error // standard output failed
}

func newDelivery(e env, c *client.Client, q *client.Queue, s *send) *delivery {
	return &delivery{e: e, client: c, queue: q, send: s,
		room: make(chan int, maxWaiting), bar: e.terminal(e.stderr)}
}

// one queues and sends one message.
func (d *delivery) one(ctx context.Context, p parley.Post) error {
	if _, err := d.queue.Enqueue(p); err != nil {
		return err
	}
	return d.flush(ctx)
}

// lines queues and sends standard input while it comes.
func (d *delivery) lines(ctx context.Context, draft parley.Post) error {
	ctx, cancel := context.WithCancel(ctx)
	queued := make(chan struct{}, 1) // something was queued
	read := make(chan error, 1)      // reading has ended
	// This goroutine ends when the input does, or with the process: a read
	// cannot be called off.
	go func() { read <- d.read(ctx, draft, queued) }()
	defer cancel()
	for {
		select {
		case <-queued:
			if err := d.try(ctx); err != nil {
				return err
			}
		case err := <-read:
			return errors.Join(d.flush(ctx), err)
		case <-ctx.Done():
			return d.flush(ctx) // which says what is left
		}
	}
}

// read queues line after line, as many at once as there are.
func (d *delivery) read(ctx context.Context, draft parley.Post, queued chan<- struct{}) error {
	in := bufio.NewReaderSize(d.e.stdin, 64<<10)
	for n := 1; ; {
		var batch []parley.Post
		var failed error
		for len(batch) < readAtOnce {
			text, err := readLine(in)
			if err == nil && text != "" {
				draft.Body = client.Text(text)
				err = wire.CheckBody(wire.BodyOf(draft.Body), wire.MaxBodyBytes)
			}
			if err != nil {
				failed = err
				if !errors.Is(err, io.EOF) {
					failed = fmt.Errorf("line %d was not sent, nor what follows: %s", n, sentence(err))
				}
				break
			}
			if n++; text == "" {
				continue
			}
			select {
			case d.room <- n - 1:
			case <-ctx.Done():
				return nil
			}
			if batch = append(batch, draft); !lineBuffered(in) {
				break
			}
		}
		if _, err := d.queue.Enqueue(batch...); err != nil {
			return err
		}
		select {
		case queued <- struct{}{}:
		default: // it is known
		}
		if errors.Is(failed, io.EOF) {
			return nil
		}
		if failed != nil {
			return failed
		}
	}
}

var errLongLine = fmt.Errorf("a message is at most %d bytes; shorten it", wire.MaxBodyBytes)

// readLine returns the next line without its end; io.EOF when there is none.
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errLongLine
	case err == nil:
		return string(line[:len(line)-1]), nil
	case errors.Is(err, io.EOF) && len(line) > 0:
		return string(line), nil
	case errors.Is(err, io.EOF):
		return "", io.EOF
	}
	return "", fmt.Errorf("standard input cannot be read: %w", err)
}

// lineBuffered reports whether the next line can be read without waiting.
func lineBuffered(in *bufio.Reader) bool {
	ahead, _ := in.Peek(in.Buffered())
	for _, b := range ahead {
		if b == '\n' {
			return true
		}
	}
	return false
}

// flush sends what is queued, and says what became of the whole.
func (d *delivery) flush(ctx context.Context) error {
	err := d.try(ctx)
	d.progress(true)
	switch {
	case d.printing != nil:
		return fmt.Errorf("the acknowledgements cannot be printed: %w", d.printing)
	case err != nil:
		return err
	case d.refused > 0 && d.sent+d.refused > 1:
		return fmt.Errorf("%d of %d messages were refused; the others were sent", d.refused, d.sent+d.refused)
	}
	return d.reason
}

// try sends what is queued until nothing is, or there is no point.
func (d *delivery) try(ctx context.Context) error {
	ctx, d.giveUp = context.WithCancelCause(ctx)
	d.silence = time.AfterFunc(d.send.wait, func() { d.giveUp(errSilent) })
	d.silence.Stop()
	defer d.giveUp(nil)
	defer d.silence.Stop()
	d.waiting = false
	err := d.client.Flush(ctx, d.queue, client.Notes{Done: d.done, Retry: d.retry})
	left := d.queue.Len()
	if err == nil || left == 0 {
		return nil
	}
	kept := fmt.Sprintf("%d messages are kept; send them with parley send --flush", left)
	if left == 1 {
		kept = "the message is kept; send it with parley send --flush"
	}
	switch {
	case errors.Is(context.Cause(ctx), errSilent):
		return fmt.Errorf("the server at %s has not answered for %s; %s", d.client.Credentials().URL, d.send.wait, kept)
	case ctx.Err() != nil:
		return fmt.Errorf("stopped; %s", kept)
	}
	return fmt.Errorf("%s; %s", sentence(err), kept)
}

var errSilent = errors.New("the server is silent")

// done notes that a message left the queue.
func (d *delivery) done(o client.Outcome) {
	d.silence.Stop()
	d.waiting = false
	line := 0
	select {
	case line = <-d.room:
	default: // it was no line
	}
	if o.Err != nil {
		d.refuse(o, line)
		return
	}
	d.sent++
	if d.send.json && d.printing == nil {
		d.printing = json.NewEncoder(d.e.stdout).Encode(acknowledgement{
			Conversation: o.Ack.Conversation, ID: o.Ack.ID, Seq: o.Ack.Seq, At: wire.Time(o.Ack.At),
		})
	}
	d.progress(false)
}

// acknowledgement is what --json prints.
type acknowledgement struct {
	Conversation parley.ConversationID `json:"conversation"`
	ID           parley.MessageID      `json:"id"`
	Seq          parley.Seq            `json:"seq"`
	At           string                `json:"at"`
}

// refuse notes that the server does not take a message. It was told, so it
// need not be kept.
func (d *delivery) refuse(o client.Outcome, line int) {
	to := string(o.Post.Conversation)
	if handle, person := client.Handle(o.Post.Conversation); person {
		to = "@" + handle
	}
	err := unknown(o.Err, to)
	if d.refused++; d.refused == 1 {
		d.reason = errors.New(sentence(err))
	}
	if line > 0 && d.refused <= maxTold {
		fmt.Fprintf(d.e.stderr, "parley: line %d was refused: %s\n", line, sentence(err))
	}
	if err := d.queue.Forget(o.Post.Conversation, o.Post.ID); err != nil {
		fmt.Fprintf(d.e.stderr, "parley: %s\n", sentence(err))
	}
}

// retry notes that a try failed: from the first one on the server has as long
// as --wait says.
func (d *delivery) retry(err error, _ time.Duration) {
	if !d.waiting {
		d.waiting = true
		d.silence.Reset(d.send.wait)
	}
	if d.bar {
		// Short: a line that wraps could not be taken back.
		fmt.Fprintf(d.e.stderr, "%sNo answer yet (%s); it is kept and tried again.", clearLine, parley.CodeOf(err))
		d.dirty = true
	}
}

// clearLine takes a terminal back to the beginning of an empty line.
const clearLine = "\r\x1b[K"

// progress shows a person how far many lines are, and leaves a clean terminal
// at the last.
func (d *delivery) progress(last bool) {
	now := d.e.now()
	switch {
	case !d.bar:
	case last && d.dirty:
		fmt.Fprint(d.e.stderr, clearLine)
	case !last && d.send.lines && now.Sub(d.shown) >= progressEvery:
		d.shown, d.dirty = now, true
		fmt.Fprintf(d.e.stderr, "%sSent %d", clearLine, d.sent)
	}
}
