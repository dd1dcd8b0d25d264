package pebblestore

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// remake writes testdata/v<Format> anew. A format that was released is never
// remade: its data must go on being readable as it is.
var remake = flag.Bool("remake", false, "write the test data of the newest format anew")

func formatDir(name string) string { return filepath.Join("testdata", name) }

// formatData writes the store that testdata/v1 holds: tables and a log, every
// kind of value.
func formatData(t *testing.T, dir string) {
	t.Helper()
	s, err := Open(small(dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	l := newLedger()
	for i := range 60 {
		if err := l.write(t.Context(), s, i%crashLanes); err != nil {
			t.Fatal(err)
		}
		if i == 40 {
			if err := s.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.CommitRecords(t.Context(), "kept", []store.Change{{Key: "ledger", Value: []byte(s.Epoch())}}); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if err := os.Remove(filepath.Join(dir, lockFile)); err != nil {
		t.Fatal(err)
	}
}

// TestReleasedFormats: a store of every format that was released is opened,
// is whole, keeps its epoch, and takes writes. It kills a change of a key, a
// code or a value that forgets what is on people's disks.
func TestReleasedFormats(t *testing.T) {
	if *remake {
		dir := formatDir("v1")
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		formatData(t, dir)
	}
	for name, heads := range map[string][]parley.Seq{"v1": {22, 22, 22, 22}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if ok, err := vfs.Clone(vfs.Default, vfs.Default, formatDir(name), filepath.Join(dir, name)); err != nil || !ok {
				t.Fatalf("no test data: %v", err)
			}
			s, err := Open(small(filepath.Join(dir, name), nil))
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, s)
			l := newLedger()
			for lane, head := range heads {
				l.heads[lane], l.inboxes[lane], l.records[lane] = head, 1, 1
			}
			if err := l.audit(t.Context(), s, len(heads)); err != nil {
				t.Error(err)
			}
			for lane, head := range heads {
				h, err := s.Load(t.Context(), laneOf(lane))
				if err != nil || h.Seq != head || h.Count != uint64(head) || h.State == nil || h.State.Members[0].User != userOf(lane) {
					t.Errorf("lane %d: %+v, want %d: %v", lane, h, head, err)
				}
			}
			r, err := s.GetRecord(t.Context(), "kept", "ledger")
			if err != nil || parley.Epoch(r.Value) != s.Epoch() {
				t.Errorf("the epoch was %q and is %q: %v", r.Value, s.Epoch(), err)
			}
			if err := l.write(t.Context(), s, 0); err != nil {
				t.Error(err)
			}
		})
	}
}
