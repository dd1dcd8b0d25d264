package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// TestVisible kills: a message that moves the cursor, passes for another line,
// or turns what follows around.
func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain, C:\\dir, “quotes”, 日本語, 👋🏽": "plain, C:\\dir, “quotes”, 日本語, 👋🏽",
		"a\nb\r\tc":         `a\nb\r\tc`,
		"\x1b[2J\x1b]0;t\a": `\x1b[2J\x1b]0;t\a`,
		"\u009b2J":          `\u009b2J`,
		"a\u2028b\u2029c":   `a\u2028b\u2029c`,
		"\u202eevil\u2066":  `\u202eevil\u2066`,
		"\x7f\x00":          `\x7f\x00`,
		"bad \xff byte":     "bad \ufffd byte",
	} {
		if got := visible(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestInviteCode(t *testing.T) {
	for _, in := range []string{"abc", " abc ", "https://h/#/setup/abc", "https://h/#/invite/abc/"} {
		if got := inviteCode(in); got != "abc" {
			t.Errorf("%q became %q", in, got)
		}
	}
}

// TestReadLine kills: a last line without an end that is lost, a line that
// takes all memory, and bytes changed on the way.
func TestReadLine(t *testing.T) {
	in := bufio.NewReaderSize(strings.NewReader("one\r\n\n  two"), 64<<10)
	for _, want := range []string{"one\r", "", "  two"} {
		if got, err := readLine(in); got != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if _, err := readLine(in); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if _, err := readLine(bufio.NewReaderSize(strings.NewReader(strings.Repeat("x", 1<<20)), 64<<10)); !errors.Is(err, errLongLine) {
		t.Error(err)
	}
}

func TestReadText(t *testing.T) {
	for in, want := range map[string]string{"a\n\nb\n": "a\n\nb", "a\n\n": "a\n", "\n": "", "": ""} {
		got, err := readText(strings.NewReader(in))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q became %q, %v", in, got, err)
		}
	}
	got, err := readText(strings.NewReader(strings.Repeat("x", 1<<20)))
	text := wire.Body{Type: parley.TextPlain, Text: &got}
	if err != nil || parley.CodeOf(wire.CheckBody(&text, wire.MaxBodyBytes)) != parley.TooLarge {
		t.Errorf("%d bytes, %v: cut short, it would be sent", len(got), err)
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 3, 4, 20, 0, 0, 0, time.Local)
	for at, want := range map[time.Time]string{
		now.Add(-time.Hour):      "19:00",
		now.Add(-24 * time.Hour): "2026-03-03",
	} {
		if got := moment(now, wire.Time(at)); got != want {
			t.Errorf("%v became %q, want %q", at, got, want)
		}
	}
}

// TestPasswordPrompt kills: a mistyped password that nobody can sign in with.
func TestPasswordPrompt(t *testing.T) {
	typed := []string{"correct horse", "correct hose"}
	var stderr bytes.Buffer
	e := env{
		stdout: io.Discard, stderr: &stderr, now: time.Now,
		getenv: func(name string) string {
			return map[string]string{"PARLEY_HOME": filepath.Join(t.TempDir(), "home")}[name]
		},
		password: func(string) (string, error) {
			p := typed[0]
			typed = typed[1:]
			return p, nil
		},
		terminal: func(io.Writer) bool { return true },
	}
	if code := run(context.Background(), e, []string{"login", "http://127.0.0.1:1", "alice", "--register"}); code != 1 {
		t.Errorf("exit %d", code)
	}
	if got := stderr.String(); got != "parley: the two passwords differ; try again\n" {
		t.Errorf("said %q", got)
	}
}
