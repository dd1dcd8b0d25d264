package cluster

import (
	"slices"
	"testing"
	"time"
)

// TestCompany kills a comparison of who hears whom that nodes would answer
// differently, that counts what is said one way only, or that gives up more
// nodes than it must.
func TestCompany(t *testing.T) {
	type rows = map[NodeID][]NodeID
	ids := func(ids ...NodeID) []NodeID { return append([]NodeID{}, ids...) }
	for name, c := range map[string]struct {
		hears rows
		want  []NodeID
	}{
		"nobody":              {rows{}, nil},
		"alone":               {rows{"a": ids()}, ids("a")},
		"all":                 {rows{"a": ids("b", "c"), "b": ids("a", "c"), "c": ids("a", "b")}, ids("a", "b", "c")},
		"a name that is gone": {rows{"a": ids("b", "z"), "b": ids("a", "z")}, ids("a", "b")},
		"one way":             {rows{"a": ids("b", "c"), "b": ids("a", "c"), "c": ids("a")}, ids("a", "b")},
		"two halves":          {rows{"a": ids("d"), "d": ids("a"), "b": ids("c"), "c": ids("b")}, ids("b", "c")},
		"two against three":   {rows{"a": ids("b"), "b": ids("a"), "c": ids("d", "e"), "d": ids("c", "e"), "e": ids("c", "d")}, ids("c", "d", "e")},
		"a star":              {rows{"a": ids("c"), "b": ids("c"), "c": ids("a", "b", "d"), "d": ids("c")}, ids("a", "c")},
		"an older release":    {rows{"a": nil, "b": ids("a")}, ids("a", "b")},
		"one that is unheard": {rows{"a": ids("b", "c"), "b": ids("c"), "c": ids("b")}, ids("b", "c")},
	} {
		if got := company(c.hears); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestWriteUnderWay kills a node that is back, or counts as announced, by a
// write of its row that was under way when it stepped out: the row goes.
func TestWriteUnderWay(t *testing.T) {
	p := newPair(t, func(*faults) {})
	p.settle()
	begun := p.at - 10*time.Millisecond
	p.b.stepOut(p.at, unheard)
	p.b.announced(begun, p.at+10*time.Millisecond)
	if p.b.out != unheard || p.b.table.wrote.set {
		t.Errorf("out: %q, announced: %t", p.b.out, p.b.table.wrote.set)
	}
	p.b.announced(p.at+20*time.Millisecond, p.at+30*time.Millisecond)
	if p.b.out != in || !p.b.table.wrote.set {
		t.Error("a write begun since does not bring it back")
	}
}
