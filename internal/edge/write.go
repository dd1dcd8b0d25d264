package edge

import (
	"bytes"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/parley-im/parley/wire"
)

// buffers holds what frames are put together in.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// writeAtOnce bounds one write, so that the buffers kept stay small.
const writeAtOnce = 64 << 10

func putBuffer(b *bytes.Buffer) {
	if b.Cap() > 2*writeAtOnce {
		return
	}
	b.Reset()
	buffers.Put(b)
}

// appendFrame puts one server frame into b. Servers do not mask.
func appendFrame(b *bytes.Buffer, op ws.OpCode, payload []byte) {
	// A bytes.Buffer does not fail, and no header of ours is malformed.
	_ = ws.WriteHeader(b, ws.Header{Fin: true, OpCode: op, Length: int64(len(payload))})
	b.Write(payload)
}

// WriteFrames implements Conn.
func (c *conn) WriteFrames(frames [][]byte) error { return c.write(ws.OpText, frames) }

// write writes frames of one opcode, after those of earlier calls.
func (c *conn) write(op ws.OpCode, frames [][]byte) error {
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	if c.phaseNow() >= closing {
		return errGone
	}
	b := buffers.Get().(*bytes.Buffer)
	defer putBuffer(b)
	_ = c.nc.SetWriteDeadline(time.Now().Add(writeWithin))
	for _, f := range frames {
		appendFrame(b, op, f)
		if b.Len() >= writeAtOnce {
			if err := c.flush(b); err != nil {
				return err
			}
		}
	}
	if b.Len() > 0 {
		return c.flush(b)
	}
	return nil
}

// flush writes b and empties it. After a failed write the stream is cut in
// the middle of a frame: the connection ends without ceremony.
func (c *conn) flush(b *bytes.Buffer) error {
	_, err := c.nc.Write(b.Bytes())
	b.Reset()
	if err != nil {
		c.hub.metrics.cut.Inc()
		// Not here: the caller may hold what Closed needs.
		c.spawn(c.end)
		return errGone
	}
	return nil
}

// ping asks the client for a sign of life, unless something is being written:
// that has its own deadline.
func (c *conn) ping() {
	select {
	case c.writing <- struct{}{}:
	default:
		return
	}
	defer func() { <-c.writing }()
	if c.phaseNow() >= closing {
		return
	}
	_ = c.nc.SetWriteDeadline(time.Now().Add(writeWithin))
	b := buffers.Get().(*bytes.Buffer)
	defer putBuffer(b)
	appendFrame(b, ws.OpPing, nil)
	_ = c.flush(b)
}

// Close implements Conn.
func (c *conn) Close(code int, reason string) { c.closeAfter(nil, ws.StatusCode(code), reason) }

// refuse sends an error frame and closes. Only the reader calls it: the
// frames are written before the reader can see the end of the stream.
func (c *conn) refuse(ref wire.Ref, err error, code ws.StatusCode, reason string) {
	if c.beginClosing(closing) {
		c.writeClose(wire.AppendError(nil, ref, err), code, reason)
	}
}

// closeAfter begins the closing handshake with one last text frame, if any,
// and does not wait.
func (c *conn) closeAfter(last []byte, code ws.StatusCode, reason string) {
	if !c.beginClosing(closing) {
		return
	}
	c.spawn(func() { c.writeClose(last, code, reason) })
}

// finish writes a close frame and then only waits for the end of the stream:
// either the client closed, or what it sends cannot be trusted any more. Only
// the reader calls it.
func (c *conn) finish(code ws.StatusCode, reason string) {
	first := c.beginClosing(finishing)
	c.detach()
	if first {
		c.writeClose(nil, code, reason)
	}
	// If not, our close frame is on its way already, and this waits for it.
	c.afterWrites(c.shut)
}

// beginClosing moves on to p and reports whether nobody had begun to close
// before. From then on the wheel ends the connection after closeWithin.
func (c *conn) beginClosing(p phase) bool {
	c.mu.Lock()
	first := c.phase < closing
	if c.phase < p {
		c.phase = p
	}
	if first {
		c.closeBy = c.hub.clock() + int64(closeWithin)
	}
	c.mu.Unlock()
	if first {
		// A writer that is stuck makes way within the time left.
		_ = c.nc.SetWriteDeadline(time.Now().Add(closeWithin / 2))
		c.hub.wheel.schedule(c, closeWithin)
	}
	return first
}

// writeClose writes the close frame, after whatever is being written.
func (c *conn) writeClose(last []byte, code ws.StatusCode, reason string) {
	c.afterWrites(func() {
		_ = c.nc.SetWriteDeadline(time.Now().Add(closeWithin / 2))
		b := buffers.Get().(*bytes.Buffer)
		defer putBuffer(b)
		if last != nil {
			appendFrame(b, ws.OpText, last)
		}
		var body []byte
		if code != 0 {
			body = ws.NewCloseFrameBody(code, reason)
		}
		appendFrame(b, ws.OpClose, body)
		_ = c.flush(b)
	})
}

func (c *conn) afterWrites(f func()) {
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	f()
}

// shut says that nothing more comes. The read side stays open until the
// client has read the close frame and leaves: closing with unread bytes would
// reset the connection and take the close frame along.
func (c *conn) shut() {
	if cw, ok := c.nc.(interface{ CloseWrite() error }); ok {
		if cw.CloseWrite() == nil {
			return
		}
	}
	c.end()
}

// detach tells the session, once, that the connection is gone.
func (c *conn) detach() {
	c.mu.Lock()
	s, told := c.session, c.detached
	c.detached = true
	c.leaveQueue()
	c.mu.Unlock()
	if s != nil && !told {
		s.Closed()
	}
}

// end ends the connection at once. It may be called any number of times.
func (c *conn) end() {
	c.mu.Lock()
	if c.phase == ended {
		c.mu.Unlock()
		return
	}
	c.phase = ended
	c.mu.Unlock()
	c.hub.forget(c)
	_ = c.nc.Close()
	c.detach()
}

var _ Conn = (*conn)(nil)
