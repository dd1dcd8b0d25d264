package load

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"crypto/sha1"

	"github.com/gobwas/ws"

	"github.com/parley-im/parley/wire"
)

// connectPatience bounds each socket call of a handshake, portsPerSource the
// connections from one address: a system has some 28,000 ports for each.
const (
	connectPatience = 20 * time.Second
	portsPerSource  = 20_000
	dialers         = 8
	maxHandshake    = 16 // reads; what came fits into a loop's buffer
)

var errNotUpgraded = errors.New("the server does not speak WebSocket at /v1/connect")

// dial connects, shakes hands and says hello. What came after the welcome is
// in the connection's in.
func dial(o *Options, p place, source netip.Addr, token string) (*conn, error) {
	fd, err := dialSocket(p.addr, source, connectPatience)
	if err != nil {
		return nil, err
	}
	c := &conn{fd: fd}
	if err := c.shake(o, p, token); err != nil {
		closeSocket(fd)
		return nil, err
	}
	return c, nil
}

func (c *conn) shake(o *Options, p place, token string) error {
	var nonce [16]byte
	if _, err := io.ReadFull(o.Rand, nonce[:]); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	key := base64.StdEncoding.EncodeToString(nonce[:])
	if err := c.say([]byte("GET /v1/connect HTTP/1.1\r\nHost: " + p.host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: " + wire.Protocol + "\r\nSec-WebSocket-Key: " + key + "\r\n\r\n")); err != nil {
		return err
	}
	head := -1
	for range maxHandshake {
		if head = bytes.Index(c.in, []byte("\r\n\r\n")); head >= 0 {
			break
		}
		if err := c.more(); err != nil {
			return err
		}
	}
	if head < 0 {
		return errNotUpgraded
	}
	status, _, _ := bytes.Cut(c.in[:head], []byte("\r\n"))
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 101")) {
		return fmt.Errorf("%w: it answers %q", errNotUpgraded, status)
	}
	if !bytes.Contains(c.in[:head], []byte(acceptOf(key))) {
		return fmt.Errorf("%w: its Sec-WebSocket-Accept is wrong", errNotUpgraded)
	}
	c.in = c.in[head+4:]
	hello := appendFrame(nil, ws.OpText, []byte(`{"t":"hello","token":`+strconv.Quote(token)+`,"cursor":null,"client":"bench/1"}`), 0x5eed1e55)
	if err := c.say(hello); err != nil {
		return err
	}
	return c.welcomed()
}

// welcomed reads up to the welcome.
func (c *conn) welcomed() error {
	var h heard
	for range maxHandshake {
		op, payload, size, err := parseFrame(c.in)
		if err != nil {
			return err
		}
		if size == 0 {
			if err := c.more(); err != nil {
				return err
			}
			continue
		}
		c.in = c.in[size:]
		if op == ws.OpClose {
			return closeOf(payload)
		}
		if op != ws.OpText {
			continue
		}
		if err := h.read(payload); err != nil {
			return err
		}
		switch string(h.t) {
		case wire.FrameWelcome:
			c.server = string(h.server)
			return nil
		case wire.FrameError:
			return refusal(string(h.code), string(h.message))
		}
	}
	return errors.New("the server does not welcome")
}

func (c *conn) say(b []byte) error {
	for len(b) > 0 {
		n, err := writeSocket(c.fd, b)
		if err != nil {
			return fmt.Errorf("handshake: %w", err)
		}
		b = b[n:]
	}
	return nil
}

func (c *conn) more() error {
	var buf [4096]byte
	n, err := readSocket(c.fd, buf[:])
	if err != nil {
		return fmt.Errorf("handshake: no answer: %w", err)
	}
	if n == 0 {
		return errors.New("handshake: the server hung up")
	}
	c.in = append(c.in, buf[:n]...)
	return nil
}

func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// sourceOf spreads connections over loopback addresses, so that the ports suffice.
func sourceOf(p place, i int) netip.Addr {
	if !p.addr.Addr().Is4() || i < portsPerSource {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + i/portsPerSource%250)})
}

// connectAll dials one connection per seat and hands it to l. Between chunks
// it lets l work, so that the connections there are stay alive.
func connectAll(ctx context.Context, l *loop, p place, seats []*seat, o *Options) error {
	if limit := fileLimit(); len(seats)+64 > limit {
		return fmt.Errorf("%d connections need more than the %d files this process may open: ulimit -n", len(seats), limit)
	}
	const chunk = 500
	for from := 0; from < len(seats); from += chunk {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := seats[from:min(from+chunk, len(seats))]
		conns := make([]*conn, len(part))
		err := each(ctx, len(part), dialers, func(i int) (err error) {
			conns[i], err = dial(o, p.at(from+i), sourceOf(p, from+i), part[i].account.Token)
			return err
		})
		for i, c := range conns {
			if c == nil {
				continue
			}
			c.seat, part[i].conn = part[i], c
			err = errors.Join(err, l.add(c))
		}
		if err != nil {
			return err
		}
		if err := l.step(0); err != nil {
			return err
		}
		if done := from + len(part); done%2000 == 0 {
			o.say("%d of %d connected", done, len(seats))
		}
	}
	return nil
}

// each runs f(0) to f(n-1), at most width at once, and returns the first error,
// after which no further f begins.
func each(ctx context.Context, n, width int, f func(i int) error) error {
	var (
		mu    sync.Mutex
		next  int
		first error
		group sync.WaitGroup
	)
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		if first == nil {
			first = ctx.Err()
		}
		if first != nil || next == n {
			return 0, false
		}
		next++
		return next - 1, true
	}
	for range min(width, n) {
		group.Go(func() {
			for i, ok := take(); ok; i, ok = take() {
				if err := f(i); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	return first
}
