// Package edge is where sockets and HTTP become values: it reads requests and
// frames, refuses what is not good before anything else sees it, and writes
// answers. What it needs of the rest of the server stands in seams.go.
//
// It is the only package that knows HTTP statuses and WebSocket frames. It
// decides nothing about conversations.
package edge

import (
	"context"
	crand "crypto/rand"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// Config is what New needs. The interfaces are required; zero values of the
// rest mean the defaults written beside them.
type Config struct {
	SignIn        SignIn
	People        People
	Invites       Invites
	Contacts      Contacts
	Pictures      Pictures
	Bots          Bots
	Webhooks      Webhooks
	GroupInvites  GroupInvites
	Conversations Conversations
	History       History
	Inboxes       Inboxes
	Discretion    Discretion
	Search        Search
	News          News
	Describer     Describer
	Sessions      Sessions

	// Presence is who is online; nil: that is known of nobody.
	Presence Presence

	// Node says which server of a cluster holds a user's inbox, and its
	// address; nil, or empty: every address is as good.
	Node func(parley.UserID) (id, url string)

	// Cluster describes the cluster to the operator, on the admin port; nil: a
	// server alone.
	Cluster func() any

	// App is the web app's files; nil: there is none. They are read once.
	App fs.FS

	Limiter  *Limiter             // of sends; nil: none. Sessions share it
	Limits   wire.Limits          // wire.DefaultLimits()
	Ready    func() error         // nil: always ready
	Origins  []string             // further origins whose pages may call, "https://chat.example.org"
	BaseURL  string               // where people reach this server, for links; empty: links are left out
	Logger   *slog.Logger         // discards
	Registry *prometheus.Registry // a fresh one with the Go and process collectors

	Now  func() time.Time // time.Now
	Rand io.Reader        // crypto/rand; safe for concurrent use

	// Jitter returns a random time below its argument; rand.N. It spreads what
	// many clients would do together.
	Jitter func(time.Duration) time.Duration

	MaxConnections    int  // WebSockets; 18,000
	MaxPlain          int  // connections that are no WebSocket; 16,000. One more is closed unheard
	MaxOpening        int  // of them without a good hello; 4,096
	UpgradesPerSecond int  // 4,000
	NoPolling         bool // a goroutine per WebSocket also where polling is possible
}

// Edge is the server's outside.
type Edge struct {
	// static after New
	cfg     Config
	hub     *hub
	metrics *metrics
	origins map[string]bool
	public  http.Handler

	requests, polls atomic.Int64 // under way
	plain           atomic.Int64 // connections that are no WebSocket

	mu      sync.Mutex
	servers []*http.Server
	down    bool // Shutdown began
}

// Deadlines and bounds of HTTP.
const (
	headerWithin = 5 * time.Second
	headerBytes  = 16 << 10
	bodyWithin   = 10 * time.Second
	answerWithin = 30 * time.Second // beside what a long poll may wait
	bodyBytes    = 64 << 10
	idleHTTP     = 2 * time.Minute
)

// New returns an edge that serves nothing yet. Close ends it.
func New(cfg Config) (*Edge, error) {
	for _, missing := range []bool{cfg.SignIn == nil, cfg.People == nil, cfg.Invites == nil, cfg.Conversations == nil,
		cfg.History == nil, cfg.Inboxes == nil, cfg.News == nil, cfg.Search == nil, cfg.Contacts == nil, cfg.Pictures == nil, cfg.Bots == nil, cfg.Webhooks == nil, cfg.GroupInvites == nil, cfg.Discretion == nil, cfg.Describer == nil, cfg.Sessions == nil} {
		if missing {
			return nil, errors.New("edge: an interface is missing in the configuration")
		}
	}
	if cfg.Limits == (wire.Limits{}) {
		cfg.Limits = wire.DefaultLimits()
	}
	if cfg.Node == nil {
		cfg.Node = func(parley.UserID) (string, string) { return "", "" }
	}
	if cfg.Ready == nil {
		cfg.Ready = func() error { return nil }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = crand.Reader
	}
	if cfg.Jitter == nil {
		cfg.Jitter = rand.N[time.Duration]
	}
	cfg.MaxConnections = orDefault(cfg.MaxConnections, 18_000)
	cfg.MaxPlain = orDefault(cfg.MaxPlain, 16_000)
	cfg.MaxOpening = orDefault(cfg.MaxOpening, 4096)
	cfg.UpgradesPerSecond = orDefault(cfg.UpgradesPerSecond, 4000)
	e := &Edge{cfg: cfg, metrics: newMetrics(cfg.Registry), origins: make(map[string]bool)}
	for _, o := range cfg.Origins {
		if o = canonicalOrigin(o); o == "" {
			return nil, errors.New("edge: an origin looks like https://chat.example.org, without a path")
		}
		e.origins[o] = true
	}
	app, err := readApp(cfg.App)
	if err != nil {
		return nil, err
	}
	h, err := newHub(&e.cfg, e.metrics)
	if err != nil {
		return nil, err
	}
	e.hub = h
	e.public = e.handler(app)
	return e, nil
}

func orDefault(n, d int) int {
	if n == 0 {
		return d
	}
	return n
}

// Serve answers everything on the public port l until Shutdown. It returns
// nil then, and why l ended otherwise.
func (e *Edge) Serve(l net.Listener) error { return e.serveOn(l, e.public, e.countPlain) }

// ServeAdmin answers health, metrics and profiles on l, as Serve does.
func (e *Edge) ServeAdmin(l net.Listener) error { return e.serveOn(l, e.admin(), nil) }

// serveOn serves h with the deadlines that a hostile network needs. Bodies
// and answers have theirs in the handler.
func (e *Edge) serveOn(l net.Listener, h http.Handler, count func(net.Conn, http.ConnState)) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerWithin,
		MaxHeaderBytes:    headerBytes,
		IdleTimeout:       idleHTTP,
		ConnState:         count,
		ErrorLog:          slog.NewLogLogger(dropNoise{e.cfg.Logger.Handler()}, slog.LevelDebug),
	}
	e.mu.Lock()
	down := e.down
	if !down {
		e.servers = append(e.servers, srv)
	}
	e.mu.Unlock()
	if down {
		return l.Close()
	}
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// countPlain bounds the connections that are no WebSocket: each holds a
// goroutine and buffers while it says nothing.
func (e *Edge) countPlain(nc net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if e.plain.Add(1) > int64(e.cfg.MaxPlain) {
			_ = nc.Close() // and StateClosed follows
		}
	case http.StateHijacked, http.StateClosed:
		e.plain.Add(-1)
	}
}

// Shutdown closes the listeners and returns when every request under way is
// answered, or cut off because ctx ended.
func (e *Edge) Shutdown(ctx context.Context) {
	e.mu.Lock()
	e.down = true
	servers := e.servers
	e.mu.Unlock()
	for _, srv := range servers {
		if srv.Shutdown(ctx) != nil {
			_ = srv.Close()
		}
	}
}

// dropNoise keeps net/http's own lines, which name addresses of peers, out of
// the log.
type dropNoise struct{ slog.Handler }

// Enabled is false: what matters is logged where it is known.
func (dropNoise) Enabled(context.Context, slog.Level) bool { return false }

// Drain tells every WebSocket to leave, spread over that time, or all at once
// when ctx ends. It returns when they are gone, or ctx ended. New ones are
// refused from the start, and long polls answer at once.
func (e *Edge) Drain(ctx context.Context, spread time.Duration) { e.hub.drain(ctx, spread) }

// TurnAway has every client go elsewhere, spread over that time, and refuses
// all that comes until it is called with false. It does not wait for that, and
// does nothing when it is so already.
func (e *Edge) TurnAway(on bool, spread time.Duration) {
	if !e.hub.turnAway(on, spread) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, srv := range e.servers {
		srv.SetKeepAlivesEnabled(!on) // else a proxy would send more over what it has open
	}
}

// Close ends every WebSocket and returns when nothing of edge runs. Shutdown
// comes before. Only the first call does something.
func (e *Edge) Close() { e.hub.close() }

// Connections returns how many WebSockets there are.
func (e *Edge) Connections() int { return e.hub.count() }
