package edge_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/edge"
	"github.com/parley-im/parley/wire"
)

// goodToken signs alice in where the rest of the server is fake.
const goodToken = "t-alice"

// The rest of the server, as far as a test needs it. What a test does not set
// panics when it is called.
type (
	// Embedded under their own names, these would hide a method called alike.
	anySignIn       = edge.SignIn
	anyBots         = edge.Bots
	anyGroupInvites = edge.GroupInvites
	anyInvites      = edge.Invites
	anyContacts     = edge.Contacts

	fakeSignIn struct {
		anySignIn
		revoked atomic.Bool
	}
	fakeConversations struct {
		edge.Conversations
		post func(parley.Post, func(parley.Ack, error))
	}
	fakeNews struct {
		edge.News
		wait func(context.Context) error
	}
	fakeDescriber struct{}
	openly        struct{} // nobody hides
	fakeSessions  struct {
		refuse error // what Connect answers, if anything
		began  chan *fakeSession
	}
)

func (f *fakeSignIn) Authenticate(_ context.Context, token string) (account.Identity, error) {
	if token != goodToken || f.revoked.Load() {
		return account.Identity{}, parley.E(parley.Unauthorized, "fake", "sign in")
	}
	return account.Identity{User: "ualice", Device: "dlaptop"}, nil
}

func (f *fakeConversations) Post(p parley.Post, done func(parley.Ack, error)) { f.post(p, done) }

func (f *fakeNews) Sync(_ context.Context, _ parley.UserID, cursor *parley.Cursor, _ int) (edge.SyncPage, error) {
	if cursor == nil {
		cursor = &parley.Cursor{Epoch: "e", Pos: 7}
	}
	return edge.SyncPage{Cursor: *cursor}, nil
}

func (f *fakeNews) Wait(ctx context.Context, _ parley.UserID, _ parley.Cursor) error {
	return f.wait(ctx)
}

func (fakeDescriber) Describe(_ context.Context, _ parley.UserID, rows []parley.Row) ([]wire.Row, error) {
	return make([]wire.Row, len(rows)), nil
}

func (openly) Discreet(_ context.Context, _ parley.UserID, _ parley.ConversationKind, all []parley.Receipt) []parley.Receipt {
	return all
}

// Connect implements edge.Sessions.
func (f *fakeSessions) Connect(_ context.Context, _ account.Identity, _ wire.ClientFrame, conn edge.Conn) (edge.Session, error) {
	if f.refuse != nil {
		return nil, f.refuse
	}
	s := &fakeSession{conn: conn, closed: make(chan struct{})}
	select {
	case f.began <- s:
	default: // nobody asks for it
	}
	return s, nil
}

// fakeSession acknowledges everything, with the op for an id where there is
// none.
type fakeSession struct {
	conn   edge.Conn
	gate   chan struct{} // Receive waits until it is closed; nil: it does not
	closed chan struct{}
}

func (s *fakeSession) Receive(f wire.ClientFrame) {
	if s.gate != nil {
		<-s.gate
	}
	id := f.ID
	if id == "" {
		id = f.T
	}
	_ = s.conn.WriteFrames([][]byte{wire.AppendAck(nil, f.Ref, parley.Ack{ID: parley.MessageID(id), Seq: 1})})
}

func (s *fakeSession) Refuse(ref wire.Ref, err error) {
	_ = s.conn.WriteFrames([][]byte{wire.AppendError(nil, ref, err)})
}

// Closed panics when it comes twice.
func (s *fakeSession) Closed() { close(s.closed) }

// fake is an edge in front of a server that is not there.
type fake struct {
	*edge.Edge
	signIn        fakeSignIn
	conversations fakeConversations
	news          fakeNews
	sessions      fakeSessions
	addr          string
	dial          func() net.Conn
}

// startFake serves a fake over TCP on the loopback, or over pipes, which work
// inside a synctest bubble. It ends with the test.
func startFake(t *testing.T, pipes bool, change ...func(*fake, *edge.Config)) *fake {
	t.Helper()
	f := &fake{sessions: fakeSessions{began: make(chan *fakeSession, 16)}}
	f.news.wait = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	cfg := edge.Config{
		SignIn: &f.signIn, People: struct{ edge.People }{}, Invites: struct{ anyInvites }{},
		Conversations: &f.conversations, History: struct{ edge.History }{}, Inboxes: struct{ edge.Inboxes }{},
		Search: struct{ edge.Search }{}, Contacts: struct{ anyContacts }{}, Pictures: struct{ edge.Pictures }{},
		Bots: struct{ anyBots }{}, Webhooks: struct{ edge.Webhooks }{}, GroupInvites: struct{ anyGroupInvites }{}, Discretion: openly{}, News: &f.news, Describer: fakeDescriber{}, Sessions: &f.sessions, NoPolling: pipes,
		App: fstest.MapFS{"index.html": {Data: []byte("<!doctype html>")}},
	}
	for _, c := range change {
		c(f, &cfg)
	}
	e, err := edge.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.Edge = e
	var l net.Listener
	if pipes {
		p := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
		l, f.addr, f.dial = p, "pipe", p.dial
	} else {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		f.addr = l.Addr().String()
		f.dial = func() net.Conn {
			nc, err := net.Dial("tcp", f.addr)
			if err != nil {
				t.Fatal(err)
			}
			return nc
		}
	}
	served := make(chan error, 1)
	go func() { served <- e.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		e.Shutdown(ctx)
		e.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n := e.Connections(); n != 0 {
			t.Errorf("%d connections are left after Close", n)
		}
	})
	return f
}

// pipeListener is a listener on net.Pipe.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) dial() net.Conn {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
	case <-l.done:
		_ = ours.Close()
	}
	return ours
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
