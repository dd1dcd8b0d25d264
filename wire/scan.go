package wire

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/parley-im/parley"
)

// scanner reads one strict JSON text from left to right. The first failure
// sticks: from then on more is false and every value reads as zero, so that
// callers look at err once, at the end. The bytes must be valid UTF-8.
type scanner struct {
	b     []byte
	i     int
	depth int
	fresh bool // the innermost object or array has no member yet
	count int  // brackets opened so far
	op    string
	err   *parley.Error
}

// newScanner returns a scanner over b, already failed if b is not UTF-8.
func newScanner(op string, b []byte) scanner {
	s := scanner{b: b, op: op}
	if !utf8.Valid(b) {
		s.fail("the JSON is not valid UTF-8; encode it as UTF-8")
	}
	return s
}

func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = parley.E(parley.BadRequest, s.op, format, args...)
		s.i = len(s.b)
	}
}

func (s *scanner) failSyntax() {
	s.fail("not valid JSON at byte %d; send one well-formed JSON object", s.i)
}

// peek skips white space and returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// begin consumes the opening bracket of field's object or array.
func (s *scanner) begin(bracket byte, field string) bool {
	if s.err != nil {
		return false
	}
	if s.peek() != bracket {
		if bracket == '{' {
			s.failType(field, "an object")
		} else {
			s.failType(field, "a list")
		}
		return false
	}
	s.i++
	s.count++
	s.depth++
	if s.depth > MaxNesting {
		s.fail("nested more than %d deep; flatten it", MaxNesting)
		return false
	}
	s.fresh = true
	return true
}

// more reports whether another member follows, and consumes the comma before
// it or the closing bracket instead of it.
func (s *scanner) more(bracket byte) bool {
	if s.err != nil {
		return false
	}
	c := s.peek()
	if c == bracket {
		s.i++
		s.depth--
		s.fresh = false
		return false
	}
	if s.fresh {
		s.fresh = false
		return true
	}
	if c != ',' {
		s.failSyntax()
		return false
	}
	s.i++
	return true
}

// key reads a member's name and the colon.
func (s *scanner) key() []byte {
	if s.err != nil {
		return nil
	}
	if s.peek() != '"' {
		s.failSyntax()
		return nil
	}
	k := s.quoted()
	if s.peek() != ':' {
		s.failSyntax()
		return nil
	}
	s.i++
	return k
}

// str reads field's string. The bytes may alias the input.
func (s *scanner) str(field string) []byte {
	if s.err != nil {
		return nil
	}
	if s.peek() != '"' {
		s.failType(field, "a string")
		return nil
	}
	return s.quoted()
}

// quoted reads the string that starts at s.i, where a quote stands.
func (s *scanner) quoted() []byte {
	start := s.i + 1
	for i := start; i < len(s.b); i++ {
		if c := s.b[i]; c == '"' {
			s.i = i + 1
			return s.b[start:i]
		} else if c == '\\' {
			return s.escaped(start, i)
		} else if c < ' ' {
			s.i = i
			s.fail("a string holds a raw control character at byte %d; escape it", i)
			return nil
		}
	}
	s.i = len(s.b)
	s.failSyntax()
	return nil
}

// escaped reads on from i, the first backslash of the string that began at start.
func (s *scanner) escaped(start, i int) []byte {
	out := append(make([]byte, 0, 2*(i-start)+16), s.b[start:i]...)
	for i < len(s.b) {
		c := s.b[i]
		switch {
		case c == '"':
			s.i = i + 1
			return out
		case c < ' ':
			s.i = i
			s.fail("a string holds a raw control character at byte %d; escape it", i)
			return nil
		case c != '\\':
			out = append(out, c)
			i++
		default:
			r, n := unescape(s.b[i:])
			if n == 0 {
				s.i = i
				s.fail("a string holds a bad escape at byte %d; use the escapes of RFC 8259, surrogates in pairs", i)
				return nil
			}
			out = utf8.AppendRune(out, r)
			i += n
		}
	}
	s.i = len(s.b)
	s.failSyntax()
	return nil
}

// unescape reads the escape at the start of b: its character and its length,
// which is 0 for what is none.
func unescape(b []byte) (rune, int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r, ok := hex4(b)
		if !ok {
			return 0, 0
		}
		if !utf16.IsSurrogate(r) {
			return r, 6
		}
		low, ok := hex4(b[6:])
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			return 0, 0
		}
		return r, 12
	}
	return 0, 0
}

// hex4 reads \uXXXX at the start of b.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// uint reads field's number: whole, 0 to MaxNumber.
func (s *scanner) uint(field string) uint64 {
	if s.err != nil {
		return 0
	}
	c := s.peek()
	if c == '-' {
		s.fail("%s must not be negative; send a whole number from 0 to %d", field, uint64(MaxNumber))
		return 0
	}
	if c < '0' || c > '9' {
		s.failType(field, "a whole number")
		return 0
	}
	start := s.i
	var n uint64
	for ; s.i < len(s.b); s.i++ {
		c := s.b[s.i]
		if c < '0' || c > '9' {
			break
		}
		if n = n*10 + uint64(c-'0'); n > MaxNumber {
			s.fail("%s is too great; send a whole number from 0 to %d", field, uint64(MaxNumber))
			return 0
		}
	}
	if s.b[start] == '0' && s.i-start > 1 {
		s.fail("%s starts with a zero; send the number without", field)
		return 0
	}
	if s.i < len(s.b) {
		if c := s.b[s.i]; c == '.' || c == 'e' || c == 'E' {
			s.fail("%s must be a whole number; send it without fraction or exponent", field)
			return 0
		}
	}
	return n
}

// word consumes a literal.
func (s *scanner) word(w string) bool {
	if s.err != nil {
		return false
	}
	s.peek()
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return false
	}
	s.i += len(w)
	return true
}

// bool reads field's true or false.
func (s *scanner) bool(field string) bool {
	if s.word("true") {
		return true
	}
	if !s.word("false") {
		s.failType(field, "true or false")
	}
	return false
}

// ref reads a ref and returns it as the JSON it came as.
func (s *scanner) ref() Ref {
	if s.err != nil {
		return ""
	}
	c := s.peek()
	start := s.i
	switch {
	case c == '"':
		s.quoted()
	case c == '-' || '0' <= c && c <= '9':
		s.uint("ref")
	default:
		s.failType("ref", "a string or a whole number")
	}
	if s.err != nil {
		return ""
	}
	if s.i-start > MaxRef {
		s.fail("ref is over %d bytes; shorten it", MaxRef)
		return ""
	}
	return Ref(s.b[start:s.i])
}

// end fails unless only white space is left.
func (s *scanner) end() {
	if s.err == nil && (s.peek() != 0 || s.i < len(s.b)) {
		s.fail("bytes follow the JSON object; send exactly one object")
	}
}

// skip passes over one value of any type, checking its syntax and depth only.
func (s *scanner) skip() {
	if s.err != nil {
		return
	}
	switch c := s.peek(); c {
	case '{':
		for ok := s.begin('{', ""); ok && s.more('}'); {
			s.key()
			s.skip()
		}
	case '[':
		for ok := s.begin('[', ""); ok && s.more(']'); {
			s.skip()
		}
	case '"':
		s.quoted()
	case 't', 'f', 'n':
		if !s.word("true") && !s.word("false") && !s.word("null") {
			s.failSyntax()
		}
	default:
		s.skipNumber()
	}
}

// skipNumber passes over any JSON number.
func (s *scanner) skipNumber() {
	digits := func() bool {
		start := s.i
		for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
			s.i++
		}
		return s.i > start
	}
	at := func(set string) bool {
		if s.i < len(s.b) && strings.IndexByte(set, s.b[s.i]) >= 0 {
			s.i++
			return true
		}
		return false
	}
	at("-")
	ok := at("0") || digits()
	if ok && at(".") {
		ok = digits()
	}
	if ok && at("eE") {
		at("+-")
		ok = digits()
	}
	if !ok {
		s.failSyntax()
	}
}

// failType says that field's value, which starts at s.i, is of the wrong type.
func (s *scanner) failType(field, want string) {
	found := ""
	switch c := s.peek(); {
	case s.i >= len(s.b):
		s.failSyntax()
		return
	case c == 'n':
		found = ", not null"
	case c == '"':
		found = ", not a string"
	case c == '{':
		found = ", not an object"
	case c == '[':
		found = ", not a list"
	case c == 't' || c == 'f':
		found = ", not a truth value"
	case c == '-' || '0' <= c && c <= '9':
		found = ", not a number"
	default:
		s.failSyntax()
		return
	}
	s.fail("%s must be %s%s", field, want, found)
}

// plainName makes a name that came from outside fit for a message: at most 32
// characters, and nothing but letters, digits and _ . -
func plainName[T string | []byte](name T) string {
	if len(name) == 0 {
		return "(empty)"
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if i == 32 {
			b.WriteString("…")
			break
		}
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.', c == '-':
			b.WriteByte(c)
		default:
			b.WriteByte('?')
		}
	}
	return b.String()
}
