package sim

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pair returns the two ends of a new link of device d.
func pair(t *testing.T, n *Network, l net.Listener) (device, server net.Conn) {
	t.Helper()
	var accepting sync.WaitGroup
	accepting.Go(func() { server, _ = l.Accept() })
	device, err := n.Dial(t.Context(), "d")
	if err != nil {
		t.Fatal(err)
	}
	accepting.Wait()
	t.Cleanup(func() { _, _ = device.Close(), server.Close() })
	return device, server
}

// TestNetwork holds the simulated network to what the worlds rely on: bytes
// come late, in order and unchanged, or not at all and nobody is told.
func TestNetwork(t *testing.T) {
	const lag = 10 * time.Millisecond
	buf := make([]byte, 16)
	never := func() bool { return false }
	tests := map[string]func(t *testing.T, n *Network, device, server net.Conn){
		"bytes come in order, after the latency": func(t *testing.T, _ *Network, device, server net.Conn) {
			begun := time.Now()
			_, _ = device.Write([]byte("one"))
			_, _ = device.Write([]byte("two"))
			got := make([]byte, 6)
			if _, err := io.ReadFull(server, got); err != nil || string(got) != "onetwo" {
				t.Errorf("got %q, %v", got, err)
			}
			if took := time.Since(begun); took != lag {
				t.Errorf("they took %v, want %v", took, lag)
			}
		},
		"what was on its way before a close arrives": func(t *testing.T, _ *Network, device, server net.Conn) {
			_, _ = device.Write([]byte("bye"))
			_ = device.Close()
			if got, err := io.ReadAll(server); err != nil || string(got) != "bye" {
				t.Errorf("got %q, %v", got, err)
			}
		},
		"a cut loses what is on its way, and both ends learn of it": func(t *testing.T, n *Network, device, server net.Conn) {
			_, _ = device.Write([]byte("lost"))
			n.Cut("d")
			if k, err := server.Read(buf); k != 0 || !errors.Is(err, errCut) {
				t.Errorf("the server read %q, %v", buf[:k], err)
			}
			if _, err := device.Write(buf); !errors.Is(err, errCut) {
				t.Errorf("the device wrote: %v", err)
			}
		},
		"silence takes bytes and delivers none": func(t *testing.T, n *Network, device, server net.Conn) {
			n.Silence("d")
			if _, err := device.Write([]byte("hello?")); err != nil {
				t.Errorf("the device noticed: %v", err)
			}
			_ = server.SetReadDeadline(time.Now().Add(time.Hour))
			if k, err := server.Read(buf); k != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the server read %q, %v", buf[:k], err)
			}
		},
		"a full link makes the writer wait": func(t *testing.T, _ *Network, device, _ net.Conn) {
			_ = device.SetWriteDeadline(time.Now().Add(time.Minute))
			if k, err := device.Write(make([]byte, 2*linkBuffer)); k != linkBuffer || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d bytes went, %v", k, err)
			}
		},
		"a device that is barred cannot dial": func(t *testing.T, n *Network, _, _ net.Conn) {
			n.Bar("d", true)
			if _, err := n.Dial(context.Background(), "d"); !errors.Is(err, errRefused) {
				t.Errorf("dialled: %v", err)
			}
		},
		"nobody listens when the network is down": func(t *testing.T, n *Network, _, server net.Conn) {
			n.Down()
			if _, err := n.Dial(context.Background(), "e"); !errors.Is(err, errRefused) {
				t.Errorf("dialled: %v", err)
			}
			if _, err := server.Read(buf); !errors.Is(err, errCut) {
				t.Errorf("the link lives: %v", err)
			}
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := NewNetwork(func() time.Duration { return lag }, never)
				l := n.Listen()
				device, server := pair(t, n, l)
				test(t, n, device, server)
			})
		})
	}
}

// TestTornWriteIsLostWithItsLink kills a network whose answers only ever come
// or fail where the sender sees it: then no outcome is ever unknown.
func TestTornWriteIsLostWithItsLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tear := false
		n := NewNetwork(func() time.Duration { return time.Millisecond }, func() bool { return tear })
		device, server := pair(t, n, n.Listen())
		tear = true
		if _, err := server.Write([]byte("ack")); !errors.Is(err, errCut) {
			t.Errorf("the server wrote: %v", err)
		}
		if k, err := device.Read(make([]byte, 8)); k != 0 || !errors.Is(err, errCut) {
			t.Errorf("the device read %d bytes, %v", k, err)
		}
	})
}
