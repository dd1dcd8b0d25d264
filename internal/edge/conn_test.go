package edge_test

import (
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/edge"
	"github.com/parley-im/parley/wire"
)

// settle waits until got is at most want, and returns what it was last.
func settle(want int, got func() int) int {
	deadline := time.After(patience)
	for {
		if n := got(); n <= want {
			return n
		}
		select {
		case <-deadline:
			return got()
		case <-time.After(time.Millisecond):
		}
	}
}

// TestIdle kills a poller that keeps a goroutine for a connection that says
// nothing, or forgets one that speaks again.
func TestIdle(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("elsewhere each connection has a goroutine")
		return
	}
	f := startFake(t, false)
	before := runtime.NumGoroutine()
	const n = 300
	sockets := make([]*socket, n)
	sessions := make([]*fakeSession, n)
	for i := range sockets {
		sockets[i], sessions[i] = online(t, f)
	}
	if got := settle(before+10, runtime.NumGoroutine); got > before+10 {
		t.Errorf("%d goroutines for %d idle connections, %d without", got, n, before)
	}
	for range 3 {
		for _, s := range sockets {
			s.send(text(watch))
		}
		for i, s := range sockets {
			if got := s.next(patience); got != "ack:watch" {
				t.Fatalf("connection %d: %q", i, got)
			}
		}
	}
	for _, s := range sockets {
		_ = s.nc.Close()
	}
	for _, s := range sessions {
		<-s.closed
	}
	if got := settle(0, f.Connections); got != 0 {
		t.Errorf("%d connections are left", got)
	}
}

// TestReuse kills a descriptor that is polled for the connection which had it
// before: connections come and go in every way while their neighbours talk.
func TestReuse(t *testing.T) {
	for _, way := range []string{"polling", "goroutines"} {
		t.Run(way, func(t *testing.T) {
			f := startFake(t, false, func(_ *fake, c *edge.Config) { c.NoPolling = way == "goroutines" })
			began := time.Now()
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for i := range 60 {
						s := open(t, f.dial())
						s.send(join(text(hello), text(post(0))))
						if got := s.next(patience); got != "ack:m1" {
							t.Errorf("%q", got)
						}
						switch i % 3 {
						case 0:
							_ = s.nc.Close()
						case 1:
							_ = s.nc.(*net.TCPConn).SetLinger(0) // a reset
							_ = s.nc.Close()
						default:
							s.send(closing(1000, ""))
							if got := s.next(patience); got != "close:1000" {
								t.Errorf("%q", got)
							}
						}
					}
				})
			}
			wg.Wait()
			if got := settle(0, f.Connections); got != 0 {
				t.Errorf("%d connections are left", got)
			}
			if took := time.Since(began); took > patience/2 {
				t.Errorf("a closing handshake may last 2 s; all of it took %v", took)
			}
		})
	}
}

// TestWrites kills frames of one writer that get into those of another, and a
// write that is torn where the buffer is full.
func TestWrites(t *testing.T) {
	f := startFake(t, false)
	s, session := online(t, f)
	const writers, each = 8, 40
	for w := range writers {
		go func() {
			for i := range each {
				id := fmt.Sprintf("w%d-%d", w, i)
				ack := wire.AppendAck(nil, "", parley.Ack{ID: parley.MessageID(id), Seq: 1})
				long := make([]byte, 0, 40<<10)
				for long = append(long, ack...); len(long) < cap(long); {
					long = append(long, ' ')
				}
				if err := session.conn.WriteFrames([][]byte{ack, long, ack}); err != nil {
					t.Errorf("%s: %v", id, err)
				}
			}
		}()
	}
	next := make(map[byte]int)
	for range writers * each {
		first, second, third := s.next(patience), s.next(patience), s.next(patience)
		if first != second || second != third {
			t.Fatalf("%s, %s, %s are not of one call", first, second, third)
		}
		w := first[len("ack:w")]
		if want := fmt.Sprintf("ack:w%c-%d", w, next[w]); first != want {
			t.Fatalf("%s, want %s", first, want)
		}
		next[w]++
	}
}

// TestRefusedConnect: what a session refuses closes with what a client is to
// do about it.
func TestRefusedConnect(t *testing.T) {
	for code, want := range map[parley.Code]string{
		parley.Unauthorized: "error:unauthorized close:4001", parley.Forbidden: "error:forbidden close:1008", parley.Draining: "error:draining close:1012",
		parley.Overloaded: "error:overloaded close:1013", parley.Internal: "error:internal close:1013", parley.StorageFull: "error:storage_full close:1013",
	} {
		f := startFake(t, false, func(f *fake, _ *edge.Config) { f.sessions.refuse = parley.E(code, "fake", "no") })
		s := open(t, f.dial())
		s.send(text(hello))
		if got := s.story(); got != want {
			t.Errorf("%s: %q, want %q", code, got, want)
		}
	}
}

// TestUnread kills a close that resets the connection because the client had
// sent more than was read: on its way the close frame would be lost.
func TestUnread(t *testing.T) {
	f := startFake(t, false)
	s := open(t, f.dial())
	s.rude = true
	flood := join(text(hello), []byte{0xff, 0})
	flood = append(flood, make([]byte, 16<<20)...) // more than the kernels hold
	_ = s.nc.SetWriteDeadline(time.Now().Add(patience))
	if _, err := s.nc.Write(flood); err != nil {
		t.Errorf("after the violation: %v", err)
	}
	if got := s.next(patience); got != "close:1002" {
		t.Errorf("%q", got)
	}
	if got := s.next(patience); got != "end" {
		t.Errorf("after the close: %q", got)
	}
}
