package search

import (
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

// terms is what a text must hold, each in lower case. A text holds a term also
// within a word: languages that write without spaces have no words to find.
type terms [][]rune

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
				out = append(out, lower(w))
			}
		}
	}
	if len(out) > MaxWords {
		return nil, parley.E(parley.TooLarge, op, "q is at most %d words; leave some out, or put them in quotes", MaxWords)
	}
	return out, nil
}

func lower(s string) []rune {
	rs := []rune(s)
	for i := range rs {
		rs[i] = fold(rs[i])
	}
	return rs
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

// match returns where text holds each of the terms for the first time, in
// bytes from and to; false if it lacks one.
func (t terms) match(text []byte) (found [][2]int, ok bool) {
	for _, term := range t {
		from, to := index(text, term)
		if from < 0 {
			return nil, false
		}
		found = append(found, [2]int{from, to})
	}
	return found, true
}

// index returns where text first holds term, -1 if nowhere. It makes no
// garbage: nearly every text is looked at in vain.
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
