package terminal

import (
	"context"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
)

// The effects: what the state wants done outside. What comes of them comes back
// as a message.
type (
	effect any

	// quit ends the program.
	quit struct{}
	// redraw draws everything anew.
	redraw struct{}
	// rest gives the terminal back to the shell for a while.
	rest struct{}
	// clip puts a text onto the clipboard, through the terminal.
	clip struct{ text string }
	// keep queues a post; about is the message it is about if that has no
	// number. The answer is kept.
	keep struct {
		post  parley.Post
		about parley.MessageID
	}
	// forget drops a post that was given up.
	forget struct {
		conv parley.ConversationID
		id   parley.MessageID
	}
	// mark tells the server what was received and read. Only the greatest
	// matter, and nothing comes back.
	mark struct {
		conv            parley.ConversationID
		delivered, read parley.Seq
	}
	// putAway puts what the next run should know into the shelf.
	putAway struct{ shelf }
	// typing tells others that this user is.
	typing struct{ conv parley.ConversationID }
	// watch says whose presence is on the screen.
	watch struct{ users []parley.UserID }
	// call asks the server something; what says what, for tests and nothing
	// else.
	call struct {
		what string
		run  func(ctx context.Context, c *client.Client) tea.Msg
	}
)

// kept answers keep.
type kept struct {
	id  parley.MessageID
	err error
}

// driver does what the state wants.
type driver struct {
	// static
	ctx    context.Context
	client *client.Client
	queue  *client.Queue
	voice  *client.Voice
	shelf  string
	tell   func(tea.Msg)

	errands chan errand   // to the goroutine that tells them, in order
	posts   chan keep     // to the goroutine that queues, in order
	marks   chan struct{} // capacity one: something is to be marked

	writing sync.Mutex // held while the shelf is written

	mu     sync.Mutex
	marked map[parley.ConversationID]mark
}

// maxUnkept bounds what waits for the disk. A person does not type so fast.
const maxUnkept = 256

func newDriver(ctx context.Context, c *client.Client, q *client.Queue, shelf string, tell func(tea.Msg)) *driver {
	return &driver{
		ctx: ctx, client: c, queue: q, voice: new(client.Voice), shelf: shelf, tell: tell,
		errands: make(chan errand, maxUnkept), posts: make(chan keep, maxUnkept), marks: make(chan struct{}, 1), marked: map[parley.ConversationID]mark{},
	}
}

// do does effects in order, as far as order matters to them.
func (d *driver) do(effects []effect) tea.Cmd {
	var cmds []tea.Cmd
	for _, e := range effects {
		switch e := e.(type) {
		case quit:
			cmds = append(cmds, tea.Quit)
		case rest:
			cmds = append(cmds, tea.Suspend)
		case redraw:
			cmds = append(cmds, tea.ClearScreen)
		case clip:
			cmds = append(cmds, tea.SetClipboard(e.text))
		case keep:
			select {
			case d.posts <- e:
			default:
				cmds = append(cmds, func() tea.Msg {
					return kept{e.post.ID, parley.E(parley.Overloaded, "terminal.keep", "the disk is too slow; say it again")}
				})
			}
		case forget:
			cmds = append(cmds, func() tea.Msg {
				_ = d.queue.Forget(e.conv, e.id) // it is told again the next time, and no more
				return nil
			})
		case errand:
			select {
			case d.errands <- e:
			default: // the shelf has it; the next run tells it
			}
		case mark:
			d.mark(e)
		case putAway:
			cmds = append(cmds, func() tea.Msg { d.shelve(e.shelf); return nil })
		case typing:
			d.voice.Whisper(e.conv, client.Typing)
		case watch:
			d.voice.Watch(e.users...)
		case call:
			cmds = append(cmds, func() tea.Msg { return e.run(d.ctx, d.client) })
		}
	}
	return tea.Batch(cmds...)
}

// keeps queues posts, one after the other, until the program ends; what was
// said before the end is kept all the same.
func (d *driver) keeps() {
	for {
		select {
		case k := <-d.posts:
			d.keep(k)
		case <-d.ctx.Done():
			for {
				select {
				case k := <-d.posts:
					d.keep(k)
				default:
					return
				}
			}
		}
	}
}

func (d *driver) keep(k keep) {
	var err error
	if k.about != "" {
		_, err = d.queue.EnqueueAbout(k.about, k.post)
	} else {
		_, err = d.queue.Enqueue(k.post)
	}
	d.tell(kept{k.post.ID, err})
}

// mark notes what is to be marked.
func (d *driver) mark(m mark) {
	d.mu.Lock()
	had := d.marked[m.conv]
	d.marked[m.conv] = mark{m.conv, max(had.delivered, m.delivered), max(had.read, m.read)}
	d.mu.Unlock()
	select {
	case d.marks <- struct{}{}:
	default: // it is known
	}
}

// markEvery is how often markers are told at most, so that a busy group costs
// few requests.
const markEvery = 250 * time.Millisecond

// tellMarks tells the server what was received and read. What fails is not
// tried again: the next one says more.
func (d *driver) tellMarks() {
	for {
		select {
		case <-d.marks:
		case <-d.ctx.Done():
			return
		}
		d.mu.Lock()
		marked := d.marked
		d.marked = map[parley.ConversationID]mark{}
		d.mu.Unlock()
		for conv, m := range marked {
			_, _ = d.client.Mark(d.ctx, conv, m.delivered, m.read)
		}
		select {
		case <-time.After(markEvery):
		case <-d.ctx.Done():
			return
		}
	}
}

// shelve writes the shelf. If that fails, the next run begins without.
func (d *driver) shelve(s shelf) {
	d.writing.Lock()
	defer d.writing.Unlock()
	if d.shelf != "" && (len(s.Rows) > 0 || len(s.Errands) > 0) {
		_ = s.write(d.shelf)
	}
}
