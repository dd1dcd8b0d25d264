package pebblestore

import (
	"errors"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The operations that faultFS asks its hook about.
const (
	onWrite  = "write"
	onSync   = "sync"
	onRename = "rename"
	onOpen   = "open" // to write; making and reusing a file too
	onRemove = "remove"
)

// errShortWrite makes a write end in the middle, without an error.
var errShortWrite = errors.New("short write")

// faultFS asks a hook before every operation that changes the file system;
// what the hook returns is what the operation fails with.
type faultFS struct {
	vfs.FS
	mu   sync.Mutex
	hook func(op, name string) error
}

func (f *faultFS) set(hook func(op, name string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

func (f *faultFS) ask(op, name string) error {
	f.mu.Lock()
	hook := f.hook
	f.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(op, name)
}

// failNth returns a hook that fails the n-th operation of a kind, once.
func failNth(op string, n int, err error) func(op, name string) error {
	var mu sync.Mutex
	return func(o, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		if o == op {
			if n--; n == 0 {
				return err
			}
		}
		return nil
	}
}

// failAll returns a hook under which the disk takes nothing more.
func failAll(err error) func(op, name string) error {
	return func(op, _ string) error {
		if op == onRemove {
			return nil
		}
		return err
	}
}

func (f *faultFS) file(name string, file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &faultFile{File: file, fs: f, name: name}, nil
}

func (f *faultFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.ask(onOpen, name); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name, c)
	return f.file(name, file, err)
}

func (f *faultFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := f.ask(onOpen, name); err != nil {
		return nil, err
	}
	file, err := f.FS.OpenReadWrite(name, c, opts...)
	return f.file(name, file, err)
}

func (f *faultFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.ask(onOpen, name); err != nil {
		return nil, err
	}
	file, err := f.FS.ReuseForWrite(old, name, c)
	return f.file(name, file, err)
}

func (f *faultFS) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	return f.file(name, file, err)
}

func (f *faultFS) Rename(old, name string) error {
	if err := f.ask(onRename, name); err != nil {
		return err
	}
	return f.FS.Rename(old, name)
}

func (f *faultFS) Remove(name string) error {
	if err := f.ask(onRemove, name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

type faultFile struct {
	vfs.File
	fs   *faultFS
	name string
}

func (f *faultFile) Write(p []byte) (int, error) {
	switch err := f.fs.ask(onWrite, f.name); {
	case errors.Is(err, errShortWrite):
		return f.File.Write(p[:len(p)/2])
	case err != nil:
		return 0, err
	}
	return f.File.Write(p)
}

func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	switch err := f.fs.ask(onWrite, f.name); {
	case errors.Is(err, errShortWrite):
		n, _ := f.File.WriteAt(p[:len(p)/2], off)
		return n, err
	case err != nil:
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *faultFile) Sync() error {
	if err := f.fs.ask(onSync, f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultFile) SyncData() error {
	if err := f.fs.ask(onSync, f.name); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f *faultFile) SyncTo(n int64) (bool, error) {
	if err := f.fs.ask(onSync, f.name); err != nil {
		return false, err
	}
	return f.File.SyncTo(n)
}

func isLog(name string) bool { return strings.HasSuffix(name, ".log") }
