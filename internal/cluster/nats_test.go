package cluster_test

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/cluster/clustertest"
	"github.com/parley-im/parley/internal/store/memstore"
)

const secret = "a secret of more than sixteen characters"

// natsBus opens a bus on loopback and closes it with the test.
func natsBus(t *testing.T, change func(*cluster.NATSConfig)) cluster.Bus {
	t.Helper()
	cfg := cluster.NATSConfig{ID: "a", Listen: "127.0.0.1:0", Secret: secret}
	change(&cfg)
	b, err := cluster.OpenNATS(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// openNATS opens buses that know the first one's address alone.
func openNATS(t *testing.T, ids ...cluster.NodeID) []cluster.Bus {
	t.Helper()
	var buses []cluster.Bus
	for _, id := range ids {
		buses = append(buses, natsBus(t, func(c *cluster.NATSConfig) {
			c.ID = id
			if len(buses) > 0 {
				c.Routes = []string{buses[0].Address()}
			}
		}))
	}
	return buses
}

// TestNATS holds the bus between machines to the contract.
func TestNATS(t *testing.T) { clustertest.Suite(t, openNATS) }

// TestNATSLearnt: addresses learnt later connect, even of a node that was not
// there at first.
func TestNATSLearnt(t *testing.T) {
	clustertest.Suite(t, func(t *testing.T, ids ...cluster.NodeID) []cluster.Bus {
		var buses []cluster.Bus
		for _, id := range ids {
			buses = append(buses, natsBus(t, func(c *cluster.NATSConfig) { c.ID = id }))
		}
		routes := make([]string, len(buses))
		for i, b := range buses {
			routes[i] = b.Address()
		}
		for range 2 {
			for _, b := range buses {
				b.Connect(routes)
			}
		}
		return buses
	})
}

// until waits for what a log is to say.
func until(t *testing.T, log *sentences, sentence string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !strings.Contains(log.String(), sentence) {
		select {
		case <-log.wrote:
		case <-deadline:
			t.Fatalf("the log does not say %q:\n%s", sentence, log)
		}
	}
}

// sentences is a log that says when it grew.
type sentences struct {
	lockedBuffer
	wrote chan struct{}
}

func (s *sentences) Write(p []byte) (int, error) {
	n, err := s.lockedBuffer.Write(p)
	select {
	case s.wrote <- struct{}{}:
	default:
	}
	return n, err
}

func newLog() (*sentences, *slog.Logger) {
	s := &sentences{wrote: make(chan struct{}, 1)}
	return s, slog.New(slog.NewTextHandler(s, nil))
}

// TestNATSWrongSecret: nodes of two secrets do not connect, and the logs of
// both say why, once, and not the secret.
func TestNATSWrongSecret(t *testing.T) {
	ours, ourLog := newLog()
	theirs, theirLog := newLog()
	a := natsBus(t, func(c *cluster.NATSConfig) { c.Logger = ourLog })
	b := natsBus(t, func(c *cluster.NATSConfig) {
		c.ID, c.Logger, c.Secret, c.Routes = "b", theirLog, "another secret that is long enough", []string{a.Address()}
	})
	a.Listen(silence{})
	b.Listen(silence{})
	const sentence = "a node was refused because its cluster secret differs"
	until(t, ours, sentence)
	until(t, theirs, sentence)
	if _, err := b.Ask(t.Context(), "a", nil); !errors.Is(err, cluster.ErrUnreachable) {
		t.Errorf("asking over a refused route: %v", err)
	}
	for _, log := range []*sentences{ours, theirs} {
		if text := log.String(); strings.Count(text, sentence) != 1 || strings.Contains(text, secret) || strings.Contains(text, "another secret") {
			t.Errorf("the log:\n%s", text)
		}
	}
}

// TestNATSPlain: without TLS nobody gets in.
func TestNATSPlain(t *testing.T) {
	a := natsBus(t, func(*cluster.NATSConfig) {})
	conn, err := net.Dial("tcp", a.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write([]byte("CONNECT {\"verbose\":false}\r\nPING\r\n")); err != nil {
		return
	}
	buf := make([]byte, 4096)
	var got strings.Builder
	for {
		n, err := conn.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			break
		}
	}
	if strings.Contains(got.String(), "PONG") {
		t.Errorf("a plain connection was let in: %q", got.String())
	}
}

// TestNATSBadConfig: what cannot be is refused with a code and a sentence.
func TestNATSBadConfig(t *testing.T) {
	used, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = used.Close() }()
	for name, c := range map[string]struct {
		change func(*cluster.NATSConfig)
		code   parley.Code
		says   string
	}{
		"no id":           {func(c *cluster.NATSConfig) { c.ID = "" }, parley.BadRequest, "cluster.id"},
		"capitals":        {func(c *cluster.NATSConfig) { c.ID = "Node" }, parley.BadRequest, "cluster.id"},
		"wildcard":        {func(c *cluster.NATSConfig) { c.ID = "*" }, parley.BadRequest, "cluster.id"},
		"a subject":       {func(c *cluster.NATSConfig) { c.ID = "a.b" }, parley.BadRequest, "cluster.id"},
		"no secret":       {func(c *cluster.NATSConfig) { c.Secret = "" }, parley.BadRequest, "shorter than 16"},
		"short secret":    {func(c *cluster.NATSConfig) { c.Secret = "fifteen letters" }, parley.BadRequest, "shorter than 16"},
		"no address":      {func(c *cluster.NATSConfig) { c.Listen = "" }, parley.BadRequest, "cluster.listen"},
		"no port":         {func(c *cluster.NATSConfig) { c.Listen = "127.0.0.1" }, parley.BadRequest, "cluster.listen"},
		"great port":      {func(c *cluster.NATSConfig) { c.Listen = "127.0.0.1:65536" }, parley.BadRequest, "cluster.listen"},
		"port name":       {func(c *cluster.NATSConfig) { c.Listen = "127.0.0.1:http" }, parley.BadRequest, "cluster.listen"},
		"bad advertise":   {func(c *cluster.NATSConfig) { c.Advertise = "here" }, parley.BadRequest, "cluster.advertise"},
		"port 0 to all":   {func(c *cluster.NATSConfig) { c.Advertise = "127.0.0.1:0" }, parley.BadRequest, "cluster.advertise"},
		"bad route":       {func(c *cluster.NATSConfig) { c.Routes = []string{":7422"} }, parley.BadRequest, "cluster.routes"},
		"port in use":     {func(c *cluster.NATSConfig) { c.Listen = used.Addr().String() }, parley.Conflict, "cannot listen on"},
		"others' address": {func(c *cluster.NATSConfig) { c.Listen = "192.0.2.1:0" }, parley.Conflict, "cannot listen on"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := cluster.NATSConfig{ID: "a", Listen: "127.0.0.1:0", Secret: secret}
			c.change(&cfg)
			b, err := cluster.OpenNATS(cfg)
			if err == nil {
				b.Close()
			}
			if e := new(parley.Error); !errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Detail, c.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestNATSTooLarge(t *testing.T) {
	a := natsBus(t, func(*cluster.NATSConfig) {})
	a.Listen(large{})
	if _, err := a.Ask(t.Context(), "a", make([]byte, cluster.MaxMessage+1)); code(err) != parley.TooLarge {
		t.Errorf("a question: %v", err)
	}
	if err := a.Tell("a", make([]byte, cluster.MaxMessage+1)); code(err) != parley.TooLarge {
		t.Errorf("a message: %v", err)
	}
	if _, err := a.Ask(t.Context(), "a", nil); code(err) != parley.TooLarge {
		t.Errorf("an answer: %v", err)
	}
}

// large answers more than a message holds.
type large struct{ silence }

func (large) Asked(_ cluster.NodeID, _ []byte, answer func([]byte)) {
	answer(make([]byte, cluster.MaxMessage+1))
}

// TestNATSAdvertise: others are told the address that is configured.
func TestNATSAdvertise(t *testing.T) {
	b := natsBus(t, func(c *cluster.NATSConfig) { c.Advertise = "node.example.org:7422" })
	if got := b.Address(); got != "node.example.org:7422" {
		t.Errorf("address %s", got)
	}
}

// TestNodesOverNATS: three nodes find each other through the node table alone
// and settle. It runs in real time.
func TestNodesOverNATS(t *testing.T) {
	records := memstore.New()
	settled := make(chan struct{}, 1000)
	var nodes []*cluster.Node
	for _, id := range []cluster.NodeID{"a", "b", "c"} {
		bus := natsBus(t, func(c *cluster.NATSConfig) { c.ID = id })
		n, err := cluster.Join(t.Context(), cluster.Config{
			ID: id, Shards: shards, Bus: bus, Records: records, Peers: silence{},
			Changed: func(*cluster.View) { settled <- struct{}{} },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Kill)
		nodes = append(nodes, n)
	}
	deadline := time.After(60 * time.Second)
	for {
		done := 0
		for _, n := range nodes {
			if v := n.View(); v.Term != 0 && len(v.Members) == 3 {
				done++
			}
		}
		if done == 3 {
			return
		}
		select {
		case <-settled:
		case <-deadline:
			for _, n := range nodes {
				t.Logf("%+v", n.Status())
			}
			t.Fatal("not settled")
		}
	}
}
