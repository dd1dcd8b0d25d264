package sim

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Network joins devices to a server in memory: links with latency and a
// bounded buffer, which can be cut (what was under way is lost) or fall silent
// (bytes are taken and never arrive, as behind a dead router). No call waits
// under a lock, so virtual time goes on.
type Network struct {
	// static after NewNetwork, safe for concurrent use
	latency func() time.Duration
	tear    func() bool

	mu       sync.Mutex
	listener *listener        // nil: nobody listens
	links    map[*link]string // open links and whose they are
	barred   map[string]bool  // devices that cannot dial
}

var (
	errRefused = errors.New("sim: connection refused")
	errCut     = errors.New("sim: connection reset")
)

// linkBuffer is what a link takes before a writer waits, as a socket would.
const linkBuffer = 64 << 10

// NewNetwork returns a network whose every write takes latency() to arrive, or
// is lost together with its link when tear() says so: the other side never
// learns whether what it waits for happened. Both are called concurrently.
func NewNetwork(latency func() time.Duration, tear func() bool) *Network {
	return &Network{latency: latency, tear: tear, links: map[*link]string{}, barred: map[string]bool{}}
}

// link is one connection: two ends, two directions.
type link struct{ toServer, toClient *pipe }

// Listen returns the listener of the server, in place of an earlier one.
func (n *Network) Listen() net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listener = &listener{conns: make(chan net.Conn), done: make(chan struct{})}
	return n.listener
}

// open counts the connections there are.
func (n *Network) open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.links)
}

// Dial connects device to the server.
func (n *Network) Dial(ctx context.Context, device string) (net.Conn, error) {
	t := time.NewTimer(n.latency())
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n.mu.Lock()
	l := n.listener
	if l == nil || n.barred[device] {
		n.mu.Unlock()
		return nil, errRefused
	}
	k := &link{newPipe(n.latency), newPipe(n.latency)}
	n.links[k] = device
	n.mu.Unlock()
	gone := func() {
		n.mu.Lock()
		delete(n.links, k)
		n.mu.Unlock()
	}
	select {
	case l.conns <- &end{link: k, in: k.toServer, out: k.toClient, name: "server", tear: n.tear}:
		return &end{link: k, in: k.toClient, out: k.toServer, name: device, tear: n.tear, gone: gone}, nil
	case <-l.done:
		gone()
		return nil, errRefused
	case <-ctx.Done():
		gone()
		return nil, ctx.Err()
	}
}

// Cut resets every link of device; of every device when it is empty.
func (n *Network) Cut(device string) { n.each(device, (*link).cut) }

// Silence makes every link of device take bytes and deliver none, either way.
func (n *Network) Silence(device string) {
	n.each(device, func(k *link) {
		k.toServer.silence()
		k.toClient.silence()
	})
}

// Bar keeps device from dialling (or lets it again); its links stay.
func (n *Network) Bar(device string, barred bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.barred[device] = barred
}

// Down resets every link and refuses to dial until Listen is called.
func (n *Network) Down() {
	n.mu.Lock()
	n.listener = nil
	n.mu.Unlock()
	n.each("", (*link).cut)
}

// Close stops listening without touching the links: the server drains.
func (n *Network) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listener = nil
}

func (n *Network) each(device string, do func(*link)) {
	n.mu.Lock()
	var links []*link
	for k, d := range n.links {
		if device == "" || d == device {
			links = append(links, k)
		}
	}
	n.mu.Unlock()
	for _, k := range links {
		do(k)
	}
}

func (k *link) cut() {
	k.toServer.cut()
	k.toClient.cut()
}

type listener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *listener) Addr() net.Addr { return addr("server") }

type addr string

func (addr) Network() string  { return "sim" }
func (a addr) String() string { return string(a) }

// end is one end of a link.
type end struct {
	link    *link
	in, out *pipe
	name    string
	tear    func() bool
	gone    func()
}

func (e *end) Read(b []byte) (int, error) { return e.in.read(b) }
func (e *end) LocalAddr() net.Addr        { return addr(e.name) }
func (e *end) RemoteAddr() net.Addr       { return addr("127.0.0.1:1") }

func (e *end) Write(b []byte) (int, error) {
	if e.tear() {
		e.link.cut()
		return 0, errCut
	}
	return e.out.write(b)
}

func (e *end) Close() error {
	e.out.finish()
	e.in.refuse()
	if e.gone != nil {
		e.gone()
	}
	return nil
}

func (e *end) SetDeadline(t time.Time) error {
	e.in.deadline(&e.in.readBy, t)
	e.out.deadline(&e.out.writeBy, t)
	return nil
}

func (e *end) SetReadDeadline(t time.Time) error {
	e.in.deadline(&e.in.readBy, t)
	return nil
}

func (e *end) SetWriteDeadline(t time.Time) error {
	e.out.deadline(&e.out.writeBy, t)
	return nil
}

// pipe is one direction of a link.
type pipe struct {
	latency func() time.Duration

	mu              sync.Mutex
	chunks          []chunk
	size            int
	last            time.Time // when the newest chunk arrives: bytes do not overtake
	eof             bool      // the writer has closed
	closed          bool      // the reader has closed
	reset, silent   bool
	readBy, writeBy time.Time
	changed         chan struct{} // closed, and replaced, at every change
}

type chunk struct {
	due time.Time
	b   []byte
}

func newPipe(latency func() time.Duration) *pipe {
	return &pipe{latency: latency, changed: make(chan struct{})}
}

// change runs do and wakes whoever waits.
func (p *pipe) change(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pipe) cut()     { p.change(func() { p.reset, p.chunks = true, nil }) }
func (p *pipe) silence() { p.change(func() { p.silent, p.chunks, p.size = true, nil, 0 }) }
func (p *pipe) finish()  { p.change(func() { p.eof = true }) }
func (p *pipe) refuse()  { p.change(func() { p.closed = true }) }

func (p *pipe) deadline(which *time.Time, t time.Time) { p.change(func() { *which = t }) }

// wait returns when something changes or the earlier of the two times that
// are not zero has come.
func wait(changed chan struct{}, a, b time.Time) {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		a = b
	}
	if a.IsZero() {
		<-changed
		return
	}
	t := time.NewTimer(time.Until(a))
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	}
}

func passed(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (p *pipe) read(b []byte) (int, error) {
	for {
		n, due, by, changed, err := p.tryRead(b)
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		wait(changed, due, by)
	}
}

func (p *pipe) tryRead(b []byte) (n int, due, by time.Time, changed chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return 0, due, by, nil, net.ErrClosed
	case p.reset:
		return 0, due, by, nil, errCut
	case passed(p.readBy):
		return 0, due, by, nil, os.ErrDeadlineExceeded
	}
	for len(p.chunks) > 0 && n < len(b) && !p.chunks[0].due.After(time.Now()) {
		k := copy(b[n:], p.chunks[0].b)
		n += k
		if p.chunks[0].b = p.chunks[0].b[k:]; len(p.chunks[0].b) == 0 {
			p.chunks = p.chunks[1:]
		}
	}
	if n > 0 {
		p.size -= n
		close(p.changed)
		p.changed = make(chan struct{})
		return n, due, by, nil, nil
	}
	if len(p.chunks) > 0 {
		due = p.chunks[0].due
	} else if p.eof && !p.silent {
		return 0, due, by, nil, io.EOF
	}
	return 0, due, p.readBy, p.changed, nil
}

func (p *pipe) write(b []byte) (int, error) {
	took := p.latency()
	for done := 0; ; {
		n, by, changed, err := p.tryWrite(b[done:], took)
		done += n
		if done == len(b) || err != nil {
			return done, err
		}
		wait(changed, by, time.Time{})
	}
}

func (p *pipe) tryWrite(b []byte, took time.Duration) (n int, by time.Time, changed chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.eof:
		return 0, by, nil, net.ErrClosed
	case p.reset, p.closed:
		return 0, by, nil, errCut
	case passed(p.writeBy):
		return 0, by, nil, os.ErrDeadlineExceeded
	}
	n = min(len(b), linkBuffer-p.size)
	if n > 0 {
		p.size += n
		if !p.silent {
			if due := time.Now().Add(took); due.After(p.last) {
				p.last = due
			}
			p.chunks = append(p.chunks, chunk{p.last, append([]byte(nil), b[:n]...)})
		}
		close(p.changed)
		p.changed = make(chan struct{})
	}
	return n, p.writeBy, p.changed, nil
}
