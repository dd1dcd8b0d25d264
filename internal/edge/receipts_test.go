package edge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/edge"
	"github.com/parley-im/parley/wire"
)

// marked is a conversation and the inboxes of its members: each but the last
// has read 7, and the last one's inbox does not answer.
type marked struct {
	edge.Conversations
	edge.Inboxes
	nameless
	members []parley.Member
}

// nameless is accounts of whom nothing is known.
type nameless struct{ edge.People }

func (nameless) Users(context.Context, []parley.UserID) (map[parley.UserID]account.User, error) {
	return nil, nil
}

func (m *marked) Get(context.Context, parley.UserID, parley.ConversationID) (parley.Conversation, parley.Member, parley.Seq, error) {
	return parley.Conversation{ID: "c", Members: m.members}, m.members[0], 9, nil
}

func (m *marked) Row(context.Context, parley.UserID, parley.ConversationID) (parley.Row, error) {
	return parley.Row{Conversation: "c"}, nil
}

func (m *marked) Receipts(ctx context.Context, c parley.ConversationID, users []parley.UserID) (all []parley.Receipt) {
	for _, u := range users[:len(users)-1] {
		all = append(all, parley.Receipt{Conversation: c, User: u, Delivered: 8, Read: 7})
	}
	<-ctx.Done()
	return all
}

// TestMembersMarkers kills an answer that waits for an inbox that does not,
// or fails for it, or names what it does not know; one that asks for more
// members than may be; and one that tells who has left of the others.
func TestMembersMarkers(t *testing.T) {
	for _, c := range []struct {
		name    string
		members int
		left    bool // the asker
		known   int
	}{
		{"three", 3, false, 2}, {"as many as may", wire.MaxReceipts, false, wire.MaxReceipts - 1},
		{"one more", wire.MaxReceipts + 1, false, 0}, {"left", 3, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &marked{members: []parley.Member{{User: "ualice", Since: 1}}}
				for i := range c.members - 1 {
					m.members = append(m.members, parley.Member{User: parley.UserID(fmt.Sprintf("u%03d", i)), Since: 1})
				}
				if c.left {
					m.members[0].Until = 5
				}
				f := startFake(t, true, func(_ *fake, cfg *edge.Config) {
					cfg.Conversations, cfg.Inboxes, cfg.People = m, m, m
				})
				s := newSocket(t, f.dial())
				begun := time.Now()
				s.request("GET", "/v1/conversations/c", "")
				res := s.answer()
				var got wire.Conversation
				if err := json.NewDecoder(res.Body).Decode(&got); err != nil || res.StatusCode != 200 {
					t.Fatalf("%s, %v", res.Status, err)
				}
				if took := time.Since(begun); took > time.Second {
					t.Errorf("it took %v", took)
				}
				known := 0
				for _, member := range got.Members {
					switch {
					case member.Delivered == 8 && member.Read == 7:
						known++
					case member.Delivered != 0 || member.Read != 0:
						t.Errorf("%+v", member)
					}
				}
				if known != c.known {
					t.Errorf("the markers of %d members, want %d", known, c.known)
				}
			})
		})
	}
}
