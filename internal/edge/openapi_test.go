package edge_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/parley-im/parley/wire"
)

// apiDocument is as much of an OpenAPI document as the tests read.
type apiDocument struct {
	OpenAPI    string
	Paths      map[string]map[string]apiOperation
	Components struct{ Schemas map[string]*apiSchema }
}

type apiOperation struct {
	OperationID string
	Parameters  []struct {
		Name, In string
		Schema   *apiSchema
	}
	RequestBody *struct {
		Content map[string]struct{ Schema *apiSchema }
	}
	Responses map[string]struct {
		Content map[string]struct{ Schema *apiSchema }
	}
	Security []map[string][]string
}

type apiSchema struct {
	Ref        string `json:"$ref"`
	Type       any
	Properties map[string]*apiSchema
	Required   []string
	Items      *apiSchema
	AnyOf      []*apiSchema
}

func (w *world) document() *apiDocument {
	w.t.Helper()
	res, raw := w.do("GET", "/openapi.json", "")
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" {
		w.t.Fatalf("%s, %s", res.Status, res.Header.Get("Content-Type"))
	}
	doc := new(apiDocument)
	if err := json.Unmarshal(raw, doc); err != nil {
		w.t.Fatal(err)
	}
	return doc
}

// conforms says what of v, decoded JSON, is not as s says. Unlike clients it
// does not bear fields that nobody told of.
func (d *apiDocument) conforms(at string, v any, s *apiSchema) error {
	if s.Ref != "" {
		name := strings.TrimPrefix(s.Ref, "#/components/schemas/")
		if s = d.Components.Schemas[name]; s == nil {
			return fmt.Errorf("%s: there is no schema %s", at, name)
		}
	}
	if len(s.AnyOf) > 0 {
		var err error
		for _, one := range s.AnyOf {
			if err = d.conforms(at, v, one); err == nil {
				return nil
			}
		}
		return err
	}
	kind := map[bool]string{v == nil: "null"}[true]
	switch v := v.(type) {
	case string:
		kind = "string"
	case bool:
		kind = "boolean"
	case float64:
		kind = "integer"
	case []any:
		kind = "array"
		for i, item := range v {
			if err := d.conforms(fmt.Sprintf("%s[%d]", at, i), item, s.Items); err != nil {
				return err
			}
		}
	case map[string]any:
		kind = "object"
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				return fmt.Errorf("%s.%s is missing", at, name)
			}
		}
		for name, value := range v {
			if s.Properties[name] == nil {
				return fmt.Errorf("%s.%s is told of nowhere", at, name)
			}
			if err := d.conforms(at+"."+name, value, s.Properties[name]); err != nil {
				return err
			}
		}
	}
	if s.Type != kind {
		return fmt.Errorf("%s is of type %s, the document says %v", at, kind, s.Type)
	}
	return nil
}

// aPicture is a PNG of four pixels.
var aPicture = func() string {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 2, 2))); err != nil {
		panic(err)
	}
	return b.String()
}()

// goodCalls is every operation at least once, with its status.
var goodCalls = []struct {
	operation, method, path, body string
	status                        int
}{
	{"register", "POST", "/v1/accounts", `{"handle":"carol","password":"correct horse","name":"Carol","device":"phone"}`, 201},
	{"sign_in", "POST", "/v1/sessions", `{"handle":"bob","password":"correct horse"}`, 201},
	{"devices", "GET", "/v1/devices", "", 200},
	{"me", "GET", "/v1/me", "", 200},
	{"node", "GET", "/v1/node", "", 200},
	{"change_me", "PATCH", "/v1/me", `{"name":"Alice A.","status":"at lunch","receipts":false,"presence":true}`, 200},
	{"set_avatar", "PUT", "/v1/me/avatar", aPicture, 200},
	{"avatar", "GET", "/v1/users/alice/avatar?v=x", "", 200},
	{"user", "GET", "/v1/users/alice", "", 200},
	{"remove_avatar", "DELETE", "/v1/me/avatar", "", 200},
	{"user", "GET", "/v1/users/bob", "", 200},
	{"user", "GET", "/v1/users/@BOB", "", 200},
	{"user", "GET", "/v1/users/{bob}", "", 200},
	{"presence", "GET", "/v1/presence?users={bob},unobody", "", 200},
	{"create_conversation", "POST", "/v1/conversations", `{"kind":"direct","members":["bob"]}`, 200},
	{"create_conversation", "POST", "/v1/conversations", `{"kind":"group","title":"Tea","members":["bob","alice"]}`, 201},
	{"conversations", "GET", "/v1/conversations", "", 200},
	{"conversations", "GET", "/v1/conversations?limit=1", "", 200},
	{"conversation", "GET", "/v1/conversations/{direct}", "", 200},
	{"conversation", "GET", "/v1/conversations/{group}", "", 200},
	{"post", "POST", "/v1/conversations/{direct}/entries", `{"id":"m1","body":{"type":"text/plain","text":"hi"},"base":1,"reply_to":1}`, 201},
	{"post", "POST", "/v1/conversations/{direct}/entries", `{"id":"m1","body":{"type":"text/plain","text":"hi"},"base":1,"reply_to":1}`, 200},
	{"post", "POST", "/v1/conversations/{direct}/entries", `{"id":"m2","body":{"type":"image/png","data":"aGk="}}`, 201},
	{"mark", "PUT", "/v1/conversations/{direct}/markers", `{"delivered":2,"read":1}`, 200},
	{"entries", "GET", "/v1/conversations/{direct}/entries", "", 200},
	{"entries", "GET", "/v1/conversations/{direct}/entries?after=0&limit=2", "", 200},
	{"entries", "GET", "/v1/conversations/{direct}/entries?before=0", "", 200},
	{"entries", "GET", "/v1/conversations/{direct}/entries?limit=100000", "", 200},
	{"entry_by_id", "GET", "/v1/conversations/{direct}/entries/by-id/m2", "", 200},
	{"edit", "PATCH", "/v1/conversations/{direct}/entries/2", `{"id":"e1","body":{"type":"text/plain","text":"hi there"}}`, 201},
	{"edit", "PATCH", "/v1/conversations/{direct}/entries/2", `{"id":"e1","body":{"type":"text/plain","text":"hi there"}}`, 200},
	{"react", "PUT", "/v1/conversations/{direct}/entries/2/reaction", `{"id":"r1","text":"👍"}`, 201},
	{"react", "PUT", "/v1/conversations/{direct}/entries/2/reaction", `{"id":"r2","text":""}`, 201},
	{"pin", "PUT", "/v1/conversations/{direct}/entries/2/pin", `{"id":"p1"}`, 201},
	{"unpin", "DELETE", "/v1/conversations/{direct}/entries/2/pin", `{"id":"p2"}`, 201},
	{"entries", "GET", "/v1/conversations/{direct}/entries", "", 200},
	{"search", "GET", "/v1/search?q=there", "", 200},
	{"delete", "DELETE", "/v1/conversations/{direct}/entries/2", `{"id":"d1"}`, 201},
	{"search", "GET", "/v1/search?q=there&conversation={direct}&after=2020-01-01T00:00:00Z&before=2120-01-01T00:00:00Z&limit=3&sender={bob}", "", 200},
	{"add_members", "POST", "/v1/conversations/{group}/members", `{"id":"k1","users":["bob"]}`, 200},
	{"change_member", "PATCH", "/v1/conversations/{group}/members/{bob}", `{"id":"k2","role":"admin"}`, 200},
	{"remove_member", "DELETE", "/v1/conversations/{group}/members/bob?id=k3", "", 204},
	{"change_conversation", "PATCH", "/v1/conversations/{group}", `{"id":"k4","title":"Coffee","muted":true,"archived":true,"pinned":true,"draft":{"text":"hm"}}`, 200},
	{"change_conversation", "PATCH", "/v1/conversations/{group}", `{"muted_until":"2120-01-01T00:00:00Z"}`, 200},
	{"hide", "POST", "/v1/conversations/{group}/hidden", `{"entries":[2]}`, 204},
	{"conversation", "GET", "/v1/conversations/{group}", "", 200},
	{"editions", "GET", "/v1/conversations/{direct}/edits/3", "", 200},
	{"reactors", "GET", "/v1/conversations/{direct}/reactions/3?limit=1", "", 200},
	{"invite_to_group", "POST", "/v1/conversations/{group}/invites", "", 201},
	{"invite_to_group", "POST", "/v1/conversations/{group}/invites", `{"uses":2,"hours":1}`, 201},
	{"group_invites", "GET", "/v1/conversations/{group}/invites?limit=1", "", 200},
	{"preview_invite", "GET", "/v1/join/{join}", "", 200},
	{"join", "POST", "/v1/join/{join}", "", 200},
	{"revoke_group_invite", "DELETE", "/v1/conversations/{group}/invites/{join}", "", 204},
	{"create_bot", "POST", "/v1/bots", `{"handle":"robo","name":"Robo","webhook":"https://bot.example/in"}`, 201},
	{"bots", "GET", "/v1/bots", "", 200},
	{"change_bot", "PATCH", "/v1/bots/robo", `{"name":"Robot","webhook":"https://bot.example/other"}`, 200},
	{"renew_bot_token", "POST", "/v1/bots/robo/token", "", 201},
	{"replay_bot", "POST", "/v1/bots/robo/replay", `{"since":"2026-01-01T00:00:00Z"}`, 204},
	{"delete_bot", "DELETE", "/v1/bots/robo", "", 204},
	{"change_contact", "PUT", "/v1/contacts/bob", `{"state":"requested","rev":1}`, 200},
	{"contacts", "GET", "/v1/contacts", "", 200},
	{"contact", "GET", "/v1/contacts/{bob}", "", 200},
	{"forget_contact", "DELETE", "/v1/contacts/{bob}", "", 204},
	{"sync", "GET", "/v1/sync", "", 200},
	{"sync", "GET", "/v1/sync?cursor=nonsense&timeout=0&limit=1", "", 200},
	{"invite", "POST", "/v1/invites", "", 201},
	{"invite", "POST", "/v1/invites", `{"uses":3,"hours":1}`, 201},
	{"invites", "GET", "/v1/invites", "", 200},
	{"invites", "GET", "/v1/invites?limit=1", "", 200},
	{"revoke_invite", "DELETE", "/v1/invites/{code}", "", 204},
	{"sign_out_device", "DELETE", "/v1/devices/{other}", "", 204},
	{"sign_out", "DELETE", "/v1/sessions/current", "", 204},
}

// TestDocument kills a document that says other than what the server does: a
// call that is in one and not in the other, a status, a field.
func TestDocument(t *testing.T) {
	w := people(t)
	var other wire.SignedIn
	var invite wire.Invite
	w.must("", "POST", "/v1/sessions", `{"handle":"alice","password":"correct horse"}`, &other)
	w.must(w.token, "POST", "/v1/invites", "{}", &invite)
	var join wire.GroupInvite
	w.must(w.token, "POST", w.names.Replace("/v1/conversations/{group}/invites"), "{}", &join)
	doc := w.document()
	called := map[string]bool{"connect": true} // by TestConformance
	for _, c := range goodCalls {
		path := strings.NewReplacer("{code}", invite.Code, "{join}", join.Code, "{other}", other.Device.ID).Replace(w.names.Replace(c.path))
		headers := []string{w.names.Replace(signedIn)}
		if c.body != "" && c.body != aPicture {
			headers = append(headers, asJSON)
		}
		res, raw := w.do(c.method, path, c.body, headers...)
		if res.StatusCode != c.status {
			t.Errorf("%s %s: %s, want %d: %s", c.method, c.path, res.Status, c.status, raw)
			continue
		}
		called[c.operation] = true
		if err := doc.describes(c.operation, c.method, res, raw); err != nil {
			t.Errorf("%s %s: %v: %s", c.method, c.path, err, raw)
		}
	}
	for path, item := range doc.Paths {
		for method, op := range item {
			if !called[op.OperationID] {
				t.Errorf("%s %s is in the document, and no test calls it", method, path)
			}
			w.isThere(strings.ToUpper(method), path, &op)
		}
	}
	for name, s := range doc.Components.Schemas {
		if len(s.Properties) == 0 {
			t.Errorf("schema %s is empty", name)
		}
	}
}

// describes checks one good answer against the document.
func (d *apiDocument) describes(operation, method string, res *http.Response, raw []byte) error {
	for _, item := range d.Paths {
		op, ok := item[strings.ToLower(method)]
		if !ok || op.OperationID != operation {
			continue
		}
		answer, ok := op.Responses[fmt.Sprint(res.StatusCode)]
		if !ok {
			return fmt.Errorf("no status %d", res.StatusCode)
		}
		content, ok := answer.Content[res.Header.Get("Content-Type")]
		if !ok {
			if len(raw) == 0 && len(answer.Content) == 0 {
				return nil
			}
			return fmt.Errorf("no content %q", res.Header.Get("Content-Type"))
		}
		if content.Schema == nil {
			return nil // bytes
		}
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return err
		}
		return d.conforms("answer", v, content.Schema)
	}
	return fmt.Errorf("no operation %s", operation)
}

// isThere checks that an operation of the document is served, refuses whom it
// says it refuses, and names what is in its path.
func (w *world) isThere(method, path string, op *apiOperation) {
	w.t.Helper()
	for _, name := range regexp.MustCompile(`{(\w+)}`).FindAllStringSubmatch(path, -1) {
		if !slices.ContainsFunc(op.Parameters, func(p struct {
			Name, In string
			Schema   *apiSchema
		}) bool {
			return p.Name == name[1] && p.In == "path"
		}) {
			w.t.Errorf("%s %s does not say what %s is", method, path, name[1])
		}
	}
	res, raw := w.do(method, strings.NewReplacer("{", "", "}", "").Replace(path), "")
	if res.StatusCode == 404 || res.StatusCode == 405 || res.StatusCode == 401 != (op.Security != nil) {
		w.t.Errorf("%s %s without a token: %s, security %v: %s", method, path, res.Status, op.Security, raw)
	}
	if _, ok := op.Responses[fmt.Sprint(res.StatusCode)]; !ok && op.OperationID != "connect" {
		w.t.Errorf("%s %s: the document knows no %d", method, path, res.StatusCode)
	}
}

// TestPage: the page keeps its own policy, and all it needs is there.
func TestPage(t *testing.T) {
	w := people(t)
	res, raw := w.do("GET", "/", "")
	if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("%s %s", res.Status, res.Header.Get("Content-Type"))
	}
	policy := res.Header.Get("Content-Security-Policy")
	for _, need := range []string{"default-src 'none'", "script-src 'self';", "require-trusted-types-for 'script'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, need) {
			t.Errorf("the policy lacks %s: %s", need, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is unsafe: %s", policy)
	}
	if inline := regexp.MustCompile(`(?i)<script>|<style|\sstyle=|\son\w+=|["']javascript:|https?://`).FindString(string(raw)); inline != "" {
		t.Errorf("the page holds %q", inline)
	}
	for _, link := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(string(raw), -1) {
		if res, _ := w.do("GET", link[1], ""); res.StatusCode != 200 {
			t.Errorf("%s: %s", link[1], res.Status)
		}
	}
}

// TestHead: HEAD is GET without a body.
func TestHead(t *testing.T) {
	w := people(t)
	for _, path := range []string{"/", "/openapi.json", "/v1/me"} {
		asItIs := "Accept-Encoding: identity"
		get, raw := w.do("GET", path, "", w.names.Replace(signedIn), asItIs)
		head, none := w.do("HEAD", path, "", w.names.Replace(signedIn), asItIs)
		if head.StatusCode != 200 || len(none) > 0 || head.ContentLength != int64(len(raw)) || get.ContentLength != head.ContentLength {
			t.Errorf("HEAD %s: %s, %d bytes and %d announced, want %d", path, head.Status, len(none), head.ContentLength, len(raw))
		}
	}
}

// TestPaging kills a list that loses or repeats what stands where pages meet.
func TestPaging(t *testing.T) {
	w := people(t)
	for i := range 7 {
		w.must(w.token, "POST", "/v1/conversations", fmt.Sprintf(`{"kind":"group","title":"g%d","members":[]}`, i), nil)
		w.must(w.token, "POST", "/v1/invites", "{}", nil)
		w.must("", "POST", "/v1/sessions", `{"handle":"alice","password":"correct horse"}`, nil)
	}
	// Reading moves the row and not the conversation, which ends a page below.
	w.bobSays()
	w.must(w.token, "POST", "/v1/conversations", `{"kind":"group","title":"g7","members":[]}`, nil)
	w.must(w.token, "PUT", w.names.Replace("/v1/conversations/{direct}/markers"), `{"read":2}`, nil)
	for path, want := range map[string]int{"/v1/conversations": 10, "/v1/invites": 7, "/v1/devices": 8} {
		var whole wire.List[map[string]any]
		w.must(w.token, "GET", path, "", &whole)
		if len(whole.Items) != want || whole.Next != nil {
			t.Errorf("%s: %d items, want %d; next %v", path, len(whole.Items), want, whole.Next)
		}
		var paged []map[string]any
		cursor := ""
		for range want {
			var page wire.List[map[string]any]
			w.must(w.token, "GET", path+"?limit=2"+cursor, "", &page)
			if paged = append(paged, page.Items...); page.Next == nil {
				break
			}
			if len(page.Items) != 2 {
				t.Errorf("%s: a page of %d that goes on", path, len(page.Items))
			}
			cursor = "&cursor=" + *page.Next
		}
		if fmt.Sprint(paged) != fmt.Sprint(whole.Items) {
			t.Errorf("%s in pages: %v, whole: %v", path, paged, whole.Items)
		}
	}
}

// TestOrder: the conversation that moved last is first, and reading does not
// reorder.
func TestOrder(t *testing.T) {
	w := people(t)
	direct, group := w.names.Replace("{direct}"), w.names.Replace("{group}")
	w.bobSays()
	w.must(w.token, "POST", "/v1/conversations/"+group+"/entries", aPost, nil)
	w.must(w.token, "PUT", "/v1/conversations/"+direct+"/markers", `{"read":2}`, nil)
	if got := w.newest(); got.ID != group {
		t.Errorf("first is %+v, want the group %s", got, group)
	}
	res, raw := w.do("GET", "/v1/conversations/"+direct+"/entries?before=2&limit=5", "", w.names.Replace(signedIn))
	if res.StatusCode != 200 || strings.Contains(string(raw), `"m1"`) {
		t.Errorf("before 2: %s", raw)
	}
}

// bobSays has bob say something in {direct}, and returns when alice knows.
func (w *world) bobSays() {
	w.t.Helper()
	_ = w.newest() // what was said before is in her inbox, before what follows
	w.must(w.bob, "POST", w.names.Replace("/v1/conversations/{direct}/entries"), aPost, nil)
	unknown := func() int {
		if got := w.newest(); got.ID == w.names.Replace("{direct}") && got.Unread == 1 {
			return 0
		}
		return 1
	}
	if settle(0, unknown) > 0 {
		w.t.Fatalf("bob said something, and first is %+v", w.newest())
	}
}

// newest returns the first of alice's conversations.
func (w *world) newest() wire.Row {
	w.t.Helper()
	var list wire.List[wire.Row]
	w.must(w.token, "GET", "/v1/conversations?limit=1", "", &list)
	return list.Items[0]
}
