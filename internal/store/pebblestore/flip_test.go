package pebblestore

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// TestFlippedBit: one bit of a store that was closed is turned over. Then the
// store is refused, or what is damaged is refused when it is read, or the
// epoch changes, or nothing is missing: never silently another history. It
// kills a store without a high-water mark, and one that trusts its manifest.
func TestFlippedBit(t *testing.T) {
	base := vfs.NewCrashableMem()
	o := small("/data", base)
	o.MemTableBytes = 64 << 10
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	l := newLedger()
	for i := range 600 {
		if err := l.write(t.Context(), s, i%crashLanes); err != nil {
			t.Fatal(err)
		}
	}
	epoch := s.Epoch()
	closeStore(t, s)

	files := everyFile(t, base, "/data")
	rng := rand.New(rand.NewPCG(8, 8))
	counts := map[string]int{}
	// Every file that has content, several times; bits anywhere in it.
	const flips = 200
	for n := range flips {
		fs := base.CrashClone(vfs.CrashCloneCfg{})
		name := files[n%len(files)]
		data, err := fs.UnsafeGetFileDataBuffer(name)
		if err != nil {
			t.Fatal(err)
		}
		at := rng.IntN(len(data))
		data[at] ^= 1 << rng.IntN(8)
		o := small("/data", fs)
		s, err := Open(o)
		if err != nil {
			counts["refused"]++
			continue
		}
		err = l.audit(t.Context(), s, crashLanes)
		switch {
		case s.Epoch() != epoch:
			counts["epoch changed"]++
		case errors.Is(err, store.ErrCorrupt):
			counts["refused when read"]++
		case err != nil:
			t.Errorf("bit in byte %d of %d of %s: silently: %v", at, len(data), name, err)
		default:
			counts["nothing missing"]++
		}
		closeStore(t, s)
	}
	t.Logf("%d files, %d flips: %v", len(files), flips, counts)
	if counts["refused"] == 0 || counts["epoch changed"] == 0 || counts["refused when read"] == 0 {
		t.Errorf("not every defence was met: %v", counts)
	}
}

// TestFlippedManifest: the manifest forgets tables in the middle of the
// history when a bit of it turns over, and newer logs hide that from the
// commit number. Without its checksum in the mark about one flip in twelve
// opened with a gap and the same epoch.
func TestFlippedManifest(t *testing.T) {
	for n := 300; n < 1600; n += 100 {
		fs := vfs.NewCrashableMem()
		o := small("/data", fs)
		o.MemTableBytes = 64 << 10
		s, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		l := newLedger()
		for i := range n {
			lane, base := i%crashLanes, parley.Seq(i/crashLanes)
			if err := s.Append(t.Context(), appendOf(lane, base, 1)); err != nil {
				t.Fatal(err)
			}
			l.heads[lane] = base + 1
		}
		epoch := s.Epoch()
		closeStore(t, s)
		desc, err := pebble.Peek("/data/db", fs)
		if err != nil {
			t.Fatal(err)
		}
		for at := n % 37; ; at += 37 {
			flipped := clone(fs)
			data, err := flipped.UnsafeGetFileDataBuffer(desc.ManifestFilename)
			if err != nil {
				t.Fatal(err)
			}
			if at >= len(data) {
				break
			}
			data[at] ^= 4
			s, err := Open(small("/data", flipped))
			if err != nil {
				continue
			}
			if err := l.audit(t.Context(), s, crashLanes); err != nil && s.Epoch() == epoch {
				t.Errorf("%d messages, byte %d of %d: silently: %v", n, at, len(data), err)
			}
			closeStore(t, s)
		}
	}
}

// everyFile lists the files below dir that have content.
func everyFile(t *testing.T, fs *vfs.MemFS, dir string) (out []string) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		path := fs.PathJoin(dir, n)
		info, err := fs.Stat(path)
		switch {
		case err != nil:
			t.Fatal(err)
		case info.IsDir():
			out = append(out, everyFile(t, fs, path)...)
		case info.Size() > 0 && !strings.HasSuffix(n, lockFile):
			out = append(out, path)
		}
	}
	return out
}
