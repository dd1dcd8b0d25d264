package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	parley "github.com/parley-im/parley"
)

// OpenNATS starts a NATS server inside this process and returns the bus that
// it carries. Nodes whose secret differs cannot connect, in either direction;
// the logs of both say so.
//
// What happens to what cannot be delivered: a node whose listener is 64 MiB or
// 65,536 messages behind loses what comes next; a route that takes nothing for
// two seconds is closed, and what waited for it is lost. Senders never wait.
//
// Errors are coded: an address that cannot be, a port in use, a secret too
// short, a name that is none.
func OpenNATS(cfg NATSConfig) (Bus, error) {
	s, err := cfg.check()
	if err != nil {
		return nil, err
	}
	port, err := probe(s)
	if err != nil {
		return nil, err
	}
	b := &natsBus{settings: s, log: newNATSLog(s.Logger)}
	b.server, err = server.NewServer(s.options(port, s.Routes))
	if err != nil {
		return nil, &parley.Error{Code: parley.Internal, Op: "cluster.bus", Detail: "the bus did not accept its settings", Err: err}
	}
	b.server.SetLoggerV2(b.log, false, false, false)
	b.server.Start()
	if !b.server.ReadyForConnections(readyWithin) || b.server.ClusterAddr() == nil {
		b.stopServer()
		return nil, &parley.Error{Code: parley.Internal, Op: "cluster.bus", Detail: fmt.Sprintf("the bus does not listen on %s: %s", s.Listen, b.log.fatal())}
	}
	b.port = b.server.ClusterAddr().Port
	b.conn, err = nats.Connect("", nats.InProcessServer(b.server), nats.Token(s.token), nats.Name(string(s.ID)),
		nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectBufSize(-1),
		nats.CustomInboxPrefix("r."+s.token[:16]), nats.ErrorHandler(b.log.asyncError))
	if err != nil {
		b.stopServer()
		return nil, &parley.Error{Code: parley.Internal, Op: "cluster.bus", Detail: "the bus does not take its own client", Err: err}
	}
	return b, nil
}

const readyWithin = 10 * time.Second

// probe finds out whether the address can be listened on while a clear answer
// can be given, and returns the port as the server wants it.
func probe(s *natsSettings) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(s.host, strconv.Itoa(s.port)))
	if err != nil {
		return 0, &parley.Error{Code: parley.Conflict, Op: "cluster.bus", Detail: fmt.Sprintf("cannot listen on cluster.listen %s; choose another address, or stop what uses it", s.Listen), Err: err}
	}
	if err := l.Close(); err != nil {
		return 0, fmt.Errorf("cluster: close %s: %w", s.Listen, err)
	}
	if s.port == 0 {
		return server.RANDOM_PORT, nil
	}
	return s.port, nil
}

// natsBus is a Bus over NATS core.
type natsBus struct {
	// static after OpenNATS
	settings *natsSettings
	log      *natsLog
	server   *server.Server
	conn     *nats.Conn
	port     int

	listening atomic.Bool
	closing   sync.Once

	mu      sync.Mutex // one reconfiguration at a time
	learned []string
	closed  bool
}

// Subjects: one per node, and one for all.
func subject(id NodeID) string { return "n." + string(id) }

const everybody = "all"

// Self implements Bus.
func (b *natsBus) Self() NodeID { return b.settings.ID }

// Address implements Bus.
func (b *natsBus) Address() string { return b.settings.address(b.port) }

// Tell implements Bus.
func (b *natsBus) Tell(to NodeID, msg []byte) error {
	return b.publish("cluster.tell", subject(to), msg)
}

// TellAll implements Bus.
func (b *natsBus) TellAll(msg []byte) error { return b.publish("cluster.tell", everybody, msg) }

func (b *natsBus) publish(op, subject string, msg []byte) error {
	if err := tooLarge(op, msg); err != nil {
		return err
	}
	if err := b.conn.Publish(subject, b.sealed(msg)); err != nil {
		return fmt.Errorf("cluster: tell: %w", err)
	}
	return nil
}

func tooLarge(op string, msg []byte) error {
	if len(msg) > MaxMessage {
		return parley.E(parley.TooLarge, op, "a message between nodes is at most %d bytes, not %d", MaxMessage, len(msg))
	}
	return nil
}

// sealed puts the sender's name before a message: its length, and it.
func (b *natsBus) sealed(msg []byte) []byte {
	id := b.settings.ID
	out := make([]byte, 0, 1+len(id)+len(msg))
	return append(append(append(out, byte(len(id))), id...), msg...)
}

// opened takes apart what sealed put together.
func opened(raw []byte) (NodeID, []byte, bool) {
	if len(raw) == 0 || len(raw) < 1+int(raw[0]) {
		return "", nil, false
	}
	from := NodeID(raw[1 : 1+raw[0]])
	return from, raw[1+raw[0]:], from.valid()
}

// The first byte of an answer.
const (
	answered       byte = 0
	answerTooLarge byte = 1
)

// Ask implements Bus.
func (b *natsBus) Ask(ctx context.Context, to NodeID, msg []byte) ([]byte, error) {
	if err := tooLarge("cluster.ask", msg); err != nil {
		return nil, err
	}
	m, err := b.conn.RequestWithContext(ctx, subject(to), b.sealed(msg))
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, ErrUnreachable
	case err != nil:
		return nil, fmt.Errorf("cluster: ask: %w", err)
	case len(m.Data) == 0:
		return nil, errors.New("cluster: ask: not an answer")
	case m.Data[0] == answerTooLarge:
		return nil, parley.E(parley.TooLarge, "cluster.ask", "the answer is longer than %d bytes", MaxMessage)
	}
	return m.Data[1:], nil
}

// Listen implements Bus.
func (b *natsBus) Listen(l Listener) {
	if b.listening.Swap(true) {
		panic("cluster: a bus has one listener")
	}
	for _, s := range []string{subject(b.settings.ID), everybody} {
		sub, err := b.conn.Subscribe(s, func(m *nats.Msg) { b.hear(l, m) })
		if err == nil {
			err = sub.SetPendingLimits(maxWaiting, maxPending)
		}
		if err != nil && !b.conn.IsClosed() {
			b.settings.Logger.Error("the bus does not hear", "err", err)
		}
	}
	// Interest has reached the server when the flush returns; without it the
	// first question to this node could find nobody.
	if err := b.conn.FlushTimeout(readyWithin); err != nil && !b.conn.IsClosed() {
		b.settings.Logger.Error("the bus does not hear", "err", err)
	}
}

// hear hands one message to the listener.
func (b *natsBus) hear(l Listener, m *nats.Msg) {
	from, msg, ok := opened(m.Data)
	if !ok || m.Subject == everybody && from == b.settings.ID {
		return
	}
	if m.Reply == "" {
		l.Told(from, msg)
		return
	}
	l.Asked(from, msg, func(answer []byte) {
		out := []byte{answerTooLarge}
		if len(answer) <= MaxMessage {
			out = append(append(make([]byte, 0, 1+len(answer)), answered), answer...)
		}
		_ = m.Respond(out) // who asked gives up by its deadline
	})
}

// Connect implements Bus.
func (b *natsBus) Connect(routes []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wanted := slices.Clone(b.settings.Routes)
	for _, r := range routes {
		if _, _, err := splitAddress("cluster.bus", "route", r, false); err == nil && r != b.Address() {
			wanted = append(wanted, r)
		}
	}
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	if b.closed || slices.Equal(wanted, b.learned) {
		return
	}
	if err := b.server.ReloadOptions(b.settings.options(b.port, wanted)); err != nil {
		b.settings.Logger.Error("the bus does not take the addresses of other nodes", "err", err)
		return
	}
	b.learned = wanted
}

// Close implements Bus.
func (b *natsBus) Close() {
	b.closing.Do(func() {
		b.mu.Lock()
		b.closed = true
		b.mu.Unlock()
		b.conn.Close()
		b.stopServer()
	})
}

func (b *natsBus) stopServer() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}
