package inbox_test

import (
	"fmt"
	"log/slog"
	"testing"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/inbox"
	"github.com/parley-im/parley/internal/store/memstore"
)

// BenchmarkAdvance moves one row of each of a thousand inboxes, and writes
// them.
func BenchmarkAdvance(b *testing.B) {
	s := memstore.New()
	defer s.Close()
	k := inbox.New(inbox.Config{Store: s, Log: s, Changed: func(parley.UserID) {}, Logger: slog.New(slog.DiscardHandler)})
	users := make([]parley.UserID, 1000)
	for i := range users {
		users[i] = parley.UserID(fmt.Sprintf("u%04d", i))
	}
	a := parley.Advance{Conversation: "c", Kind: parley.Group, Since: 1}
	b.ReportAllocs()
	for b.Loop() {
		a.From = a.Head
		a.Head++
		a.Count++
		for _, u := range users {
			k.Advance(u, a)
		}
		if err := k.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	if err := k.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}
