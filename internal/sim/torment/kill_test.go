package torment

import (
	"flag"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/sim"
)

var cycles = flag.Int("torment.cycles", 200, "how often TestKill kills the server")

// TestKill is T4: the real program, killed with SIGKILL in the midst of its
// work again and again. It kills state that lives only in the process: an
// inbox that is not swept, a head that is remembered and not read, an ack
// before the write. It does not prove that anything was synced: what a killed
// process wrote is the kernel's. TestPowerCut does.
func TestKill(t *testing.T) {
	n := *cycles
	if testing.Short() {
		n = min(n, 20)
	}
	g := newGang(t, NewSubject(build(t, parleyProgram), "serve", "--listen", "127.0.0.1:0", "--admin", "off",
		"--data", t.TempDir(), "--registration", "open", "--rate-limits", "off"))
	g.talk()
	for cycle := range n {
		// From in the midst of reconnecting to well under way.
		g.until(130+cycle*7%130, 20*time.Second)
		if err := g.subject.Kill(); err != nil {
			t.Fatal(err)
		}
		g.start()
	}
	acked, resends := g.report(g.end(sim.Rules{}))
	if acked < 150*n || resends < 5*n {
		t.Errorf("too little happened to prove anything: want %d acked and %d resends", 150*n, 5*n)
	}
	if slowest := g.readies[len(g.readies)-1]; slowest > time.Second {
		t.Errorf("a restart took %v, want at most 1 s", slowest)
	}
}
