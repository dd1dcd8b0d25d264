package session_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/convo"
	"github.com/parley-im/parley/internal/fanout"
	"github.com/parley-im/parley/internal/fold"
	"github.com/parley-im/parley/internal/inbox"
	"github.com/parley-im/parley/internal/session"
	"github.com/parley-im/parley/internal/store/memstore"
	"github.com/parley-im/parley/wire"
)

// node is everything between a socket and the disk, on a store in memory.
type node struct {
	t        *testing.T
	store    *memstore.Store
	inbox    *inbox.Keeper
	fanout   *fanout.Fanout
	owner    *convo.Owner
	receipts *fanout.Receipts
	hub      *session.Hub
}

// deaf is a switchboard that forgets to nudge: what the delivery tests must
// notice.
type deaf struct{ session.Fanout }

func (deaf) Watch(parley.UserID, fanout.Watcher) func() { return func() {} }

// plain describes rows by their numbers.
type plain struct{}

func (plain) Describe(_ context.Context, _ parley.UserID, rows []parley.Row) ([]wire.Row, error) {
	out := make([]wire.Row, len(rows))
	for i := range rows {
		r := &rows[i]
		out[i] = wire.Row{ID: string(r.Conversation), Kind: string(r.Kind), Head: uint64(r.Head), Unread: r.Unread(), Pos: uint64(r.Pos)}
	}
	return out, nil
}

type unlimited struct{}

func (unlimited) Wait(parley.UserID) time.Duration { return 0 }

func newNode(t *testing.T, change ...func(*session.Config)) *node {
	t.Helper()
	n := &node{t: t, store: memstore.New()}
	quiet := slog.New(slog.DiscardHandler)
	n.inbox = inbox.New(inbox.Config{
		Store: n.store, Log: n.store, Logger: quiet,
		Changed: func(u parley.UserID) { n.fanout.Changed(u) }, Marked: func(r parley.Receipt) { n.receipts.Note(r) },
	})
	n.fanout = fanout.New(fanout.Config{Inboxes: n.inbox, Log: n.store, Logger: quiet})
	n.owner = convo.New(convo.Config{Log: n.store, Acts: n.store, Publisher: n.fanout, Now: time.Now, Rand: rand.Reader, Logger: quiet})
	n.receipts = fanout.NewReceipts(fanout.ReceiptsConfig{Fanout: n.fanout, Conversations: n.owner, MaxMembers: wire.MaxReceipts, Logger: quiet})
	cfg := session.Config{
		Conversations: n.owner, Inboxes: n.inbox, Fanout: n.fanout, History: session.History{Conversations: n.owner, Fanout: n.fanout, Folder: fold.Folder{Acts: n.store, Log: n.store}}, Describer: plain{}, Limiter: unlimited{},
		Logger: quiet, Epoch: n.store.Epoch(), Server: "test/0", Limits: wire.DefaultLimits(),
	}
	for _, c := range change {
		c(&cfg)
	}
	n.hub = session.New(cfg)
	t.Cleanup(func() {
		n.owner.Close(context.Background())
		n.hub.Close()
		n.receipts.Close()
		_ = n.inbox.Close(context.Background())
		_ = n.store.Close()
	})
	return n
}

// rest lets d of the bubble's time pass, and everything come to rest.
func rest(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (n *node) group(members ...parley.UserID) parley.ConversationID {
	n.t.Helper()
	c, _, err := n.owner.Create(n.t.Context(), members[0], parley.Group, "", members[1:])
	if err != nil {
		n.t.Fatal(err)
	}
	return c.ID
}

func (n *node) post(c parley.ConversationID, sender parley.UserID, id string) parley.Ack {
	n.t.Helper()
	ch := make(chan parley.Ack, 1)
	n.owner.Post(parley.Post{Conversation: c, Sender: sender, ID: parley.MessageID(id), Body: parley.Body{Type: parley.TextPlain, Data: []byte(id)}}, func(a parley.Ack, err error) {
		if err != nil {
			n.t.Error(err)
		}
		ch <- a
	})
	return <-ch
}

// device is a client that keeps what it is told, as the protocol asks: it
// moves its cursor only with what a changes frame says.
type device struct {
	t    *testing.T
	user parley.UserID

	follow bool // goes where it is sent

	mu      sync.Mutex
	frames  []wire.ServerFrame
	seen    map[string][]uint64 // numbers by conversation, in the order told
	rows    map[string]wire.Row
	cursor  string
	closed  int           // close code
	stalled chan struct{} // non-nil: writes wait for it

	link    *link
	session *session.Session
}

// link is one connection of a device; what is written after it broke is lost.
type link struct {
	*device
	broken bool
}

func newDevice(t *testing.T, user parley.UserID) *device {
	return &device{t: t, user: user, seen: map[string][]uint64{}, rows: map[string]wire.Row{}}
}

func (d *device) connect(n *node) *device {
	d.t.Helper()
	d.link = &link{device: d}
	d.mu.Lock()
	cursor := d.cursor
	d.mu.Unlock()
	s, err := n.hub.Connect(wire.User{ID: string(d.user)}, wire.Device{ID: "dev-" + string(d.user)}, wire.ClientFrame{T: wire.OpHello, Cursor: cursor, Follow: d.follow}, d.link)
	if err != nil {
		d.t.Fatal(err)
	}
	d.session = s
	return d
}

// WriteFrames implements session.Conn.
func (d *link) WriteFrames(frames [][]byte) error {
	d.mu.Lock()
	stalled := d.stalled
	d.mu.Unlock()
	if stalled != nil {
		<-stalled
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken {
		return errors.New("broken pipe")
	}
	for _, raw := range frames {
		if len(raw) > wire.MaxFrame {
			d.t.Errorf("a frame of %d bytes", len(raw))
		}
		f, err := wire.DecodeServer(raw)
		if err != nil {
			d.t.Errorf("the server said %s: %v", raw, err)
			continue
		}
		d.frames = append(d.frames, f)
		for _, e := range f.Entries {
			if f.Ref == "" {
				d.seen[e.Conversation] = append(d.seen[e.Conversation], e.Seq)
			}
		}
		for _, r := range f.Rows {
			d.rows[r.ID] = r
		}
		if f.T == wire.FrameResync {
			d.cursor, d.seen, d.rows = "", map[string][]uint64{}, map[string]wire.Row{}
		}
		if f.Cursor != "" {
			d.cursor = f.Cursor
		}
	}
	return nil
}

// Close implements session.Conn.
func (d *link) Close(code int, _ string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = code
}

// told fails unless the device has 1..head of c, each once and in order.
func (d *device) told(c parley.ConversationID, head int) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := d.seen[string(c)]
	for i, seq := range seen {
		if seq != uint64(i+1) {
			d.t.Errorf("%s was told %v", d.user, seen)
			return
		}
	}
	if len(seen) != head {
		d.t.Errorf("%s was told %d entries, want %d", d.user, len(seen), head)
	}
}

// ask reads what a row says there is and nothing told, as a device must that
// was away for too many changes.
func (d *device) ask(c parley.ConversationID) {
	after := uint64(len(d.seen[string(c)]))
	if after >= d.rows[string(c)].Head {
		return
	}
	d.session.Receive(wire.ClientFrame{T: wire.OpRead, Ref: "1", Conversation: string(c), After: &after, Limit: wire.MaxLimit})
	rest(time.Second)
	if f, ok := d.last(wire.FrameEntries); ok && f.Ref == "1" {
		for _, e := range f.Entries {
			d.seen[string(c)] = append(d.seen[string(c)], e.Seq)
		}
	}
}

func (d *device) last(kind string) (wire.ServerFrame, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := len(d.frames) - 1; i >= 0; i-- {
		if d.frames[i].T == kind {
			return d.frames[i], true
		}
	}
	return wire.ServerFrame{}, false
}
