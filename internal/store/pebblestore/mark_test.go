package pebblestore

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// written makes a store on fs with n entries in lane 0, closes it, and
// returns its epoch.
func written(t *testing.T, fs vfs.FS, n int) parley.Epoch {
	t.Helper()
	s, err := Open(small("/data", fs))
	if err != nil {
		t.Fatal(err)
	}
	h, err := s.Load(t.Context(), laneOf(0))
	if err != nil {
		t.Fatal(err)
	}
	for i := range parley.Seq(n) {
		if err := s.Append(t.Context(), appendOf(0, h.Seq+i, 1)); err != nil {
			t.Fatal(err)
		}
	}
	epoch := s.Epoch()
	closeStore(t, s)
	return epoch
}

func clone(fs *vfs.MemFS) *vfs.MemFS { return fs.CrashClone(vfs.CrashCloneCfg{}) }

// replace puts a file or directory of one file system in place of another's.
func replace(t *testing.T, from, to vfs.FS, name string) {
	t.Helper()
	err := to.RemoveAll(name)
	if err == nil {
		_, err = vfs.Clone(from, to, name, name)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestMarkBehind: a database that stands behind its mark has lost what was
// acknowledged. It is served, loudly, and its devices resync; numbers of
// commits go on from the mark, so that the next start is not behind again.
func TestMarkBehind(t *testing.T) {
	old := vfs.NewCrashableMem()
	first := written(t, old, 5)
	fs := clone(old)
	written(t, fs, 5)
	replace(t, old, fs, "/data/db")

	var log bytes.Buffer
	o := small("/data", fs)
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if s.Epoch() == first {
		t.Error("the epoch did not change: devices ahead of the store would wait for ever")
	}
	if !strings.Contains(log.String(), "LOST") {
		t.Errorf("the log does not say it: %s", log.String())
	}
	if h, err := s.Load(t.Context(), laneOf(0)); err != nil || h.Seq != 5 {
		t.Errorf("head %d: %v", h.Seq, err)
	}
	second := s.Epoch()
	closeStore(t, s)
	if got := written(t, fs, 1); got != second {
		t.Error("the epoch changed again at the next start")
	}
}

// TestMarkMissing: without a mark nobody knows what was promised.
func TestMarkMissing(t *testing.T) {
	fs := vfs.NewCrashableMem()
	first := written(t, fs, 1)
	if err := fs.Remove("/data/mark"); err != nil {
		t.Fatal(err)
	}
	if written(t, fs, 1) == first {
		t.Error("the epoch did not change")
	}
}

// TestDatabaseMissing: a mark without its database is a lost store, not a new
// one.
func TestDatabaseMissing(t *testing.T) {
	fs := vfs.NewCrashableMem()
	first := written(t, fs, 3)
	if err := fs.RemoveAll("/data/db"); err != nil {
		t.Fatal(err)
	}
	if written(t, fs, 1) == first {
		t.Error("the epoch did not change")
	}
}

// TestMarkOfAnotherLife: the files of two stores do not make one.
func TestMarkOfAnotherLife(t *testing.T) {
	fs, other := vfs.NewCrashableMem(), vfs.NewCrashableMem()
	first, second := written(t, fs, 9), written(t, other, 1)
	replace(t, other, fs, "/data/mark")
	s, err := Open(small("/data", fs))
	if errors.Is(err, store.ErrCorrupt) {
		return // its manifest has the same name and is another
	}
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	if s.Epoch() == first || s.Epoch() == second {
		t.Error("the epoch did not change")
	}
}

// TestManifestCut: a manifest that ends early forgets tables in the middle of
// the history, which a newer log hides from the commit number.
func TestManifestCut(t *testing.T) {
	fs := vfs.NewCrashableMem()
	o := small("/data", fs)
	o.MemTableBytes = 64 << 10
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	for seq := range parley.Seq(2000) { // some flushes, each an edit of the manifest
		if err := s.Append(t.Context(), appendOf(0, seq, 1)); err != nil {
			t.Fatal(err)
		}
	}
	closeStore(t, s)
	desc, err := pebble.Peek("/data/db", fs)
	if err != nil {
		t.Fatal(err)
	}
	if m, ok, err := readMark(fs, "/data"); err != nil || !ok || fs.PathJoin("/data/db", m.manifest.name) != desc.ManifestFilename {
		t.Fatalf("the mark speaks of %q, the manifest is %q: %v", m.manifest.name, desc.ManifestFilename, err)
	}
	data, err := fs.UnsafeGetFileDataBuffer(desc.ManifestFilename)
	if err != nil {
		t.Fatal(err)
	}
	clear(data[len(data)-20:]) // in the last edit
	_, err = Open(small("/data", fs))
	if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "/data") {
		t.Errorf("open: %v", err)
	}
}

// TestMarkTorn: a mark torn while it is written leaves the one before. It
// kills a mark written over itself, which a loss of power turns into none.
func TestMarkTorn(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/data", 0o700); err != nil {
		t.Fatal(err)
	}
	o := small("/data", fs)
	full, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMark(full, markValue{epoch: "e", commit: 1}, &manifests{})
	if err != nil {
		t.Fatal(err)
	}
	close(m.quit)
	<-m.done // from here on the mark is the test's
	for n := uint64(2); n < 7; n++ {
		m.durable.Store(n)
		if err := m.write(); err != nil {
			t.Fatal(err)
		}
		if v, ok, err := readMark(fs, "/data"); err != nil || !ok || v.commit != n || v.epoch != "e" {
			t.Fatalf("wrote %d, read %+v: %v", n, v, err)
		}
		data, err := fs.UnsafeGetFileDataBuffer("/data/mark")
		if err != nil {
			t.Fatal(err)
		}
		at := int(m.value.turn%2)*markSlot + 20
		data[at] ^= 1
		if v, ok, err := readMark(fs, "/data"); err != nil || !ok || v.commit != n-1 {
			t.Errorf("%d was torn, read %+v: %v", n, v, err)
		}
		data[at] ^= 1
	}
	if err := m.file.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNewerFormat: a store of a format to come is refused, in a sentence that
// says what to do, and left as it is.
func TestNewerFormat(t *testing.T) {
	fs := vfs.NewCrashableMem()
	epoch := written(t, fs, 1)
	setFormat := func(n uint64) {
		t.Helper()
		db, err := pebble.Open("/data/db", &pebble.Options{FS: fs, FormatMajorVersion: formatMajor, Logger: engineLog{Logger: slog.New(slog.DiscardHandler)}})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Set(keyFormat, uvarintValue(n), pebble.Sync), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	setFormat(Format + 1)
	_, err := Open(small("/data", fs))
	if err == nil || !strings.Contains(err.Error(), "/data") || !strings.Contains(err.Error(), fmt.Sprintf("format %d", Format+1)) ||
		!strings.Contains(err.Error(), "newer") {
		t.Fatalf("open: %v", err)
	}
	setFormat(Format)
	if got := written(t, fs, 1); got != epoch {
		t.Error("a refused open changed the epoch")
	}
	// One of an older format says the newer one before anything of it is written,
	// so that the program that wrote it does not misread what comes.
	setFormat(1)
	s, err := Open(small("/data", fs))
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	if m, err := readMeta(s.end.eng.db); err != nil || m.format != Format || s.Epoch() != epoch {
		t.Errorf("an older store has format %d now, epoch %q was %q: %v", m.format, s.Epoch(), epoch, err)
	}
}

// TestForeignDatabase: a database that is not Parley's is not taken over.
func TestForeignDatabase(t *testing.T) {
	fs := vfs.NewCrashableMem()
	if err := fs.MkdirAll("/data", 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := pebble.Open("/data/db", &pebble.Options{FS: fs, FormatMajorVersion: formatMajor, Logger: engineLog{Logger: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Set([]byte("k"), []byte("v"), pebble.Sync), db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(small("/data", fs)); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("open: %v", err)
	}
}

// TestLock: two servers on one directory would each believe themselves the
// only writer.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(small(dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(small(dir, nil)); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second store on the directory: %v", err)
	}
	closeStore(t, s)
	s, err = Open(small(dir, nil))
	if err != nil {
		t.Fatalf("after the first was closed: %v", err)
	}
	closeStore(t, s)
}
