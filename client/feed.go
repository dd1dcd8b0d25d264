package client

import (
	"context"
	"errors"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

const (
	dialWithin    = 10 * time.Second // to the end of the upgrade
	welcomeWithin = 10 * time.Second // from the hello to the welcome
	// settledAfter is how long a connection must have lived for the next one
	// to be tried at once.
	settledAfter = 10 * time.Second
	// frameQueue bounds the frames read ahead of the application. When it is
	// full nothing is read: the server then stops telling, and if the
	// application takes longer than the server's patience with silence, the
	// connection is lost, and nothing but the connection.
	frameQueue = 64
)

// feed is one Subscribe: it turns frames, in whatever way they come, into news
// without a gap or a repeat.
//
// The rule: a conversation is told from the number held, one after the other.
// A frame that begins at the next number is told; of one that begins before,
// the rest; one that begins later, or a row whose head is beyond what is held,
// is a hint that there is something to read, and it is read before anything
// after it is told. The cursor moves with a row only when everything up to the
// row's head was told.
//
// Everything in it belongs to the goroutine of the iteration.
type feed struct {
	client *Client
	sub    Subscription
	yield  func(News, error) bool

	at string // where a goaway sent this client; empty: home

	held  map[parley.ConversationID]parley.Seq // what the store holds, as far as it was asked on this connection
	fresh bool                                 // the store was empty, and what there is was not told yet
}

// Reasons for a connection to end that are not the server's failure.
var errStopped = errors.New("client: the application has stopped iterating")

// away is a goaway: come back after that time, to url if there is one.
type away struct {
	after time.Duration
	url   string
}

func (away) Error() string { return "the server asked to come back" }

// storeError is a failure of the store, which no reconnecting mends.
type storeError struct{ err error }

func (e storeError) Error() string { return e.err.Error() }

func storeFault(err error) error {
	var coded *parley.Error
	if errors.As(err, &coded) && coded.Code.Retry() != parley.GiveUp {
		return err
	}
	return storeError{err}
}

// run connects, again and again. It returns nil when the application stopped.
func (f *feed) run(ctx context.Context) error {
	b := backoff{jitter: f.client.jitter}
	for {
		begun := time.Now()
		err := f.session(ctx)
		if time.Since(begun) >= settledAfter {
			b.tries = 0
		}
		var broken storeError
		var leave away
		var wait time.Duration
		switch {
		case errors.Is(err, errStopped):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &broken):
			return broken.err
		case errors.As(err, &leave):
			f.at = leave.url
			wait = b.next(&parley.Error{Code: parley.Draining, After: leave.after})
		case parley.CodeOf(err).Retry() == parley.GiveUp:
			return err
		default:
			wait = b.next(err)
		}
		if f.sub.Lost != nil {
			f.sub.Lost(err)
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// session is one connection, from the dial to its end. It always returns why
// it ended.
func (f *feed) session(ctx context.Context) error {
	cursor, err := f.sub.Store.Cursor(ctx)
	if err != nil {
		return storeFault(err)
	}
	f.held, f.fresh = map[parley.ConversationID]parley.Seq{}, cursor == ""
	dialCtx, cancel := context.WithTimeout(ctx, dialWithin)
	s, err := f.connect(dialCtx)
	cancel()
	if err != nil {
		return err
	}
	ctx, cancel = context.WithCancel(ctx)
	r := reader{frames: make(chan wire.ServerFrame, frameQueue), done: make(chan struct{})}
	defer func() {
		cancel()
		s.close()
		<-r.done
	}()
	go r.run(ctx, s)
	hello, err := wire.Encode(wire.ClientFrame{T: wire.OpHello, Token: f.client.cred.Token, Cursor: cursor, Client: f.client.name, Follow: true})
	if err != nil {
		return &parley.Error{Code: parley.BadRequest, Op: "client.hello", Detail: "the token cannot be said; sign in again", Err: err}
	}
	if err := s.write(ctx, hello); err != nil {
		return err
	}
	return f.listen(ctx, s, &r)
}

// connect goes where the last goaway said, or else home: a node that cannot be
// reached from here is not worth a second try.
func (f *feed) connect(ctx context.Context) (socket, error) {
	if at := f.at; at != "" {
		f.at = ""
		if s, err := f.client.dial(ctx, at); err == nil {
			return s, nil
		}
	}
	return f.client.dial(ctx, f.client.cred.URL)
}

// listen takes frames until the connection ends, and says what the voice has to
// say once it stands.
func (f *feed) listen(ctx context.Context, s socket, r *reader) error {
	welcome := time.NewTimer(welcomeWithin)
	defer welcome.Stop()
	var words <-chan struct{} // before the welcome nothing is said
	for {
		select {
		case frame := <-r.frames:
			welcome.Stop()
			if frame.T == wire.FrameWelcome {
				words = f.sub.Voice.stands()
			}
			if err := f.take(ctx, &frame); err != nil {
				return err
			}
		case <-words:
			for _, frame := range f.sub.Voice.take() {
				if err := s.write(ctx, frame); err != nil {
					return err
				}
			}
		case <-r.done:
			return f.rest(ctx, r)
		case <-welcome.C:
			return parley.E(parley.Overloaded, "client.hello", "the server did not answer the hello")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// rest takes the frames that came before the connection ended: they are good,
// and one of them may say why it ended.
func (f *feed) rest(ctx context.Context, r *reader) error {
	for {
		select {
		case frame := <-r.frames:
			if err := f.take(ctx, &frame); err != nil {
				return err
			}
		default:
			return r.err
		}
	}
}

// reader reads a socket ahead of the feed, so that pings are answered while
// the application is busy.
type reader struct {
	frames chan wire.ServerFrame
	done   chan struct{} // closed when run has ended
	err    error         // why, once done is closed
}

func (r *reader) run(ctx context.Context, s socket) {
	defer close(r.done)
	for {
		data, err := s.read(ctx)
		if err != nil {
			r.err = err
			return
		}
		frame, err := wire.DecodeServer(data)
		if err != nil {
			// Not for ever: something between us may have mangled it.
			r.err = &parley.Error{Code: parley.Internal, Op: "client.read", Detail: "the server sent what this program cannot read", Err: err}
			return
		}
		select {
		case r.frames <- frame:
		case <-ctx.Done():
			r.err = ctx.Err()
			return
		}
	}
}
