package client

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// disk is where one queue lives. Its methods are called by one caller at a
// time, all but lock by whoever has the lock.
type disk interface {
	// lock keeps other processes away until it is closed, however this one
	// ends. It is ErrQueueBusy if another has it.
	lock() (io.Closer, error)
	// read returns the journal, nothing if there is none.
	read() ([]byte, error)
	// open opens the journal that read returned, for writing.
	open() (journalFile, error)
	// replace puts data in the place of the journal, durably and at once: a
	// crash leaves the old one or the new one.
	replace(data []byte) (journalFile, error)
	// keep sets a damaged journal aside, for a person to look at.
	keep(data []byte) error
	// remove takes the journal away, and the lock with it.
	remove() error
}

// journalFile is a journal open for writing; *os.File is one.
type journalFile interface {
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// fileDisk is a queue in the file of that name.
type fileDisk string

func (d fileDisk) path() string { return string(d) }

func (d fileDisk) lock() (io.Closer, error) { return lockFile(d.path() + ".lock") }

func (d fileDisk) read() ([]byte, error) {
	data, err := os.ReadFile(d.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

func (d fileDisk) open() (journalFile, error) {
	f, err := os.OpenFile(d.path(), os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	// Its name may be as young as its records.
	if err := syncDir(filepath.Dir(d.path())); err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}

func (d fileDisk) replace(data []byte) (journalFile, error) {
	tmp := d.path() + ".new"
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(tmp, d.path())
	}
	if err == nil {
		err = syncDir(filepath.Dir(d.path()))
	}
	if err != nil {
		_ = f.Close() // the error that matters is the one before
		return nil, err
	}
	return f, nil
}

func (d fileDisk) keep(data []byte) error { return os.WriteFile(d.path()+".damaged", data, 0o600) }

// remove takes the lock's file away last: whoever finds it without a journal
// finds an empty queue.
func (d fileDisk) remove() error {
	return errors.Join(os.Remove(d.path()), os.Remove(d.path()+".lock"))
}

// syncDir makes a rename or a new file in dir last. Where directories cannot
// be synced, the file system does it by itself.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && os.PathSeparator == '/' {
		return err
	}
	return nil
}
