package wire

import (
	"encoding/base64"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/parley-im/parley"
)

// plain says which bytes stand for themselves in a JSON string.
var plain = func() (t [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD, so that no stored byte can break a frame.
func appendString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := decodeRune(s[i:])
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\ufffd"...)
			i++
			start = i
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// decodeRune decodes the first character of s without copying all of it.
func decodeRune[T string | []byte](s T) (rune, int) {
	var b [utf8.UTFMax]byte
	return utf8.DecodeRune(b[:copy(b[:], s)])
}

// stringSize returns the length of what appendString appends for s.
func stringSize[T string | []byte](s T) int {
	n := len(s) + 2
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case plain[c]:
			i++
		case c >= utf8.RuneSelf:
			r, size := decodeRune(s[i:])
			if r == utf8.RuneError && size == 1 {
				n += 2
			}
			i += size
		case c >= ' ', c == '\n', c == '\r', c == '\t', c == '\b', c == '\f':
			n++
			i++
		default:
			n += 5
			i++
		}
	}
	return n
}

// appendStringField appends name, which is ,"x": as it stands, and s.
func appendStringField[T ~string](dst []byte, name string, s T) []byte {
	return appendString(append(dst, name...), string(s))
}

// appendUintField appends name and n, or nothing for 0.
func appendUintField[T ~uint64](dst []byte, name string, n T) []byte {
	if n == 0 {
		return dst
	}
	return strconv.AppendUint(append(dst, name...), uint64(n), 10)
}

// appendRef appends the ref field, or nothing if there is none.
func appendRef(dst []byte, ref Ref) []byte {
	if ref == "" {
		return dst
	}
	return append(append(dst, `,"ref":`...), ref...)
}

func appendBase64(dst, data []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, data)
	return append(dst, '"')
}

// appendBody appends b with whatever it holds.
func appendBody(dst []byte, b *Body) []byte {
	dst = appendStringField(dst, `{"type":`, b.Type)
	if b.Text != nil {
		dst = appendStringField(dst, `,"text":`, *b.Text)
	}
	if b.Data != nil {
		dst = appendBase64(append(dst, `,"data":`...), b.Data)
	}
	return append(dst, '}')
}

// Time returns t as the wire writes times: RFC 3339, UTC, milliseconds.
func Time(t time.Time) string { return string(AppendTime(make([]byte, 0, 24), t)) }

// AppendTime appends what Time returns. The year must have four digits.
func AppendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	y, mo, d := t.Date()
	h, mi, s := t.Clock()
	ms := t.Nanosecond() / 1e6
	return append(dst,
		digit(y/1000), digit(y/100), digit(y/10), digit(y), '-',
		digit(int(mo)/10), digit(int(mo)), '-',
		digit(d/10), digit(d), 'T',
		digit(h/10), digit(h), ':',
		digit(mi/10), digit(mi), ':',
		digit(s/10), digit(s), '.',
		digit(ms/100), digit(ms/10), digit(ms), 'Z')
}

func digit(n int) byte { return byte('0' + n%10) }

// AppendEntry appends e as the JSON of an Entry: text/plain as text, any other
// type as base64 data, and no body at all if e has neither type nor data.
func AppendEntry(dst []byte, e *parley.Entry) []byte {
	start := len(dst)
	dst = appendStringField(dst, `{"conversation":`, e.Conversation)
	dst = strconv.AppendUint(append(dst, `,"seq":`...), uint64(e.Seq), 10)
	dst = appendStringField(dst, `,"kind":`, e.Kind)
	dst = appendStringField(dst, `,"id":`, e.ID)
	dst = appendStringField(dst, `,"sender":`, e.Sender)
	dst = appendStringField(dst, `,"device":`, e.Device)
	dst = AppendTime(append(dst, `,"at":"`...), e.At)
	dst = append(dst, '"')
	switch {
	case e.Body.Type == parley.TextPlain:
		dst = append(dst, `,"body":{"type":"text/plain","text":`...)
		dst = append(appendString(dst, e.Body.Data), '}')
	case e.Body.Type != "" || len(e.Body.Data) > 0:
		dst = appendStringField(dst, `,"body":{"type":`, e.Body.Type)
		dst = append(appendBase64(append(dst, `,"data":`...), e.Body.Data), '}')
	}
	dst = appendUintField(dst, `,"ref":`, e.Ref)
	dst = appendUintField(dst, `,"reply_to":`, e.ReplyTo)
	if e.Mentions != nil || e.Forwarded || e.Fold != nil {
		dst = appendMore(dst, e, start)
	}
	return append(dst, '}')
}

// maxEntry is the most that an entry takes, so that it fits a frame alone.
const maxEntry = MaxFrame - EntriesOverhead

// appendMore appends what few entries have. Reactions that would not fit a
// frame, of an entry that begins at start, are left out, the last ones first:
// whoever wants all asks for them.
func appendMore(dst []byte, e *parley.Entry, start int) []byte {
	if f := e.Fold; f != nil {
		if f.Edited != 0 {
			dst = AppendTime(append(dst, `,"edited":true,"edited_at":"`...), f.EditedAt)
			dst = append(dst, '"')
		}
		if f.Deleted {
			dst = append(dst, `,"deleted":true`...)
		}
	}
	if len(e.Mentions) > 0 {
		dst = appendIDs(append(dst, `,"mentions":`...), e.Mentions)
	}
	if e.Forwarded {
		dst = append(dst, `,"forwarded":true`...)
	}
	if e.Fold == nil || len(e.Fold.Reactions) == 0 {
		return dst
	}
	before := len(dst)
	dst = append(dst, `,"reactions":[`...)
	none := len(dst)
	for i := range e.Fold.Reactions {
		fits := len(dst)
		if fits > none {
			dst = append(dst, ',')
		}
		dst = appendReaction(dst, &e.Fold.Reactions[i])
		if len(dst)-start > maxEntry-2 {
			dst = dst[:fits]
			break
		}
	}
	if len(dst) == none {
		return dst[:before]
	}
	return append(dst, ']')
}

func appendReaction(dst []byte, r *parley.Reaction) []byte {
	dst = appendStringField(dst, `{"text":`, r.Text)
	dst = strconv.AppendUint(append(dst, `,"count":`...), uint64(r.Count), 10)
	return append(appendIDs(append(dst, `,"users":`...), r.Users), '}')
}

func appendIDs[T ~string](dst []byte, ids []T) []byte {
	dst = append(dst, '[')
	for i, id := range ids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, string(id))
	}
	return append(dst, ']')
}
