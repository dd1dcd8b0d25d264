package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parley-im/parley/internal/store"
)

// eventually asks until ok, for as long as a person would.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("in 30 s never: %s", what)
		}
	}
}

// TestFaults: whichever operation on the disk fails, an entry that was
// acknowledged stands on the disk as a loss of power leaves it, every write is
// answered, and the store goes on or opens again. It kills an acknowledgement
// after a failed sync, a short write taken for a whole one, an engine that
// goes on writing behind a failure, and a write that hangs.
func TestFaults(t *testing.T) {
	const last = 20
	for _, op := range []string{onWrite, onSync, onRename, onOpen} {
		for name, fault := range map[string]error{"EIO": syscall.EIO, "ENOSPC": syscall.ENOSPC, "short": errShortWrite} {
			if fault == errShortWrite && op != onWrite {
				continue
			}
			t.Run(op+" "+name, func(t *testing.T) {
				for n := 1; n <= last; n++ {
					faultOnce(t, fmt.Sprintf("%s %d from the start", op, n), failNth(op, n, fault), nil)
					if op == onWrite || op == onSync {
						faultOnce(t, fmt.Sprintf("%s %d once open", op, n), nil, failNth(op, n, fault))
					}
				}
			})
		}
	}
}

// faultOnce opens a store under one fault, writes under another, and audits
// what a loss of power would leave.
func faultOnce(t *testing.T, what string, opening, open func(op, name string) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	mem := vfs.NewCrashableMem()
	fs := &faultFS{FS: mem}
	o := small("/data", fs)
	o.MemTableBytes = 64 << 10
	l := newLedger()
	fs.set(opening)
	s, err := Open(o)
	if err == nil {
		if open != nil {
			fs.set(open)
		}
		var wg sync.WaitGroup
		for lane := range 2 {
			wg.Go(func() {
				for range 40 {
					if err := l.write(ctx, s, lane); err != nil && ctx.Err() != nil {
						t.Errorf("%s: a write was not answered: %v", what, err)
						return
					}
				}
			})
		}
		wg.Wait()
		fs.set(nil)
		eventually(t, what+": the store takes writes again", func() bool { return l.write(ctx, s, 0) == nil })
	}
	after := crash{fs: mem.CrashClone(vfs.CrashCloneCfg{}), promised: l.copy()}
	if err == nil {
		if err := s.Close(); err != nil {
			t.Errorf("%s: close: %v", what, err)
		}
	}
	if err := after.recover(t); err != nil {
		t.Errorf("%s: after a loss of power: %v", what, err)
	}
}

// TestDiskDies: while nothing can be written every write is refused in time
// and reads go on; when the disk is well again, so is the store, without a
// restart. It kills a store that stays broken, or an engine that is opened on
// top of one that still writes.
func TestDiskDies(t *testing.T) {
	for name, fault := range map[string]error{"EIO": syscall.EIO, "ENOSPC": syscall.ENOSPC} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			fs := &faultFS{FS: mem}
			s := openSmall(t, fs)
			l := newLedger()
			for range 50 {
				if err := l.write(t.Context(), s, 0); err != nil {
					t.Fatal(err)
				}
			}
			for round := range 3 {
				old := s.acquire()
				old.release()
				fs.set(failAll(fault))
				for range 5 {
					if err := s.Append(t.Context(), appendOf(0, l.heads[0], 1)); !errors.Is(err, store.ErrUnavailable) {
						t.Fatalf("round %d: append on a dead disk: %v", round, err)
					}
					if all, err := s.Read(t.Context(), laneOf(0), 0, 1000); err != nil || len(all) < int(l.heads[0]) {
						t.Fatalf("round %d: read %d entries: %v", round, len(all), err)
					}
				}
				if err := s.Writable(); !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("writable: %v", err)
				}
				fs.set(nil)
				eventually(t, "the store takes writes again", func() bool { return l.write(t.Context(), s, 0) == nil })
				if err := s.Writable(); err != nil {
					t.Errorf("writable: %v", err)
				}
				old.eng.fence.mu.RLock()
				if !old.eng.fence.closed {
					t.Error("an engine was opened while the one before could still write")
				}
				old.eng.fence.mu.RUnlock()
			}
			after := crash{fs: mem.CrashClone(vfs.CrashCloneCfg{}), promised: l.copy(), epoch: s.Epoch()}
			if err := after.recover(t); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDiskHangs: a sync that does not come back is answered within the
// deadline, as of unknown outcome, and what comes meanwhile at once. When it
// does come back, the write it belongs to stands.
func TestDiskHangs(t *testing.T) {
	fs := &faultFS{FS: vfs.NewCrashableMem()}
	o := small("/data", fs)
	o.CommitTimeout = 250 * time.Millisecond
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	if err := s.Append(t.Context(), appendOf(0, 0, 1)); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	fs.set(func(op, name string) error {
		if op == onSync && isLog(name) {
			<-release
		}
		return nil
	})
	for range 3 {
		if err := s.Append(t.Context(), appendOf(0, 1, 1)); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("append on a hanging disk: %v", err)
		}
	}
	if h, err := s.Load(t.Context(), laneOf(0)); err != nil || h.Seq != 1 {
		t.Fatalf("readers see %d, which is not durable: %v", h.Seq, err)
	}
	if err := s.Writable(); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("writable: %v", err)
	}
	close(release)
	eventually(t, "the store is writable again", func() bool { return s.Writable() == nil })
	if h, err := s.Load(t.Context(), laneOf(0)); err != nil || h.Seq != 2 {
		t.Fatalf("the write of unknown outcome: head %d, %v", h.Seq, err)
	}
	if err := s.Append(t.Context(), appendOf(0, 2, 1)); err != nil {
		t.Fatal(err)
	}
}

// TestCloseOnDeadDisk: Close ends in time whatever the disk does, says so, and
// keeps the directory from others while something may still write there.
func TestCloseOnDeadDisk(t *testing.T) {
	fs := &faultFS{FS: vfs.NewCrashableMem()}
	o := small("/data", fs)
	o.CommitTimeout = 250 * time.Millisecond
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	defer close(release)
	fs.set(func(op, name string) error {
		if op == onSync && isLog(name) {
			<-release
		}
		return nil
	})
	if err := s.Append(t.Context(), appendOf(0, 0, 1)); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("append on a hanging disk: %v", err)
	}
	if err := s.Close(); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("close: %v", err)
	}
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), "/data") {
		t.Errorf("another store on the same directory: %v", err)
	}
}

func openSmall(t *testing.T, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open(small("/data", fs))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func closeStore(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
