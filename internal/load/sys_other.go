//go:build !linux

package load

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"time"
)

// A load needs epoll and /proc. On other systems the package compiles and
// every run fails with this sentence.
var (
	errAgain   = errors.New("try again")
	errNoLinux = errors.New("parley bench runs on Linux only")
)

type ready struct {
	fd      int
	in, out bool
}

type poller struct{}

func newPoller() (*poller, error)                   { return nil, errNoLinux }
func (*poller) close()                              {}
func (*poller) add(int) error                       { return errNoLinux }
func (*poller) wantOut(int, bool) error             { return errNoLinux }
func (*poller) arm(time.Duration) error             { return errNoLinux }
func (*poller) wait(time.Duration) ([]ready, error) { return nil, errNoLinux }

func dialSocket(netip.AddrPort, netip.Addr, time.Duration) (int, error) { return -1, errNoLinux }
func listenSocket() (int, netip.AddrPort, error)                        { return -1, netip.AddrPort{}, errNoLinux }
func acceptSocket(int) (int, error)                                     { return -1, errNoLinux }
func setNonblock(int) error                                             { return errNoLinux }
func closeSocket(int)                                                   {}
func readSocket(int, []byte) (int, error)                               { return 0, errNoLinux }
func writeSocket(int, []byte) (int, error)                              { return 0, errNoLinux }
func syncData(f *os.File) error                                         { return f.Sync() }
func fileLimit() int                                                    { return 0 }
func onDisk(info fs.FileInfo) int64                                     { return info.Size() }
