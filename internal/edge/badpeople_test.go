package edge_test

import (
	"fmt"
	"strings"

	"github.com/parley-im/parley"
)

// fields returns what adds calls that differ in their bodies alone.
func fields(add func(badCall)) func(method, path string, code parley.Code, bodies ...string) {
	return func(method, path string, code parley.Code, bodies ...string) {
		for _, b := range bodies {
			add(badCall{name: "field", method: method, path: path, body: b, code: code})
		}
	}
}

// badActs is what cannot be done to an entry: 1 of {group} says who belongs, 2
// is a message of alice's, and there are no others.
func badActs(add func(badCall)) {
	call := fields(add)
	const entries = "/v1/conversations/{group}/entries/"
	acts := []struct{ method, after, body string }{
		{"PATCH", "", `"body":{"type":"text/plain","text":"hi"}`}, {"DELETE", "", ``}, {"PUT", "/reaction", `"text":"!"`}, {"PUT", "/pin", ``}, {"DELETE", "/pin", ``},
	}
	for _, a := range acts {
		body := func(id string) string { return `{` + strings.TrimSuffix(`"id":`+id+`,`+a.body, ",") + `}` }
		for _, seq := range []string{"0", "-1", "x", "1.5", "1e1", "9007199254740992", "%31x", "1", "3", "99", "9007199254740991"} {
			call(a.method, entries+seq+a.after, parley.BadRequest, body(`"a1"`))
		}
		for _, id := range []string{`""`, `"` + strings.Repeat("i", 65) + `"`, `"a b"`, `null`, `1`} {
			call(a.method, entries+"2"+a.after, parley.BadRequest, body(id))
		}
		call(a.method, entries+"2"+a.after, parley.BadRequest, `{}`)
		call(a.method, entries+"2"+a.after, parley.IDConflict, body(`"said"`))
		for _, id := range []string{"gnothere", "{secret}"} {
			call(a.method, "/v1/conversations/"+id+"/entries/2"+a.after, parley.NotFound, body(`"a1"`))
		}
	}
	call("PATCH", entries+"2", parley.BadRequest, `{"id":"a1"}`, `{"id":"a1","body":null}`, `{"id":"a1","body":{}}`, `{"id":"a1","body":{"type":"text/plain","text":""}}`,
		`{"id":"a1","body":{"type":"text/plain","text":"a\u0000"}}`, `{"id":"a1","body":{"type":"image/png","data":"aGk="}}`)
	call("PATCH", entries+"2", parley.TooLarge, `{"id":"a1","body":{"type":"text/plain","text":"`+strings.Repeat("x", 1001)+`"}}`)
	call("PUT", entries+"2/reaction", parley.BadRequest, `{"id":"a1","text":"a\u0000"}`, `{"id":"a1","text":"\n"}`, `{"id":"a1","text":" "}`, `{"id":"a1","text":"\u202e!"}`, `{"id":"a1","text":null}`, `{"id":"a1","text":1}`)
	call("PUT", entries+"2/reaction", parley.TooLarge, `{"id":"a1","text":"`+strings.Repeat("!", 65)+`"}`)
	for _, list := range []string{"edits", "reactions"} {
		for seq, code := range map[string]parley.Code{"0": parley.BadRequest, "-1": parley.BadRequest, "x": parley.BadRequest, "9007199254740992": parley.BadRequest, "1": parley.NotFound, "3": parley.NotFound, "99": parley.NotFound} {
			add(badCall{name: "number", method: "GET", path: "/v1/conversations/{group}/" + list + "/" + seq, code: code})
		}
		for _, id := range []string{"gnothere", "{secret}"} {
			add(badCall{name: "not yours", method: "GET", path: "/v1/conversations/" + id + "/" + list + "/2", code: parley.NotFound})
		}
		for _, cursor := range []string{"x", "-1", "1.5"} {
			add(badCall{name: "a cursor of no page", method: "GET", path: "/v1/conversations/{group}/" + list + "/2?cursor=" + cursor, code: parley.BadRequest})
		}
	}
	say := func(code parley.Code, mentions ...string) {
		for _, m := range mentions {
			call("POST", "/v1/conversations/{group}/entries", code, `{"id":"m2","body":{"type":"text/plain","text":"hi"},"mentions":`+m+`}`)
		}
	}
	say(parley.BadRequest, `null`, `"bob"`, `[null]`, `[1]`, `[""]`, `["a b"]`, `["{bob}"]`, `["unothere"]`, `["@alice"]`, `["`+strings.Repeat(`u","`, 32)+`u"]`)
	call("POST", "/v1/conversations/{group}/entries", parley.BadRequest, `{"id":"m2","body":{"type":"text/plain","text":"hi"},"reply_to":3}`, `{"id":"m2","body":{"type":"text/plain","text":"hi"},"forwarded":1}`)
}

// badWishes is what nobody can wish of a conversation.
func badWishes(add func(badCall)) {
	call := fields(add)
	const group = "/v1/conversations/{group}"
	call("PATCH", group, parley.BadRequest, `{}`, `{"id":"a1"}`, `{"title":null}`, `{"title":""}`, `{"title":" "}`, `{"title":"a\u0000"}`, `{"title":"a\u202eb"}`, `{"title":"`+strings.Repeat("t", 129)+`"}`, `{"title":"x","id":"a b"}`,
		`{"muted":"yes"}`, `{"muted":null}`, `{"muted_until":"tomorrow"}`, `{"muted_until":1}`, `{"muted_until":"2026-13-01T00:00:00Z"}`, `{"archived":1}`, `{"pinned":"true"}`,
		`{"draft":null}`, `{"draft":"x"}`, `{"draft":{"text":1}}`, `{"draft":{"text":"x","reply_to":-1}}`, `{"draft":{"text":"x","at":"now"}}`, `{"draft":{"text":"x","seq":1}}`)
	call("PATCH", group, parley.TooLarge, `{"draft":{"text":"`+strings.Repeat("x", 4001)+`"}}`)
	call("PATCH", group, parley.IDConflict, `{"title":"x","id":"said"}`)
	call("PATCH", "/v1/conversations/{direct}", parley.BadRequest, `{"title":"x"}`)
	for _, id := range []string{"gnothere", "{secret}"} {
		call("PATCH", "/v1/conversations/"+id, parley.NotFound, `{"title":"x"}`, `{"muted":true}`, `{"draft":{"text":"x"}}`)
		call("POST", "/v1/conversations/"+id+"/hidden", parley.NotFound, `{"entries":[1]}`)
	}
	call("POST", group+"/hidden", parley.BadRequest, `{}`, `{"entries":null}`, `{"entries":[]}`, `{"entries":[0]}`, `{"entries":[-1]}`, `{"entries":["1"]}`, `{"entries":[1.5]}`, `{"entries":1}`, `{"entries":[9007199254740992]}`,
		`{"entries":[`+strings.Repeat("1,", 200)+`1]}`)
}

// badPeople is what cannot be done with people.
func badPeople(add func(badCall)) {
	call := fields(add)
	const members = "/v1/conversations/{group}/members"
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprintf("%q", fmt.Sprint("p", i))
	}
	call("POST", members, parley.BadRequest, `{}`, `{"users":null}`, `{"users":[]}`, `{"users":"bob"}`, `{"users":[1]}`, `{"users":["bob","bob"]}`, `{"users":["bob","@Bob"]}`, `{"users":["bob","{bob}"]}`, `{"users":["bob"],"all":1}`, `{"users":["bob"],"id":"a b"}`)
	call("POST", members, parley.NotFound, `{"users":["nobody"]}`, `{"users":["bob","nobody"]}`, `{"users":[""]}`, `{"users":["u0000000000000000000000000"]}`)
	call("POST", members, parley.Conflict, `{"users":["alice"]}`, `{"users":["bob","alice"]}`)
	call("POST", members, parley.TooLarge, `{"users":[`+strings.Join(many, ",")+`]}`)
	call("POST", members, parley.IDConflict, `{"users":["bob"],"id":"said"}`)
	call("POST", "/v1/conversations/{direct}/members", parley.BadRequest, `{"users":["alice"]}`)
	call("PATCH", members+"/bob", parley.BadRequest, `{}`, `{"role":""}`, `{"role":"king"}`, `{"role":"OWNER"}`, `{"role":null}`, `{"role":1}`)
	call("PATCH", members+"/bob", parley.NotFound, `{"role":"admin"}`)
	call("PATCH", members+"/nobody", parley.NotFound, `{"role":"admin"}`)
	call("PATCH", members+"/me", parley.Forbidden, `{"role":"member"}`)
	for path, code := range map[string]parley.Code{
		members + "/bob": parley.NotFound, members + "/nobody": parley.NotFound, members + "/me?id=a%20b": parley.BadRequest, members + "/me?id=said": parley.IDConflict,
		"/v1/conversations/{direct}/members/me": parley.BadRequest, "/v1/conversations/{direct}/members/bob": parley.BadRequest,
		"/v1/contacts/bob": parley.NotFound, "/v1/contacts/alice": parley.NotFound, "/v1/contacts/nobody": parley.NotFound,
		"/v1/conversations/{group}/invites/none": parley.NotFound, "/v1/conversations/{direct}/invites/none": parley.BadRequest, "/v1/bots/robo": parley.NotFound, "/v1/bots/bob": parley.NotFound, "/v1/bots/alice": parley.NotFound,
	} {
		add(badCall{name: "nobody", method: "DELETE", path: path, code: code})
	}
	call("PUT", "/v1/contacts/bob", parley.BadRequest, `{}`, `{"state":"requested","rev":-1}`, `{"state":"requested","rev":null}`, `{"state":"requested","rev":"1"}`, `{"state":"requested","rev":1.5}`, `{"state":"requested","rev":9007199254740992}`,
		`{"state":"","rev":1}`, `{"state":"none","rev":1}`, `{"state":"pending","rev":1}`, `{"state":"BLOCKED","rev":1}`, `{"state":null,"rev":1}`, `{"state":1,"rev":1}`)
	call("PUT", "/v1/contacts/alice", parley.BadRequest, `{"state":"blocked","rev":1}`, `{"state":"requested","rev":1}`, `{"state":"unblocked","rev":1}`)
	call("PUT", "/v1/contacts/bob", parley.Conflict, `{"state":"accepted","rev":1}`, `{"state":"rejected","rev":1}`)
	call("PUT", "/v1/contacts/nobody", parley.NotFound, `{"state":"blocked","rev":1}`, `{"state":"requested","rev":1}`)
	for _, n := range []string{`-1`, `1.5`, `"1"`, `null`, `9007199254740991`, `8761`} {
		call("POST", "/v1/conversations/{group}/invites", parley.BadRequest, `{"hours":`+n+`}`)
	}
	call("POST", "/v1/conversations/{group}/invites", parley.BadRequest, `{"uses":-1}`, `{"uses":9007199254740991}`, `{"uses":1001}`)
	call("POST", "/v1/conversations/{direct}/invites", parley.BadRequest, ``)
	call("POST", "/v1/conversations/{secret}/invites", parley.NotFound, ``)
	for _, method := range []string{"GET", "POST"} {
		add(badCall{name: "no such link", method: method, path: "/v1/join/nothere", code: parley.NotFound})
		add(badCall{name: "no link", method: method, path: "/v1/join/%00", code: parley.BadRequest})
	}
	for _, handle := range []string{"", "a", strings.Repeat("a", 33), "a b", "al\u202eice"} {
		call("POST", "/v1/bots", parley.BadRequest, `{"handle":"`+handle+`"}`)
	}
	call("POST", "/v1/bots", parley.Conflict, `{"handle":"alice"}`, `{"handle":"BOB"}`)
	for _, url := range []string{"x", "ftp://example.org/", "http://example.org/", "https://", "https://a:b@example.org/", "https://example.org:0/", "https://example.org/#x", "https://127.0.0.1/", "http://localhost/", "https://10.0.0.1/", "https://[::1]/", "https://169.254.169.254/", "https://example.org/" + strings.Repeat("x", 2048), "javascript:x"} {
		call("POST", "/v1/bots", parley.BadRequest, `{"handle":"robo","webhook":"`+url+`"}`)
	}
	call("PATCH", "/v1/bots/robo", parley.NotFound, `{"name":"x"}`)
	call("POST", "/v1/bots/robo/replay", parley.NotFound, `{"since":"2026-01-02T03:04:05Z"}`)
	call("PATCH", "/v1/me", parley.BadRequest, `{"status":"a\u0000"}`, `{"status":"a\nb"}`, `{"status":1}`, `{"status":null}`, `{"status":"`+strings.Repeat("s", 400)+`"}`, `{"receipts":"false"}`, `{"receipts":null}`, `{"presence":0}`)
	for _, q := range []string{"", "?q=", "?q=%20", "?q=%ff", "?q=a&sender=a%20b", "?q=a&conversation=", "?q=a&after=yesterday", "?q=a&before=1", "?q=a&cursor=x", "?q=a&q=b", "?q=a&x=1"} {
		add(badCall{name: "search", method: "GET", path: "/v1/search" + q, code: parley.BadRequest})
	}
	add(badCall{name: "search", method: "GET", path: "/v1/search?q=" + strings.Repeat("x", 300), code: parley.TooLarge})
	for _, id := range []string{"gnothere", "{secret}"} {
		add(badCall{name: "search", method: "GET", path: "/v1/search?q=a&conversation=" + id, code: parley.NotFound})
	}
	for name, data := range map[string]string{"no bytes": "", "a text": "hello", "JSON": `{"picture":1}`, "half a picture": picture(64, 64)[:60], "a picture without an end": picture(64, 64)[:100]} {
		add(badCall{name: "picture: " + name, method: "PUT", path: "/v1/me/avatar", body: data, code: parley.Unsupported})
	}
	add(badCall{name: "picture: 1 MiB and a byte", method: "PUT", path: "/v1/me/avatar", body: picture(8, 8) + strings.Repeat("x", 1<<20), code: parley.TooLarge})
	add(badCall{name: "picture: 12,000 pixels square in 500 KB", method: "PUT", path: "/v1/me/avatar", body: vast(), code: parley.TooLarge})
}

// badActFrames is S2 over WebSocket for what is done to an entry, and for what
// a message says beside its body.
func badActFrames(bad func(code parley.Code, frames ...string)) {
	const hi, in = `,"body":{"type":"text/plain","text":"hi"}`, `{"t":"post","ref":1,"conversation":"{group}","id":"w1"`
	for kind, body := range map[string]string{"edit": hi, "delete": "", "reaction": hi, "pin": "", "unpin": ""} {
		act := func(rest string) string { return in + `,"kind":"` + kind + `"` + body + rest + `}` }
		bad(parley.BadRequest, act(``), act(`,"target":0`), act(`,"target":1`), act(`,"target":3`), act(`,"target":99`), act(`,"target":9007199254740991`), act(`,"target":9007199254740992`), act(`,"target":-1`),
			act(`,"target":"2"`), act(`,"target":null`), act(`,"target":2.5`), act(`,"target":2,"reply_to":1`), act(`,"target":2,"mentions":[]`), act(`,"target":2,"forwarded":true`))
		bad(parley.IDConflict, strings.Replace(act(`,"target":2`), `"w1"`, `"said"`, 1))
		bad(parley.NotFound, strings.Replace(act(`,"target":2`), `{group}`, `{secret}`, 1), strings.Replace(act(`,"target":2`), `{group}`, `gnothere`, 1))
	}
	for _, kind := range []string{"delete", "pin", "unpin"} {
		bad(parley.BadRequest, in+`,"kind":"`+kind+`","target":2`+hi+`}`)
	}
	bad(parley.BadRequest, in+`,"kind":"edit","target":2}`, in+`,"kind":"edit","target":2,"body":{"type":"image/png","data":"aGk="}}`, in+`,"kind":"reaction","target":2,"body":{"type":"text/plain","text":""}}`,
		in+`,"kind":"reaction","target":2,"body":{"type":"image/png","data":"aGk="}}`, in+`,"kind":"title"`+hi+`}`, in+`,"kind":"members"`+hi+`}`, in+`,"kind":"withheld"`+hi+`}`, in+`,"kind":""`+hi+`}`, in+`,"kind":null`+hi+`}`,
		in+`,"target":2`+hi+`}`, in+`,"kind":"message","target":2`+hi+`}`, in+hi+`,"forwarded":1}`, in+hi+`,"reply_to":3}`,
		in+hi+`,"mentions":null}`, in+hi+`,"mentions":"bob"}`, in+hi+`,"mentions":[1]}`, in+hi+`,"mentions":[""]}`, in+hi+`,"mentions":["{bob}"]}`, in+hi+`,"mentions":["unothere"]}`, in+hi+`,"mentions":["`+strings.Repeat(`u","`, 32)+`u"]}`)
	bad(parley.TooLarge, in+`,"kind":"reaction","target":2,"body":{"type":"text/plain","text":"`+strings.Repeat("!", 65)+`"}}`, in+`,"kind":"edit","target":2,"body":{"type":"text/plain","text":"`+strings.Repeat("x", 1001)+`"}}`)
}
