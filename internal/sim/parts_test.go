package sim

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"testing"
)

var partFlag = flag.String("sim.part", "", "make only the worlds of this part, \"0/2\" to \"1/2\"; a test of many worlds starts itself so")

// share is the worlds of one process: those of part of parts.
type share struct{ part, parts int64 }

// has reports whether the world of a seed is in the share. Every second world
// is of another kind: they come in pairs.
func (s share) has(seed int64) bool { return seed/2%s.parts == s.part }

// inParts has the running test make its worlds in a process for each
// processor: bubbles of one process follow each other (see bubble). It returns
// true in the process that began, with the sum of what the others counted, and
// false in those, with their share. flags are passed on.
func inParts(t *testing.T, flags ...string) (sum tally, s share, whole bool) {
	t.Helper()
	if *partFlag != "" {
		if n, err := fmt.Sscanf(*partFlag, "%d/%d", &s.part, &s.parts); n != 2 || err != nil || s.parts < 1 {
			t.Fatalf("-sim.part=%s is no part", *partFlag)
		}
		return sum, s, false
	}
	parts := runtime.NumCPU()
	sums := make([]tally, parts)
	t.Run("part", func(t *testing.T) { // ends when its parts have
		for i := range parts {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				args := append([]string{"-test.run=^" + nameOf(t) + "$", "-test.v", "-test.timeout=" + flag.Lookup("test.timeout").Value.String(), fmt.Sprintf("-sim.part=%d/%d", i, parts)}, flags...)
				out, err := exec.CommandContext(t.Context(), os.Args[0], args...).CombinedOutput()
				if sums[i] = readTally(string(out)); err != nil || sums[i].worlds == 0 {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	})
	for _, one := range sums {
		sum.add(one)
	}
	return sum, s, true
}

// nameOf returns the name of the test that t is a part of.
func nameOf(t *testing.T) string { return regexp.MustCompile(`^[^/]*`).FindString(t.Name()) }

// tally counts what happened in worlds.
type tally struct{ worlds, acked, resends, unproven int }

func (c *tally) add(o tally) {
	c.worlds, c.acked, c.resends, c.unproven = c.worlds+o.worlds, c.acked+o.acked, c.resends+o.resends, c.unproven+o.unproven
}

func (c tally) String() string {
	return fmt.Sprintf("%d worlds: %d acked, %d resends, %d tries without an answer", c.worlds, c.acked, c.resends, c.unproven)
}

var tallyLine = regexp.MustCompile(`(\d+) worlds: (\d+) acked, (\d+) resends, (\d+) tries without an answer`)

// readTally finds in the output of a process what it counted; it is empty when
// there is nothing.
func readTally(out string) (c tally) {
	found := tallyLine.FindStringSubmatch(out)
	for i, n := range []*int{&c.worlds, &c.acked, &c.resends, &c.unproven} {
		if found != nil {
			*n, _ = strconv.Atoi(found[1+i]) // digits
		}
	}
	return c
}

// proves fails a test in whose worlds too little happened to prove anything.
func (c tally) proves(t *testing.T, acked, resends int) {
	t.Helper()
	t.Log(c)
	if c.acked < acked*c.worlds || c.resends < resends*c.worlds {
		t.Errorf("too little happened to prove anything: want %d acked and %d resends a world", acked, resends)
	}
}

// tally counts one world.
func (o lived) tally() tally { return tally{1, o.acked, o.resends, o.unproven} }
