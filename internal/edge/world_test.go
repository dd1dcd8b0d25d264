package edge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/server"
	"github.com/parley-im/parley/internal/store/memstore"
	"github.com/parley-im/parley/web"
	"github.com/parley-im/parley/wire"
)

// canary is what bob said to himself: no answer to anybody else may hold it.
const canary = "c4n4ry-0f-b0b"

// world is a whole server with a few people in it.
type world struct {
	t           *testing.T
	addr, admin string
	setup       string // makes the administrator's account
	token, bob  string // alice's and bob's
	names       *strings.Replacer
}

// empty makes a world without people.
func empty(t *testing.T) *world {
	t.Helper()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	public, admin := listen(), listen()
	s, err := server.Start(t.Context(), server.Config{
		Store: memstore.New(), Listener: public, Admin: admin, NoRateLimits: true,
		Hasher: account.HashParams{Time: 1, MemoryKiB: 64, Threads: 1}, Registration: account.Open, App: web.App(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return &world{t: t, addr: public.Addr().String(), admin: admin.Addr().String(), setup: s.Setup()}
}

// people makes a world with alice, who talks with bob in {direct} and has a
// group {group}; bob is {bob} and has {secret}, a group of his own.
func people(t *testing.T) *world {
	t.Helper()
	w := empty(t)
	var alice, bob wire.SignedIn
	w.must("", "POST", "/v1/accounts", `{"handle":"alice","password":"correct horse"}`, &alice)
	w.must("", "POST", "/v1/accounts", `{"handle":"bob","password":"correct horse"}`, &bob)
	w.token, w.bob = alice.Token, bob.Token
	var direct, group, secret wire.Conversation
	w.must(alice.Token, "POST", "/v1/conversations", `{"kind":"direct","members":["bob"]}`, &direct)
	w.must(alice.Token, "POST", "/v1/conversations", `{"kind":"group","members":[]}`, &group)
	w.must(bob.Token, "POST", "/v1/conversations", `{"kind":"group","title":"`+canary+`","members":[]}`, &secret)
	w.must(bob.Token, "POST", "/v1/conversations/"+secret.ID+"/entries", `{"id":"m1","body":{"type":"text/plain","text":"`+canary+`"}}`, nil)
	w.must(alice.Token, "POST", "/v1/conversations/"+group.ID+"/entries", `{"id":"said","body":{"type":"text/plain","text":"hi"}}`, nil)
	w.names = strings.NewReplacer("{direct}", direct.ID, "{group}", group.ID, "{secret}", secret.ID, "{bob}", bob.User.ID, "{token}", alice.Token)
	return w
}

func (w *world) must(token, method, path, body string, out any) {
	w.t.Helper()
	headers := []string{"Content-Type: application/json"}
	if token != "" {
		headers = append(headers, "Authorization: Bearer "+token)
	}
	res, raw := w.do(method, path, body, headers...)
	if res.StatusCode/100 != 2 {
		w.t.Fatalf("%s %s: %s: %s", method, path, res.Status, raw)
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			w.t.Fatal(err)
		}
	}
}

// do makes one request. Nothing is mended on its way.
func (w *world) do(method, path, body string, headers ...string) (*http.Response, []byte) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.addr, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.URL.Opaque = path // goes out as it is
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res, raw
}

// client follows no redirect: there is none.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// metric returns the line of a metric without labels.
func (w *world) metric(name string) string {
	w.t.Helper()
	res, err := http.Get("http://" + w.admin + "/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range bytes.Lines(raw) {
		if value, ok := strings.CutPrefix(string(line), name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
