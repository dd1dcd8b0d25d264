package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

func wireAsItIs(t *testing.T) *protocol {
	t.Helper()
	p, err := read(filepath.Join(root, sourceDir))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What is committed must be what go generate writes. It kills a change of wire
// that the web app, the record or the documentation did not hear of.
func TestFilesAreFresh(t *testing.T) {
	for _, p := range products {
		old, fresh, err := p.compare(root, filepath.Join(root, filepath.FromSlash(p.path)))
		if err != nil {
			t.Errorf("%s: %v", p.path, err)
		} else if string(old) != string(fresh) {
			t.Errorf("%s is stale: run go generate ./wire and commit the result", p.path)
		}
	}
}

// A break of the protocol must not be generated away. Each case is what an
// earlier record would have held.
func TestRecordKeepsItsPromises(t *testing.T) {
	p := wireAsItIs(t)
	now, err := p.record(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, old, want string // want: a fragment of the error; empty: none
	}{
		{"nothing changed", string(now), ""},
		{"a field went", string(now) + "Entry.colour?: string\n", "gone or different"},
		{"a type changed", strings.Replace(string(now), "Entry.seq: number", "Entry.seq: string", 1), "gone or different"},
		{"what was always there may be absent", strings.Replace(string(now), "Entry.ref?:", "Entry.ref:", 1), "gone or different"},
		{"a code changed its status", strings.Replace(string(now), "code conflict 409", "code conflict 412", 1), "gone or different"},
		{"a close code went", string(now) + "CloseOnMondays = 4999\n", "gone or different"},
		{"a field came that must be there", strings.Replace(string(now), "Entry.kind: string\n", "", 1), "make it optional"},
		{"a request came to need a field", strings.Replace(string(now), "> post.id: string\n", "", 1), "make it optional"},
		{"a field came that may be absent", strings.Replace(string(now), "Entry.edited?: boolean\n", "", 1), ""},
		{"a client need not send a field any more", strings.Replace(string(now), "> post.body?: Body", "> post.body: Body", 1), ""},
		{"a server need not send a field any more", strings.Replace(string(now), "< goaway.url?: string", "< goaway.url: string", 1), "gone or different"},
		{"a code came", strings.Replace(string(now), "code conflict 409 no\n", "", 1), ""},
		{"a shape came", without(string(now), "Presence."), ""},
		{"a frame came", without(string(now), "< goaway."), ""},
	} {
		fresh, err := p.record([]byte(c.old))
		switch {
		case c.want == "" && (err != nil || string(fresh) != string(now)):
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
}

// without returns s without the lines that begin with prefix.
func without(s, prefix string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if !strings.HasPrefix(line, prefix) {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestScript(t *testing.T) {
	got := string(wireAsItIs(t).script())
	for _, want := range []string{
		"export const MaxNumber = 9007199254740991;\n",
		"export const CloseSignedOut = 4001;\n",
		"  last: Last | null;\n",
		"  entries: Entry[];\n",
		"  data?: string;\n",
		"export interface List<T> {\n  items: T[];\n  next: string | null;\n}\n",
		"export interface HelloOp {\n  t: \"hello\";\n  token: string;\n  cursor?: string | null;\n  client?: string;\n  follow?: boolean;\n}\n",
		"export interface AckFrame {\n  t: \"ack\";\n  ref: Ref;\n",
		"export type ServerFrame =\n  | WelcomeFrame\n",
		"  draining: { status: 503,",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the script lacks %q", want)
		}
	}
}

// What TypeScript would read otherwise must stop the generator.
func TestReadRefusesWhatItCannotWrite(t *testing.T) {
	for name, source := range map[string]string{
		"a fraction":           "type A struct { X float64 `json:\"x\"` }",
		"a map":                "type A struct { X map[string]string `json:\"x\"` }",
		"a field without name": "type A struct { X string }",
		"an embedded field":    "type A struct { B }",
		"a truth value":        "const A = true",
		"no constant":          "const A = B",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "shapes.go"), []byte("package wire\n"+source+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := read(dir); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	if _, err := read(t.TempDir()); err == nil {
		t.Error("a folder without shapes passes")
	}
}

func TestCodesInThePage(t *testing.T) {
	page := "# Protocol\n" + codesBegin + "an old table\n" + codesEnd + "\nmore\n"
	got, err := withCodes([]byte(page))
	if err != nil || !strings.HasPrefix(string(got), "# Protocol\n"+codesBegin+"| code |") || !strings.HasSuffix(string(got), "|\n"+codesEnd+"\nmore\n") {
		t.Errorf("%s, %v", got, err)
	}
	if again, err := withCodes(got); err != nil || string(again) != string(got) {
		t.Errorf("the second time gives %s, %v", again, err)
	}
	for _, page := range []string{"", "# Protocol\n", codesBegin, codesEnd} {
		if _, err := withCodes([]byte(page)); err == nil {
			t.Errorf("%q passes", page)
		}
	}
}
