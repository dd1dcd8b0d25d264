package edge

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// poller reads TCP connections without a goroutine each: the kernel says
// which have bytes, and a goroutine comes to be for as long as it takes to
// handle them. Each connection is armed for one event at a time, so at most
// one goroutine reads it.
type poller struct {
	// static after newPoller
	hub  *hub
	file *os.File // the epoll descriptor; the Go runtime waits for it, no thread of ours does
	raw  syscall.RawConn

	mu   sync.Mutex
	fds  []*conn // by descriptor
	gens uint32
}

// pollKey is where a connection stands in a poller; the poller's mu guards it.
// The generation tells an event of a closed descriptor from one of the
// connection that got the same number since.
type pollKey struct {
	fd  int32 // 1 + descriptor; 0: not polled
	gen uint32
}

const (
	pollEvents = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT
	readBuffer = 16 << 10
	readRounds = 4 // reads of one connection before others get their turn
)

var readBuffers = sync.Pool{New: func() any { return new([readBuffer]byte) }}

func newPoller(h *hub) (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poller{hub: h, file: os.NewFile(uintptr(fd), "epoll")}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil, err
	}
	return p, nil
}

// run hands out events until stop.
func (p *poller) run() {
	events := make([]unix.EpollEvent, 256)
	for {
		n := 0
		err := p.raw.Read(func(fd uintptr) bool {
			var err error
			n, err = unix.EpollWait(int(fd), events, 0)
			if err != nil {
				n = 0
			}
			return n > 0
		})
		if err != nil {
			return // stopped
		}
		for _, e := range events[:n] {
			if c := p.find(e); c != nil {
				c.spawn(func() { p.readable(c) })
			}
		}
	}
}

func (p *poller) stop() { _ = p.file.Close() }

func (p *poller) find(e unix.EpollEvent) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if int(e.Fd) >= len(p.fds) {
		return nil
	}
	c := p.fds[e.Fd]
	if c == nil || c.poll.gen != uint32(e.Pad) {
		return nil
	}
	return c
}

// add begins to poll c.
func (p *poller) add(c *conn) error {
	return control(c, func(fd int) error {
		p.mu.Lock()
		p.gens++
		c.poll = pollKey{fd: int32(fd) + 1, gen: p.gens}
		for len(p.fds) <= fd {
			p.fds = append(p.fds, nil)
		}
		p.fds[fd] = c
		key := c.poll
		p.mu.Unlock()
		return p.ctl(unix.EPOLL_CTL_ADD, key)
	})
}

// arm asks for one more event of c.
func (p *poller) arm(c *conn) error {
	return control(c, func(int) error {
		p.mu.Lock()
		key := c.poll
		p.mu.Unlock()
		if key.fd == 0 {
			return os.ErrClosed
		}
		return p.ctl(unix.EPOLL_CTL_MOD, key)
	})
}

// drop forgets c, before its descriptor is closed; closing takes it out of
// the kernel's list.
func (p *poller) drop(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.poll.fd != 0 {
		p.fds[c.poll.fd-1] = nil
		c.poll = pollKey{}
	}
}

func (p *poller) ctl(op int, key pollKey) error {
	var err error
	e := unix.EpollEvent{Events: pollEvents, Fd: key.fd - 1, Pad: int32(key.gen)}
	cerr := p.raw.Control(func(epfd uintptr) {
		err = unix.EpollCtl(int(epfd), op, int(key.fd-1), &e)
	})
	return errors.Join(cerr, os.NewSyscallError("epoll_ctl", err))
}

// control runs f while the descriptor of c cannot be closed.
func control(c *conn, f func(fd int) error) error {
	var err error
	cerr := c.raw.Control(func(fd uintptr) { err = f(int(fd)) })
	return errors.Join(cerr, err)
}

// readable reads what there is and arms c again.
func (p *poller) readable(c *conn) {
	buf := readBuffers.Get().(*[readBuffer]byte)
	defer readBuffers.Put(buf)
	for range readRounds {
		n, err := readNow(c.raw, buf[:])
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil || n == 0 {
			c.end()
			return
		}
		c.take(buf[:n])
		if n < len(buf) {
			break
		}
	}
	if p.arm(c) != nil {
		c.end()
	}
}

// readNow reads without waiting.
func readNow(raw syscall.RawConn, buf []byte) (n int, err error) {
	rerr := raw.Read(func(fd uintptr) bool {
		for {
			n, err = unix.Read(int(fd), buf)
			if !errors.Is(err, unix.EINTR) {
				return true
			}
		}
	})
	if rerr != nil {
		return 0, rerr
	}
	return n, err
}
