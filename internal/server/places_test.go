package server_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-im/parley/internal/server"
	"github.com/parley-im/parley/internal/sim"
	"github.com/parley-im/parley/internal/store/memstore"
	"github.com/parley-im/parley/internal/store/pebblestore"
)

// everyway runs a story in fake time on one server and where every call goes to
// the next of three, and on one with a disk over real sockets.
func everyway(t *testing.T, story func(t *testing.T, w *world)) {
	t.Run("one node", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, p place) {
			w, err := launch(t, p, memstore.New())
			if err != nil {
				t.Fatal(err)
			}
			story(t, w)
		})
	})
	t.Run("three nodes", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, p place) { story(t, cluster3(t, p, memstore.New())) })
	})
	t.Run("on disk", func(t *testing.T) { story(t, start(t, onDisk(t))) })
}

func onDisk(t *testing.T) *pebblestore.Store {
	t.Helper()
	s, err := pebblestore.Open(pebblestore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// place is where servers listen and how they are called.
type place struct {
	client   *http.Client
	listen   func() (l net.Listener, url string, err error)
	inMemory bool
}

// sockets is the machine's own network.
var sockets = place{client: http.DefaultClient, listen: func() (net.Listener, string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	return l, "http://" + l.Addr().String(), nil
}}

// inFakeTime runs f where time passes only when all wait, on a network in
// memory.
func inFakeTime(t *testing.T, f func(t *testing.T, p place)) {
	t.Helper()
	// Two collections empty every sync.Pool: a channel that was made in a bubble
	// must not turn up outside, nor in another.
	empty := func() { runtime.GC(); runtime.GC() }
	empty()
	defer empty()
	synctest.Test(t, func(t *testing.T) {
		at := make(chan map[string]*sim.Network, 1)
		at <- map[string]*sim.Network{}
		transport := &http.Transport{DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			all := <-at
			n := all[address]
			at <- all
			return n.Dial(ctx, "somebody")
		}}
		t.Cleanup(transport.CloseIdleConnections)
		f(t, place{client: &http.Client{Transport: transport}, inMemory: true, listen: func() (net.Listener, string, error) {
			all := <-at
			defer func() { at <- all }()
			host := fmt.Sprintf("node%d.test", len(all))
			n := sim.NewNetwork(func() time.Duration { return time.Millisecond }, func() bool { return false })
			all[host+":80"] = n
			return n.Listen(), "http://" + host, nil
		}})
	})
}

// onSockets runs a story that needs real sockets, on one server and on three.
func onSockets(t *testing.T, story func(t *testing.T, w *world), change func(*server.Config)) {
	t.Parallel() // three nodes take their time to agree who they are
	t.Run("one node", func(t *testing.T) { t.Parallel(); story(t, start(t, onDisk(t), change)) })
	t.Run("three nodes", func(t *testing.T) { t.Parallel(); story(t, cluster3(t, sockets, memstore.New(), change)) })
}
