package parley

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// MaxID is the greatest length of an identifier in bytes.
const MaxID = 64

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID returns a fresh identifier: the prefix and 128 bits of rand as 26
// letters and digits (Crockford's alphabet). It panics if rand fails: a
// process without randomness must not go on.
func NewID(prefix string, rand io.Reader) string {
	var b [16]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		panic(fmt.Sprintf("parley: no randomness: %v", err))
	}
	return prefix + idEncoding.EncodeToString(b[:])
}

// DirectID returns the id of the one direct conversation of a and b, in either
// order. a may equal b: that is a user's notes to self.
func DirectID(a, b UserID) ConversationID {
	if b < a {
		a, b = b, a
	}
	sum := sha256.Sum256([]byte("parley direct\x00" + string(a) + "\x00" + string(b)))
	return ConversationID("d" + idEncoding.EncodeToString(sum[:16]))
}

// ValidID reports whether s can be an identifier: 1 to MaxID bytes of
// letters, digits and - . _ ~ :
func ValidID(s string) bool {
	if len(s) == 0 || len(s) > MaxID {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == ':':
		default:
			return false
		}
	}
	return true
}

// String is the cursor as devices keep it: "EPOCH.POS", or "EPOCH.POS~LAG"
// while they catch up.
func (c Cursor) String() string {
	s := string(c.Epoch) + "." + strconv.FormatUint(uint64(c.Pos), 10)
	if c.Lag != 0 {
		s += "~" + strconv.FormatUint(uint64(c.Lag), 10)
	}
	return s
}

// ParseCursor reads what Cursor.String wrote. It is false for anything else;
// the empty string is not a cursor.
func ParseCursor(s string) (Cursor, bool) {
	i := strings.LastIndexByte(s, '.')
	if i <= 0 || len(s) > 2*MaxID {
		return Cursor{}, false
	}
	digits, lag, lags := strings.Cut(s[i+1:], "~")
	c := Cursor{Epoch: Epoch(s[:i])}
	pos, ok := parseNumber(digits)
	if lags && ok {
		var n uint64
		n, ok = parseNumber(lag)
		c.Lag = Pos(n)
		ok = ok && 0 < n && n <= pos
	}
	c.Pos = Pos(pos)
	if !ok {
		return Cursor{}, false
	}
	return c, true
}

// parseNumber reads a number as String writes it: no sign, no leading zero,
// at most 2^53-1.
func parseNumber(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 53)
	return n, err == nil && strconv.FormatUint(n, 10) == s
}
