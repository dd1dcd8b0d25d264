package memstore_test

import (
	"errors"
	"testing"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
	"github.com/parley-im/parley/internal/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Place {
		return storetest.Place{Open: func() (store.Store, error) { return memstore.New(), nil }}
	})
}

// TestFail: the hooks are how other packages' tests make writes fail; a hook
// that let a refused write through, or took a failed one back, would make
// those tests mean nothing.
func TestFail(t *testing.T) {
	s := memstore.New()
	one := store.Append{Conversation: "c", Entries: []parley.Entry{{Seq: 1, ID: "m", Count: 1}}}
	s.Fail(func(op string) error {
		if op == "Append" {
			return store.ErrFull
		}
		return nil
	})
	if err := s.Append(t.Context(), one); !errors.Is(err, store.ErrFull) {
		t.Fatalf("append: %v", err)
	}
	if h, err := s.Load(t.Context(), "c"); err != nil || h.Seq != 0 {
		t.Fatalf("a refused append stands: head %d, %v", h.Seq, err)
	}
	if err := s.CommitRecords(t.Context(), "p", []store.Change{{Key: "k"}}); err != nil {
		t.Fatalf("commit: %v", err)
	}
	s.Fail(nil)
	s.FailAfter(func(string) error { return store.ErrUnavailable })
	one.Entries[0].Body.Type = "a/b"
	if err := s.Append(t.Context(), one); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("append: %v", err)
	}
	if h, err := s.Load(t.Context(), "c"); err != nil || h.Seq != 1 {
		t.Fatalf("an append of unknown outcome is gone: head %d, %v", h.Seq, err)
	}
	body := func() string {
		t.Helper()
		es, err := s.Read(t.Context(), "c", 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		return es[0].Body.Type
	}
	s.Fail(func(op string) error {
		if op == "Erase" {
			return store.ErrFull
		}
		return nil
	})
	if err := s.Erase(t.Context(), "c", []parley.Seq{1}); !errors.Is(err, store.ErrFull) || body() == "" {
		t.Fatalf("a refused erasure: %v, the body is %q", err, body())
	}
	s.Fail(nil)
	if err := s.Erase(t.Context(), "c", []parley.Seq{1}); !errors.Is(err, store.ErrUnavailable) || body() != "" {
		t.Fatalf("an erasure of unknown outcome: %v, the body is %q", err, body())
	}
}
