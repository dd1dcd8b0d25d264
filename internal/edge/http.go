package edge

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/wire"
)

// Bounds of HTTP. Past them the server says overloaded rather than endure.
const (
	maxRequests = 2048   // under way, long polls aside
	maxPolls    = 12_000 // long polls that wait
)

// call is one request to a route, checked as far as its route says.
type call struct {
	*http.Request
	answer http.Header      // of the answer
	id     account.Identity // of routes that need a token
	token  string
	body   any               // what Route.in made, filled in
	raw    []byte            // of a route that takes bytes
	query  map[string]string // what the route takes, each at most once
}

// apiAsset is the description of the routes. It is the same for every Edge, and
// takes longer to make than all the rest of one.
var apiAsset = sync.OnceValue(func() asset { return newAsset("openapi.json", openAPI()) })

// handler answers the public port.
func (e *Edge) handler(app []asset) http.Handler {
	mux := http.NewServeMux()
	for i := range routes {
		rt := &routes[i]
		mux.Handle(rt.method+" "+rt.path, e.serveRoute(rt))
	}
	mux.HandleFunc("GET /v1/connect", e.connect)
	for _, a := range append(app, apiAsset()) {
		mux.Handle("GET "+a.pattern(), a)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { e.unrouted(w, r, mux) })
	return e.around(mux)
}

// around is what every request goes through before its route.
func (e *Edge) around(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer e.recovered(w, r)
		secure(w.Header())
		// Not every connection has deadlines: those errors do not matter.
		deadlines := http.NewResponseController(w)
		_ = deadlines.SetWriteDeadline(time.Now().Add(answerWithin + writeWithin))
		if r.Body != http.NoBody {
			// Also for a body that nobody wants: net/http reads it to its end.
			_ = deadlines.SetReadDeadline(time.Now().Add(bodyWithin))
		}
		if !e.originAllowed(r) {
			e.problem(w, r, 0, parley.E(parley.Forbidden, "edge.origin", "pages of this origin may not call this server; its operator can allow it"))
			return
		}
		if e.share(w, r) {
			return
		}
		if p := r.URL.EscapedPath(); p != path.Clean(p) {
			e.notFound(w, r) // the mux would redirect
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// recovered answers for a handler that panicked. What it panicked with may
// hold anything, so only where it happened is logged.
func (e *Edge) recovered(w http.ResponseWriter, r *http.Request) {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler:
		panic(p)
	default:
		e.metrics.panics.Inc()
		e.cfg.Logger.Error("a handler panicked", slog.String("route", r.Pattern), slog.String("stack", string(debug.Stack())))
		e.problem(w, r, 0, parley.E(parley.Internal, "edge", "the server failed; try again, and tell its operator if it stays"))
	}
}

func (e *Edge) notFound(w http.ResponseWriter, r *http.Request) {
	e.problem(w, r, 0, parley.E(parley.NotFound, "edge.route", "there is nothing at this address; see /openapi.json"))
}

// unrouted answers what no route takes: the wrong method with those that are
// right, anything else with not_found.
func (e *Edge) unrouted(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) {
	var allowed []string
	for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		probe := *r
		probe.Method = m
		if _, pattern := mux.Handler(&probe); pattern != "/" {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		e.problem(w, r, http.StatusMethodNotAllowed, parley.E(parley.BadRequest, "edge.route", "this address takes %s", strings.Join(allowed, ", ")))
		return
	}
	e.notFound(w, r)
}

// serveRoute calls rt, if there is room for one more.
func (e *Edge) serveRoute(rt *route) http.Handler {
	underWay, most := &e.requests, int64(maxRequests)
	if rt.poll {
		underWay, most = &e.polls, maxPolls
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		status := http.StatusServiceUnavailable
		defer underWay.Add(-1)
		switch n := underWay.Add(1); {
		case n > most:
			e.problem(w, r, 0, &parley.Error{Code: parley.Overloaded, Op: "edge.admit", After: time.Second, Detail: "the server has too much to do; try again shortly"})
		case e.hub.turnsAway():
			e.problem(w, r, 0, errAway())
		default:
			status = e.answer(w, r, rt)
		}
		e.metrics.requests.WithLabelValues(rt.name, strconv.Itoa(status)).Inc()
		if !rt.poll {
			e.metrics.latency.WithLabelValues(rt.name).Observe(time.Since(began).Seconds())
		}
	})
}

// answer makes one answer and returns its status.
func (e *Edge) answer(w http.ResponseWriter, r *http.Request, rt *route) int {
	within := answerWithin
	if rt.poll {
		within += wire.MaxPollSeconds * time.Second
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(within + writeWithin))
	}
	ctx, cancel := context.WithTimeout(r.Context(), within)
	defer cancel()
	c := &call{Request: r.WithContext(ctx), answer: w.Header()}
	status, out, err := e.serve(c, rt, w)
	if err != nil {
		e.problem(w, r, 0, err)
		return wire.Status(parley.CodeOf(err))
	}
	if out == nil {
		w.WriteHeader(status)
		return status
	}
	if a, ok := out.(http.Handler); ok {
		a.ServeHTTP(w, r)
		return status
	}
	write(w, status, "application/json", out)
	return status
}

// serve checks c against rt and calls it.
func (e *Edge) serve(c *call, rt *route, w http.ResponseWriter) (status int, out any, err error) {
	if !rt.open {
		if err := e.authenticate(c); err != nil {
			return 0, nil, err
		}
	}
	for _, name := range rt.ids() {
		value := c.PathValue(name)
		if name == "user" {
			value = strings.TrimPrefix(value, "@") // a handle as people write it
		}
		if err := wire.CheckID(name, value); err != nil {
			return 0, nil, err
		}
	}
	if err := c.readQuery(rt.query); err != nil {
		return 0, nil, err
	}
	if err := c.readBody(w, rt); err != nil {
		return 0, nil, err
	}
	return rt.call(e, c)
}

// authenticate finds out who asks.
func (e *Edge) authenticate(c *call) error {
	token, err := tokenOf(c.Request)
	if err != nil {
		return err
	}
	id, err := e.cfg.SignIn.Authenticate(c.Context(), token)
	if err != nil {
		return err
	}
	c.id, c.token = id, token
	return nil
}

// tokenOf reads the token from where alone it may stand: the header, or else a
// browser's cookie.
func tokenOf(r *http.Request) (string, error) {
	const op = "edge.authenticate"
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		if token := cookieOf(r); token != "" {
			return token, nil
		}
	}
	if len(values) != 1 {
		return "", parley.E(parley.Unauthorized, op, "sign in, and send the token as Authorization: Bearer TOKEN")
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", parley.E(parley.Unauthorized, op, "send the token as Authorization: Bearer TOKEN")
	}
	return token, nil
}

// readBody reads the JSON that rt wants. A body that it does not want is read
// too, and forgotten.
func (c *call) readBody(w http.ResponseWriter, rt *route) error {
	const op = "edge.body"
	most := bodyBytes
	if rt.raw > 0 {
		most = rt.raw
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, c.Body, int64(most)))
	if err != nil {
		if _, over := errors.AsType[*http.MaxBytesError](err); over {
			return parley.E(parley.TooLarge, op, "a request is at most %d bytes; shorten it", most)
		}
		return parley.E(parley.BadRequest, op, "the body of the request ended early; send it again")
	}
	if rt.raw > 0 {
		c.raw = data
		return nil
	}
	if rt.in == nil {
		return nil
	}
	c.body = rt.in()
	if len(data) == 0 && rt.bodyOptional {
		return nil
	}
	if encoding := c.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return parley.E(parley.Unsupported, op, "send the JSON as it is, without a Content-Encoding")
	}
	kind, params, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return parley.E(parley.Unsupported, op, "send JSON, with Content-Type: application/json")
	}
	return wire.DecodeRequest(data, c.body)
}

// readQuery takes the parameters that a route knows, each once.
func (c *call) readQuery(known []param) error {
	const op = "edge.query"
	c.query = make(map[string]string, len(known))
	if c.URL.RawQuery == "" {
		return nil
	}
	values, err := url.ParseQuery(c.URL.RawQuery)
	if err != nil {
		return parley.E(parley.BadRequest, op, "the query of the address is malformed")
	}
	for _, p := range known {
		switch v, there := values[p.name]; {
		case len(v) > 1:
			return parley.E(parley.BadRequest, op, "%s stands twice in the query; send it once", p.name)
		case there:
			c.query[p.name] = v[0]
			delete(values, p.name)
		}
	}
	for name := range values {
		return parley.E(parley.BadRequest, op, "unknown parameter %.40q in the query; remove it", name)
	}
	return nil
}

// number returns a parameter that is a whole number from 0 to 2^53-1, and
// whether it is there.
func (c *call) number(name string) (n uint64, there bool, err error) {
	s, there := c.query[name]
	if !there {
		return 0, false, nil
	}
	n, err = strconv.ParseUint(s, 10, 53)
	if err != nil {
		return 0, true, parley.E(parley.BadRequest, "edge.query", "%s is a whole number from 0 to %d", name, uint64(wire.MaxNumber))
	}
	return n, true, nil
}

// limit returns how many items a page may have.
func (c *call) limit() (int, error) {
	n, _, err := c.number("limit")
	switch {
	case err != nil:
		return 0, err
	case n == 0:
		return wire.DefaultLimit, nil
	}
	return int(min(n, wire.MaxLimit)), nil
}

// addr is the peer's address without the port, for rate limits alone.
func (c *call) addr() string {
	host, _, err := net.SplitHostPort(c.RemoteAddr)
	if err != nil {
		return c.RemoteAddr
	}
	return host
}
