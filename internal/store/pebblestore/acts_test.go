package pebblestore

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// TestEraseIsDurable: what Erase said is gone is gone when power fails right
// after. It dies with the sync of an erasure removed.
func TestEraseIsDurable(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := openSmall(t, fs)
	a := appendOf(0, 0, 4)
	a.Entries[3].Kind, a.Entries[3].Ref, a.Entries[3].Count = parley.KindReaction, 2, 3
	if err := s.Append(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if err := s.Erase(t.Context(), laneOf(0), []parley.Seq{2, 4}); err != nil {
		t.Fatal(err)
	}
	cut := fs.CrashClone(vfs.CrashCloneCfg{})
	closeStore(t, s)
	s = openSmall(t, cut)
	defer closeStore(t, s)
	got, err := s.Read(t.Context(), laneOf(0), 0, 9)
	if err != nil || len(got) != 4 {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	for i, e := range got {
		if erased := i == 1 || i == 3; erased != (len(e.Body.Data) == 0) {
			t.Errorf("entry %d reads %q", e.Seq, e.Body.Data)
		}
	}
	acts, err := s.Acts(t.Context(), laneOf(0), 1, 9)
	if err != nil || len(acts) != 1 || acts[0].Text != "" {
		t.Errorf("the acts are %+v, %v", acts, err)
	}
}

// TestErasedBytes: after compacting, and a restart, which lets go of the logs,
// no file of the store holds an erased byte. It kills an erasure that hides a
// body instead of writing it over; docs/adr/0001 says how far this reaches.
func TestErasedBytes(t *testing.T) {
	dir := t.TempDir()
	o := small(dir, nil)
	o.MemTableBytes = 4 << 20
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	secret := make([]byte, 4<<10) // random, so that no compressor changes it
	rng := rand.NewChaCha8([32]byte{5})
	_, _ = rng.Read(secret)
	a := appendOf(0, 0, 3)
	a.Entries[1].Body.Data = secret
	edit := entryOf(0, 4)
	edit.Kind, edit.Ref, edit.Count, edit.Body.Data = parley.KindEdit, 2, 3, append([]byte("edited"), secret...)
	a.Entries = append(a.Entries, edit)
	if err := errors.Join(s.Append(t.Context(), a), s.Compact(t.Context())); err != nil {
		t.Fatal(err)
	}
	where := func() (found []string) {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(dir, "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(data, secret[64:128]) {
				found = append(found, filepath.Base(name))
			}
		}
		return found
	}
	if len(where()) == 0 {
		t.Fatal("the body is not to be seen on the disk at all: this test means nothing")
	}
	if err := errors.Join(s.Erase(t.Context(), laneOf(0), []parley.Seq{2, 4}), s.Compact(t.Context())); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if s, err = Open(o); err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	if found := where(); len(found) != 0 {
		t.Errorf("an erased body is in %v", found)
	}
}

// TestEraseMakesNothing: an erasure that was read off a history whose end is
// then lost writes no entry past the head, which would be a gap.
func TestEraseMakesNothing(t *testing.T) {
	s := openSmall(t, vfs.NewMem())
	defer closeStore(t, s)
	if err := s.Append(t.Context(), appendOf(0, 0, 2)); err != nil {
		t.Fatal(err)
	}
	lost := entryOf(0, 5)
	r := newRequest()
	r.op(opSet, func(b []byte) []byte { return entryKey(b, laneOf(0), 5) }, func(b []byte) []byte { return appendEntry(b, &lost) })
	r.parts = append(r.parts, part{kind: kindErase, c: laneOf(0), base: 5, hi: len(r.buf)})
	if err := s.commitOne(t.Context(), r); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("erasing what is not there: %v", err)
	}
	if h, err := s.Load(t.Context(), laneOf(0)); err != nil || h.Seq != 2 {
		t.Errorf("the head is %d, %v", h.Seq, err)
	}
}
