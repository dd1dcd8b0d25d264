package search

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	parley "github.com/parley-im/parley"
)

// Bounds of what is searched for.
const (
	MaxQuery = 128 // characters
	MaxWords = 8
)

// terms is what a text must hold. A text holds a term also within a word:
// languages that write without spaces have no words to find.
type terms []term

// term is in lower case.
type term struct {
	runes []rune
	ascii []byte // the same; nil if there are other letters in it
	upper byte   // the first of ascii in upper case
}

// parse splits what a person typed at white space, except within double
// quotes.
func parse(query string) (terms, error) {
	const op = "search.query"
	if !utf8.ValidString(query) {
		return nil, parley.E(parley.BadRequest, op, "q is not valid UTF-8; encode it as UTF-8")
	}
	if utf8.RuneCountInString(query) > MaxQuery {
		return nil, parley.E(parley.TooLarge, op, "q is at most %d characters; shorten it", MaxQuery)
	}
	var out terms
	for i, quoted := range strings.Split(norm.NFC.String(query), `"`) {
		words := []string{strings.TrimSpace(quoted)}
		if i%2 == 0 {
			words = strings.Fields(quoted)
		}
		for _, w := range words {
			if w != "" {
				out = append(out, termOf(w))
			}
		}
	}
	if len(out) > MaxWords {
		return nil, parley.E(parley.TooLarge, op, "q is at most %d words; leave some out, or put them in quotes", MaxWords)
	}
	return out, nil
}

func termOf(s string) term {
	t := term{runes: []rune(s)}
	for i := range t.runes {
		t.runes[i] = fold(t.runes[i])
	}
	if low := string(t.runes); isASCII(low) {
		t.ascii = []byte(low)
		t.upper = bytes.ToUpper(t.ascii[:1])[0]
	}
	return t
}

func isASCII[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fold makes a letter that is written in two cases one.
func fold(r rune) rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	return unicode.ToLower(r)
}

// in reports whether text holds each of the terms.
func (t terms) in(text []byte) bool {
	if len(t) == 0 {
		return true
	}
	ascii := isASCII(text)
	for i := range t {
		if from, _ := t[i].find(text, ascii); from < 0 {
			return false
		}
	}
	return true
}

// spans returns where text, which holds each of the terms, does for the first
// time, in bytes from and to.
func (t terms) spans(text []byte) (found [][2]int) {
	ascii := isASCII(text)
	for i := range t {
		from, to := t[i].find(text, ascii)
		found = append(found, [2]int{from, to})
	}
	return found
}

// find returns where text first holds t, -1 if nowhere; ascii says what
// isASCII says of the text. It makes no garbage: nearly every text is looked at
// in vain. In any other text than an ASCII one even an ASCII letter may be
// written by another one: K has two forms.
func (t *term) find(text []byte, ascii bool) (from, to int) {
	switch {
	case !ascii:
		return index(text, t.runes)
	case t.ascii == nil:
		return -1, -1
	}
	lower, upper := -1, -1 // where the first letter stands next, or the end
	for at := 0; ; at++ {
		if lower < at {
			lower = at + until(text[at:], t.ascii[0])
		}
		if upper < at {
			upper = at + until(text[at:], t.upper)
		}
		if at = min(lower, upper); at == len(text) {
			return -1, -1
		}
		if end := prefix(text[at:], t.runes); end > 0 {
			return at, at + end
		}
	}
}

// until is how far it is to the first c, or to the end.
func until(text []byte, c byte) int {
	if n := bytes.IndexByte(text, c); n >= 0 {
		return n
	}
	return len(text)
}

// index is find for any text.
func index(text []byte, term []rune) (from, to int) {
	for i := 0; i < len(text); {
		r, n := next(text[i:])
		if r == term[0] {
			if end := prefix(text[i:], term); end > 0 {
				return i, i + end
			}
		}
		i += n
	}
	return -1, -1
}

// prefix returns how many bytes of text term takes at its beginning, 0 if it
// does not stand there.
func prefix(text []byte, term []rune) int {
	at := 0
	for _, want := range term {
		if at >= len(text) {
			return 0
		}
		r, n := next(text[at:])
		if r != want {
			return 0
		}
		at += n
	}
	return at
}

func next(text []byte) (rune, int) {
	if c := text[0]; c < utf8.RuneSelf {
		return fold(rune(c)), 1
	}
	r, n := utf8.DecodeRune(text)
	return fold(r), n
}

// units turns an offset in bytes into one in UTF-16 units, which is what
// browsers count in.
func units(text []byte, offset int) int {
	n := 0
	for _, r := range string(text[:offset]) {
		n++
		if r > 0xFFFF {
			n++
		}
	}
	return n
}
