package sim

import (
	"context"
	"slices"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
)

// TestLiveWithinASecond asserts that in a calm every device, the poster's too,
// has an entry within a virtual second of its ack; and that the same test fails
// when nobody hears nudges, so that it is the nudges that are seen here and
// not a reconnect that came in time.
func TestLiveWithinASecond(t *testing.T) {
	late := func(fault DeviceFault) int {
		o := live(t, WorldConfig{Seed: 1, Disk: pebbleDisk(t, false), Sends: 5, Fault: fault}, Rules{Converge: time.Second})
		if o.err != nil {
			t.Fatal(o.err)
		}
		n := 0
		for _, f := range o.found {
			if f.Check == "L1" {
				n++
				t.Logf("%q: %v", fault, f)
			}
		}
		return n
	}
	if n := late(""); n != 0 {
		t.Errorf("%d deliveries took longer than a second", n)
	}
	if late(Deaf) == 0 {
		t.Error("with the nudges removed nothing is late: this test sees nothing")
	}
}

// TestDiskFull is T6 on a disk that says it is full: sends are refused in time,
// reads work, nothing is lost, and writes resume by themselves.
func TestDiskFull(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := NewWorld(WorldConfig{Seed: 6, Sends: 1, Disk: pebbleDisk(t, false)})
		ctx := t.Context()
		if err := w.start(ctx); err != nil {
			t.Fatal(err)
		}
		var err error
		if w.party, err = NewParty(ctx, w.cast()); err != nil {
			t.Fatal(err)
		}
		d := w.party.Devices[0]
		c := d.Conversations()[0]
		for round := range 3 {
			if result, code := d.Say(ctx, c); result != OK {
				t.Fatalf("round %d: with room a send ended with %q %q", round, result, code)
			}
			w.disk.Ail(true)
			pause(ctx, time.Second)
			begun := time.Now()
			if result, code := d.Say(ctx, c); result != Unknown || code != string(parley.StorageFull) {
				t.Errorf("round %d: on a full disk a send ended with %q %q", round, result, code)
			}
			if took := time.Since(begun); took > 2*time.Second {
				t.Errorf("round %d: on a full disk a send took %v", round, took)
			}
			if !d.Look(ctx, c) {
				t.Errorf("round %d: on a full disk a read failed", round)
			}
			w.disk.Ail(false)
			begun = time.Now()
			for result := Unknown; result != OK; result, _ = d.Say(ctx, c) {
				if !pause(ctx, 100*time.Millisecond) || time.Since(begun) > 5*time.Second {
					t.Fatalf("round %d: writes have not resumed 5 s after room returned", round)
				}
			}
		}
		w.finish(t, ctx)
	})
}

// finish looks at everything once more and ends the world.
func (w *World) finish(t *testing.T, ctx context.Context) {
	t.Helper()
	f, err := w.party.Final(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range w.party.Devices {
		d.api.Close()
	}
	if err := w.drain(); err != nil {
		t.Error(err)
	}
	found := Check(w.rec.History(), f, Rules{})
	// Nobody lived here but the one who spoke: what devices hold says nothing.
	found = slices.DeleteFunc(found, func(f Finding) bool { return f.Check == "C4" })
	for _, f := range found {
		t.Error(f)
	}
}
