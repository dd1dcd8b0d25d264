package pebblestore

import (
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fence stands between one engine and the file system, for two reasons.
//
// Pebble answers a failed write of its log or its manifest by panicking, some
// of it while a lock is about to be unlocked twice, which no recover catches.
// So such a failure is not passed on: the engine is declared broken and the
// goroutine that met it is parked for good. The store abandons the engine and
// opens another, which takes over what is on the disk.
//
// An abandoned engine must not write a single byte more: behind a closed
// fence every write parks.
//
// A parked goroutine holds no lock of Pebble's that a reader needs, and a few
// kilobytes. Engines abandoned in one process are counted (maxAbandoned).
type fence struct {
	vfs.FS
	dir       string     // the engine's; what it writes elsewhere is a copy, and never vital
	manifests *manifests // told of every synced manifest
	breakOnce sync.Once
	broken    chan struct{} // closed when the engine must be abandoned
	cause     error         // set before broken is closed
	armed     atomic.Bool   // false while opening: errors are returned then

	mu     sync.RWMutex // held for reading during a write
	closed bool         // guarded by mu
}

func newFence(fs vfs.FS, dir string, m *manifests) *fence {
	return &fence{FS: fs, dir: dir, manifests: m, broken: make(chan struct{})}
}

// declareBroken makes the store abandon the engine.
func (f *fence) declareBroken(cause error) {
	f.breakOnce.Do(func() {
		f.cause = cause
		close(f.broken)
	})
}

// shut waits for the writes under way and lets no other begin.
func (f *fence) shut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
}

// park never returns. It is a function of its own so that a stack trace, and
// a test that looks for leaks, can name it.
func park() { select {} }

// fullPause slows Pebble's flushes and compactions, which try again at once
// and for ever when the disk is full.
const fullPause = 50 * time.Millisecond

// do runs one writing operation on the file name.
func (f *fence) do(name string, op func() error) error {
	f.mu.RLock()
	if f.closed {
		f.mu.RUnlock()
		park()
	}
	err := op()
	f.mu.RUnlock()
	if err == nil || !f.armed.Load() {
		return err
	}
	if f.vital(name) {
		f.declareBroken(err)
		park()
	}
	if errors.Is(err, syscall.ENOSPC) {
		t := time.NewTimer(fullPause)
		select {
		case <-t.C:
		case <-f.broken:
			t.Stop()
		}
	}
	return err
}

// vital reports whether Pebble cannot live on when writing the file fails:
// logs, manifests, the markers that point at them, the directory itself.
func (f *fence) vital(name string) bool {
	if name == f.dir {
		return true
	}
	base := f.PathBase(name)
	return f.PathDir(name) == f.dir && (strings.HasSuffix(base, ".log") ||
		strings.HasPrefix(base, manifestPrefix) || strings.HasPrefix(base, "marker."))
}

func (f *fence) file(name string, inner vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	out := &fencedFile{File: inner, fence: f, name: name}
	if base := f.PathBase(name); f.PathDir(name) == f.dir && strings.HasPrefix(base, manifestPrefix) {
		out.manifest = &manifest{name: base}
	}
	return out, nil
}

func (f *fence) Create(name string, c vfs.DiskWriteCategory) (file vfs.File, err error) {
	err = f.do(name, func() (err error) {
		// Pebble makes a manifest and then the marker that points at it, and
		// syncs the directory once, after both: a loss of power may keep the
		// marker without the manifest.
		if strings.HasPrefix(f.PathBase(name), "marker.") {
			if err := syncDir(f.FS, f.PathDir(name)); err != nil {
				return err
			}
		}
		file, err = f.FS.Create(name, c)
		return err
	})
	return f.file(name, file, err)
}

func (f *fence) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (file vfs.File, err error) {
	err = f.do(name, func() (err error) { file, err = f.FS.OpenReadWrite(name, c, opts...); return err })
	return f.file(name, file, err)
}

func (f *fence) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (file vfs.File, err error) {
	err = f.do(name, func() (err error) { file, err = f.FS.ReuseForWrite(old, name, c); return err })
	return f.file(name, file, err)
}

// OpenDir fences directories too: syncing one is a write.
func (f *fence) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	return f.file(name, file, err)
}

func (f *fence) Link(old, name string) error {
	return f.do(name, func() error { return f.FS.Link(old, name) })
}

func (f *fence) Rename(old, name string) error {
	return f.do(name, func() error { return f.FS.Rename(old, name) })
}

// Remove: a file that stays is waste, never a reason to stop.
func (f *fence) Remove(name string) error {
	return f.do("", func() error { return f.FS.Remove(name) })
}

func (f *fence) RemoveAll(name string) error {
	return f.do("", func() error { return f.FS.RemoveAll(name) })
}

func (f *fence) MkdirAll(name string, perm vfsMode) error {
	return f.do("", func() error { return f.FS.MkdirAll(name, perm) })
}

// Lock does nothing: the store holds the lock of the whole directory, and
// keeps it while it exchanges engines.
func (f *fence) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (f *fence) Unwrap() vfs.FS { return f.FS }

type fencedFile struct {
	vfs.File
	fence    *fence
	name     string
	manifest *manifest // what was written so far, when the file is one
}

func (f *fencedFile) Write(p []byte) (n int, err error) {
	if f.manifest != nil { // before the write: the file may keep the buffer; should it fail, the engine is done
		f.manifest.add(p)
	}
	err = f.fence.do(f.name, func() (err error) {
		if n, err = f.File.Write(p); err == nil && n < len(p) {
			err = io.ErrShortWrite
		}
		return err
	})
	return n, err
}

func (f *fencedFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.fence.do(f.name, func() (err error) { n, err = f.File.WriteAt(p, off); return err })
	return n, err
}

func (f *fencedFile) Preallocate(off, length int64) error {
	return f.fence.do(f.name, func() error { return f.File.Preallocate(off, length) })
}

func (f *fencedFile) Sync() error {
	err := f.fence.do(f.name, f.File.Sync)
	if err == nil && f.manifest != nil {
		f.fence.manifests.synced(*f.manifest)
	}
	return err
}

func (f *fencedFile) SyncData() error { return f.fence.do(f.name, f.File.SyncData) }

func (f *fencedFile) SyncTo(length int64) (full bool, err error) {
	err = f.fence.do(f.name, func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, err
}

func (f *fencedFile) Close() error { return f.fence.do(f.name, f.File.Close) }
