package account

import (
	"strings"
	"unicode"
	"unicode/utf8"

	parley "github.com/parley-im/parley"
	"golang.org/x/text/unicode/norm"
)

const (
	userPrefix   = "u"
	devicePrefix = "v"
	idLen        = 26 // characters of parley.NewID after the prefix
	idAlphabet   = "0123456789abcdefghjkmnpqrstvwxyz"
)

// IsUserID reports whether s has the form of a user id. No handle has it, so
// a name in a request is one or the other, never both.
func IsUserID(s string) bool {
	return len(s) == len(userPrefix)+idLen && strings.HasPrefix(s, userPrefix) &&
		strings.Trim(s[len(userPrefix):], idAlphabet) == ""
}

// CleanHandle returns s in lower case. It is false for what cannot be a
// handle: 2 to 32 of a-z 0-9 _ . - and not of the form of a user id. ".." is
// none either: in a path it means something else.
func CleanHandle(s string) (string, bool) {
	if len(s) < 2 || len(s) > 32 {
		return "", false
	}
	b := []byte(s)
	for i, c := range b {
		switch {
		case 'A' <= c && c <= 'Z':
			b[i] = c + ('a' - 'A')
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '_', c == '.', c == '-':
		default:
			return "", false
		}
	}
	s = string(b)
	return s, s != ".." && !IsUserID(s)
}

func goodHandle(op, s string) (string, error) {
	h, ok := CleanHandle(s)
	if !ok {
		return "", parley.E(parley.BadRequest, op, "Choose a handle of 2 to 32 of the characters a-z 0-9 _ . -")
	}
	return h, nil
}

// CleanName returns a name of a user or device as it is kept: in NFC, without
// space around it. It is false for what shows nothing, is longer than
// MaxName, or could disturb the text around it.
func CleanName(s string) (string, bool) { return cleanLine(s, MaxName) }

// cleanLine is CleanName for a line of at most limit characters.
func cleanLine(s string, limit int) (string, bool) {
	// A character of NFC comes of few others: this bounds the work, not the line.
	if len(s) > 32*limit || !utf8.ValidString(s) {
		return "", false
	}
	visible := false
	for _, r := range s {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return "", false
		}
		visible = visible || unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S)
	}
	s = norm.NFC.String(strings.TrimSpace(s))
	return s, visible && utf8.RuneCountInString(s) <= limit
}

// goodName is CleanName, with a default for an empty name.
func goodName(op, what, s, otherwise string) (string, error) {
	if s == "" {
		return otherwise, nil
	}
	return givenName(op, what, s)
}

// givenName is CleanName, with an error that says what a name is.
func givenName(op, what, s string) (string, error) {
	n, ok := CleanName(s)
	if !ok {
		return "", parley.E(parley.BadRequest, op,
			"Choose a %s name of 1 to %d characters that shows something, without control characters.", what, MaxName)
	}
	return n, nil
}
