package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// silence is how long a connection may say nothing, pings included, before it
// counts as dead. The server pings at least every 30 s.
const silence = 45 * time.Second

// socket is one connection to the server, after the upgrade.
type socket interface {
	// read returns the next frame; after an error there is no other. It is
	// called by one goroutine at a time.
	read(ctx context.Context) ([]byte, error)
	write(ctx context.Context, frame []byte) error
	// close says goodbye and has read return. It may be called at any time.
	close()
}

// dialWebSocket connects to the server at url.
func (c *Client) dialWebSocket(ctx context.Context, url string) (socket, error) {
	const op = "client.connect"
	alive, cancel := context.WithCancelCause(context.Background())
	s := &webSocket{alive: alive, cancel: cancel}
	ws, resp, err := websocket.Dial(ctx, url+"/v1/connect", &websocket.DialOptions{
		HTTPClient:     c.http,
		HTTPHeader:     http.Header{"User-Agent": {c.name}},
		Subprotocols:   []string{wire.Protocol},
		OnPingReceived: func(context.Context, []byte) bool { s.heard(); return true },
	})
	if err != nil {
		cancel(nil)
		if resp == nil {
			return nil, c.unreachable(op, err)
		}
		data, _ := io.ReadAll(resp.Body) // at most 1 KiB, in memory already
		return nil, problem(op, resp, data)
	}
	ws.SetReadLimit(wire.MaxFrame)
	s.ws = ws
	s.dead = time.AfterFunc(silence, func() { cancel(errSilence) })
	return s, nil
}

var errSilence = errors.New("nothing was heard for 45 s")

// webSocket is a socket over the network.
type webSocket struct {
	ws     *websocket.Conn
	alive  context.Context // ends with close, or after silence
	cancel context.CancelCauseFunc
	dead   *time.Timer
}

// heard puts off the end.
func (s *webSocket) heard() { s.dead.Reset(silence) }

func (s *webSocket) read(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.alive, cancel)()
	kind, frame, err := s.ws.Read(ctx)
	if err != nil {
		return nil, closeError(err)
	}
	if kind != websocket.MessageText {
		return nil, parley.E(parley.Internal, "client.read", "the server sent bytes where text was due")
	}
	s.heard()
	return frame, nil
}

func (s *webSocket) write(ctx context.Context, frame []byte) error {
	if err := s.ws.Write(ctx, websocket.MessageText, frame); err != nil {
		return closeError(err)
	}
	return nil
}

func (s *webSocket) close() {
	s.dead.Stop()
	s.cancel(nil)
	_ = s.ws.CloseNow() // the server finds out; nothing of ours is on the way
}

// closeError says what the end of a connection means for the next one.
func closeError(err error) error {
	const op = "client.connection"
	code, detail := parley.Overloaded, "the connection was lost"
	switch websocket.CloseStatus(err) {
	case wire.CloseSignedOut:
		code, detail = parley.Unauthorized, "this device was signed out; sign in again"
	case wire.CloseProtocolOld:
		code, detail = parley.Unsupported, "this program is too old for the server; get a newer one"
	case wire.ClosePolicy, wire.CloseBadUTF8, wire.CloseTooBig:
		code, detail = parley.BadRequest, "the server refused what this program said; get a newer one"
	case wire.CloseRetryNow:
		code, detail = parley.Draining, "the server restarts"
	case wire.CloseRetryLater:
		detail = "the server is too busy"
	}
	return &parley.Error{Code: code, Op: op, Detail: detail, Err: err}
}
