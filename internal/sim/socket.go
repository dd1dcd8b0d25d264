package sim

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gobwas/ws"
	"github.com/parley-im/parley/wire"
)

// socket is one WebSocket connection of a device. One goroutine reads; the
// owner alone writes.
type socket struct {
	conn   net.Conn
	r      io.Reader
	frames chan socketFrame
	done   chan struct{} // closed when the reader has ended
	quit   chan struct{} // closed by the owner
}

// socketFrame is a frame of the protocol, or a ping to answer.
type socketFrame struct {
	frame *wire.ServerFrame
	ping  []byte
}

// closedError is how the server ended a connection.
type closedError struct{ code int }

func (e *closedError) Error() string { return fmt.Sprintf("sim: closed with %d", e.code) }

const writeTimeout = 10 * time.Second

func dialSocket(ctx context.Context, dial Dialer) (*socket, error) {
	d := ws.Dialer{
		Protocols: []string{wire.Protocol},
		NetDial:   func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}
	conn, br, hs, err := d.Dial(ctx, "ws://parley.test/v1/connect")
	if err != nil {
		return nil, fmt.Errorf("sim: dial: %w", err)
	}
	if hs.Protocol != wire.Protocol {
		_ = conn.Close()
		return nil, fmt.Errorf("sim: the server chose the protocol %q", hs.Protocol)
	}
	s := &socket{conn: conn, frames: make(chan socketFrame), done: make(chan struct{}), quit: make(chan struct{})}
	if br != nil {
		s.r = br
	} else {
		s.r = bufio.NewReader(conn)
	}
	go s.read()
	return s, nil
}

// close ends the connection and waits for the reader.
func (s *socket) close() {
	close(s.quit)
	_ = s.conn.Close()
	<-s.done
}

// read hands frames to the owner until the connection ends.
func (s *socket) read() {
	defer close(s.done)
	for {
		f, err := s.next()
		if err != nil {
			return
		}
		select {
		case s.frames <- f:
		case <-s.quit:
			return
		}
	}
}

func (s *socket) next() (socketFrame, error) {
	var message []byte
	for {
		h, err := ws.ReadHeader(s.r)
		if err != nil {
			return socketFrame{}, err
		}
		if h.Length > 1<<20 {
			return socketFrame{}, errors.New("sim: a frame beyond every limit")
		}
		b := make([]byte, h.Length)
		if _, err := io.ReadFull(s.r, b); err != nil {
			return socketFrame{}, err
		}
		switch h.OpCode {
		case ws.OpPing:
			return socketFrame{ping: b}, nil
		case ws.OpPong:
			continue
		case ws.OpClose:
			code := 0
			if len(b) >= 2 {
				code = int(binary.BigEndian.Uint16(b))
			}
			return socketFrame{}, &closedError{code}
		}
		message = append(message, b...)
		if !h.Fin {
			continue
		}
		f := new(wire.ServerFrame)
		if err := json.Unmarshal(message, f); err != nil {
			return socketFrame{}, fmt.Errorf("sim: frame: %w", err)
		}
		return socketFrame{frame: f}, nil
	}
}

// send writes one frame of the protocol.
func (s *socket) send(f *wire.ClientFrame) error {
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("sim: encode: %w", err)
	}
	return s.write(ws.NewTextFrame(b))
}

func (s *socket) pong(b []byte) error { return s.write(ws.NewPongFrame(b)) }

func (s *socket) write(f ws.Frame) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	b, err := ws.CompileFrame(ws.MaskFrame(f))
	if err != nil {
		return err
	}
	_, err = s.conn.Write(b)
	return err
}
