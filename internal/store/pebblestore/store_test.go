package pebblestore

import (
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/storetest"
)

// small is Options for a test: little memory, so that flushes and
// compactions happen too.
func small(dir string, fs vfs.FS) Options {
	return Options{Dir: dir, FS: fs, CacheBytes: 1 << 20, MemTableBytes: 256 << 10, MinFree: 1,
		Logger: slog.New(slog.DiscardHandler)}
}

func TestContractOnDisk(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place {
		dir := t.TempDir()
		return storetest.Place{Durable: true, Open: func() (store.Store, error) { return Open(small(dir, nil)) }}
	})
}

func TestContractInMemory(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place {
		fs := vfs.NewCrashableMem()
		return storetest.Place{Durable: true, Open: func() (store.Store, error) { return Open(small("/data", fs)) }}
	})
}

// TestFindCollision: two ids whose hashes are the same are two ids. It kills a
// look-up that takes a candidate for the answer, and refuses a message as sent
// already that never was.
func TestFindCollision(t *testing.T) {
	fs := vfs.NewMem()
	s, err := Open(small("/data", fs))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), appendOf(0, 0, 3)); err != nil {
		t.Fatal(err)
	}
	// As if other entries' ids had the hashes of these two.
	db, third := s.end.eng.db, entryOf(0, 3).ID
	for id, seq := range map[string]uint64{"never sent": 2, string(third): 1} {
		key := appendSeq(append(conversationPrefix(nil, spaceID, laneOf(0)), hashOf(s, id)...), seq)
		if err := db.Set(key, nil, pebble.Sync); err != nil {
			t.Fatal(err)
		}
	}
	closeStore(t, s)
	if s, err = Open(small("/data", fs)); err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	if seq, err := s.Find(t.Context(), laneOf(0), "never sent", 0); err != nil || seq != 0 {
		t.Errorf("what was never sent is found at %d: %v", seq, err)
	}
	if seq, err := s.Find(t.Context(), laneOf(0), third, 0); err != nil || seq != 3 {
		t.Errorf("the third id is found at %d: %v", seq, err)
	}
}

func hashOf(s *Store, id string) []byte {
	h := s.salt.hash(parley.MessageID(id))
	return h[:]
}
