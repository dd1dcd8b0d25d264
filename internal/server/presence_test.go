package server_test

import (
	"testing"
	"time"

	"github.com/parley-im/parley/wire"
)

// TestEphemera is presence and typing from one device to another.
func TestEphemera(t *testing.T) { everyway(t, ephemera) }

func ephemera(t *testing.T, w *world) {
	alice, bob, carol := w.register("alice"), w.register("bob"), w.register("carol")
	var c wire.Conversation
	w.call(alice.Token, "POST", "/v1/conversations", map[string]any{"kind": "direct", "members": []string{"bob"}}, 201, &c)
	connect := func(token string) *socket {
		s := w.connect(token, "")
		s.until("caught up", func(f wire.ServerFrame) bool { return f.T == wire.FrameChanges && !f.More })
		return s
	}
	phone, laptop, stranger := connect(alice.Token), connect(alice.Token), connect(carol.Token)
	about := func(s *socket, online bool) wire.Presence {
		t.Helper()
		f := s.until("bob's presence", func(f wire.ServerFrame) bool {
			return f.T == wire.FramePresence && len(f.Items) == 1 && f.Items[0].Online == online
		})
		if f.Items[0].User != bob.User.ID {
			t.Errorf("told %+v", f)
		}
		return f.Items[0]
	}
	for _, s := range []*socket{phone, laptop} {
		s.send(map[string]any{"t": "watch", "users": []string{bob.User.ID, carol.User.ID}})
		if about(s, false).LastSeen == "" {
			t.Error("when bob was last seen is not known, though he signed in")
		}
	}
	stranger.send(map[string]any{"t": "watch", "users": []string{bob.User.ID, alice.User.ID}})
	stranger.until("an answer", func(f wire.ServerFrame) bool {
		if f.T == wire.FramePresence && len(f.Items) != 0 {
			t.Errorf("a stranger is told %+v", f)
		}
		return f.T == wire.FramePresence
	})

	his := connect(bob.Token)
	begun := time.Now()
	for _, s := range []*socket{phone, laptop} {
		about(s, true)
	}
	if took := time.Since(begun); took < 2*time.Second || took > 10*time.Second {
		t.Errorf("he was online after %v", took)
	}
	var page wire.List[wire.Presence]
	for range 3 { // each node
		w.call(alice.Token, "GET", "/v1/presence?users="+bob.User.ID, nil, 200, &page)
		if len(page.Items) != 1 || !page.Items[0].Online {
			t.Errorf("asked, and got %+v", page.Items)
		}
	}

	his.send(map[string]any{"t": "whisper", "conversation": c.ID, "kind": "typing"})
	stranger.send(map[string]any{"t": "whisper", "conversation": c.ID, "kind": "typing"})
	for _, s := range []*socket{phone, laptop} {
		s.until("bob types", func(f wire.ServerFrame) bool {
			if f.T == wire.FrameWhisper && (f.Conversation != c.ID || f.Sender != bob.User.ID || f.Kind != "typing") {
				t.Errorf("heard %+v", f)
			}
			return f.T == wire.FrameWhisper
		})
	}

	_ = his.ws.CloseNow()
	begun = time.Now()
	for _, s := range []*socket{phone, laptop} {
		seen, err := time.Parse(time.RFC3339, about(s, false).LastSeen)
		if off := seen.Sub(begun); err != nil || off < -time.Minute || off > time.Minute {
			t.Errorf("last seen %v after his connection ended, %v", off, err)
		}
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("he was offline after %v", took)
	}
}
