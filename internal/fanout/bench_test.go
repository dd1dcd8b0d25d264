package fanout_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/fanout"
)

// blind takes note of nothing.
type blind struct{ fanout.Watcher }

func (blind) Advance(parley.UserID, parley.Advance)   {}
func (blind) Flush(context.Context) error             { return nil }
func (blind) Nudge(parley.ConversationID, parley.Seq) {}

// BenchmarkDeliver takes one message to so many members, each with one device
// online.
func BenchmarkDeliver(b *testing.B) {
	for _, members := range []int{2, 1000} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			f := fanout.New(fanout.Config{Inboxes: blind{}, Logger: slog.New(slog.DiscardHandler)})
			c := &parley.Conversation{ID: "c", Kind: parley.Group}
			for i := range members {
				u := parley.UserID(fmt.Sprintf("u%04d", i))
				c.Members = append(c.Members, parley.Member{User: u, Role: parley.RoleMember, Since: 1})
				defer f.Watch(u, blind{})()
			}
			entries := []parley.Entry{{Conversation: "c", Kind: parley.KindMessage, Sender: "u0001", ID: "m", Body: parley.Body{Type: parley.TextPlain, Data: []byte("hello")}}}
			b.ReportAllocs()
			for b.Loop() {
				entries[0].Seq++
				entries[0].Count++
				f.Publish(c, entries, func(error) {})
			}
		})
	}
}
