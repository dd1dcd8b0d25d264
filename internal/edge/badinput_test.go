package edge_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/edge"
	"github.com/parley-im/parley/wire"
)

// badCall is a request that is refused, and how. Names in braces are those of
// a world.
type badCall struct {
	name, method, path string
	body               string
	headers            []string // instead of alice's token and application/json
	status             int      // 0: that of code
	code               parley.Code
}

const signedIn, asJSON = "Authorization: Bearer {token}", "Content-Type: application/json"

// takers are calls that take JSON, each with a body that is good.
var takers = []struct{ method, path, good string }{
	{"POST", "/v1/accounts", `{"handle":"carol","password":"correct horse"}`},
	{"POST", "/v1/sessions", `{"handle":"alice","password":"correct horse"}`},
	{"PATCH", "/v1/me", `{"name":"Alice"}`},
	{"POST", "/v1/conversations", `{"kind":"direct","members":["bob"]}`},
	{"PUT", "/v1/conversations/{group}/markers", `{"read":1}`},
	{"POST", "/v1/conversations/{group}/entries", `{"id":"m1","body":{"type":"text/plain","text":"hi"}}`},
	{"PATCH", "/v1/conversations/{group}/entries/2", `{"id":"a1","body":{"type":"text/plain","text":"hi"}}`},
	{"PUT", "/v1/conversations/{group}/entries/2/reaction", `{"id":"a2","text":"!"}`},
	{"PUT", "/v1/conversations/{group}/entries/2/pin", `{"id":"a3"}`},
	{"DELETE", "/v1/conversations/{group}/entries/2/pin", `{"id":"a4"}`},
	{"DELETE", "/v1/conversations/{group}/entries/2", `{"id":"a5"}`},
	{"POST", "/v1/conversations/{group}/members", `{"users":["bob"]}`},
	{"PATCH", "/v1/conversations/{group}/members/bob", `{"role":"admin"}`},
	{"PATCH", "/v1/conversations/{group}", `{"muted":true}`},
	{"POST", "/v1/conversations/{group}/hidden", `{"entries":[1]}`},
	{"PUT", "/v1/contacts/bob", `{"state":"requested","rev":1}`},
	{"POST", "/v1/bots", `{"handle":"robo"}`},
	{"PATCH", "/v1/bots/robo", `{"name":"Robo"}`},
	{"POST", "/v1/bots/robo/replay", `{"since":"2026-01-02T03:04:05Z"}`}, // which has no webhook
	{"POST", "/v1/conversations/{group}/invites", `{"uses":1}`},
	{"POST", "/v1/invites", `{"uses":1}`},
}

// bodyless reports whether a call does without a body.
func bodyless(path string) bool { return strings.HasSuffix(path, "/invites") }

// private are the calls that need a token.
func private() (calls []edge.Route) {
	names := strings.NewReplacer("{conversation}", "{group}", "{seq}", "2", "{user}", "bob", "{code}", "c", "{id}", "said")
	for _, r := range edge.Routes() {
		if !r.Open {
			r.Path = names.Replace(r.Path)
			calls = append(calls, r)
		}
	}
	return calls
}

// badCalls is S2 over HTTP.
func badCalls() (calls []badCall) {
	add := func(c badCall) {
		if c.headers == nil {
			c.headers = []string{signedIn, asJSON}
		}
		calls = append(calls, c)
	}
	badJSON(add)
	badTokens(add)
	badAddresses(add)
	badQueries(add)
	badFields(add)
	badBodies(add)
	badActs(add)
	badWishes(add)
	badPeople(add)
	return calls
}

// badJSON is what no call takes, whatever it is about.
func badJSON(add func(badCall)) {
	deep := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)
	for _, c := range takers {
		first, _, _ := strings.Cut(strings.Trim(c.good, "{}"), ",")
		for name, body := range map[string]string{
			"not JSON": `hello`, "half": c.good[:len(c.good)-1], "a list": `[` + c.good + `]`, "null": `null`, "a string": `"x"`, "a number": `1`,
			"two objects": c.good + c.good, "something after it": c.good + `x`, "not UTF-8": strings.TrimSuffix(c.good, "}") + ",\"a\":\"\xff\"}",
			"an unknown field": strings.TrimSuffix(c.good, "}") + `,"room":1}`, "a field in capitals": strings.ToUpper(c.good[:6]) + c.good[6:],
			"a field twice": strings.TrimSuffix(c.good, "}") + "," + first + `}`, "nesting": strings.TrimSuffix(c.good, "}") + `,"x":` + deep + `}`,
			"a comma too many": strings.TrimSuffix(c.good, "}") + `,}`, "a comment": `/**/` + c.good, "single quotes": strings.ReplaceAll(c.good, `"`, `'`),
			"a byte order mark": "\ufeff" + c.good, "a NUL after it": c.good + "\x00", "a number with a fraction": strings.TrimSuffix(c.good, "}") + `,"x":0.5}`,
		} {
			add(badCall{name: "JSON: " + name, method: c.method, path: c.path, body: body, code: parley.BadRequest})
		}
		add(badCall{name: "JSON: over 64 KiB", method: c.method, path: c.path, body: c.good + strings.Repeat(" ", 64<<10), code: parley.TooLarge})
		for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=latin1", "json", "", "application/jsonp", "*/*"} {
			add(badCall{name: "sent as " + kind, method: c.method, path: c.path, body: c.good, headers: []string{signedIn, "Content-Type: " + kind}, code: parley.Unsupported})
		}
		add(badCall{name: "compressed", method: c.method, path: c.path, body: c.good, headers: []string{signedIn, asJSON, "Content-Encoding: gzip"}, code: parley.Unsupported})
	}
	for _, c := range takers {
		if !bodyless(c.path) {
			add(badCall{name: "no body", method: c.method, path: c.path, headers: []string{signedIn, asJSON}, code: parley.BadRequest})
		}
	}
}

// badTokens is everything that is no token, and origins that may not call.
func badTokens(add func(badCall)) {
	for _, c := range private() {
		for name, h := range map[string][]string{
			"none": {asJSON}, "one that is not good": {asJSON, "Authorization: Bearer nonsense"}, "an empty one": {asJSON, "Authorization: Bearer "},
			"another scheme": {asJSON, "Authorization: Basic {token}"}, "no scheme": {asJSON, "Authorization: {token}"},
			"two": {asJSON, signedIn, signedIn}, "one with something after it": {asJSON, signedIn + "x"}, "in a cookie": {asJSON, "Cookie: token={token}"},
		} {
			add(badCall{name: "token: " + name, method: c.Method, path: c.Path, body: "{}", headers: h, code: parley.Unauthorized})
		}
		add(badCall{name: "token: in the address", method: c.Method, path: c.Path + "?token={token}", headers: []string{asJSON}, code: parley.Unauthorized})
		add(badCall{name: "token: in the address, by another name", method: c.Method, path: c.Path + "?access_token={token}", headers: []string{asJSON}, code: parley.Unauthorized})
		for _, origin := range []string{"https://evil.example.org", "null", "file://", "http://127.0.0.1:1"} {
			add(badCall{name: "origin " + origin, method: c.Method, path: c.Path, headers: []string{signedIn, asJSON, "Origin: " + origin}, code: parley.Forbidden})
		}
	}
}

// badAddresses is what is not there, or not yours.
func badAddresses(add func(badCall)) {
	for _, p := range []string{"/v1", "/v1/", "/v2/me", "/v1/me/", "//v1/me", "/v1//me", "/v1/../v1/me", "/v1/./me", "/V1/me", "/v1/me%2f", "/v1/conversation", "/v1/rooms", "/admin", "/metrics", "/debug/pprof/", "/readyz", "/.git/config", "/index.html", "/openapi.yaml"} {
		add(badCall{name: "address", method: "GET", path: p, code: parley.NotFound})
	}
	for _, c := range []struct{ method, path string }{
		{"POST", "/v1/me"}, {"DELETE", "/v1/me"}, {"GET", "/v1/accounts"}, {"GET", "/v1/sessions"}, {"PUT", "/v1/conversations"}, {"DELETE", "/v1/conversations/{group}"}, {"POST", "/v1/sync"},
		{"POST", "/v1/conversations/{group}/markers"}, {"PUT", "/v1/conversations/{group}/entries"}, {"OPTIONS", "/v1/me"}, {"TRACE", "/v1/me"}, {"BREW", "/v1/me"}, {"POST", "/"}, {"POST", "/openapi.json"},
	} {
		add(badCall{name: "method", method: c.method, path: c.path, status: http.StatusMethodNotAllowed, code: parley.BadRequest})
	}
	for _, id := range []string{"gnothere", "{secret}", "{bob}", "~", "a:b"} {
		base := "/v1/conversations/" + id
		add(badCall{name: "not yours", method: "GET", path: base, code: parley.NotFound})
		add(badCall{name: "not yours", method: "GET", path: base + "/entries", code: parley.NotFound})
		add(badCall{name: "not yours", method: "GET", path: base + "/entries?after=0", code: parley.NotFound})
		add(badCall{name: "not yours", method: "GET", path: base + "/entries?before=0", code: parley.NotFound})
		add(badCall{name: "not yours", method: "GET", path: base + "/entries/by-id/m1", code: parley.NotFound})
		add(badCall{name: "not yours", method: "PUT", path: base + "/markers", body: `{"read":1}`, code: parley.NotFound})
		add(badCall{name: "not yours", method: "POST", path: base + "/entries", body: `{"id":"m9","body":{"type":"text/plain","text":"hi"}}`, code: parley.NotFound})
	}
	add(badCall{name: "no such message", method: "GET", path: "/v1/conversations/{group}/entries/by-id/never", code: parley.NotFound})
	add(badCall{name: "no such device", method: "DELETE", path: "/v1/devices/dnone", code: parley.NotFound})
	add(badCall{name: "no such invite", method: "DELETE", path: "/v1/invites/none", code: parley.NotFound})
	for _, u := range []string{"nobody", "u0000000000000000000000000", "BOBB", "b", "@nobody", "bo", "bob."} {
		add(badCall{name: "no such user", method: "GET", path: "/v1/users/" + u, code: parley.NotFound})
	}
	for _, id := range []string{"%00", "a%20b", "a%2Fb", "%ff", "%C3%A9", "a%0d%0ab", "<script>", strings.Repeat("a", 65), "'or'1'='1", "a*b", "a,b", "%E2%80%AE"} {
		for _, path := range []string{"/v1/conversations/ID", "/v1/conversations/ID/entries", "/v1/conversations/{group}/entries/by-id/ID", "/v1/users/ID"} {
			add(badCall{name: "id", method: "GET", path: strings.ReplaceAll(path, "ID", id), code: parley.BadRequest})
		}
		add(badCall{name: "id", method: "DELETE", path: "/v1/devices/" + id, code: parley.BadRequest})
		add(badCall{name: "id", method: "DELETE", path: "/v1/invites/" + id, code: parley.BadRequest})
	}
}

// badQueries is limits, numbers and cursors.
func badQueries(add func(badCall)) {
	numbers := []string{"-1", "+1", "1.5", "1e3", "0x10", "", "x", "9007199254740992", "18446744073709551616", "NaN", "%20" + "1", "1_000", "%D9%A1"}
	for path, names := range map[string][]string{
		"/v1/devices": {"limit"}, "/v1/conversations": {"limit"}, "/v1/invites": {"limit"}, "/v1/sync": {"limit", "timeout"}, "/v1/contacts": {"limit"}, "/v1/search": {"limit"},
		"/v1/conversations/{group}/invites": {"limit"}, "/v1/conversations/{group}/edits/2": {"limit"}, "/v1/conversations/{group}/reactions/2": {"limit"},
		"/v1/conversations/{group}/entries": {"limit", "after", "before"},
	} {
		for _, name := range names {
			for _, n := range numbers {
				add(badCall{name: "number", method: "GET", path: path + "?" + name + "=" + n, code: parley.BadRequest})
			}
			add(badCall{name: "twice", method: "GET", path: path + "?" + name + "=1&" + name + "=1", code: parley.BadRequest})
		}
		add(badCall{name: "an unknown parameter", method: "GET", path: path + "?offset=1", code: parley.BadRequest})
		add(badCall{name: "a malformed query", method: "GET", path: path + "?limit=%zz", code: parley.BadRequest})
		add(badCall{name: "a semicolon", method: "GET", path: path + "?limit=1;limit=2", code: parley.BadRequest})
	}
	add(badCall{name: "both ways", method: "GET", path: "/v1/conversations/{group}/entries?after=1&before=1", code: parley.BadRequest})
	for _, cursor := range []string{"x", "-1", "0", "1.5", "9007199254740992", "%00"} {
		add(badCall{name: "a cursor of no page", method: "GET", path: "/v1/conversations?cursor=" + cursor, code: parley.BadRequest})
	}
	for _, users := range []string{"", "?users=", "?users=a,", "?users=,a", "?users=a,,b", "?users=a%20b", "?users=%00", "?users=@bob", "?users=" + strings.Repeat("a", 65), "?users=a&users=b", "?users=a&limit=1", "?users=" + strings.Repeat("a,", 200) + "a"} {
		add(badCall{name: "users", method: "GET", path: "/v1/presence" + users, code: parley.BadRequest})
	}
	add(badCall{name: "a query where none is", method: "GET", path: "/v1/me?x=1", code: parley.BadRequest})
}

// badFields is fields that are wrong by themselves.
func badFields(add func(badCall)) {
	call := func(method, path string, code parley.Code, bodies ...string) {
		for _, b := range bodies {
			add(badCall{name: "field", method: method, path: path, body: b, code: code})
		}
	}
	for _, handle := range []string{"", "a", strings.Repeat("a", 33), "a b", "é́lan", "a/b", "a@b", "@", "al\u202eice", "a\\u0000", "<b>", "admin!"} {
		call("POST", "/v1/accounts", parley.BadRequest, `{"handle":"`+handle+`","password":"correct horse"}`)
	}
	for _, password := range []string{`""`, `"1234567"`, `null`, `12345678`, `["correct horse"]`, `{}`, `"` + strings.Repeat("p", 1025) + `"`} {
		call("POST", "/v1/accounts", parley.BadRequest, `{"handle":"carol","password":`+password+`}`)
	}
	for _, name := range []string{`""`, `" "`, `"a\u0000"`, `"a\nb"`, `"a\u202eb"`, `"a\u2066b"`, `"\u200b"`, `"` + strings.Repeat("n", 65) + `"`, `"\ud800"`, `1`, `null`, `"a\u2028b"`, `"\u0007"`} {
		call("PATCH", "/v1/me", parley.BadRequest, `{"name":`+name+`}`)
	}
	call("POST", "/v1/accounts", parley.Conflict, `{"handle":"alice","password":"correct horse"}`, `{"handle":"ALICE","password":"correct horse"}`)
	call("POST", "/v1/sessions", parley.Unauthorized, `{"handle":"alice","password":"wrong horse"}`, `{"handle":"nobody","password":"correct horse"}`, `{"handle":"","password":""}`, `{"handle":"a b","password":"correct horse"}`)
	call("POST", "/v1/conversations", parley.BadRequest,
		`{"members":["bob"]}`, `{"kind":"direct"}`, `{"kind":"room","members":["bob"]}`, `{"kind":"","members":["bob"]}`, `{"kind":"DIRECT","members":["bob"]}`,
		`{"kind":"direct","members":[]}`, `{"kind":"direct","members":["bob","bob"]}`, `{"kind":"direct","members":["bob","alice"]}`, `{"kind":"direct","title":"x","members":["bob"]}`,
		`{"kind":"direct","members":"bob"}`, `{"kind":"direct","members":null}`, `{"kind":"direct","members":[1]}`, `{"kind":"direct","members":[null]}`, `{"kind":"direct","members":[["bob"]]}`,
		`{"kind":"group","members":["bob","bob"]}`, `{"kind":"group","members":["bob","@bob"]}`, `{"kind":"group","members":["bob","{bob}"]}`, `{"kind":"group","title":" ","members":[]}`,
		`{"kind":"group","title":"a\u0000","members":[]}`, `{"kind":"group","title":"`+strings.Repeat("t", 129)+`","members":[]}`, `{"kind":"group","title":"a\u202eb","members":[]}`, `{"kind":"group","title":null,"members":[]}`)
	call("POST", "/v1/conversations", parley.NotFound, `{"kind":"direct","members":["nobody"]}`, `{"kind":"direct","members":[""]}`, `{"kind":"direct","members":["u0000000000000000000000000"]}`, `{"kind":"group","members":["bob","nobody"]}`, `{"kind":"group","members":["`+canary+`"]}`)
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprintf("%q", fmt.Sprint("p", i))
	}
	call("POST", "/v1/conversations", parley.TooLarge, `{"kind":"group","members":[`+strings.Join(many, ",")+`]}`)
	for _, n := range []string{`-1`, `1.5`, `1e2`, `"1"`, `null`, `true`, `9007199254740992`, `1e400`, `[]`, `01`, `+1`, `NaN`} {
		call("PUT", "/v1/conversations/{group}/markers", parley.BadRequest, `{"read":`+n+`}`, `{"delivered":`+n+`}`)
		call("POST", "/v1/invites", parley.BadRequest, `{"uses":`+n+`}`, `{"hours":`+n+`}`)
	}
	call("POST", "/v1/invites", parley.BadRequest, `{"uses":9007199254740991}`, `{"hours":9007199254740991}`, `{"hours":8761}`, `{"uses":1001}`)
}

// badBodies is entries that may not be said.
func badBodies(add func(badCall)) {
	say := func(code parley.Code, bodies ...string) {
		for _, b := range bodies {
			add(badCall{name: "entry", method: "POST", path: "/v1/conversations/{group}/entries", body: b, code: code})
		}
	}
	const hi = `{"type":"text/plain","text":"hi"}`
	for _, id := range []string{`""`, `"` + strings.Repeat("i", 65) + `"`, `"a b"`, `"a/b"`, `null`, `1`, `"é"`, `"\u0000"`, `{}`} {
		say(parley.BadRequest, `{"id":`+id+`,"body":`+hi+`}`)
	}
	for _, n := range []string{`-1`, `0.5`, `"1"`, `null`, `9007199254740992`} {
		say(parley.BadRequest, `{"id":"m2","body":`+hi+`,"base":`+n+`}`, `{"id":"m2","body":`+hi+`,"reply_to":`+n+`}`)
	}
	say(parley.BadRequest, `{"body":`+hi+`}`, `{"id":"m2"}`, `{"id":"m2","body":null}`, `{"id":"m2","body":"hi"}`, `{"id":"m2","body":[]}`, `{"id":"m2","body":{}}`, `{"id":"m2","body":{"type":"text/plain"}}`,
		`{"id":"m2","body":{"text":"hi"}}`, `{"id":"m2","body":{"type":"","text":"hi"}}`, `{"id":"m2","body":{"type":"text/plain","text":""}}`, `{"id":"m2","body":{"type":"text/plain","text":null}}`,
		`{"id":"m2","body":{"type":"text/plain","text":"a\u0000b"}}`, `{"id":"m2","body":{"type":"text/plain","text":"\ud800"}}`, `{"id":"m2","body":{"type":"text/plain","text":1}}`,
		`{"id":"m2","body":{"type":"text/plain","data":"aGk="}}`, `{"id":"m2","body":{"type":"text/plain","text":"hi","data":"aGk="}}`, `{"id":"m2","body":{"type":"text/plain","text":"hi","x":1}}`,
		`{"id":"m2","body":{"type":"text/plain","text":"hi","text":"ho"}}`, `{"id":"m2","body":{"type":"TEXT/plain","data":"aGk="}}`, `{"id":"m2","body":{"type":"text/plain; charset=utf-8","data":"aGk="}}`,
		`{"id":"m2","body":{"type":"image/png","text":"hi"}}`, `{"id":"m2","body":{"type":"image/png"}}`, `{"id":"m2","body":{"type":"image/png","data":""}}`, `{"id":"m2","body":{"type":"image/png","data":"a"}}`,
		`{"id":"m2","body":{"type":"image/png","data":"aGk"}}`, `{"id":"m2","body":{"type":"image/png","data":"aGl="}}`, `{"id":"m2","body":{"type":"image/png","data":"a\nGk="}}`, `{"id":"m2","body":{"type":"image/png","data":"_-8="}}`,
		`{"id":"m2","body":{"type":"png","data":"aGk="}}`, `{"id":"m2","body":{"type":"a/b/c","data":"aGk="}}`, `{"id":"m2","body":{"type":"a/b\r\nX: y","data":"aGk="}}`, `{"id":"m2","body":{"type":"`+strings.Repeat("a", 127)+`/b","data":"aGk="}}`)
	say(parley.TooLarge, `{"id":"m2","body":{"type":"text/plain","text":"`+strings.Repeat("x", 1001)+`"}}`, `{"id":"m2","body":{"type":"text/plain","text":"`+strings.Repeat("é", 1001)+`"}}`,
		`{"id":"m2","body":{"type":"text/plain","text":"`+strings.Repeat("x", 20<<10)+`"}}`, `{"id":"m2","body":{"type":"image/png","data":"`+strings.Repeat("AAAA", 5462)+`"}}`)
	say(parley.IDConflict, `{"id":"said","body":{"type":"text/plain","text":"ho"}}`, `{"id":"said","body":{"type":"image/png","data":"aGk="}}`, `{"id":"said","body":{"type":"text/plain","text":"hi"},"reply_to":1}`)
}

// TestBadCalls is S2 over HTTP: it kills a call that lets something pass, that
// answers with another code or no problem at all, that fails, or that gives
// away what is not the asker's.
func TestBadCalls(t *testing.T) {
	good := people(t)
	taken := make(map[string]bool)
	for _, c := range takers { // else everything made of them would be refused anyway
		res, raw := good.do(c.method, good.names.Replace(c.path), c.good, good.names.Replace(signedIn), asJSON)
		if res.StatusCode/100 != 2 && !strings.HasSuffix(c.path, "/replay") {
			t.Errorf("%s %s: %s: %s", c.method, c.path, res.Status, raw)
		}
		taken[res.Request.Method+" "+c.path] = true
	}
	for _, r := range edge.Routes() {
		names := strings.NewReplacer("{conversation}", "{group}", "{seq}", "2", "contacts/{user}", "contacts/bob", "bots/{user}", "bots/robo", "members/{user}", "members/bob")
		if r.JSON && !taken[r.Method+" "+names.Replace(r.Path)] {
			t.Errorf("%s %s takes JSON, and nobody tries it with bad", r.Method, r.Path)
		}
	}
	w := people(t)
	was := w.everything()
	calls := badCalls()
	if len(calls) < 500 {
		t.Errorf("%d calls, want 500", len(calls))
	}
	for i, c := range calls {
		path, body := w.names.Replace(c.path), w.names.Replace(c.body)
		headers := make([]string, len(c.headers))
		for j, h := range c.headers {
			headers[j] = w.names.Replace(h)
		}
		res, raw := w.do(c.method, path, body, headers...)
		what := fmt.Sprintf("%d %s: %s %.80s %.80q", i, c.name, c.method, c.path, c.body)
		checkProblem(t, what, &c, res, raw)
	}
	if got := w.metric("parley_http_panics_total"); got != "0" {
		t.Errorf("panics: %q", got)
	}
	if is := w.everything(); is != was {
		t.Errorf("after all that: %s, and before: %s", changed(was, is), changed(is, was))
	}
}

// everything is what alice and bob have.
func (w *world) everything() string {
	w.t.Helper()
	var all strings.Builder
	for _, token := range []string{w.token, w.bob} {
		for _, path := range []string{"/v1/me", "/v1/devices", "/v1/contacts", "/v1/bots", "/v1/invites", "/v1/conversations", "/v1/sync?timeout=0"} {
			var raw json.RawMessage
			w.must(token, "GET", path, "", &raw)
			fmt.Fprintf(&all, "%s: %s\n", path, raw)
		}
	}
	return all.String()
}

func checkProblem(t *testing.T, what string, c *badCall, res *http.Response, raw []byte) {
	t.Helper()
	want := c.status
	if want == 0 {
		want = wire.Status(c.code)
	}
	var p wire.Problem
	err := json.Unmarshal(raw, &p)
	if c.method == http.MethodHead {
		err = nil
	}
	switch {
	case res.StatusCode != want || p.Code != string(c.code):
		t.Errorf("%s: %d %s, want %d %s: %.300s", what, res.StatusCode, p.Code, want, c.code, raw)
	case err != nil || p.Status != want || p.Title == "" || p.Detail == "" || !strings.HasPrefix(p.Type, "/docs/"):
		t.Errorf("%s: no problem: %v: %s", what, err, raw)
	case res.Header.Get("Content-Type") != "application/problem+json" || res.Header.Get("Cache-Control") != "no-store":
		t.Errorf("%s: headers %v", what, res.Header)
	case strings.Contains(string(raw), canary) && !strings.Contains(c.body, canary):
		t.Errorf("%s: gives away %s", what, raw)
	case want == 401 && res.Header.Get("WWW-Authenticate") == "":
		t.Errorf("%s: 401 does not say how", what)
	case want == 405 && res.Header.Get("Allow") == "":
		t.Errorf("%s: 405 does not say what", what)
	}
	for name, value := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		if res.Header.Get(name) != value {
			t.Errorf("%s: %s is %q", what, name, res.Header.Get(name))
		}
	}
}

// TestSameNotFound kills an answer that tells a conversation of others from
// none.
func TestSameNotFound(t *testing.T) {
	w := people(t)
	for _, suffix := range []string{"", "/entries", "/entries/by-id/m1"} {
		var answers []string
		for _, id := range []string{"{secret}", "gnothere"} {
			_, raw := w.do("GET", w.names.Replace("/v1/conversations/"+id+suffix), "", w.names.Replace(signedIn))
			answers = append(answers, string(raw))
		}
		if answers[0] != answers[1] {
			t.Errorf("%s: %s and %s", suffix, answers[0], answers[1])
		}
	}
}

// badFrame is a frame that a session refuses; the connection stays.
type badFrame struct {
	frame string
	code  parley.Code
}

// badFrames is S2 over WebSocket.
func badFrames() (frames []badFrame) {
	bad := func(code parley.Code, fs ...string) {
		for _, f := range fs {
			frames = append(frames, badFrame{f, code})
		}
	}
	const hi = `{"type":"text/plain","text":"hi"}`
	post := func(rest string) string { return `{"t":"post","ref":1,` + rest + `}` }
	bad(parley.BadRequest, ``, ` `, `null`, `[]`, `1`, `"x"`, `{`, `{}`, `{"t":null}`, `{"t":1}`, `{"t":""}`, `{"t":"sing"}`, `{"t":"welcome"}`, `{"T":"watch","users":[]}`, `{"t":"watch","users":[]}x`,
		`{"t":"watch","users":[]}{"t":"watch","users":[]}`, `{"t":"watch","t":"watch","users":[]}`, `{"t":"watch","users":[],"users":[]}`, `{"t":"watch","users":[],"room":1}`, "\ufeff"+watch,
		`{"t":"watch"}`, `{"t":"watch","users":null}`, `{"t":"watch","users":"bob"}`, `{"t":"watch","users":[""]}`, `{"t":"watch","users":[1]}`, `{"t":"watch","users":["`+strings.Repeat("u", 65)+`"]}`, `{"t":"watch","ref":1,"users":[]}`,
		`{"t":"hello","token":"{token}","cursor":null}`, strings.Repeat(`{"a":`, 40)+"1"+strings.Repeat("}", 40), strings.Repeat("[", 60000),
		`{"t":"whisper"}`, `{"t":"whisper","conversation":"{group}"}`, `{"t":"whisper","conversation":"","kind":"typing"}`, `{"t":"whisper","conversation":"{group}","kind":""}`, `{"t":"whisper","conversation":"{group}","kind":null}`,
		`{"t":"mark"}`, `{"t":"mark","conversation":"{group}"}`, `{"t":"mark","conversation":"","read":1}`, `{"t":"mark","conversation":"{group}","read":-1}`, `{"t":"mark","conversation":"{group}","read":"1"}`,
		`{"t":"mark","conversation":"{group}","read":1.5}`, `{"t":"mark","conversation":"{group}","read":9007199254740992}`, `{"t":"mark","conversation":"{group}","read":null}`, `{"t":"mark","conversation":"{group}","delivered":1e3}`, `{"t":"mark","conversation":"{group}","after":1}`,
		`{"t":"read"}`, `{"t":"read","ref":1}`, `{"t":"read","conversation":"{group}"}`, `{"t":"read","ref":1,"conversation":"{group}","after":1,"before":2}`, `{"t":"read","ref":1,"conversation":"{group}","after":-1}`, `{"t":"read","ref":1,"conversation":"{group}","limit":-1}`,
		`{"t":"read","ref":1,"conversation":"{group}","limit":"5"}`, `{"t":"read","ref":1,"conversation":"a b"}`, `{"t":"read","ref":null,"conversation":"{group}"}`, `{"t":"read","ref":{},"conversation":"{group}"}`, `{"t":"read","ref":1.5,"conversation":"{group}"}`, `{"t":"read","ref":"`+strings.Repeat("r", 65)+`","conversation":"{group}"}`,
		`{"t":"post","conversation":"{group}","id":"w1","body":`+hi+`}`, post(`"conversation":"{group}","id":"w1"`), post(`"conversation":"{group}","body":`+hi), post(`"id":"w1","body":`+hi),
		post(`"conversation":"","id":"w1","body":`+hi), post(`"conversation":"{group}","id":"","body":`+hi), post(`"conversation":"{group}","id":"a b","body":`+hi), post(`"conversation":"{group}","id":"`+strings.Repeat("i", 65)+`","body":`+hi),
		post(`"conversation":"{group}","id":"w1","body":null`), post(`"conversation":"{group}","id":"w1","body":"hi"`), post(`"conversation":"{group}","id":"w1","body":{}`), post(`"conversation":"{group}","id":"w1","body":{"type":"text/plain"}`),
		post(`"conversation":"{group}","id":"w1","body":{"type":"text/plain","text":""}`), post(`"conversation":"{group}","id":"w1","body":{"type":"text/plain","text":"a\u0000"}`), post(`"conversation":"{group}","id":"w1","body":{"type":"text/plain","text":"\udc00"}`),
		post(`"conversation":"{group}","id":"w1","body":{"type":"text/plain","text":"hi","x":1}`), post(`"conversation":"{group}","id":"w1","body":{"type":"image/png","text":"hi"}`), post(`"conversation":"{group}","id":"w1","body":{"type":"image/png","data":"???"}`),
		post(`"conversation":"{group}","id":"w1","body":{"type":"Text/Plain","data":"aGk="}`), post(`"conversation":"{group}","id":"w1","body":`+hi+`,"base":-1`), post(`"conversation":"{group}","id":"w1","body":`+hi+`,"base":9007199254740992`), post(`"conversation":"{group}","id":"w1","body":`+hi+`,"kind":"x"`),
		post(`"conversation":"{group}","id":"w1","body":`+hi+`,"token":"x"`), post(`"conversation":"{group}","id":"w1","body":`+hi+`,"sender":"{bob}"`), post(`"conversation":"{group}","id":"w1","body":`+hi+`,"seq":5`))
	bad(parley.TooLarge, post(`"conversation":"{group}","id":"w1","body":{"type":"text/plain","text":"`+strings.Repeat("x", 1001)+`"}`), post(`"conversation":"{group}","id":"w1","body":{"type":"image/png","data":"`+strings.Repeat("AAAA", 5462)+`"}`))
	bad(parley.NotFound, post(`"conversation":"{secret}","id":"w1","body":`+hi), post(`"conversation":"gnothere","id":"w1","body":`+hi), `{"t":"read","ref":1,"conversation":"{secret}"}`, `{"t":"read","ref":1,"conversation":"gnothere"}`, `{"t":"read","ref":1,"conversation":"{secret}","after":0}`)
	bad(parley.IDConflict, post(`"conversation":"{group}","id":"said","body":{"type":"text/plain","text":"ho"}`))
	badActFrames(bad)
	return frames
}

// TestBadFrames: every bad frame is answered with its code, and the connection
// stays, though not for ten of them in a row.
func TestBadFrames(t *testing.T) {
	w := people(t)
	frames := badFrames()
	if len(frames) < 160 {
		t.Errorf("%d frames, want 160", len(frames))
	}
	was := w.everything()
	for i, c := range frames {
		nc, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, nc)
		s.send(join(text(w.names.Replace(`{"t":"hello","token":"{token}","cursor":null}`)), text(w.names.Replace(c.frame))))
		got := s.next(patience)
		for got == "welcome" || got == "changes" || got == "entries" {
			got = s.next(patience)
		}
		if got != "error:"+string(c.code) {
			t.Errorf("%d %.100q: %q, want %s", i, c.frame, got, c.code)
		}
		if got := s.story(); !strings.HasSuffix(got, "open") {
			t.Errorf("%d %.100q: then %q", i, c.frame, got)
		}
		_ = nc.Close()
	}
	if got := w.metric("parley_http_panics_total"); got != "0" {
		t.Errorf("panics: %q", got)
	}
	if is := w.everything(); is != was {
		t.Errorf("after all that: %s, and before: %s", changed(was, is), changed(is, was))
	}
}

// TestBadCursors: a cursor that is not good is answered with a resync, never
// with an error.
func TestBadCursors(t *testing.T) {
	w := people(t)
	var now wire.Sync
	w.must(w.token, "GET", "/v1/sync", "", &now)
	for _, cursor := range []string{"x", "-1", "1", ".", "." + "1", now.Epoch + ".", now.Epoch + ".-1", now.Epoch + ".x", now.Epoch + ".01", now.Epoch + ".999999", now.Epoch + ".9007199254740993",
		now.Epoch + ".5~9", "other.1", now.Cursor + "x", strings.Repeat("c", 300), "é.1"} {
		var page wire.Sync
		w.must(w.token, "GET", "/v1/sync?timeout=0&cursor="+strings.ReplaceAll(cursor, "é", "%C3%A9"), "", &page)
		if !page.Resync || len(page.Changes) != 2 || page.Cursor != now.Cursor {
			t.Errorf("%q: %+v", cursor, page)
		}
		nc, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, nc)
		s.send(text(w.names.Replace(fmt.Sprintf(`{"t":"hello","token":"{token}","cursor":%q}`, cursor))))
		if first, second := s.next(patience), s.next(patience); first != "welcome" || second != "resync" {
			t.Errorf("%q: %s, %s", cursor, first, second)
		}
	}
}
