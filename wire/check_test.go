package wire

import (
	"strings"
	"testing"
	"time"

	"github.com/parley-im/parley"
)

func ptr[T any](v T) *T { return &v }

func TestCheckBody(t *testing.T) {
	text := func(s string) *Body { return &Body{Type: parley.TextPlain, Text: &s} }
	big := strings.Repeat("a", MaxBodyBytes)
	for _, c := range []struct {
		name  string
		body  *Body
		limit int
		want  parley.Code
	}{
		{"text", text("hi"), 0, ""},
		{"one character", text("é"), 1, ""},
		{"a thousand characters of four bytes", text(strings.Repeat("😀", 1000)), 0, ""},
		{"16 KiB where configured", text(big), MaxBodyBytes, ""},
		{"control characters other than NUL", text("a\x01\x1b\n\t"), 0, ""},
		{"data", &Body{Type: "image/png", Data: []byte{0}}, 0, ""},
		{"data at the limit", &Body{Type: "application/octet-stream", Data: make([]byte, MaxBodyBytes)}, 0, ""},
		{"media type with a parameter", &Body{Type: `text/html; charset="utf-8"`, Data: []byte("x")}, 0, ""},
		{"media type with a vendor's name", &Body{Type: "application/vnd.parley.e2ee+json", Data: []byte("x")}, 0, ""},
		{"media type of 127 bytes", &Body{Type: "a/" + strings.Repeat("b", 125), Data: []byte("x")}, 0, ""},
		{"none", nil, 0, parley.BadRequest},
		{"no type", &Body{Text: ptr("hi")}, 0, parley.BadRequest},
		{"type too long", &Body{Type: "a/" + strings.Repeat("b", 126), Data: []byte("x")}, 0, parley.BadRequest},
		{"type without subtype", &Body{Type: "text", Data: []byte("x")}, 0, parley.BadRequest},
		{"type with an empty subtype", &Body{Type: "text/", Data: []byte("x")}, 0, parley.BadRequest},
		{"type with two slashes", &Body{Type: "a/b/c", Data: []byte("x")}, 0, parley.BadRequest},
		{"type with a line break", &Body{Type: "a/b\r\nX-Y: z", Data: []byte("x")}, 0, parley.BadRequest},
		{"type not ASCII", &Body{Type: "a/é", Data: []byte("x")}, 0, parley.BadRequest},
		{"text/plain in capitals", &Body{Type: "Text/Plain", Data: []byte("x")}, 0, parley.BadRequest},
		{"text/plain with a parameter", &Body{Type: "text/plain; charset=utf-8", Text: ptr("x")}, 0, parley.BadRequest},
		{"empty text", text(""), 0, parley.BadRequest},
		{"no text", &Body{Type: parley.TextPlain}, 0, parley.BadRequest},
		{"data for text/plain", &Body{Type: parley.TextPlain, Data: []byte("hi")}, 0, parley.BadRequest},
		{"text and data", &Body{Type: parley.TextPlain, Text: ptr("hi"), Data: []byte("hi")}, 0, parley.BadRequest},
		{"text for an image", &Body{Type: "image/png", Text: ptr("hi")}, 0, parley.BadRequest},
		{"empty data", &Body{Type: "image/png", Data: []byte{}}, 0, parley.BadRequest},
		{"no data", &Body{Type: "image/png"}, 0, parley.BadRequest},
		{"NUL", text("a\x00b"), 0, parley.BadRequest},
		{"not UTF-8", text("a\xff"), 0, parley.BadRequest},
		{"a character too many", text(strings.Repeat("é", 1001)), 0, parley.TooLarge},
		{"a character over a small limit", text("ab"), 1, parley.TooLarge},
		{"a byte over 16 KiB, whatever is configured", text(big + "a"), 1 << 20, parley.TooLarge},
		{"control characters that would burst a frame", text(strings.Repeat("\x01", MaxBodyBytes)), MaxBodyBytes, parley.TooLarge},
		{"data too large", &Body{Type: "image/png", Data: make([]byte, MaxBodyBytes+1)}, 0, parley.TooLarge},
	} {
		if got := parley.CodeOf(CheckBody(c.body, c.limit)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestCheckID(t *testing.T) {
	for id, want := range map[string]parley.Code{
		"a": "", "azAZ09-._~:": "", strings.Repeat("x", 64): "",
		"": parley.BadRequest, strings.Repeat("x", 65): parley.BadRequest, "a b": parley.BadRequest,
		"a/b": parley.BadRequest, "a\x00": parley.BadRequest, "é": parley.BadRequest, "%2e": parley.BadRequest,
	} {
		err := CheckID("id", id)
		if parley.CodeOf(err) != want {
			t.Errorf("%q: %v, want %q", id, err, want)
		}
	}
}

func TestCleanHandle(t *testing.T) {
	for in, want := range map[string]string{
		"ann": "ann", "@Ann": "ann", "A_N.N-9": "a_n.n-9", "ab": "ab", strings.Repeat("x", 32): strings.Repeat("x", 32),
		"": "", "@": "", "a": "", "@a": "", "@@ann": "", strings.Repeat("x", 33): "", "an n": "", " ann": "", "änn": "",
		"ann\x00": "", "a\u212a": "", "ann@host": "", "a/b": "",
	} {
		got, err := CleanHandle(in)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestCleanName(t *testing.T) {
	for in, want := range map[string]string{
		"Ann":                            "Ann",
		"  Ann É  ":                      "Ann É",
		"E\u0301":                        "É",
		"👩‍👩‍👧‍👦":                        "👩‍👩‍👧‍👦",
		"שלום":                           "שלום",
		"<script>alert(1)</script>":      "<script>alert(1)</script>",
		strings.Repeat("é", 64):          strings.Repeat("é", 64),
		strings.Repeat("e\u0301", 64):    strings.Repeat("é", 64),
		strings.Repeat(" ", 100) + "Ann": "Ann",
		"":                               "",
		"   ":                            "",
		"\u200b\u2060\ufeff":             "",
		"\u0301":                         "",
		"A\u0000":                        "",
		"A\nB":                           "",
		"A\u0085B":                       "",
		"A\u2028B":                       "",
		"A\xff":                          "",
		strings.Repeat("é", 65):          "",
		strings.Repeat("a", 1<<20):       "",
	} {
		got, err := CleanName(in)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%.40q: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, r := range "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c" {
		for _, clean := range []func(string) (string, error){CleanName, CleanTitle} {
			if got, err := clean("gpj" + string(r) + "exe"); err == nil {
				t.Errorf("%U passes in %q", r, got)
			}
		}
	}
	if got, err := CleanTitle(strings.Repeat("t", 128)); err != nil || len(got) != 128 {
		t.Error(got, err)
	}
	if _, err := CleanTitle(strings.Repeat("t", 129)); err == nil {
		t.Error("a title of 129 characters passes")
	}
}

func TestCheckPassword(t *testing.T) {
	for in, good := range map[string]bool{
		"12345678": true, "éééééééé": true, strings.Repeat("😀", 1024): true, "        ": true,
		"": false, "1234567": false, "ééééééé": false, strings.Repeat("a", 1025): false, "12345678\xff": false,
	} {
		if err := CheckPassword(in); (err == nil) != good {
			t.Errorf("%.20q: %v", in, err)
		} else if err != nil && strings.Contains(err.Error(), in) && in != "" {
			t.Errorf("the refusal shows the password: %v", err)
		}
	}
}

func TestTime(t *testing.T) {
	for in, want := range map[time.Time]string{
		time.Unix(0, 0): "1970-01-01T00:00:00.000Z",
		time.UnixMilli(1767323045006).In(time.FixedZone("", 3600)): "2026-01-02T03:04:05.006Z",
		time.Date(2024, 2, 29, 23, 59, 59, 999_999_999, time.UTC):  "2024-02-29T23:59:59.999Z",
		{}: "0001-01-01T00:00:00.000Z",
	} {
		got := Time(in)
		back, err := ParseTime(got)
		if got != want || err != nil || !back.Equal(in.Truncate(time.Millisecond)) {
			t.Errorf("%v: %s, back %v, %v", in, got, back, err)
		}
	}
	for _, s := range []string{"", "now", "2026-01-02", "2026-13-02T03:04:05Z", "2026-01-02 03:04:05Z"} {
		if _, err := ParseTime(s); parley.CodeOf(err) != parley.BadRequest {
			t.Errorf("%q: %v", s, err)
		}
	}
}
