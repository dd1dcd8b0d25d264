package pebblestore

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	parley "github.com/parley-im/parley"
)

// The high-water mark is a small synced file beside the database: the epoch,
// the number of a commit that is durable, and how far the database's manifest
// was written, with a checksum.
//
// A torn or flipped log can make Pebble open with a shorter history and not a
// word; then the database stands behind its mark, and the store takes a new
// epoch. A flipped manifest can make it forget tables in the middle of the
// history; then the manifest is not what the mark says, and the store is
// refused.
//
// The file has two slots, written in turn and in place, so that one is always
// whole and moving the mark costs no directory update.
const (
	markFile   = "mark"
	markSlot   = 4096
	markMagic  = "parley mark 1\n\x00\x00"
	markFields = 16 + 8 + 8 + 1 + parley.MaxID + 1 + maxManifestName + 8 + 4 // magic, turn, commit, epoch, manifest
)

type markValue struct {
	turn     uint64
	commit   uint64
	epoch    parley.Epoch
	manifest manifest
}

func (m markValue) encode() []byte {
	b := make([]byte, 0, markFields+4)
	b = append(b, markMagic...)
	b = binary.LittleEndian.AppendUint64(b, m.turn)
	b = binary.LittleEndian.AppendUint64(b, m.commit)
	b = append(append(b, byte(len(m.epoch))), m.epoch...)
	b = b[:33+parley.MaxID]
	b = append(append(b, byte(len(m.manifest.name))), m.manifest.name...)
	b = b[:34+parley.MaxID+maxManifestName]
	b = binary.LittleEndian.AppendUint64(b, uint64(m.manifest.size))
	b = binary.LittleEndian.AppendUint32(b, m.manifest.sum)
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func decodeMark(b []byte) (m markValue, ok bool) {
	if len(b) < markFields+4 || string(b[:16]) != markMagic ||
		crc32.ChecksumIEEE(b[:markFields]) != binary.LittleEndian.Uint32(b[markFields:]) {
		return m, false
	}
	m.turn, m.commit = binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])
	n := int(b[32])
	if n > parley.MaxID {
		return m, false
	}
	m.epoch = parley.Epoch(b[33 : 33+n])
	b = b[33+parley.MaxID:]
	if n = int(b[0]); n > maxManifestName {
		return m, false
	}
	m.manifest.name = string(b[1 : 1+n])
	b = b[1+maxManifestName:]
	m.manifest.size = int64(binary.LittleEndian.Uint64(b))
	m.manifest.sum = binary.LittleEndian.Uint32(b[8:])
	return m, true
}

// readMark returns the newer whole slot of the mark file, if there is one.
func readMark(fs vfs.FS, dir string) (m markValue, ok bool, err error) {
	f, err := fs.Open(fs.PathJoin(dir, markFile))
	if err != nil {
		if isNotExist(err) {
			err = nil
		}
		return m, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for slot := range int64(2) {
		b := make([]byte, markFields+4)
		if _, err := f.ReadAt(b, slot*markSlot); err != nil && !errors.Is(err, io.EOF) {
			return m, false, err
		}
		if v, whole := decodeMark(b); whole && (!ok || v.turn > m.turn) {
			m, ok = v, true
		}
	}
	return m, ok, nil
}

// mark moves the high-water mark behind the commits.
type mark struct {
	o         *Options
	manifests *manifests
	file      vfs.File
	value     markValue     // owned by the mover, and by close after it
	failing   bool          // likewise: the last write failed, and it was said
	durable   atomic.Uint64 // the greatest commit number known to be durable
	wake      chan struct{}
	quit      chan struct{}
	done      chan struct{}
}

// newMark writes v as a fresh mark file and starts the mover.
func newMark(o *Options, v markValue, manifests *manifests) (*mark, error) {
	fs := o.FS
	v.manifest = manifests.last()
	f, err := fs.Create(fs.PathJoin(o.Dir, markFile+".new"), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	m := &mark{o: o, manifests: manifests, value: v, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	m.durable.Store(v.commit)
	whole := make([]byte, 2*markSlot)
	copy(whole, v.encode())
	v.turn++
	m.value.turn = v.turn
	copy(whole[markSlot:], v.encode())
	_, err = f.Write(whole)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = fs.Rename(fs.PathJoin(o.Dir, markFile+".new"), fs.PathJoin(o.Dir, markFile))
	}
	if err == nil {
		err = syncDir(fs, o.Dir)
	}
	if err == nil {
		m.file, err = fs.OpenReadWrite(fs.PathJoin(o.Dir, markFile), vfs.WriteCategoryUnspecified)
	}
	if err != nil {
		return nil, err
	}
	go m.move()
	return m, nil
}

// reached says that commit n is durable. It never waits.
func (m *mark) reached(n uint64) {
	m.durable.Store(n)
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// move is the mover: it writes the mark soon after a commit, and no more
// often than Options.MarkEvery. close ends it.
func (m *mark) move() {
	defer close(m.done)
	pause := time.NewTimer(m.o.MarkEvery)
	defer pause.Stop()
	for {
		select {
		case <-m.wake:
		case <-m.quit:
			return
		}
		err := m.write()
		if err != nil {
			if !m.failing {
				m.o.Logger.Error("store: cannot write the high-water mark, trying again", "err", err)
			}
			m.reached(m.durable.Load())
		}
		m.failing = err != nil
		pause.Reset(m.o.MarkEvery)
		select {
		case <-pause.C:
		case <-m.quit:
			return
		}
	}
}

func (m *mark) write() error {
	v := m.value
	v.commit, v.manifest = m.durable.Load(), m.manifests.last()
	if v == m.value {
		return nil
	}
	v.turn++
	if _, err := m.file.WriteAt(v.encode(), int64(v.turn%2)*markSlot); err != nil {
		return err
	}
	if err := m.file.SyncData(); err != nil {
		return err
	}
	m.value = v
	return nil
}

// close ends the mover and leaves the mark where the store stands.
func (m *mark) close() error {
	close(m.quit)
	<-m.done
	return errors.Join(m.write(), m.file.Close())
}
