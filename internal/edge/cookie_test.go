package edge_test

import (
	"net"
	"net/http"
	"strings"
	"testing"
)

// signInPage signs alice in as a page of this server does, reached at origin,
// and returns the cookie the browser would keep.
func (w *world) signInPage(origin string) *http.Cookie {
	w.t.Helper()
	headers := []string{"Content-Type: application/json", "Origin: " + origin, "Sec-Fetch-Site: same-origin"}
	res, raw := w.do("POST", "/v1/sessions", `{"handle":"alice","password":"correct horse","cookie":true}`, headers...)
	if res.StatusCode != 201 || !strings.Contains(string(raw), `"token":""`) {
		w.t.Fatalf("%s, with the token in the body of the answer: %s", res.Status, raw)
	}
	cookies := res.Cookies()
	if len(cookies) != 1 {
		w.t.Fatalf("%d cookies", len(cookies))
	}
	return cookies[0]
}

// TestBrowserKeepsToken kills a cookie that a script can read, that other
// sites' pages can use, and one that outlives signing out.
func TestBrowserKeepsToken(t *testing.T) {
	w := people(t)
	origin := "http://" + w.addr
	kept := w.signInPage(origin)
	if !kept.HttpOnly || kept.SameSite != http.SameSiteStrictMode || kept.Secure || kept.Path != "/" || kept.Domain != "" || kept.MaxAge < 86400*365 {
		t.Errorf("the cookie: %v", kept)
	}
	if _, port, _ := net.SplitHostPort(w.addr); kept.Name != "parley-"+port {
		t.Errorf("two servers on one machine share the cookie %s", kept.Name)
	}
	cookie := "Cookie: " + kept.Name + "=" + kept.Value
	for _, c := range []struct {
		name    string
		status  int
		headers []string
	}{
		{"our page reads", 200, []string{cookie, "Sec-Fetch-Site: same-origin"}},
		{"somebody types the address", 200, []string{cookie, "Sec-Fetch-Site: none"}},
		{"an old browser", 200, []string{cookie}},
		{"a page of the same site on another port", 401, []string{cookie, "Sec-Fetch-Site: same-site"}},
		{"another site", 401, []string{cookie, "Sec-Fetch-Site: cross-site"}},
		{"another site that says where it is", 403, []string{cookie, "Origin: http://evil.example"}},
		{"a header that is wrong beside a good cookie", 401, []string{cookie, "Authorization: Bearer nonsense"}},
		{"another name", 401, []string{"Cookie: parley=" + kept.Value}},
		{"nonsense", 401, []string{"Cookie: " + kept.Name + "=nonsense"}},
	} {
		if res, raw := w.do("GET", "/v1/me", "", c.headers...); res.StatusCode != c.status {
			t.Errorf("%s: %s: %s", c.name, res.Status, raw)
		}
	}
	res, _ := w.do("DELETE", "/v1/sessions/current", "", cookie, "Origin: "+origin)
	if gone := res.Cookies(); res.StatusCode != 204 || len(gone) != 1 || gone[0].Name != kept.Name || gone[0].MaxAge >= 0 {
		t.Errorf("signed out: %s, and the cookies %v", res.Status, gone)
	}
	if res, _ := w.do("GET", "/v1/me", "", cookie); res.StatusCode != 401 {
		t.Errorf("after signing out: %s", res.Status)
	}
}

// Behind a proxy the server does not know that people come over HTTPS, but
// their browsers say so. It kills a cookie that leaks over plain HTTP.
func TestBrowserKeepsTokenOverHTTPS(t *testing.T) {
	w := people(t)
	kept := w.signInPage("https://" + w.addr)
	if kept.Name != "__Host-parley" || !kept.Secure || kept.Path != "/" {
		t.Errorf("the cookie: %v", kept)
	}
	if res, _ := w.do("GET", "/v1/me", "", "Cookie: "+kept.Name+"="+kept.Value, "Sec-Fetch-Site: same-origin"); res.StatusCode != 200 {
		t.Errorf("our page reads: %s", res.Status)
	}
}

// A page says hello with an empty token. It kills a session for whoever opens
// a WebSocket from elsewhere, and a cookie that ends while it is in use.
func TestHelloFromPage(t *testing.T) {
	w := people(t)
	kept := w.signInPage("http://" + w.addr)
	for _, c := range []struct {
		name, want string
		headers    []string
	}{
		{"our page", "welcome", []string{"Origin: http://" + w.addr, "Cookie: " + kept.Name + "=" + kept.Value}},
		{"no cookie", "error:unauthorized", []string{"Origin: http://" + w.addr}},
		{"from a page of another port", "error:unauthorized", []string{"Sec-Fetch-Site: same-site", "Cookie: " + kept.Name + "=" + kept.Value}},
	} {
		nc, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		headers := append([]string{"Host: " + w.addr}, handshake[1:]...)
		s, res := shake(t, nc, "GET", "HTTP/1.1", append(headers, c.headers...)...)
		if res.StatusCode != 101 {
			t.Fatalf("%s: %s", c.name, res.Status)
		}
		if renewed := res.Cookies(); (c.want == "welcome") != (len(renewed) == 1 && renewed[0].Value == kept.Value) {
			t.Errorf("%s: the handshake sets %v", c.name, renewed)
		}
		s.send(text(`{"t":"hello","token":"","client":"page/1"}`))
		if got := s.next(patience); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}
