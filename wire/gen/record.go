package main

import (
	"fmt"
	"slices"
	"strings"
)

// recordHead opens the record. Lines that begin with # are not compared.
const recordHead = `# What protocol version 1 has on the wire, a line for each fact: written by
# go generate ./wire, which adds lines and refuses to take one away. A "?" marks
# a field that may be absent.
`

// facts returns everything about p that others rely on.
func (p *protocol) facts() []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, c := range p.constants {
		if strings.HasPrefix(c.name, "Close") || c.name == "Protocol" { // limits may grow
			add("%s = %s", c.name, c.value)
		}
	}
	for i := range p.shapes {
		s := &p.shapes[i]
		for _, f := range s.fields {
			add("%s.%s", s.name, f.fact(f.optional))
		}
	}
	for _, op := range p.ops {
		for _, n := range op.Required {
			add("> %s.%s", op.Name, p.client.field(n).fact(false))
		}
		for _, n := range op.Optional {
			add("> %s.%s", op.Name, p.client.field(n).fact(true))
		}
	}
	for _, f := range p.frames {
		for _, n := range f.Always {
			add("< %s.%s", f.Name, p.server.field(n).fact(false))
		}
		for _, n := range f.Sometimes {
			add("< %s.%s", f.Name, p.server.field(n).fact(true))
		}
	}
	for _, c := range p.codes {
		add("code %s %d %s", c.Code, c.Status, retries[c.Retry])
	}
	return out
}

func (f field) fact(optional bool) string {
	if optional {
		return f.name + "?: " + f.typ
	}
	return f.name + ": " + f.typ
}

// owner is what a fact about a field belongs to; empty for any other fact.
func owner(fact string) string {
	name, _, ok := strings.Cut(fact, ".")
	if !ok || strings.HasPrefix(fact, "code ") || strings.Contains(name, "=") {
		return ""
	}
	return name
}

// waived is the fact about a field that clients had to send, now that they need
// not: a server that asks for less takes what its clients always sent. It is
// empty for any other fact.
func waived(fact string) string {
	name, typ, ok := strings.Cut(fact, ": ")
	if !ok || !strings.HasPrefix(fact, "> ") || strings.HasSuffix(name, "?") {
		return ""
	}
	return name + "?: " + typ
}

// record returns the record with what p adds to old. It fails when p breaks a
// promise of old: a fact that is gone or different, or a new field that peers
// which know the shape without it do not send.
func (p *protocol) record(old []byte) ([]byte, error) {
	facts := p.facts()
	var held []string
	known := map[string]bool{}
	for line := range strings.Lines(string(old)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			held = append(held, line)
			known[owner(line)] = true
		}
	}
	for _, h := range held {
		if !slices.Contains(facts, h) && !slices.Contains(facts, waived(h)) {
			return nil, fmt.Errorf("%q is gone or different: what was once on the wire stays as it was; give the new thing a new name", h)
		}
	}
	for _, f := range facts {
		if slices.Contains(held, f) || slices.ContainsFunc(held, func(h string) bool { return waived(h) == f }) {
			continue
		}
		if o := owner(f); o != "" && known[o] && !strings.Contains(f, "?: ") {
			return nil, fmt.Errorf("%q is a new field that must be there, and peers that know %s without it will not send it: make it optional", f, o)
		}
	}
	return []byte(recordHead + strings.Join(facts, "\n") + "\n"), nil
}
