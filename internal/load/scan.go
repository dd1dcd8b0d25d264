package load

import (
	"bytes"
	"errors"
)

var errJSON = errors.New("a frame is not the JSON it should be")

// scanner walks JSON without decoding it: the levels it walks are checked, the
// values it skips need only be balanced. Errors stick in bad. Strings are
// handed out as they stand in the text; everything compared here (types, refs,
// ids) never needs an escape.
type scanner struct {
	b     []byte
	i     int
	first bool // nothing has been read yet at this level
	bad   bool
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) expect(c byte) {
	if s.peek() != c {
		s.bad = true
		return
	}
	s.i++
}

// begin enters an object or array.
func (s *scanner) begin(c byte) {
	s.expect(c)
	s.first = true
}

// next goes to the next member or element; it is false after the end, which
// it consumes, and when something was bad.
func (s *scanner) next(end byte) bool {
	if s.bad {
		return false
	}
	switch s.peek() {
	case end:
		s.i++
		s.first = false
		return false
	case ',':
		if s.first {
			s.bad = true
			return false
		}
		s.i++
	default:
		if !s.first {
			s.bad = true
			return false
		}
	}
	s.first = false
	return true
}

// str reads a string and returns what is between the quotes.
func (s *scanner) str() []byte {
	s.expect('"')
	if s.bad {
		return nil
	}
	from := s.i
	for {
		j := bytes.IndexByte(s.b[s.i:], '"')
		if j < 0 {
			s.bad = true
			return nil
		}
		end := s.i + j
		s.i = end + 1
		k := end
		for k > from && s.b[k-1] == '\\' {
			k--
		}
		if (end-k)%2 == 0 {
			return s.b[from:end]
		}
	}
}

func (s *scanner) key() []byte {
	k := s.str()
	s.expect(':')
	return k
}

// num reads a whole number that is not negative.
func (s *scanner) num() uint64 {
	s.peek()
	var n uint64
	from := s.i
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		n = n*10 + uint64(s.b[s.i]-'0')
		s.i++
	}
	if s.i == from || s.i-from > 16 || (s.b[from] == '0' && s.i-from > 1) {
		s.bad = true
	}
	return n
}

// skip passes over any value.
func (s *scanner) skip() {
	depth := 0
	for !s.bad {
		switch s.peek() {
		case '"':
			s.str()
		case '{', '[':
			depth++
			s.i++
			continue
		case '}', ']':
			depth--
			s.i++
		case ',', ':':
			if depth == 0 {
				s.bad = true
			}
			s.i++
			continue
		case 0:
			s.bad = true
		default:
			for s.i < len(s.b) && !isPunct(s.b[s.i]) {
				s.i++
			}
		}
		if depth <= 0 {
			s.bad = s.bad || depth < 0
			return
		}
	}
}

func isPunct(c byte) bool {
	switch c {
	case ',', ':', '{', '}', '[', ']', '"', ' ', '\t', '\r', '\n':
		return true
	}
	return false
}

// end checks that nothing follows.
func (s *scanner) end() error {
	if s.bad || s.peek() != 0 || s.i != len(s.b) {
		return errJSON
	}
	return nil
}

// raw is a value as it stands.
func (s *scanner) raw() []byte {
	s.peek()
	from := s.i
	s.skip()
	return s.b[from:s.i]
}
