package pebblestore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// TestBackupUnderLoad: a copy made while writers write holds everything that
// was acknowledged before it was begun, passes Verify, and is another life of
// the store; what is written after it is not in it.
func TestBackupUnderLoad(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(small(filepath.Join(dir, "data"), nil))
	if err != nil {
		t.Fatal(err)
	}
	l := newLedger()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for lane := range 4 {
		for range 50 {
			if err := l.write(t.Context(), s, lane); err != nil {
				t.Fatal(err)
			}
		}
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := l.write(t.Context(), s, lane); err != nil {
					t.Errorf("write: %v", err)
					return
				}
			}
		})
	}
	before := l.copy()
	backup := filepath.Join(dir, "backups", "monday")
	if err := s.Checkpoint(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	close(stop)
	wg.Wait()
	if err := s.Checkpoint(t.Context(), backup); err == nil {
		t.Error("a second copy in the same directory")
	}
	epoch := s.Epoch()
	closeStore(t, s)

	restored := filepath.Join(dir, "restored")
	if err := Restore(vfs.Default, backup, restored); err != nil {
		t.Fatal(err)
	}
	if err := Restore(vfs.Default, backup, restored); err == nil || !strings.Contains(err.Error(), restored) {
		t.Errorf("restoring over a store: %v", err)
	}
	for _, where := range []string{restored, backup} { // the copy itself can be served, too
		r, err := Open(small(where, nil))
		if err != nil {
			t.Fatal(err)
		}
		if r.Epoch() == epoch {
			t.Error("the epoch did not change: devices ahead of the copy would wait for ever")
		}
		if err := before.audit(t.Context(), r, 4); err != nil {
			t.Error(err)
		}
		if err := r.Append(t.Context(), store.Append{Conversation: "new", Entries: []parley.Entry{{Seq: 1, ID: "m", Count: 1, Kind: parley.KindMessage}}}); err != nil {
			t.Error(err)
		}
		closeStore(t, r)
	}
	if err := Restore(vfs.Default, dir, filepath.Join(dir, "other")); err == nil {
		t.Error("restored what is not a copy")
	}
}

// TestRestoreInterrupted: what an interrupted restore leaves is not a store,
// and does not stand in the way of another.
func TestRestoreInterrupted(t *testing.T) {
	mem := vfs.NewCrashableMem()
	fs := &faultFS{FS: mem}
	s := openSmall(t, fs)
	l := newLedger()
	for range 30 {
		if err := l.write(t.Context(), s, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Checkpoint(t.Context(), "/copy"); err != nil {
		t.Fatal(err)
	}
	for n := 1; ; n++ {
		fs.set(failNth(onSync, n, syscall.EIO))
		err := Restore(fs, "/copy", "/restored")
		fs.set(nil)
		if err == nil {
			break
		}
		if n > 100 {
			t.Fatal(err)
		}
		if _, err := mem.Stat("/restored/db"); err == nil { // renamed, not yet known to be durable
			if err := mem.RemoveAll("/restored"); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, err := Open(small("/restored", clone(mem)))
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, r)
	if err := l.audit(t.Context(), r, 1); err != nil {
		t.Error(err)
	}
}

// TestBackupDiskFull: that the disk of the backup is full concerns the backup
// alone. It kills a fence that takes the copy's files for the store's.
func TestBackupDiskFull(t *testing.T) {
	fs := &faultFS{FS: vfs.NewCrashableMem()}
	s := openSmall(t, fs)
	l := newLedger()
	write := func() {
		t.Helper()
		if err := l.write(t.Context(), s, 0); err != nil {
			t.Fatal(err)
		}
	}
	write()
	fs.set(func(op, name string) error {
		if op == onWrite && strings.HasPrefix(name, "/copy/") && strings.Contains(name, manifestPrefix) {
			return syscall.ENOSPC
		}
		return nil
	})
	if err := s.Checkpoint(t.Context(), "/copy"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("checkpoint: %v", err)
	}
	if _, err := fs.Stat("/copy"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a failed copy was left: %v", err)
	}
	write()
	if s.end.abandoned != 0 {
		t.Error("the engine was abandoned")
	}
}

// TestCompact: compacting keeps everything.
func TestCompact(t *testing.T) {
	s := openSmall(t, vfs.NewMem())
	l := newLedger()
	for range 500 {
		if err := l.write(t.Context(), s, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.audit(t.Context(), s, 1); err != nil {
		t.Error(err)
	}
	live := s.now.eng.db.Metrics().Table.Local.LiveSize
	if used, err := s.DiskUsage(); err != nil || live == 0 || used < live {
		t.Errorf("the store says it takes %d bytes, its tables alone take %d: %v", used, live, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Compact(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("compacting a closed store: %v", err)
	}
}
