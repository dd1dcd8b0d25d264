package session

import (
	"slices"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/presence"
	"github.com/parley-im/parley/wire"
)

const (
	// maxWhispers bounds the whispers that wait to be told. Past it they are
	// dropped.
	maxWhispers = 64
	// maxPresence bounds the users of whom a device is still to be told
	// whether they are online: those of several watches, for one that does not
	// read. Past it they are dropped; such a device is cut soon.
	maxPresence = 1024
	// presenceAtOnce bounds the users of one frame.
	presenceAtOnce = 400
)

// Whispers is where whispers go: fanout.Whispers has the contract.
type Whispers interface {
	Say(w parley.Whisper)
}

// Presence is who is online: presence.Presence has the contract.
type Presence interface {
	Arrived(user parley.UserID)
	Left(user parley.UserID)
	Interest(user parley.UserID, w presence.Watcher) *presence.Interest
}

// asides is the ephemera that a session tells when there is nothing else to
// say.
type asides struct {
	whispers map[about]parley.Whisper
	presence map[parley.UserID]parley.Presence
	answered bool // a watch: it is answered also when nothing is known
}

// aside returns where to put ephemera. s.mu is held.
func (s *Session) aside() *asides {
	if s.asides == nil {
		s.asides = &asides{whispers: make(map[about]parley.Whisper), presence: make(map[parley.UserID]parley.Presence)}
	}
	return s.asides
}

// Whisper implements fanout.Hearer.
func (s *Session) Whisper(w parley.Whisper) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if a := s.aside(); len(a.whispers) < maxWhispers {
		a.whispers[about{w.Conversation, w.Sender}] = w
	}
	s.schedule()
}

// Presence implements presence.Watcher.
func (s *Session) Presence(items []parley.Presence, answer bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	a := s.aside()
	a.answered = a.answered || answer
	for _, it := range items {
		if _, known := a.presence[it.User]; known || len(a.presence) < maxPresence {
			a.presence[it.User] = it
		}
	}
	s.schedule()
}

// frames appends what a says to frames.
func (a *asides) frames(frames [][]byte) [][]byte {
	if a == nil {
		return frames
	}
	items := make([]wire.Presence, 0, len(a.presence))
	for _, p := range a.presence {
		it := wire.Presence{User: string(p.User), Online: p.Online}
		if !p.LastSeen.IsZero() {
			it.LastSeen = wire.Time(p.LastSeen)
		}
		items = append(items, it)
	}
	if len(items) == 0 && a.answered {
		frames = append(frames, wire.AppendPresence(nil, nil))
	}
	for chunk := range slices.Chunk(items, presenceAtOnce) {
		frames = append(frames, wire.AppendPresence(nil, chunk))
	}
	for _, w := range a.whispers {
		frames = append(frames, wire.AppendWhisper(nil, w.Conversation, w.Sender, w.Kind))
	}
	return frames
}

// whisper hands on what the device does just now. Nobody answers.
func (s *Session) whisper(f wire.ClientFrame) {
	if s.hub.cfg.Whispers != nil {
		s.hub.cfg.Whispers.Say(parley.Whisper{Conversation: parley.ConversationID(f.Conversation), Sender: s.user, Kind: f.Kind})
	}
}

// watch replaces whom the device watches.
func (s *Session) watch(f wire.ClientFrame) {
	if len(f.Users) > presence.MaxWatched {
		s.Refuse(f.Ref, parley.E(parley.BadRequest, "session.watch", "users holds more than %d ids; watch those on the screen", presence.MaxWatched))
		return
	}
	users := make([]parley.UserID, len(f.Users))
	for i, u := range f.Users {
		users[i] = parley.UserID(u)
	}
	if i := s.interested(); i != nil {
		i.Watch(users)
	}
}

// spoke takes note that the user wrote to c: a device learns of whom it writes
// to.
func (s *Session) spoke(c parley.ConversationID) {
	if i := s.interested(); i != nil {
		i.Spoke(c)
	}
}

// interested returns the session's interest, which begins with the first need
// of it; nil: nobody would tell.
func (s *Session) interested() *presence.Interest {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.interest == nil && !s.closed && s.hub.cfg.Presence != nil {
		s.interest = s.hub.cfg.Presence.Interest(s.user, s)
	}
	return s.interest
}

// left ends the session's part in presence.
func (s *Session) left() {
	if s.hub.cfg.Presence == nil {
		return
	}
	s.mu.Lock()
	interest := s.interest
	s.mu.Unlock()
	if interest != nil {
		interest.Close()
	}
	s.hub.cfg.Presence.Left(s.user)
}
