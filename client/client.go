package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	mrand "math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// maxAnswer bounds the body of an HTTP answer in bytes: the greatest page of
// entries is well below it.
const maxAnswer = 16 << 20

// tryTimeout is how long one request may take before its outcome is unknown,
// unless the caller's context says otherwise.
const tryTimeout = 15 * time.Second

// Credentials are what a signed-in device holds. Token is a secret.
type Credentials struct {
	URL    string      `json:"url"` // of the server, "https://chat.example.org"
	User   wire.User   `json:"user"`
	Device wire.Device `json:"device"`
	Token  string      `json:"token"`
}

// Options change how a client behaves. The zero value is good.
type Options struct {
	HTTP   *http.Client   // for requests and sockets; its Timeout must be 0. nil: one of the client's own
	Name   string         // "name/version", told to the server; empty: "parley-go"
	Rand   io.Reader      // for message ids; nil: crypto/rand
	Jitter func() float64 // in [0,1), spreads waits; nil: math/rand
}

// Client is one signed-in device.
type Client struct {
	// static after New
	cred   Credentials
	http   *http.Client
	name   string
	rand   io.Reader
	jitter func() float64
	dial   func(ctx context.Context, url string) (socket, error)

	directs sync.Map // handle → parley.ConversationID, what To stands for
}

// New returns a client for cred. It does not connect.
func New(cred Credentials, opt Options) *Client {
	c := &Client{
		cred:   cred,
		http:   opt.HTTP,
		name:   opt.Name,
		rand:   opt.Rand,
		jitter: opt.Jitter,
	}
	c.cred.URL = strings.TrimRight(cred.URL, "/")
	if c.http == nil {
		c.http = newHTTP()
	}
	if c.name == "" {
		c.name = "parley-go"
	}
	if c.rand == nil {
		c.rand = rand.Reader
	}
	if c.jitter == nil {
		c.jitter = mrand.Float64
	}
	c.dial = c.dialWebSocket
	return c
}

// newHTTP returns an HTTP client that keeps enough connections for the lanes
// of a queue and follows no redirect: a POST must not silently become a GET,
// and a token must not travel to a place the user did not name.
func newHTTP() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = maxLanes
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Credentials returns what the client was made with.
func (c *Client) Credentials() Credentials { return c.cred }

// NewMessageID returns a fresh id for a message.
func (c *Client) NewMessageID() parley.MessageID {
	return parley.MessageID(parley.NewID("m", c.rand))
}

// ServerURL returns the address of a server as a person may write it: without
// a scheme it is https, but http on this machine.
func ServerURL(s string) (string, error) {
	const op = "client.url"
	s = strings.TrimRight(strings.TrimSpace(s), "/")
	if !strings.Contains(s, "://") {
		scheme := "https://"
		if host, err := url.Parse("x://" + s); err == nil && isLoopback(host.Hostname()) {
			scheme = "http://"
		}
		s = scheme + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", parley.E(parley.BadRequest, op, "the address of a server looks like https://chat.example.org")
	}
	if u.User != nil || u.RawQuery != "" {
		return "", parley.E(parley.BadRequest, op, "the address of a server holds no password and no question mark")
	}
	u.Fragment = ""
	return strings.TrimRight(u.String(), "/"), nil
}

func isLoopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

// do makes one request and decodes the answer into out unless out is nil. It
// returns the status of a good answer.
func (c *Client) do(ctx context.Context, method, path string, in, out any) (int, error) {
	if in == nil {
		return c.send(ctx, method, path, "", nil, out)
	}
	b, err := json.Marshal(in)
	if err != nil {
		return 0, &parley.Error{Code: parley.BadRequest, Op: "client." + strings.ToLower(method), Detail: "the request cannot be written as JSON", Err: err}
	}
	return c.send(ctx, method, path, "application/json", bytes.NewReader(b), out)
}

// send makes one request with a body of that type, if there is one. The answer
// goes into out unless that is nil: an io.Writer gets its bytes, anything else
// what they are as JSON.
func (c *Client) send(ctx context.Context, method, path, mediaType string, body io.Reader, out any) (int, error) {
	op := "client." + strings.ToLower(method)
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, tryTimeout)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, method, c.cred.URL+path, body)
	if err != nil {
		return 0, &parley.Error{Code: parley.BadRequest, Op: op, Detail: "the address of the server is not good; sign in again with the right one", Err: err}
	}
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	if c.cred.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.cred.Token)
	}
	req.Header.Set("User-Agent", c.name)
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, c.unreachable(op, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, c.unreachable(op, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return 0, problem(op, resp, data)
	}
	if out == nil || resp.StatusCode == http.StatusNoContent {
		return resp.StatusCode, nil
	}
	if w, ok := out.(io.Writer); ok {
		_, err = w.Write(data)
		return resp.StatusCode, err
	}
	if err := json.Unmarshal(data, out); err != nil {
		return 0, &parley.Error{Code: parley.Internal, Op: op, Detail: "the answer is not Parley's; check the address of the server", Err: err}
	}
	return resp.StatusCode, nil
}

// unreachable is the error of a request that got no whole answer: its outcome
// is unknown.
func (c *Client) unreachable(op string, err error) error {
	detail := fmt.Sprintf("the server at %s does not answer; check the address, the network and that it runs", c.cred.URL)
	if errors.Is(err, context.Canceled) {
		detail = "stopped before the server answered"
	}
	return &parley.Error{Code: parley.Overloaded, Op: op, Detail: detail, Err: err}
}

// problem decodes the error of an answer. Only a problem document may say
// "give up": anything else comes from something between us and the server, and
// must not make a queue drop a message.
func problem(op string, resp *http.Response, data []byte) error {
	var p wire.Problem
	if json.Unmarshal(data, &p) == nil && p.Code != "" {
		e := &parley.Error{Code: parley.Code(p.Code), Op: op, Detail: p.Detail, After: millis(p.RetryAfterMS)}
		if e.Detail == "" {
			e.Detail = p.Title
		}
		return e
	}
	detail := fmt.Sprintf("the server answered %d in a way that is not Parley's; check its address", resp.StatusCode)
	if to := resp.Header.Get("Location"); to != "" && resp.StatusCode < 400 {
		detail = fmt.Sprintf("the server has moved to %s; sign in there", to)
	}
	return &parley.Error{Code: parley.Internal, Op: op, Detail: detail}
}

// millis is a wait as the wire says it. What is negative or absurd is none.
func millis(ms int64) time.Duration {
	if ms <= 0 || ms > math.MaxInt32 {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}
