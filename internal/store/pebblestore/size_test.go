package pebblestore

import (
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// chat makes messages as people and servers do: ids of 128 random bits, and
// 200 bytes of words that nobody has said before.
type chat struct {
	rng   *rand.ChaCha8
	draw  *rand.Rand
	convs []parley.ConversationID
	users []parley.UserID
	at    time.Time
}

func newChat(conversations int) *chat {
	rng := rand.NewChaCha8([32]byte{1})
	c := &chat{rng: rng, draw: rand.New(rng), at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for range conversations {
		c.convs = append(c.convs, parley.ConversationID(parley.NewID("d", rng)))
		c.users = append(c.users, parley.UserID(parley.NewID("u", rng)))
	}
	return c
}

func (c *chat) message(conv int, seq parley.Seq) parley.Entry {
	c.at = c.at.Add(time.Duration(c.draw.IntN(5000)) * time.Millisecond)
	text := make([]byte, 200)
	for i := range text {
		if text[i] = byte('a' + c.draw.IntN(26)); c.draw.IntN(6) == 0 {
			text[i] = ' '
		}
	}
	sender := c.users[(conv+c.draw.IntN(2))%len(c.users)]
	return parley.Entry{Conversation: c.convs[conv], Seq: seq, Kind: parley.KindMessage, Count: uint64(seq), At: c.at,
		ID: parley.MessageID(parley.NewID("", c.rng)), Sender: sender, Device: parley.DeviceID("v" + sender[1:]),
		Body: parley.Body{Type: parley.TextPlain, Data: text}}
}

// TestBytesPerMessage: a message of 200 bytes takes at most 180 on the disk
// after compaction, with its index and everything. It kills a key too many, a
// name written out where a number would do, and a compressor left off.
func TestBytesPerMessage(t *testing.T) {
	const conversations, each, limit = 100, 300, 180
	o := small("/data", vfs.NewMem())
	o.MemTableBytes = 8 << 20
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	c := newChat(conversations)
	const batch = 10
	for base := parley.Seq(0); base < each; base += batch {
		for conv := range conversations {
			a := store.Append{Conversation: c.convs[conv], Base: base}
			for i := range parley.Seq(batch) {
				a.Entries = append(a.Entries, c.message(conv, base+i+1))
			}
			if err := s.Append(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	live := s.now.eng.db.Metrics().Table.Local.LiveSize
	per := float64(live) / (conversations * each)
	t.Logf("%.1f bytes per message of 200", per)
	if live == 0 || per > limit {
		t.Errorf("a message of 200 bytes takes %.1f bytes, the limit is %d", per, limit)
	}
}

// BenchmarkAppend is one message per append, each durable before it is
// answered, with so many callers waiting at once.
func BenchmarkAppend(b *testing.B) {
	for _, waiting := range []int{1, 16, 256, 2048} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			s, err := Open(Options{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					b.Error(err)
				}
			}()
			c := newChat(waiting)
			lanes := make([]parley.Entry, waiting)
			for i := range lanes {
				lanes[i] = c.message(i, 1)
			}
			var left atomic.Int64
			left.Store(int64(b.N))
			b.SetBytes(200)
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for i := range lanes {
				wg.Go(func() {
					e, ids := lanes[i], rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)})
					for seq := parley.Seq(1); left.Add(-1) >= 0; seq++ {
						e.Seq, e.Count, e.ID = seq, uint64(seq), parley.MessageID(parley.NewID("", io.Reader(ids)))
						if err := s.Append(b.Context(), store.Append{Conversation: e.Conversation, Base: seq - 1, Entries: []parley.Entry{e}}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

// BenchmarkLastPage reads the last 50 of a conversation of some depth.
func BenchmarkLastPage(b *testing.B) {
	for _, depth := range []parley.Seq{1_000, 100_000} {
		b.Run(fmt.Sprintf("depth=%d", depth), func(b *testing.B) {
			s, err := Open(Options{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					b.Error(err)
				}
			}()
			c := newChat(1)
			for base := parley.Seq(0); base < depth; base += 1000 {
				a := store.Append{Conversation: c.convs[0], Base: base}
				for i := range parley.Seq(1000) {
					a.Entries = append(a.Entries, c.message(0, base+i+1))
				}
				if err := s.Append(b.Context(), a); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				if got, err := s.Read(b.Context(), c.convs[0], depth-50, 50); err != nil || len(got) != 50 {
					b.Fatalf("%d entries: %v", len(got), err)
				}
			}
		})
	}
}
