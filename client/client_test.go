package client

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

func TestServerURL(t *testing.T) {
	for in, want := range map[string]string{
		"chat.example.org":            "https://chat.example.org",
		"https://chat.example.org/":   "https://chat.example.org",
		" http://chat.example.org:80": "http://chat.example.org:80",
		"127.0.0.1:8080":              "http://127.0.0.1:8080",
		"localhost":                   "http://localhost",
		"[::1]:8080":                  "http://[::1]:8080",
		"https://h/parley/#/x":        "https://h/parley",
		"ftp://h":                     "",
		"":                            "",
		"https://u:p@h":               "",
		"https://h/?token=x":          "",
	} {
		got, err := ServerURL(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
}

// TestAnswers kills: a client that takes what something in between said for
// the server's refusal, that follows its token elsewhere, or that shows a
// person the cause instead of the sentence.
func TestAnswers(t *testing.T) {
	redirected := false
	tests := []struct {
		name   string
		answer http.HandlerFunc
		code   parley.Code
		says   string
		after  time.Duration
	}{
		{"a problem", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"code":"rate_limited","title":"T","detail":"Slow down.","status":429,"retry_after_ms":1500,"new":{}}`))
		}, parley.RateLimited, "Slow down.", 1500 * time.Millisecond},
		{"a problem without detail", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"code":"not_found","title":"There is no such thing."}`))
		}, parley.NotFound, "There is no such thing.", 0},
		{"a proxy", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<h1>Forbidden</h1>", http.StatusForbidden)
		},
			parley.Internal, "the server answered 403 in a way that is not Parley's; check its address", 0},
		{"a portal", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>log in</html>")) },
			parley.Internal, "the answer is not Parley's; check the address of the server", 0},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/there" {
				redirected = true
			}
			http.Redirect(w, r, "/there", http.StatusMovedPermanently)
		}, parley.Internal, "the server has moved to /there; sign in there", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(tt.answer)
			defer s.Close()
			_, err := testClient(s.URL).Me(t.Context())
			if parley.CodeOf(err) != tt.code || sentence(err) != tt.says {
				t.Errorf("got %v", err)
			}
			b := backoff{jitter: func() float64 { return 0 }}
			if wait := b.next(err); wait != tt.after {
				t.Errorf("it would wait %v", wait)
			}
		})
	}
	if redirected {
		t.Error("it followed a redirect, with its token")
	}
}

// TestRequests kills: a token in an address, and a request that a server of
// the contract would not understand.
func TestRequests(t *testing.T) {
	var got *http.Request
	c, _ := wired(t, func(r *http.Request) (*http.Response, error) {
		got = r
		return answer(200, map[string]any{"items": []wire.Row{}, "next": nil})
	})
	calls := map[string]func() error{
		"GET /v1/me":                         func() error { _, err := c.Me(t.Context()); return err },
		"DELETE /v1/sessions/current":        func() error { return c.SignOut(t.Context()) },
		"GET /v1/devices?limit=200":          func() error { _, err := c.Devices(t.Context()); return err },
		"DELETE /v1/devices/v1":              func() error { return c.SignOutDevice(t.Context(), "v1") },
		"GET /v1/users/bob":                  func() error { _, err := c.User(t.Context(), "bob"); return err },
		"GET /v1/conversations/c1":           func() error { _, err := c.Conversation(t.Context(), "c1"); return err },
		"PUT /v1/conversations/c1/markers":   func() error { _, err := c.Mark(t.Context(), "c1", 1, 2); return err },
		"DELETE /v1/invites/x":               func() error { return c.RevokeInvite(t.Context(), "x") },
		"GET /v1/sync?cursor=e.1&timeout=55": func() error { _, err := c.Sync(t.Context(), "e.1", time.Hour); return err },
		"GET /v1/conversations/c1/entries?after=3&limit=5": func() error {
			_, err := c.After(t.Context(), "c1", 3, 5)
			return err
		},
		"GET /v1/conversations/c1/entries?limit=5": func() error {
			_, err := c.Before(t.Context(), "c1", 0, 5)
			return err
		},
	}
	for want, call := range calls {
		if err := call(); err != nil {
			t.Errorf("%s: %v", want, err)
		}
		if line := got.Method + " " + got.URL.RequestURI(); line != want {
			t.Errorf("asked %s, want %s", line, want)
		}
		if got.Header.Get("Authorization") != "Bearer secret" || strings.Contains(got.URL.String(), "secret") {
			t.Errorf("%s: the token is not where it belongs", want)
		}
	}
}

// TestPages kills: a list cut at its first page, and one that never ends
// because a cursor stands still.
func TestPages(t *testing.T) {
	asked := 0
	c, _ := wired(t, func(r *http.Request) (*http.Response, error) {
		asked++
		next := "p2"
		return answer(200, wire.List[wire.Row]{Items: []wire.Row{{ID: "c" + r.URL.Query().Get("cursor")}}, Next: &next})
	})
	var got []string
	for row, err := range c.Conversations(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, row.ID)
	}
	if strings.Join(got, " ") != "c cp2" || asked != 2 {
		t.Errorf("got %v with %d requests", got, asked)
	}
}
