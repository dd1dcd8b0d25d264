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
			if got := o.receipts.Discreet(t.Context(), reader, parley.Group, all); !slices.Equal(got, want) {
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

// TestReceiptsBetweenWhoBlock kills a receipt in a direct conversation of
// somebody to whom they block, one that is told when that is not known, and a
// group where who blocks is the one who never hears anything.
func TestReceiptsBetweenWhoBlock(t *testing.T) {
	for _, kind := range []parley.ConversationKind{parley.Direct, parley.Group} {
		c := conversation("u-a", "u-b")
		c.Kind = kind
		k := &feuds{by: map[parley.UserID]parley.UserID{"u-a": "u-b"}}
		receive(t, c, func(t *testing.T, o *office) {
			a, b := o.watch("u-a"), o.watch("u-b")
			check := func(what string, seq parley.Seq, told, back bool) {
				t.Helper()
				for _, n := range []parley.Receipt{of("u-a", seq, seq), of("u-b", seq, seq)} {
					o.receipts.Note(n)
				}
				<-time.After(time.Second)
				synctest.Wait()
				if got := b.take(); len(got) > 0 != told {
					t.Errorf("%s, %s: b is told %+v", kind, what, got)
				}
				if got := a.take(); len(got) > 0 != back {
					t.Errorf("%s, %s: a is told %+v", kind, what, got)
				}
				all := []parley.Receipt{of("u-a", seq, seq), of("u-b", seq, seq)}
				for reader, knows := range map[parley.UserID]bool{"u-b": told, "u-a": back} {
					got := o.receipts.Discreet(t.Context(), reader, kind, all)
					if !slices.Contains(got, of(reader, seq, seq)) || (len(got) == 2) != knows {
						t.Errorf("%s, %s: %s has %+v", kind, what, reader, got)
					}
				}
			}
			check("blocked", 3, kind == parley.Group, true)
			k.err = errors.New("disk")
			check("not known", 4, kind == parley.Group, kind == parley.Group)
			k.err, k.by = nil, nil
			check("unblocked", 5, true, true)
		}, func(c *fanout.ReceiptsConfig) { c.Blocks = k })
	}
}
