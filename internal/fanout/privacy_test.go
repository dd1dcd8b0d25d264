package fanout_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/fanout"
)

// hiding is who hides; an error when it cannot be asked.
type hiding struct {
	users map[parley.UserID]bool
	err   error
}

func (h *hiding) HidesRead(_ context.Context, users []parley.UserID) (map[parley.UserID]bool, error) {
	found := make(map[parley.UserID]bool)
	for _, u := range users {
		if h.users[u] {
			found[u] = true
		}
	}
	return found, h.err
}

// TestPrivacy kills a receipt that tells how far somebody has read who hides
// it, or to somebody who does, that tells it when it is not known, that takes
// the delivery with it, and one that says by coming that somebody read.
func TestPrivacy(t *testing.T) {
	h := &hiding{users: map[parley.UserID]bool{"u-b": true}}
	receive(t, conversation("u-a", "u-b", "u-c"), func(t *testing.T, o *office) {
		a, b, c := o.watch("u-a"), o.watch("u-b"), o.watch("u-c")
		hear := func(n parley.Receipt, toA, toB, toC []parley.Receipt) {
			t.Helper()
			o.receipts.Note(n)
			<-time.After(time.Second)
			synctest.Wait()
			for who, want := range map[*reader][]parley.Receipt{a: toA, b: toB, c: toC} {
				if got := who.take(); !slices.Equal(got, want) {
					t.Errorf("%+v was told as %+v, want %+v", n, got, want)
				}
			}
		}
		one := func(u parley.UserID, delivered, read parley.Seq) []parley.Receipt {
			return []parley.Receipt{of(u, delivered, read)}
		}
		hear(of("u-a", 5, 3), nil, one("u-a", 5, 0), one("u-a", 5, 3))
		hear(of("u-a", 5, 5), nil, nil, one("u-a", 5, 5)) // read, and nothing was delivered
		hear(of("u-b", 7, 7), one("u-b", 7, 0), nil, one("u-b", 7, 0))
		hear(of("u-b", 7, 8), nil, nil, nil)
		hear(of("u-b", 9, 9), one("u-b", 9, 0), nil, one("u-b", 9, 0))
		h.err = errors.New("disk")
		hear(of("u-c", 4, 4), one("u-c", 4, 0), one("u-c", 4, 0), nil)
		h.err, h.users = nil, nil
		hear(of("u-c", 6, 6), one("u-c", 6, 6), one("u-c", 6, 6), nil)
	}, func(c *fanout.ReceiptsConfig) { c.Privacy = h })
}

// TestDiscreet is the same for receipts that were asked for.
func TestDiscreet(t *testing.T) {
	h := &hiding{users: map[parley.UserID]bool{"u-b": true}}
	receive(t, conversation("u-a", "u-b", "u-c"), func(t *testing.T, o *office) {
		all := []parley.Receipt{of("u-a", 3, 2), of("u-b", 3, 2), of("u-c", 3, 2)}
		check := func(reader parley.UserID, a, b, c parley.Seq) {
			t.Helper()
			want := []parley.Receipt{of("u-a", 3, a), of("u-b", 3, b), of("u-c", 3, c)}
			if got := o.receipts.Discreet(t.Context(), reader, all); !slices.Equal(got, want) {
				t.Errorf("%s has %+v, want %+v", reader, got, want)
			}
		}
		check("u-a", 2, 0, 2)
		check("u-b", 0, 2, 0)
		h.err = errors.New("disk")
		check("u-a", 2, 0, 0)
		if all[1].Read != 2 {
			t.Error("what was asked for was changed in place")
		}
	}, func(c *fanout.ReceiptsConfig) { c.Privacy = h })
}
