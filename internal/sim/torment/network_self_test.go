//go:build cluster && linux

package torment

import (
	"os/exec"
	"strings"
	"testing"
)

// TestClusterNetwork shows that what is cut is cut, that way alone, and that
// nothing is left of a network. It kills cuts that cut nothing, with which
// TestClusterSites would prove as much as TestCluster.
func TestClusterNetwork(t *testing.T) {
	n := newNetwork(t, "x", "y", "z")
	x, y, z := n.machines[0], n.machines[1], n.machines[2]
	check := func(what string) {
		t.Helper()
		if err := n.proof(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	check("whole")
	for _, ways := range [][]way{
		{{x, y}},
		bothWays([]*machine{x}, []*machine{y, z}),
		bothWays([]*machine{x, y}, []*machine{z}),
	} {
		if err := n.cut(ways...); err != nil {
			t.Fatal(err)
		}
		check("cut")
		if err := n.heal(); err != nil {
			t.Fatal(err)
		}
		check("healed")
	}

	for _, said := range [][]way{{{y, z}}, {{x, z}, {y, z}}} { // which nobody cut
		n.gone = said
		if err := n.proof(); err == nil {
			t.Errorf("%d ways that are open pass for cut", len(said))
		}
	}
	n.gone = nil
	if err := n.rules("add", []way{{z, x}}); err != nil { // which nobody knows of
		t.Fatal(err)
	}
	if err := n.proof(); err == nil {
		t.Error("a way that is cut passes for open")
	}
}

// TestClusterNetworkLeavesNothing kills a clean-up that forgets something, and
// one that never comes for a process that was killed.
func TestClusterNetworkLeavesNothing(t *testing.T) {
	ours := newNetwork(t, "x")
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	left := &network{pid: dead.Process.Pid}
	t.Cleanup(func() { _ = left.close() }) // nothing is left of it by then
	if err := left.build([]string{"x", "y"}); err != nil {
		t.Fatal(err)
	}
	if len(traces(t, left)) == 0 {
		t.Fatal("a network leaves no traces that this test knows")
	}
	if err := clearLeftovers(); err != nil {
		t.Fatal(err)
	}
	if found := traces(t, left); len(found) > 0 {
		t.Errorf("left of a process that is no more: %v", found)
	}
	if err := ours.proof(); err != nil || len(traces(t, ours)) == 0 {
		t.Errorf("the network of a living process was cleared with it: %v", err)
	}
	if err := ours.close(); err != nil {
		t.Error(err)
	}
	if found := traces(t, ours); len(found) > 0 {
		t.Errorf("left of a network that was closed: %v", found)
	}
}

// traces returns the lines of what ip lists that name a network, and the
// routes to it.
func traces(t *testing.T, n *network) (found []string) {
	t.Helper()
	for _, list := range []string{"netns", "link", "address", "route"} {
		out, err := exec.Command("ip", "-o", list).Output()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, namespace(n.pid, "")) || strings.Contains(line, cableName(n.pid, 0)[:len(cableName(n.pid, 0))-1]) {
				found = append(found, strings.TrimSpace(line))
			}
		}
	}
	return found
}
