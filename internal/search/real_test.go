package search_test

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/convo"
	"github.com/parley-im/parley/internal/fanout"
	"github.com/parley-im/parley/internal/fold"
	"github.com/parley-im/parley/internal/search"
	"github.com/parley-im/parley/internal/session"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/pebblestore"
)

// rows is the inbox of the one who searches.
type rows []parley.Row

func (r rows) List(context.Context, parley.UserID, parley.Pos, int) ([]parley.Row, error) {
	return r, nil
}

func (r rows) Row(context.Context, parley.UserID, parley.ConversationID) (parley.Row, error) {
	return r[0], nil
}

// realChat is ten megabytes of real chat in a store on disk, in that many
// conversations of two, and what a server reads it with.
func realChat(b *testing.B, conversations int) (session.History, rows, parley.UserID) {
	b.Helper()
	f, err := os.Open("../../testdata/ubuntu-irc/two-thousand.txt")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var lines []string
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, s.Text())
	}
	dir := b.TempDir()
	open := func() *pebblestore.Store {
		s, err := pebblestore.Open(pebblestore.Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	s := open()
	me, device := parley.UserID(parley.NewID("u", rand.Reader)), parley.DeviceID(parley.NewID("d", rand.Reader))
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var in rows
	for c := range conversations {
		id := parley.ConversationID(parley.NewID("c", rand.Reader))
		other := parley.UserID(parley.NewID("u", rand.Reader))
		members := []parley.Member{{User: me, Role: parley.RoleMember, Since: 1}, {User: other, Role: parley.RoleMember, Since: 1}}
		slices.SortFunc(members, func(a, b parley.Member) int { return cmp.Compare(a.User, b.User) })
		a := store.Append{Conversation: id, State: &parley.Conversation{ID: id, Kind: parley.Direct, Created: at, Members: members}}
		for i, size := 0, 0; size < 10_000_000/conversations; i++ {
			line := lines[(i+c)%len(lines)]
			if i+c == 0 {
				line = "zyzzyva"
			}
			size += len(line)
			seq := a.Base + parley.Seq(len(a.Entries)+1)
			a.Entries = append(a.Entries, parley.Entry{Conversation: id, Seq: seq, Count: uint64(seq), Kind: parley.KindMessage,
				ID: parley.MessageID(parley.NewID("m", rand.Reader)), Sender: [...]parley.UserID{me, other}[i%2], Device: device,
				At: at.Add(time.Duration(i*conversations+c) * time.Second), Body: parley.Body{Type: parley.TextPlain, Data: []byte(line)}})
			if len(a.Entries) == 1000 {
				if err := s.Append(b.Context(), a); err != nil {
					b.Fatal(err)
				}
				a = store.Append{Conversation: id, Base: seq}
			}
		}
		if err := s.Append(b.Context(), a); err != nil {
			b.Fatal(err)
		}
		head := a.Entries[len(a.Entries)-1].Seq
		in = append(in, parley.Row{Conversation: id, Kind: parley.Direct, Since: 1, Head: head, Pos: parley.Pos(c + 1)})
	}
	// Once more, from what lies on disk: memory holds no more than a server's.
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	s = open()
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	switchboard := fanout.New(fanout.Config{Log: s, Logger: slog.New(slog.DiscardHandler)})
	owner := convo.New(convo.Config{Log: s, Acts: s, Publisher: switchboard, Now: time.Now, Rand: rand.Reader, Logger: slog.New(slog.DiscardHandler)})
	return session.History{Conversations: owner, Fanout: switchboard, Folder: fold.Folder{Acts: s, Log: s}}, in, me
}

// BenchmarkRealChat looks for a rare word in ten megabytes of real chat, as a
// server does but for the socket.
func BenchmarkRealChat(b *testing.B) {
	history, in, me := realChat(b, 50)
	s := search.New(history, in, time.Now)
	b.ReportAllocs()
	for b.Loop() {
		page, err := s.Find(b.Context(), me, search.Query{Text: "zyzzyva", Limit: 20})
		if err != nil || len(page.Found) != 1 || page.Next != "" {
			b.Fatalf("%d found, next %q, %v", len(page.Found), page.Next, err)
		}
	}
}
