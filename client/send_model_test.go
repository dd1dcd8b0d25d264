package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// memDisk is a disk that can crash. What was not synced may be lost.
type memDisk struct {
	mu            sync.Mutex
	now, synced   []byte
	locked        bool
	noSync        bool // a seeded fault: sync does nothing
	full          int  // so many writes fail, having written half
	life, damaged int
}

// memFile is a journal that a process has open; a crash takes it away.
type memFile struct {
	d    *memDisk
	life int
}

var errFull = errors.New("no space left")

func (d *memDisk) lock() (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locked {
		return nil, ErrQueueBusy
	}
	d.locked = true
	return &memLock{d, d.life}, nil
}

type memLock memFile

func (l *memLock) Close() error {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	if l.d.life == l.life {
		l.d.locked = false
	}
	return nil
}

func (d *memDisk) read() ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.now), nil
}

func (d *memDisk) open() (journalFile, error) { return &memFile{d, d.life}, nil }

func (d *memDisk) replace(data []byte) (journalFile, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full > 0 {
		d.full--
		return nil, errFull
	}
	d.now, d.synced = slices.Clone(data), slices.Clone(data)
	return &memFile{d, d.life}, nil
}

func (d *memDisk) keep([]byte) error { d.damaged++; return nil }
func (d *memDisk) remove() error     { d.now, d.synced = nil, nil; return nil }

func (f *memFile) WriteAt(b []byte, at int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.life != f.d.life {
		return 0, errDied
	}
	var err error
	if f.d.full > 0 {
		f.d.full--
		b, err = b[:len(b)/2], errFull
	}
	f.d.now = append(f.d.now[:at], b...)
	return len(b), err
}

func (f *memFile) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.life != f.d.life {
		return errDied
	}
	f.d.now = f.d.now[:size]
	return nil
}

func (f *memFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.life != f.d.life {
		return errDied
	}
	if !f.d.noSync {
		f.d.synced = slices.Clone(f.d.now)
	}
	return nil
}

func (f *memFile) Close() error { return nil }

// crash ends the process that has the disk; power ends with it, and keeps
// some part in five of what was not synced.
func (d *memDisk) crash(part int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.life++
	d.locked = false
	kept := slices.Clone(d.synced)
	if extra := len(d.now) - len(d.synced); extra > 0 {
		kept = append(kept, d.now[len(d.synced):len(d.synced)+extra*part/5]...)
	}
	d.now, d.synced = kept, slices.Clone(kept)
}

// writer is a device that sends: one queue on one disk, and process after
// process that has it open.
type writer struct {
	w      *world
	d      *memDisk
	client *Client

	queue  *Queue
	cancel context.CancelFunc
	ended  chan error

	promised map[parley.ConversationID][]parley.MessageID // Enqueue returned
	unsure   map[parley.MessageID]bool                    // Enqueue failed
	n        int
}

func (d *writer) start() (err error) {
	if d.queue, err = openQueue(d.d, nil); err != nil {
		return err
	}
	if other, err := openQueue(d.d, nil); !errors.Is(err, ErrQueueBusy) {
		return fmt.Errorf("two had the queue at once: %v %v", other, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel, d.ended = cancel, make(chan error, 1)
	go func() { d.ended <- d.client.Run(ctx, d.queue, Notes{}) }()
	return nil
}

// die ends the process as a crash would: nothing it still does reaches the
// disk.
func (d *writer) die(part int) error {
	d.d.crash(part)
	d.cancel()
	<-d.ended
	return d.start()
}

// leave ends the process in order.
func (d *writer) leave() error {
	d.cancel()
	<-d.ended
	if err := d.queue.Close(); err != nil {
		return err
	}
	return d.start()
}

func (d *writer) enqueue(conv parley.ConversationID, n int) {
	var posts []parley.Post
	for range n {
		d.n++
		posts = append(posts, parley.Post{Conversation: conv, ID: parley.MessageID(fmt.Sprintf("m%d", d.n)), Sender: "u1", Body: Text("something")})
	}
	_, err := d.queue.Enqueue(posts...)
	for _, p := range posts {
		if err != nil {
			d.unsure[p.ID] = true
		} else {
			d.promised[conv] = append(d.promised[conv], p.ID)
		}
	}
}

// do lets one step happen.
func (d *writer) do(s step) error {
	switch s.What {
	case "enqueue":
		d.enqueue(parley.ConversationID(s.Conv), s.N)
	case "die":
		return d.die(s.N)
	case "leave":
		return d.leave()
	case "full":
		d.d.mu.Lock()
		d.d.full = 1
		d.d.mu.Unlock()
		d.enqueue(parley.ConversationID(s.Conv), s.N)
		d.d.mu.Lock()
		d.d.full = 0
		d.d.mu.Unlock()
	case "arrive":
		d.w.arriveLate()
	case "wait":
		after(time.Duration(s.N) * time.Second)
	case "soon":
		after(time.Duration(s.N) * time.Millisecond)
	default:
		d.w.mu.Lock()
		d.w.faults = append(d.w.faults, slices.Repeat([]string{s.What}, s.N)...)
		d.w.mu.Unlock()
	}
	return nil
}

// writerLife plays script, heals everything, and returns what is wrong with
// what the server has.
func writerLife(w *world, disk *memDisk, client *Client, script []step) error {
	d := &writer{w: w, d: disk, client: client, promised: map[parley.ConversationID][]parley.MessageID{}, unsure: map[parley.MessageID]bool{}}
	if err := d.start(); err != nil {
		return err
	}
	for _, s := range script {
		if err := d.do(s); err != nil {
			return err
		}
		select {
		case err := <-d.ended:
			return fmt.Errorf("sending ended: %w", err)
		default:
		}
	}
	w.mu.Lock()
	w.faults = nil
	w.mu.Unlock()
	after(3 * maxWait)
	synctest.Wait()
	select {
	case err := <-d.ended:
		return fmt.Errorf("sending ended: %w", err)
	default:
	}
	w.arriveLate()
	left := d.queue.Len()
	if err := d.leave(); err != nil {
		return err
	}
	d.cancel()
	<-d.ended
	if left > 0 {
		return fmt.Errorf("%d messages still wait", left)
	}
	return d.check()
}

func (d *writer) check() error {
	if d.w.crowded {
		return errors.New("two tries were under way in one conversation")
	}
	said := map[parley.MessageID]bool{}
	for conv, log := range d.w.logs {
		due := d.promised[parley.ConversationID(conv)]
		for _, e := range log {
			id := parley.MessageID(e.ID)
			switch {
			case said[id]:
				return fmt.Errorf("%s was said twice", id)
			case len(due) > 0 && due[0] == id:
				due = due[1:]
			case !d.unsure[id]:
				return fmt.Errorf("%s was said out of order, or by nobody", id)
			}
			said[id] = true
		}
		if len(due) > 0 {
			return fmt.Errorf("%s was queued and never said", due[0])
		}
	}
	for conv, due := range d.promised {
		if len(due) > 0 && d.w.logs[string(conv)] == nil {
			return fmt.Errorf("%s was queued and never said", due[0])
		}
	}
	return nil
}

var doings = []string{"enqueue", "enqueue", "enqueue", "soon", "wait", "lost", "busy", "limited", "strange", "unanswered", "late", "arrive", "die", "die", "leave", "full"}

// TestModelSending kills: a message lost or said twice by a lost answer, a
// late request, a death of the process or of the machine; two sent out of
// order; two processes on one queue.
func TestModelSending(t *testing.T) {
	script := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			What: rapid.SampledFrom(doings).Draw(t, "what"),
			Conv: rapid.SampledFrom([]string{"c1", "c2", "c3"}).Draw(t, "conv"),
			N:    rapid.IntRange(1, 5).Draw(t, "n"),
		}
	}), 1, 20)
	checkCases(t, func(rt *rapid.T) {
		s := script.Draw(rt, "steps")
		var err error
		synctest.Test(t, func(*testing.T) {
			w := newWorld()
			err = writerLife(w, &memDisk{}, w.client(), s)
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// renamer makes of a client one that gives a message another id on each try.
type renamer struct {
	w *world
	n int
}

func (r *renamer) RoundTrip(req *http.Request) (*http.Response, error) {
	var in wire.NewEntry
	if err := json.NewDecoder(req.Body).Decode(&in); err != nil {
		return nil, err
	}
	r.n++
	if r.n > 1 {
		in.ID = fmt.Sprintf("again%d", r.n)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	return r.w.RoundTrip(req)
}

// TestModelSendingFindsFaults is the control: each seeded fault is found.
func TestModelSendingFindsFaults(t *testing.T) {
	tests := []struct {
		name   string
		seed   func(*world, *memDisk) *Client
		script []step
	}{
		{"ids are made anew on a retry", func(w *world, _ *memDisk) *Client {
			c := w.client()
			c.http = &http.Client{Transport: &renamer{w: w}}
			return c
		}, []step{{"unanswered", "", 1}, {"enqueue", "c1", 1}, {"wait", "", 1}}},
		{"the server does not know ids", func(w *world, _ *memDisk) *Client {
			w.noDedupe = true
			return w.client()
		}, []step{{"unanswered", "", 1}, {"enqueue", "c1", 1}, {"wait", "", 1}}},
		{"the queue is not synced", func(w *world, d *memDisk) *Client {
			d.noSync = true
			return w.client()
		}, []step{{"busy", "", 5}, {"enqueue", "c1", 1}, {"die", "", 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, honest := range []bool{true, false} {
				var err error
				synctest.Test(t, func(*testing.T) {
					w, d := newWorld(), &memDisk{}
					c := w.client()
					if !honest {
						c = tt.seed(w, d)
					}
					err = writerLife(w, d, c, tt.script)
				})
				if (err == nil) != honest {
					t.Errorf("honest %v: %v", honest, err)
				}
			}
		})
	}
}
