package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// natsLog turns what the NATS server and client say into this program's log:
// few sentences, each at most once a minute for an address.
type natsLog struct {
	log *slog.Logger

	mu   sync.Mutex
	last map[string]time.Time
	died string
}

const (
	sayAgain = time.Minute
	maxSaid  = 256 // sentences remembered; then all are forgotten
)

func newNATSLog(log *slog.Logger) *natsLog {
	return &natsLog{log: log, last: make(map[string]time.Time)}
}

// due reports whether a sentence may be said, and counts it as said.
func (l *natsLog) due(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if last, ok := l.last[key]; ok && now.Sub(last) < sayAgain {
		return false
	}
	if len(l.last) >= maxSaid {
		clear(l.last)
	}
	l.last[key] = now
	return true
}

// Errorf implements the server's logger.
func (l *natsLog) Errorf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	address, _, _ := strings.Cut(text, " - ")
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		address, host = "", ""
	}
	switch {
	case strings.Contains(text, "handshake error") && strings.Contains(text, "certificate"), strings.Contains(text, "authentication error"):
		if l.due("secret " + host) {
			l.log.Error("a node was refused because its cluster secret differs from this node's; give all nodes the same", slog.String("address", address))
		}
	case strings.Contains(text, "handshake error"):
		if l.due("handshake " + host) {
			l.log.Warn("a connection to the cluster's port did not come to be; is it a node?", slog.String("address", address))
		}
	case strings.Contains(text, "Error trying to connect to route"):
		if l.due(text) {
			l.log.Info("a node cannot be reached yet; it is tried again every second", slog.String("err", text))
		}
	default:
		if l.due(format) {
			l.log.Warn("the bus says", slog.String("err", text))
		}
	}
}

// Warnf implements the server's logger.
func (l *natsLog) Warnf(format string, args ...any) {
	if l.due(format) {
		l.log.Warn("the bus says", slog.String("err", fmt.Sprintf(format, args...)))
	}
}

// Fatalf implements the server's logger. It does not end the process: the
// server is found not to be ready.
func (l *natsLog) Fatalf(format string, args ...any) {
	l.mu.Lock()
	l.died = fmt.Sprintf(format, args...)
	l.mu.Unlock()
}

// fatal returns what Fatalf was told.
func (l *natsLog) fatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.died == "" {
		return "it was not ready in time"
	}
	return l.died
}

// Noticef implements the server's logger.
func (l *natsLog) Noticef(string, ...any) {}

// Debugf implements the server's logger.
func (l *natsLog) Debugf(string, ...any) {}

// Tracef implements the server's logger.
func (l *natsLog) Tracef(string, ...any) {}

// asyncError is told what the client's connection finds out by itself.
func (l *natsLog) asyncError(_ *nats.Conn, _ *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrSlowConsumer) {
		if l.due("slow") {
			l.log.Warn("this node does not keep up with what other nodes say; some of it is lost and will be asked again")
		}
		return
	}
	if l.due(err.Error()) {
		l.log.Warn("the bus says", slog.Any("err", err))
	}
}
