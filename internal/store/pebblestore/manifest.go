package pebblestore

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// manifestPrefix begins the names of the files in which Pebble keeps the list
// of its tables.
const manifestPrefix = "MANIFEST-"

const maxManifestName = 40 // bytes; longer names are not remembered

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// manifest says how a manifest begins: its first size bytes have this sum.
// The zero manifest says nothing.
type manifest struct {
	name string
	size int64
	sum  uint32
}

func (m *manifest) add(p []byte) {
	m.size += int64(len(p))
	m.sum = crc32.Update(m.sum, castagnoli, p)
}

// check reads the current manifest of the database in dir, if it is the one m
// speaks of, and fails when it does not begin as m says.
func (m manifest) check(fs vfs.FS, dir string) (err error) {
	if m.name == "" {
		return nil
	}
	desc, err := pebble.Peek(dir, fs)
	if isNotExist(err) {
		return nil // there is no database: that is for others to judge
	}
	if err != nil {
		return fmt.Errorf("look for the manifest: %w", err)
	}
	if !desc.Exists || fs.PathBase(desc.ManifestFilename) != m.name {
		return nil // another manifest became current in the instant before the mark moved
	}
	f, err := fs.Open(fs.PathJoin(dir, m.name))
	if err != nil {
		return fmt.Errorf("open the manifest: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := crc32.New(castagnoli)
	n, err := io.Copy(h, io.LimitReader(f, m.size))
	if err != nil {
		return fmt.Errorf("read the manifest: %w", err)
	}
	if n != m.size || h.Sum32() != m.sum {
		return corrupt("the manifest in "+dir, errors.New("it is not as it was written: the disk damaged it, "+
			"or the directory was put there by hand; restore a backup into an empty data directory"))
	}
	return nil
}

// manifests remembers the newest manifest that is durable.
type manifests struct {
	mu  sync.Mutex
	now manifest
}

func (m *manifests) synced(v manifest) {
	if len(v.name) > maxManifestName {
		v = manifest{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = v
}

func (m *manifests) last() manifest {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}
