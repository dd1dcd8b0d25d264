package client

import (
	"slices"
	"sync"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// Typing is the kind of the whisper that says that somebody is typing. It ends
// by itself 5 s after the last one.
const Typing = "typing"

// Whisper is what somebody is doing in a conversation, now.
type Whisper struct {
	Conversation parley.ConversationID
	Sender       parley.UserID
	Kind         string
}

// Voice says what is worth saying only while a connection stands: whispers,
// and whose presence matters. It is given to a [Subscription], and is good
// for one that follows. The zero Voice is ready.
type Voice struct {
	mu       sync.Mutex
	news     chan struct{} // capacity one: there is something to say
	watching []string      // said again on every connection
	told     bool          // it was said on this one
	whispers []wire.ClientFrame
}

// Whisper says once that this user is doing that. Without a connection nobody
// hears it, now or later.
func (v *Voice) Whisper(conv parley.ConversationID, kind string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f := wire.ClientFrame{T: wire.OpWhisper, Conversation: string(conv), Kind: kind}
	same := func(w wire.ClientFrame) bool { return w.Conversation == f.Conversation && w.Kind == f.Kind }
	if slices.ContainsFunc(v.whispers, same) {
		return // one such is about to be said
	}
	v.whispers = append(v.whispers, f)
	v.wake()
}

// Watch says whose presence is wanted: of these and no others, at most
// [wire.MaxMembers]. It is said again whenever a connection is made.
func (v *Voice) Watch(users ...parley.UserID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	ids := idsOf[string](users[:min(len(users), wire.MaxMembers)])
	if slices.Equal(ids, v.watching) {
		return
	}
	v.watching, v.told = ids, false
	v.wake()
}

// wake tells the connection. The caller holds mu.
func (v *Voice) wake() {
	if v.news == nil {
		v.news = make(chan struct{}, 1)
	}
	select {
	case v.news <- struct{}{}:
	default: // it was told already
	}
}

// stands begins on a new connection: what was whispered before is over. The
// channel says when there is something to take. A nil Voice is silent.
func (v *Voice) stands() <-chan struct{} {
	if v == nil {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.whispers, v.told = nil, len(v.watching) == 0
	v.wake()
	return v.news
}

// take returns the frames to send.
func (v *Voice) take() [][]byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out [][]byte
	if !v.told {
		out = append(out, wire.AppendClient(nil, &wire.ClientFrame{T: wire.OpWatch, Users: v.watching}))
		v.told = true
	}
	for i := range v.whispers {
		out = append(out, wire.AppendClient(nil, &v.whispers[i]))
	}
	v.whispers = nil
	return out
}
