package pebblestore

import (
	"errors"
	"math"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// roomy is a disk whose free space a test decides, and a clock that moves a
// second whenever it is asked, so that no answer of the disk is old.
type roomy struct {
	free  atomic.Uint64
	fail  atomic.Bool
	clock atomic.Int64
}

func (r *roomy) options(fs vfs.FS) Options {
	o := small("/data", fs)
	o.MinFree = 10 << 20
	o.Now = func() time.Time { return time.Unix(r.clock.Add(1), 0) }
	o.FreeSpace = func() (uint64, error) {
		if r.fail.Load() {
			return 0, syscall.EIO
		}
		return r.free.Load(), nil
	}
	return o
}

func openRoomy(t *testing.T, fs vfs.FS) (*Store, *roomy) {
	t.Helper()
	r := &roomy{}
	r.free.Store(1 << 30)
	s, err := Open(r.options(fs))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s, r
}

// TestLowWater: before the disk is full writes are refused, having written
// nothing; reads go on; when there is room again, so do writes. It kills a
// store that fills its disk, which Pebble does not survive.
func TestLowWater(t *testing.T) {
	s, r := openRoomy(t, vfs.NewMem())
	if err := s.Append(t.Context(), appendOf(0, 0, 1)); err != nil {
		t.Fatal(err)
	}
	low := uint64(10<<20 + 2*256<<10) // MinFree and two memtables
	r.free.Store(low - 1)
	writes := map[string]error{
		"append":   s.Append(t.Context(), appendOf(0, 1, 1)),
		"settle":   s.Settle(t.Context(), laneOf(0), 1),
		"inboxes":  s.WriteInboxes(t.Context(), []*store.InboxWrite{{User: "u", Rows: []parley.Row{{Conversation: "c", Pos: 1}}}}),
		"records":  s.CommitRecords(t.Context(), "p", []store.Change{{Key: "k"}}),
		"writable": s.Writable(),
	}
	for name, err := range writes {
		if !errors.Is(err, store.ErrFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if h, err := s.Load(t.Context(), laneOf(0)); err != nil || h.Seq != 1 {
		t.Errorf("head %d: %v", h.Seq, err)
	}
	r.free.Store(low)
	if err := errors.Join(s.Writable(), s.Append(t.Context(), appendOf(0, 1, 1))); err != nil {
		t.Errorf("with room again: %v", err)
	}
	r.fail.Store(true) // a disk that cannot be asked is no reason to stop
	if err := errors.Join(s.Writable(), s.Append(t.Context(), appendOf(0, 2, 1))); err != nil {
		t.Errorf("without an answer: %v", err)
	}
}

// TestFullDisk: the disk fills up between two looks. Each write is answered,
// none that was acknowledged is lost, and when room returns writing does, in
// the same process.
func TestFullDisk(t *testing.T) {
	mem := vfs.NewCrashableMem()
	fs := &faultFS{FS: mem}
	s, r := openRoomy(t, fs)
	l := newLedger()
	for range 20 {
		if err := l.write(t.Context(), s, 0); err != nil {
			t.Fatal(err)
		}
	}
	fs.set(failAll(syscall.ENOSPC))
	if err := l.write(t.Context(), s, 0); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("the write that met the full disk: %v", err)
	}
	r.free.Store(0)
	// What waits while the engine is abandoned is answered as unknown.
	eventually(t, "writes are refused as full", func() bool { return errors.Is(l.write(t.Context(), s, 0), store.ErrFull) })
	if err := l.auditLane(t.Context(), s, 0); err != nil {
		t.Fatalf("reading on a full disk: %v", err)
	}
	fs.set(nil)
	r.free.Store(math.MaxUint64)
	eventually(t, "writes resume", func() bool { return l.write(t.Context(), s, 0) == nil })
	after := crash{fs: mem.CrashClone(vfs.CrashCloneCfg{}), promised: l.copy(), epoch: s.Epoch()}
	if err := after.recover(t); err != nil {
		t.Error(err)
	}
}

// TestSmallDisk: what is kept free fits the disk. It kills defaults that make
// a small volume read-only from the first day.
func TestSmallDisk(t *testing.T) {
	mem := vfs.NewMem()
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 60 << 20, TotalBytes: 64 << 20})
	s, err := Open(Options{Dir: "/data", FS: mem})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	if err := s.Append(t.Context(), appendOf(0, 0, 1)); err != nil {
		t.Error(err)
	}
	if s.guard.low > 16<<20 {
		t.Errorf("%d MiB of 64 are kept free", s.guard.low>>20)
	}
}

// TestQueueBound: writes beyond the bound are refused at once, not kept.
func TestQueueBound(t *testing.T) {
	fs := &faultFS{FS: vfs.NewCrashableMem()}
	o := small("/data", fs)
	o.QueueBytes = 4 << 10
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	release, reached := make(chan struct{}), make(chan struct{}, 1)
	fs.set(func(op, name string) error {
		if op == onSync && isLog(name) {
			select {
			case reached <- struct{}{}:
			default:
			}
			<-release
		}
		return nil
	})
	const writers = 200 // of more than 50 bytes each
	answers := make(chan error, writers+1)
	go func() { answers <- s.Append(t.Context(), appendOf(0, 0, 1)) }()
	<-reached
	for i := range writers {
		go func() { answers <- s.Append(t.Context(), appendOf(i+1, 0, 1)) }()
	}
	if err := <-answers; !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("beyond the bound: %v", err)
	}
	close(release)
	refused := 1
	for range writers {
		if err := <-answers; err != nil {
			refused++
		}
	}
	if refused == writers+1 {
		t.Error("what was within the bound was refused too")
	}
}
