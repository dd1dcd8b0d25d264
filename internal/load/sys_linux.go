package load

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var errAgain = unix.EAGAIN

// ready is one descriptor with something to do.
type ready struct {
	fd      int
	in, out bool
}

// poller waits for many descriptors and one timer. One goroutine uses it.
type poller struct {
	fd, timer int
	events    [1024]unix.EpollEvent
	ready     []ready
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("timer: %w", err)
	}
	p := &poller{fd: fd, timer: timer}
	if err := p.add(timer); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *poller) close() {
	unix.Close(p.timer)
	unix.Close(p.fd)
}

func (p *poller) add(fd int) error {
	return p.ctl(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLRDHUP)
}

// wantOut says whether room to write is waited for as well.
func (p *poller) wantOut(fd int, on bool) error {
	ev := uint32(unix.EPOLLIN | unix.EPOLLRDHUP)
	if on {
		ev |= unix.EPOLLOUT
	}
	return p.ctl(unix.EPOLL_CTL_MOD, fd, ev)
}

func (p *poller) ctl(op, fd int, events uint32) error {
	if err := unix.EpollCtl(p.fd, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

// arm wakes wait once, after d. epoll's own timeout knows milliseconds only.
func (p *poller) arm(d time.Duration) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))}
	return unix.TimerfdSettime(p.timer, 0, &spec, nil)
}

// wait returns what is ready within d; the slice is good until the next call.
func (p *poller) wait(d time.Duration) ([]ready, error) {
	n, err := unix.EpollWait(p.fd, p.events[:], int(d.Milliseconds()))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	p.ready = p.ready[:0]
	for _, e := range p.events[:max(n, 0)] {
		if int(e.Fd) == p.timer {
			var buf [8]byte
			unix.Read(p.timer, buf[:])
			continue
		}
		p.ready = append(p.ready, ready{fd: int(e.Fd), out: e.Events&unix.EPOLLOUT != 0,
			in: e.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0})
	}
	return p.ready, nil
}

func sockaddr(a netip.AddrPort) (unix.Sockaddr, int) {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}, unix.AF_INET6
}

// dialSocket connects; the socket blocks, for at most patience per call, until
// setNonblock.
func dialSocket(to netip.AddrPort, from netip.Addr, patience time.Duration) (int, error) {
	sa, family := sockaddr(to)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	tv := unix.NsecToTimeval(int64(patience))
	err = errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	if err == nil && from.IsValid() {
		src, _ := sockaddr(netip.AddrPortFrom(from, 0))
		err = errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1), unix.Bind(fd, src))
	}
	if err == nil {
		err = unix.Connect(fd, sa)
		for errors.Is(err, unix.EINTR) { // by a signal of the runtime; a call that may time out is not begun again
			err = unix.Connect(fd, sa)
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("connect to %s: %w", to, err)
	}
	return fd, nil
}

func listenSocket() (int, netip.AddrPort, error) {
	sa, family := sockaddr(netip.MustParseAddrPort("127.0.0.1:0"))
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, netip.AddrPort{}, fmt.Errorf("socket: %w", err)
	}
	err = errors.Join(unix.Bind(fd, sa), unix.Listen(fd, 4096))
	name, err2 := unix.Getsockname(fd)
	at, ok := name.(*unix.SockaddrInet4)
	if err = errors.Join(err, err2); err != nil || !ok {
		unix.Close(fd)
		return -1, netip.AddrPort{}, fmt.Errorf("listen: %w", err)
	}
	return fd, netip.AddrPortFrom(netip.AddrFrom4(at.Addr), uint16(at.Port)), nil
}

func acceptSocket(fd int) (int, error) {
	c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	if err != nil {
		return -1, err
	}
	return c, unix.SetsockoptInt(c, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
}

func setNonblock(fd int) error { return unix.SetNonblock(fd, true) }
func closeSocket(fd int)       { unix.Close(fd) }

// readSocket and writeSocket try again when a signal came between.
func readSocket(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if err != unix.EINTR {
			return n, err
		}
	}
}

func writeSocket(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Write(fd, b)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// syncData makes what was written to f last; the length, if it grew, too.
func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// fileLimit is how many descriptors this process may have.
func fileLimit() int {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return 1024
	}
	if r.Cur < r.Max {
		r.Cur = r.Max
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &r) != nil {
			unix.Getrlimit(unix.RLIMIT_NOFILE, &r)
		}
	}
	return int(min(r.Cur, 1<<30))
}

// onDisk is the space a file takes, which is less than its length when it has holes.
func onDisk(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}
