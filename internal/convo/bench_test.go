package convo_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/convo"
	"github.com/parley-im/parley/internal/store"
)

type acts interface{ store.Acts }

// blank is a log in which nothing was said before, and which keeps nothing.
type blank struct {
	acts
	state *parley.Conversation
}

func (b blank) Load(context.Context, parley.ConversationID) (store.Head, error) {
	return store.Head{Seq: 1, Count: 1, State: b.state}, nil
}

func (blank) Append(context.Context, store.Append) error { return nil }

func (blank) Read(context.Context, parley.ConversationID, parley.Seq, int) ([]parley.Entry, error) {
	return nil, nil
}

func (blank) Find(context.Context, parley.ConversationID, parley.MessageID, parley.Seq) (parley.Seq, error) {
	return 0, nil
}

// deaf hears nothing.
type deaf struct{}

func (deaf) Publish(_ *parley.Conversation, _ []parley.Entry, told func(error)) { told(nil) }
func (deaf) Confirm(_ *parley.Conversation, _ *parley.Entry, told func(error))  { told(nil) }

// liked is blocked by nobody.
type liked struct{}

func (liked) Blockers(context.Context, parley.UserID) ([]parley.UserID, error) { return nil, nil }
func (liked) Blocks(context.Context, parley.UserID) ([]parley.UserID, error)   { return nil, nil }

// BenchmarkPost commits messages that use nothing but a text, 64 at once, in a
// conversation of so many members.
func BenchmarkPost(b *testing.B) {
	for _, members := range []int{2, 1000} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			state := &parley.Conversation{ID: "c", Kind: parley.Group}
			if members == 2 {
				state.Kind = parley.Direct
			}
			for i := range members {
				state.Members = append(state.Members, parley.Member{User: parley.UserID(fmt.Sprintf("u%04d", i)), Role: parley.RoleMember, Since: 1})
			}
			log := blank{state: state}
			o := convo.New(convo.Config{Log: log, Acts: log, Blocks: liked{}, Publisher: deaf{}, Now: time.Now, Rand: rand.Reader, Logger: slog.New(slog.DiscardHandler)})
			defer o.Close(b.Context())
			posts := make([]parley.Post, 64)
			for i := range posts {
				posts[i] = parley.Post{Conversation: "c", Sender: state.Members[i%2].User, Device: "d", Body: parley.Body{Type: parley.TextPlain, Data: []byte("hello")}}
			}
			var wait sync.WaitGroup
			done := func(_ parley.Ack, err error) {
				if err != nil {
					b.Error(err)
				}
				wait.Done()
			}
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				wait.Add(len(posts))
				for i := range posts {
					n++
					posts[i].ID = parley.MessageID(fmt.Sprintf("m%d", n))
					o.Post(posts[i], done)
				}
				wait.Wait()
			}
		})
	}
}
