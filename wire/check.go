package wire

import (
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/parley-im/parley"
)

func bad(op, format string, args ...any) error {
	return parley.E(parley.BadRequest, op, format, args...)
}

// CheckID returns BadRequest, naming field, unless s can be an identifier.
func CheckID(field, s string) error {
	switch {
	case parley.ValidID(s):
		return nil
	case s == "":
		return bad("wire.id", "%s is empty; send 1 to %d bytes", field, parley.MaxID)
	case len(s) > parley.MaxID:
		return bad("wire.id", "%s is over %d bytes; shorten it", field, parley.MaxID)
	}
	return bad("wire.id", "%s may hold letters, digits and - . _ ~ : alone; remove the rest", field)
}

// maxEncodedText bounds a text as JSON, so that an entry always fits a frame:
// a control character takes six bytes there.
const maxEncodedText = MaxFrame - 4<<10

// CheckBody returns a coded error unless b may be said: a media type, and text
// for text/plain or data for any other type, neither of them empty.
// maxTextRunes is the limit of a text in characters; 0 is the default one. No
// body is over MaxBodyBytes, whatever maxTextRunes says.
func CheckBody(b *Body, maxTextRunes int) error {
	const op = "wire.body"
	if b == nil {
		return bad(op, "body is missing; send a type with text or data")
	}
	if err := checkType(b.Type); err != nil {
		return err
	}
	if b.Type != parley.TextPlain {
		switch {
		case b.Text != nil:
			return bad(op, "body.text is for text/plain alone; send body.data in base64")
		case len(b.Data) == 0:
			return bad(op, "body.data is missing or empty; send at least one byte in base64")
		case len(b.Data) > MaxBodyBytes:
			return parley.E(parley.TooLarge, op, "body.data is at most %d bytes; shorten it", MaxBodyBytes)
		}
		return nil
	}
	if maxTextRunes <= 0 {
		maxTextRunes = MaxTextRunes
	}
	switch {
	case b.Data != nil:
		return bad(op, "body.data is not for text/plain; send body.text")
	case b.Text == nil || *b.Text == "":
		return bad(op, "body.text is missing or empty; send at least one character")
	case len(*b.Text) > MaxBodyBytes:
		return parley.E(parley.TooLarge, op, "body.text is at most %d characters and %d bytes; shorten it", maxTextRunes, MaxBodyBytes)
	case !utf8.ValidString(*b.Text):
		return bad(op, "body.text is not valid UTF-8; encode it as UTF-8")
	case strings.IndexByte(*b.Text, 0) >= 0:
		return bad(op, "body.text holds a NUL character; remove it")
	case len(*b.Text) > maxTextRunes && utf8.RuneCountInString(*b.Text) > maxTextRunes:
		return parley.E(parley.TooLarge, op, "body.text is at most %d characters; shorten it", maxTextRunes)
	case len(*b.Text) > maxEncodedText/6 && stringSize(*b.Text) > maxEncodedText:
		return parley.E(parley.TooLarge, op, "body.text holds too many control characters; remove them")
	}
	return nil
}

// CheckReaction returns a coded error unless b is a reaction: a short text with
// something to see, without control characters or marks of direction.
func CheckReaction(b *Body) error {
	const op = "wire.reaction"
	switch {
	case b == nil || b.Type != parley.TextPlain || b.Text == nil || b.Data != nil:
		return bad(op, "a reaction is a text; send text/plain with text")
	case *b.Text == "":
		return bad(op, "a reaction is empty; leave its body out to take it back")
	case len(*b.Text) > parley.MaxReaction:
		return parley.E(parley.TooLarge, op, "a reaction is at most %d bytes; shorten it", parley.MaxReaction)
	}
	_, err := clean("reaction", *b.Text, parley.MaxReaction)
	return err
}

// checkType returns BadRequest unless t is a media type. There is one way to
// write text/plain, so that nothing which calls itself text escapes its rules.
func checkType(t string) error {
	const op = "wire.body"
	switch {
	case t == parley.TextPlain:
		return nil
	case t == "":
		return bad(op, "body.type is empty; send text/plain or another media type")
	case len(t) > MaxType:
		return bad(op, "body.type is over %d bytes; shorten it", MaxType)
	}
	essence, _, err := mime.ParseMediaType(t)
	major, minor, ok := strings.Cut(essence, "/")
	if err != nil || !ok || major == "" || minor == "" || !printable(t) {
		return bad(op, "body.type is no media type; send one such as text/plain or image/png")
	}
	if essence == parley.TextPlain {
		return bad(op, "body.type must be text/plain exactly, in lower case and without parameters")
	}
	return nil
}

// printable reports whether s is ASCII from space to tilde.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// CleanHandle returns the handle that s means: without a leading @, in lower
// case, 2 to 32 of a-z 0-9 _ . -
func CleanHandle(s string) (string, error) {
	const op = "wire.handle"
	s = strings.TrimPrefix(s, "@")
	if len(s) < 2 || len(s) > 32 {
		return "", bad(op, "a handle has 2 to 32 characters; choose another")
	}
	b := []byte(s)
	for i, c := range b {
		switch {
		case 'A' <= c && c <= 'Z':
			b[i] = c + 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '_', c == '.', c == '-':
		default:
			return "", bad(op, "a handle may hold a-z 0-9 _ . - alone; choose another")
		}
	}
	return string(b), nil
}

// CleanName returns the name of a user or a device that s means: trimmed, in
// NFC, 1 to MaxNameRunes characters. It refuses what could deceive or disturb:
// control characters, line breaks, bidi overrides and isolates, and names
// without anything to see. A caller that has a default for an absent name
// does not ask.
func CleanName(s string) (string, error) { return clean("name", s, MaxNameRunes) }

// CleanTitle does for the title of a group what CleanName does for a name, up
// to MaxTitleRunes characters.
func CleanTitle(s string) (string, error) { return clean("title", s, MaxTitleRunes) }

func clean(field, s string, maxRunes int) (string, error) {
	const op = "wire.name"
	if !utf8.ValidString(s) {
		return "", bad(op, "%s is not valid UTF-8; encode it as UTF-8", field)
	}
	// A character of NFC comes of few others: this bounds the work, not the name.
	if len(s) > 32*maxRunes {
		return "", bad(op, "%s is over %d characters; shorten it", field, maxRunes)
	}
	seen := false
	for _, r := range s {
		if unicode.IsControl(r) || bidi(r) || r == '\u2028' || r == '\u2029' {
			return "", bad(op, "%s holds a control character, a line break or a mark of text direction; remove it", field)
		}
		if unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) {
			seen = true
		}
	}
	if !seen {
		return "", bad(op, "%s has nothing to see; send at least one letter or digit", field)
	}
	s = norm.NFC.String(strings.TrimSpace(s))
	if utf8.RuneCountInString(s) > maxRunes {
		return "", bad(op, "%s is over %d characters; shorten it", field, maxRunes)
	}
	return s, nil
}

// bidi reports whether r overrides, isolates or marks the direction of text.
func bidi(r rune) bool {
	switch {
	case '\u202a' <= r && r <= '\u202e', '\u2066' <= r && r <= '\u2069', r == '\u200e', r == '\u200f', r == '\u061c':
		return true
	}
	return false
}

// CheckPassword returns BadRequest unless s has MinPassword to MaxPassword
// characters.
func CheckPassword(s string) error {
	const op = "wire.password"
	if !utf8.ValidString(s) {
		return bad(op, "password is not valid UTF-8; encode it as UTF-8")
	}
	if n := utf8.RuneCountInString(s); n < MinPassword || n > MaxPassword {
		return bad(op, "password has %d to %d characters; choose another", MinPassword, MaxPassword)
	}
	return nil
}
