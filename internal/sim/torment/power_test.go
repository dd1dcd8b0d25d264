//go:build power && linux

package torment

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parley-im/parley/internal/sim"
)

// These tests need root, loop devices, mkfs.ext4 and mount, and fail without
// them: `make power-test`. What they prove is proven in every `go test` on
// memory that crashes and disks that say they are full, in package sim.

const cuts = 20

// powerDisk is an ext4 on a loop device whose power can be cut.
type powerDisk struct {
	t            *testing.T
	image, mount string
	mounted      bool
}

func newPowerDisk(t *testing.T) *powerDisk {
	t.Helper()
	dir := t.TempDir()
	d := &powerDisk{t: t, image: filepath.Join(dir, "image"), mount: filepath.Join(dir, "disk")}
	if err := os.Mkdir(d.mount, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(d.image)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(1 << 30); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	command(t, "mkfs.ext4", "-q", d.image)
	t.Cleanup(func() {
		if d.mounted {
			d.unplug()
		}
	})
	d.plug()
	return d
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v (this test needs root and loop devices): %v\n%s", name, args, err, out)
	}
}

func (d *powerDisk) plug() {
	d.t.Helper()
	command(d.t, "mount", "-o", "loop", d.image, d.mount)
	d.mounted = true
}

func (d *powerDisk) unplug() {
	d.t.Helper()
	command(d.t, "umount", d.mount)
	d.mounted = false
}

// cut stops every write to the disk at this instant, as a power cut does: what
// is in memory, the journal's part too, never reaches it.
func (d *powerDisk) cut() {
	d.t.Helper()
	f, err := os.Open(d.mount)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	const (
		shutdown   = 0x8004587d // FS_IOC_SHUTDOWN
		noLogFlush = 2          // FS_SHUTDOWN_FLAGS_NOLOGFLUSH
	)
	if err := unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noLogFlush); err != nil {
		d.t.Fatalf("cut the power: %v", err)
	}
}

// powerCut cuts the power under the subject and starts another on what is
// left. The server stands still before the disk does: a machine without power
// sends nothing, but a process could, and ext4 may answer an fsync that is
// under way during its shutdown with success although nothing was written.
func (g *gang) powerCut(d *powerDisk) {
	g.t.Helper()
	if err := g.subject.Freeze(); err != nil {
		g.t.Fatal(err)
	}
	d.cut()
	if err := g.subject.Kill(); err != nil {
		g.t.Fatal(err)
	}
	d.unplug()
	d.plug()
	g.start()
}

// TestPowerCut is T5. It kills an ack before the sync, a file that is synced
// without its directory, and an inbox that is not swept.
func TestPowerCut(t *testing.T) {
	d := newPowerDisk(t)
	g := newGang(t, NewSubject(build(t, parleyProgram), "serve", "--listen", "127.0.0.1:0", "--admin", "off",
		"--data", filepath.Join(d.mount, "data"), "--registration", "open", "--rate-limits", "off"))
	g.talk()
	for cut := range cuts {
		g.until(80+cut*11%90, 20*time.Second)
		g.powerCut(d)
	}
	acked, resends := g.report(g.end(sim.Rules{}))
	if acked < 80*cuts || resends < 5*cuts {
		t.Errorf("too little happened to prove anything: %d acked, %d resends", acked, resends)
	}
}

// TestPowerCutWithoutSyncLoses is the control of TestPowerCut: the same, with
// an engine that does not sync, must lose what was acked in four of five cuts.
func TestPowerCutWithoutSyncLoses(t *testing.T) {
	const trials = 5
	bin := build(t, subjectProgram)
	lost := 0
	for trial := range trials {
		t.Run(fmt.Sprint(trial), func(t *testing.T) {
			d := newPowerDisk(t)
			g := newGang(t, NewSubject(bin, "--data", filepath.Join(d.mount, "data"), "--no-sync"))
			// The accounts are to survive, or nobody could look.
			if err := g.subject.Stop(); err != nil {
				t.Fatal(err)
			}
			d.unplug()
			d.plug()
			g.start()
			g.talk()
			g.until(300+rand.IntN(300), 20*time.Second)
			g.powerCut(d)
			g.until(50, 20*time.Second)
			_, found, err := g.end(sim.Rules{EpochMoves: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				if f.Check == "C1" {
					lost++
					t.Logf("as it should: %v", f)
					break
				}
			}
		})
	}
	if lost < trials-1 {
		t.Errorf("without sync only %d of %d cuts lost something: this test could not see a missing sync", lost, trials)
	}
}
