// Package cassandra is the engine for when one machine is not enough: it keeps
// the records of package store in Apache Cassandra 5.0.
//
// Every write that must not be lost or doubled is one conditional batch on one
// partition (a lightweight transaction): compare-and-append in Cassandra's own
// words. Everything else here is about what such a batch leaves open.
//
//   - Its outcome may be unknown: an answer lost on the way, a timeout between
//     the replicas. Each batch carries a random mark of the call that made it
//     (the column try). An unknown outcome is resolved by running the identical
//     batch again: it applies, or the mark says whose write stands there. See
//     commit.go. The driver itself never repeats anything.
//   - What is read at a quorum may be older than a batch under way. That is no
//     harm, because the append that follows is conditional. After a conflict
//     the partition is read serially once, which finishes what is under way,
//     so that whoever loads again sees what it lost to.
//   - Hints (which bucket is the last, what is fanned out) are plain writes
//     whose timestamp is their value, so that the greatest wins however late
//     and however often they arrive. No row has both kinds of writes.
//
// Table layouts are in schema.go.
package cassandra

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// Config says where Cassandra is and how this program uses it. Hosts is all
// that has no default.
type Config struct {
	Hosts       []string      // addresses to begin with; the others are learnt from them
	Port        int           // 0: 9042
	Keyspace    string        // "": parley. A letter, then letters, digits and _
	Replication int           // copies in a keyspace that is made now; 0: 3
	Datacenter  string        // the datacenter to use; "": that of the first host that answers
	Username    string        // "": no authentication
	Password    string        //
	TLS         *tls.Config   // nil: no TLS
	Timeout     time.Duration // a call fails when it takes longer; 0: 2 s
	Now         func() time.Time
	Rand        io.Reader
	Logger      *slog.Logger

	dialer gocql.Dialer // nil: TCP. Tests put a bad network here
	hasty  bool         // do not wait for the nodes to agree after each change of the schema
}

func (c Config) withDefaults() Config {
	if c.Port == 0 {
		c.Port = 9042
	}
	if c.Keyspace == "" {
		c.Keyspace = "parley"
	}
	if c.Replication == 0 {
		c.Replication = 3
	}
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Second
	}
	if c.dialer == nil {
		c.dialer = &net.Dialer{Timeout: dialWithin}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Store is one program's connection to the cluster. Open makes one.
type Store struct {
	// static after Open
	cfg     Config
	session *gocql.Session
	epoch   parley.Epoch
	health  *health
	tails   *tails
	marks   *marks

	mu     sync.Mutex
	closed bool           // guarded by mu
	under  sync.WaitGroup // calls under way; Add under mu while not closed

	randMu sync.Mutex // guards cfg.Rand, which need not be safe for concurrent use
}

var _ store.Store = (*Store)(nil)

// Open connects to the cluster, makes or migrates the keyspace, and returns
// the engine. It fails when nobody answers, when the keyspace belongs to
// another program, or when a newer Parley wrote it. It does not try again: a
// program that starts together with its cluster calls it until it succeeds.
// One try ends with ctx, and by itself after a minute or so.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	epoch, err := prepare(ctx, cfg)
	if err != nil {
		return nil, err
	}
	h := newHealth(cfg)
	session, err := connect(ctx, cfg, cfg.Keyspace, h)
	if err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, session: session, epoch: epoch, health: h, tails: newTails(), marks: newMarks()}
	h.start(s.ping)
	return s, nil
}

// Epoch implements store.Life. It is as old as the keyspace.
func (s *Store) Epoch() parley.Epoch { return s.epoch }

// Writable implements store.Life: nil, or ErrUnavailable when the cluster has
// failed and not answered since.
func (s *Store) Writable() error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return store.ErrClosed
	}
	return s.health.writable()
}

// Close implements store.Life.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.under.Wait()
	s.health.stop()
	letGo(s.session, s.cfg.Logger)
	return nil
}

// enter begins a call and returns what ends it.
func (s *Store) enter() (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	s.under.Add(1)
	return s.under.Done, nil
}

// call runs do between enter and leave, within the deadline of one call.
func (s *Store) call(ctx context.Context, do func(ctx context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	return do(ctx)
}

// nonce returns the mark of one call.
func (s *Store) nonce() ([]byte, error) {
	b := make([]byte, 12)
	s.randMu.Lock()
	defer s.randMu.Unlock()
	_, err := io.ReadFull(s.cfg.Rand, b)
	return b, err
}
