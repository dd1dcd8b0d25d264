package deploy_test

import (
	"fmt"
	"regexp"
	"strings"
)

// scalars reads the part of YAML that the files here are written in, strictly:
// block mappings and sequences indented by two or more, flow collections and
// scalars on one line, comments, documents, anchors, and | and > blocks. It
// returns the block scalars by their key, and an error for what is none of it.
func scalars(text string) (blocks []scalar, err error) {
	r := reader{lines: strings.Split(text, "\n")}
	for r.n < len(r.lines) && r.err == nil {
		r.line()
	}
	return r.blocks, r.err
}

// scalar is a | or > block.
type scalar struct{ key, text string }

type level struct {
	indent int
	keys   map[string]bool // of the mapping there
	list   bool
}

type reader struct {
	lines   []string
	n       int // of the next line
	open    []level
	anchors map[string]bool
	may     bool // the last line opened something: the next may be deeper
	blocks  []scalar
	err     error
}

var (
	key    = regexp.MustCompile(`^("[^"]*"|[A-Za-z_<][\w./<-]*):( +(.*))?$`)
	anchor = regexp.MustCompile(`^&([a-z-]+)( +|$)`)
	block  = regexp.MustCompile(`^[|>]-?$`)
)

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("line %d: %s", r.n, fmt.Sprintf(format, args...))
	}
}

func (r *reader) line() {
	l := r.lines[r.n]
	r.n++
	if l != strings.TrimRight(l, " \t\r") || strings.Contains(l, "\t") {
		r.fail("a tab, or blanks at the end")
	}
	text := strings.TrimLeft(l, " ")
	switch {
	case text == "" || text[0] == '#':
		return
	case l == "---":
		r.open, r.anchors, r.may = nil, nil, false
		return
	}
	r.node(len(l)-len(text), text)
}

// node reads what stands at an indentation: an item of a sequence or a key.
func (r *reader) node(indent int, text string) {
	for len(r.open) > 0 && r.open[len(r.open)-1].indent > indent {
		r.open = r.open[:len(r.open)-1]
		r.may = false
	}
	if rest, item := strings.CutPrefix(text, "- "); item {
		r.enter(indent, true)
		rest = strings.TrimLeft(rest, " ")
		if key.MatchString(rest) {
			r.may = true
			r.node(indent+len(text)-len(rest), rest)
		} else {
			r.value("", indent, rest)
		}
		return
	}
	m := key.FindStringSubmatch(text)
	if m == nil {
		r.fail("neither a key nor an item: %q", text)
		return
	}
	r.enter(indent, false)
	at := &r.open[len(r.open)-1]
	if at.keys[m[1]] {
		r.fail("the key %s stands twice", m[1])
	}
	at.keys[m[1]] = true
	r.value(m[1], indent, m[3])
}

// enter makes the level at indent the innermost.
func (r *reader) enter(indent int, list bool) {
	if n := len(r.open); n > 0 && r.open[n-1].indent == indent && r.open[n-1].list == list {
		r.may = false
		return
	}
	if n := len(r.open); n > 0 && r.open[n-1].indent == indent && r.open[n-1].list {
		r.open = r.open[:n-1] // a key after a sequence that stood as far left as its own
		r.enter(indent, list)
		return
	}
	if len(r.open) > 0 && !r.may {
		r.fail("indented by %d, where nothing is open", indent)
	}
	r.open, r.may = append(r.open, level{indent, map[string]bool{}, list}), false
}

// value reads what follows a key or a dash.
func (r *reader) value(name string, indent int, v string) {
	if m := anchor.FindStringSubmatch(v); m != nil {
		if r.anchors == nil {
			r.anchors = map[string]bool{}
		}
		r.anchors[m[1]] = true
		v = v[len(m[0]):]
	}
	if i := strings.Index(v, " #"); i >= 0 && !strings.ContainsAny(v[:i], `"'`) {
		v = strings.TrimRight(v[:i], " ")
	}
	switch {
	case v == "":
		r.may = true
	case block.MatchString(v):
		r.blocks = append(r.blocks, scalar{name, r.take(indent)})
	default:
		r.flow(v)
	}
}

// take reads the lines of a block scalar: those indented deeper than its key.
func (r *reader) take(indent int) string {
	var out []string
	depth := 0
	for ; r.n < len(r.lines); r.n++ {
		l := r.lines[r.n]
		text := strings.TrimLeft(l, " ")
		if text != "" && len(l)-len(text) <= indent {
			break
		}
		if depth == 0 {
			depth = len(l) - len(text)
		}
		out = append(out, l[min(depth, len(l)):])
	}
	if len(out) == 0 {
		r.fail("a block without lines")
	}
	return strings.Join(out, "\n")
}

// flow reads a value on one line: quotes and brackets close, aliases are
// anchored.
func (r *reader) flow(v string) {
	var open []byte
	flow := v[0] == '[' || v[0] == '{'
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '"' && (i == 0 || flow):
			n := closing(v[i+1:])
			if n < 0 {
				r.fail("a quote that does not close")
				return
			}
			i += n + 1
			if !flow && i != len(v)-1 {
				r.fail("something after the closing quote: %q", v)
			}
		case !flow && (strings.HasPrefix(v[i:], ": ") || i == 0 && strings.IndexByte("@`%,]}&!|>", c) >= 0):
			r.fail("%q has to be quoted", v)
		case flow && (c == '[' || c == '{'):
			open = append(open, c+2) // ] is [+2, } is {+2
		case flow && (c == ']' || c == '}'):
			if len(open) == 0 || open[len(open)-1] != c {
				r.fail("brackets that do not match: %q", v)
				return
			}
			open = open[:len(open)-1]
		case c == '*' && (i == 0 || flow && v[i-1] == ' '):
			name := v[i+1:]
			if end := strings.IndexAny(name, ",}] "); end >= 0 {
				name = name[:end]
			}
			if !r.anchors[name] {
				r.fail("nothing is anchored as %q", name)
			}
		}
	}
	if len(open) > 0 {
		r.fail("a bracket that does not close: %q", v)
	}
}

// closing returns where a quoted text ends, -1 if it does not.
func closing(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}
