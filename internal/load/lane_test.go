package load

import (
	"crypto/rand"
	"testing"

	"github.com/parley-im/parley"
)

func TestNames(t *testing.T) {
	m, err := newNamer(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := newNamer(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, lane := range []uint32{0, 1, 999, 1<<32 - 1} {
		for _, n := range []uint64{0, 1, 1 << 40, 1<<64 - 1} {
			id := m.append(nil, lane, n)
			if !parley.ValidID(string(id)) || seen[string(id)] {
				t.Errorf("%s is no good as an id", id)
			}
			seen[string(id)] = true
			if l, k, ok := m.parse(id); !ok || l != lane || k != n {
				t.Errorf("%s: read back as %d of lane %d, %v", id, k, l, ok)
			}
			if _, _, ok := other.parse(id); ok {
				t.Errorf("%s: somebody else's, and taken", id)
			}
		}
	}
	for _, id := range []string{"", "m", "mILOU0000000000000000000000", parley.NewID("m", rand.Reader), parley.NewID("x", rand.Reader)} {
		if _, _, ok := m.parse([]byte(id)); ok {
			t.Errorf("%q was taken", id)
		}
	}
}

func TestHear(t *testing.T) {
	type step struct {
		seq    uint64
		answer bool
		want   fate
		have   uint64
	}
	for name, steps := range map[string][]step{
		"in order":                    {{11, false, fresh, 11}, {12, false, fresh, 12}},
		"older than the load":         {{3, false, old, 10}, {10, false, old, 10}},
		"told twice":                  {{11, false, fresh, 11}, {11, false, double, 11}},
		"a gap":                       {{12, false, gap, 10}},
		"a gap filled, then repeated": {{12, false, gap, 10}, {11, true, fresh, 11}, {12, true, fresh, 12}, {12, false, old, 12}, {13, false, fresh, 13}, {13, false, double, 13}},
		"an answer that overlaps":     {{11, false, fresh, 11}, {11, true, old, 11}, {11, false, double, 11}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &seat{}
			s.sit(&conversation{id: "c", head: 10})
			tr := s.track([]byte("c"))
			for i, st := range steps {
				if got := tr.hear(st.seq, st.answer); got != st.want || tr.have != st.have {
					t.Fatalf("step %d: %d heard as %v, has up to %d", i, st.seq, got, tr.have)
				}
			}
			if s.track([]byte("other")) != nil {
				t.Error("listens to another conversation")
			}
		})
	}
}

func TestLaneWindow(t *testing.T) {
	l := newLane(0, &conversation{id: "c"}, &seat{}, 1, 2)
	l.quota = 6
	done := func(f *flight) { f.live = false; l.under-- }
	a, b := l.open(), l.open()
	if a == nil || b == nil || l.open() != nil {
		t.Fatal("a window of two does not hold two")
	}
	done(b) // the second is answered first: the window must not stall
	c := l.open()
	if c == nil || c.n != 2 || l.flight(0) != a || l.flight(1) != nil || l.flight(2) != c {
		t.Fatalf("after the second was answered: %+v", c)
	}
	done(c)
	d := l.open()
	done(d)
	if l.open() != nil {
		t.Error("a message took the place of one that is under way")
	}
	done(a)
	for n := range 2 {
		f := l.open()
		if f == nil {
			t.Fatalf("%d more and then none", n)
		}
		done(f)
	}
	if l.open() != nil {
		t.Error("more than the quota")
	}
	if !d.stands(5) || d.stands(6) || !d.stands(5) {
		t.Error("a message stands at two numbers")
	}
}
