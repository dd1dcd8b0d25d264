//go:build power && linux

package torment

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/sim"
)

const (
	fullRounds  = 3
	answerIn    = 2 * time.Second // every send is answered, also while the disk is full
	resumeIn    = 5 * time.Second // from room to the first ack
	fullTries   = 20              // sends and reads while it is full
	fullTmpfs   = "size=64m"
	fillerChunk = 1 << 20
)

// TestDiskFull is T6: a disk of 64 MiB fills to its last byte under a server at
// work, and grows back. It kills a write that hangs, a refusal that does not
// say so, a server that must be started again, and whatever a half-written
// batch would break.
func TestDiskFull(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	command(t, "mount", "-t", "tmpfs", "-o", fullTmpfs, "tmpfs", disk)
	t.Cleanup(func() { command(t, "umount", disk) })

	g := newGang(t, NewSubject(build(t, subjectProgram), "--data", filepath.Join(disk, "data")))
	g.talk()
	filler := filepath.Join(disk, "filler")
	for round := range fullRounds {
		g.until(150, 20*time.Second)
		fill(t, filler)
		g.whileFull(round)
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		g.resumes(round)
	}
	h, found, err := g.end(sim.Rules{})
	if acked, _ := g.report(h, found, err); acked < 150*fullRounds {
		t.Errorf("too little happened to prove anything: %d acked", acked)
	}
	slowest := time.Duration(0)
	for i := range h {
		if h[i].Op == sim.OpAppend {
			slowest = max(slowest, time.Duration(h[i].Return-h[i].Call))
		}
	}
	t.Logf("the slowest of all sends took %v", slowest.Round(time.Millisecond))
	if slowest > answerIn {
		t.Errorf("a send took %v, want at most %v", slowest, answerIn)
	}
}

// fill writes until not a byte is left.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for chunk := make([]byte, fillerChunk); len(chunk) > 0; {
		_, err := f.Write(chunk)
		switch {
		case errors.Is(err, syscall.ENOSPC):
			chunk = chunk[:len(chunk)/2]
		case err != nil:
			t.Fatal(err)
		}
	}
}

// whileFull sends and reads on a full disk: the sends are refused in time and
// say why, the reads work.
func (g *gang) whileFull(round int) {
	g.t.Helper()
	refused := 0
	for n := range fullTries {
		d := g.Devices[n%len(g.Devices)]
		c := d.Conversations()[0]
		begun := time.Now()
		result, code := d.Say(g.t.Context(), c)
		if took := time.Since(begun); took > answerIn {
			g.t.Errorf("round %d: a send on a full disk took %v", round, took)
		}
		switch {
		case code == string(parley.StorageFull):
			refused++
		case result == sim.OK && refused == 0: // not noticed yet, and it still fitted
		default:
			g.t.Errorf("round %d: a send on a full disk ended with %q %q", round, result, code)
		}
		begun = time.Now()
		if !d.Look(g.t.Context(), c) {
			g.t.Errorf("round %d: a read on a full disk failed", round)
		}
		if took := time.Since(begun); took > answerIn {
			g.t.Errorf("round %d: a read on a full disk took %v", round, took)
		}
	}
	if refused == 0 {
		g.t.Errorf("round %d: no send was refused with storage_full; was the disk full?", round)
	}
}

// resumes waits for the first ack after room has returned.
func (g *gang) resumes(round int) {
	g.t.Helper()
	d := g.Devices[0]
	for begun := time.Now(); ; {
		if result, code := d.Say(g.t.Context(), d.Conversations()[0]); result == sim.OK {
			g.t.Logf("round %d: writes resumed %v after room returned", round, time.Since(begun).Round(time.Millisecond))
			return
		} else if time.Since(begun) > resumeIn {
			g.t.Fatalf("round %d: %v after room returned a send still ends with %q", round, resumeIn, code)
		}
	}
}
