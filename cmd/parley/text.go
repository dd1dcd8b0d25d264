package main

import (
	"strconv"
	"strings"
	"unicode"
)

// visible returns s with everything that a terminal would obey, and everything
// that would break or turn around its line, written out as in Go: what somebody
// said cannot move the cursor, change a title or pass for another line.
func visible(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if strings.IndexFunc(s, unsafe) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if !unsafe(r) {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRuneToASCII(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}

// unsafe reports whether r is a control, a separator of lines or paragraphs, or
// a mark of direction.
func unsafe(r rune) bool {
	switch {
	case r == '\u2028', r == '\u2029':
		return true
	case '\u202a' <= r && r <= '\u202e', '\u2066' <= r && r <= '\u2069', r == '\u200e', r == '\u200f', r == '\u061c':
		return true
	}
	return unicode.IsControl(r)
}
