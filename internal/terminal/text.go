package terminal

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

// Visible returns s with everything that a terminal would obey, and everything
// that would break or turn around its line, written out as in Go: what somebody
// said cannot move the cursor, change a title or pass for another line.
func Visible(s string) string {
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

// lines returns the lines of a message, each visible.
func lines(s string) []string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	out := strings.Split(s, "\n")
	for i := range out {
		out[i] = Visible(strings.ReplaceAll(out[i], "\t", "    "))
	}
	return out
}

// oneLine returns s as the preview of a message has it.
func oneLine(s string) string { return strings.Join(strings.Fields(strings.Join(lines(s), " ")), " ") }

// wrap breaks one line into lines of at most width cells, at words where it
// can.
func (s *state) wrap(line string, width int) []string {
	if width < 1 {
		width = 1
	}
	return strings.Split(s.measure.Wrap(s.plain(line), width, ""), "\n")
}

// plain returns text with the signs whose width terminals do not agree on in
// their simplest form: the first of joined ones, without a tone of skin. A
// terminal that has said how it counts gets them as they are.
func (s *state) plain(text string) string {
	if s.measure == ansi.GraphemeWidth || strings.IndexFunc(text, joins) < 0 {
		return text
	}
	var b strings.Builder
	for state := byte(0); len(text) > 0; {
		var sign string
		var n int
		sign, _, n, state = ansi.GraphemeWidth.DecodeSequenceInString(text, state, nil)
		text = text[n:]
		if i := strings.IndexFunc(sign, joins); i > 0 {
			sign = sign[:i]
		}
		b.WriteString(sign)
	}
	return b.String()
}

// joins reports whether r changes the sign before it, or joins it to the next.
func joins(r rune) bool { return r == '\u200d' || r == '\ufe0f' || r >= 0x1f3fb && r <= 0x1f3ff }

// fit cuts or fills text, which may be styled, to exactly width cells.
func (s *state) fit(text string, width int) string {
	if width <= 0 {
		return ""
	}
	text = s.plain(text)
	have := s.measure.StringWidth(text)
	if have > width {
		text = s.measure.Truncate(text, width, "…")
		have = s.measure.StringWidth(text)
	}
	return text + strings.Repeat(" ", width-have)
}

// sides puts left and right at the ends of width cells. Left gives way.
func (s *state) sides(left, right string, width int) string {
	room := width - s.measure.StringWidth(right)
	if room < 1 {
		return s.fit(right, width)
	}
	return s.fit(left, room) + right
}

// plural is "1 message" or "3 messages".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
