package sim

import (
	"context"
	"strconv"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// session is one connection of a socket device.
type session struct {
	d      *Device
	s      *socket
	client string
	began  int64 // when it said hello
	hello  int64 // when it said hello; 0 once its first sync has ended
	refs   int
	posts  map[wire.Ref]*try
	busy   map[string]bool // ids under way
	read   *Op             // the read under way
	readAs wire.Ref
	leave  time.Duration // the server said goaway
	heard  time.Time     // when the last frame came
	up     bool          // that it is connected was recorded
}

type try struct {
	draft    *Draft
	call     int64
	deadline time.Time
}

// session connects and lives until the connection is lost. It returns how
// long the server asked it to stay away.
func (d *Device) session(ctx context.Context) (away time.Duration) {
	dialCtx, cancel := context.WithTimeout(ctx, 5*time.Second)
	sock, err := dialSocket(dialCtx, d.cfg.Dial)
	cancel()
	if err != nil {
		return 0
	}
	s := &session{d: d, s: sock, client: d.client(), posts: map[wire.Ref]*try{}, busy: map[string]bool{}, heard: time.Now()}
	s.began = d.cfg.Recorder.Stamp()
	s.hello = s.began
	defer s.end()
	if sock.send(&wire.ClientFrame{T: wire.OpHello, Token: d.cfg.Token, Cursor: d.mem.at(), Client: "sim/1"}) != nil {
		return 0
	}
	if !s.welcome(ctx) || !s.watch() {
		return 0
	}
	s.loop(ctx)
	return s.leave
}

// end records what is left without an answer.
func (s *session) end() {
	s.s.close()
	for _, t := range s.posts {
		s.d.mem.ended(s.client, t.draft, t.call, 0, Unknown, "")
	}
	if s.up {
		s.presence(OpDown, "", false)
	}
}

// watch begins to watch, if the device does.
func (s *session) watch() bool {
	users := s.d.cfg.Watches
	if users == nil {
		return true
	}
	s.up = true
	s.presence(OpUp, "", false)
	for _, u := range users {
		s.presence(OpWatch, u, false)
	}
	return s.s.send(&wire.ClientFrame{T: wire.OpWatch, Users: users}) == nil
}

// presence records what concerns presence.
func (s *session) presence(op, of string, online bool) {
	s.d.cfg.Recorder.Add(Op{Op: op, Client: s.client, User: s.d.cfg.User, Device: s.d.cfg.Name, ID: of, Online: online, Result: OK})
}

// welcome waits for the server's first frame.
func (s *session) welcome(ctx context.Context) bool {
	t := time.NewTimer(s.d.cfg.AckTimeout)
	defer t.Stop()
	select {
	case f := <-s.s.frames:
		if f.frame == nil || f.frame.T != wire.FrameWelcome {
			return false
		}
		s.d.mem.welcome(f.frame.Epoch)
		return true
	case <-s.s.done:
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

func (s *session) loop(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	// A row announces a head; the entries to it often follow at once. Ask for
	// them only if they do not.
	fetch := time.NewTimer(0)
	defer fetch.Stop()
	for ok := s.posting(); ok; {
		select {
		case f := <-s.s.frames:
			ok = s.handle(f)
			fetch.Reset(20 * time.Millisecond)
		case <-fetch.C:
			ok = s.fetch()
		case <-s.d.poke:
			ok = s.posting()
		case <-tick.C:
			ok = s.inTime() && s.posting() && s.chores()
		case <-s.s.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// posting sends what is pending and not under way.
func (s *session) posting() bool {
	if s.d.held() {
		return true
	}
	for _, draft := range s.d.mem.pending(s.d.cfg.Window) {
		if s.busy[draft.ID] {
			continue
		}
		s.refs++
		ref := wire.Ref(strconv.Itoa(s.refs))
		t := &try{draft, s.d.cfg.Recorder.Stamp(), time.Now().Add(s.d.cfg.AckTimeout)}
		s.posts[ref], s.busy[draft.ID] = t, true
		err := s.s.send(&wire.ClientFrame{T: wire.OpPost, Ref: ref, Conversation: draft.Conversation,
			ID: draft.ID, Body: draft.body(), Base: draft.Base, Kind: draft.Kind, Target: draft.Target, Mentions: draft.Mentions})
		if err != nil {
			return false
		}
	}
	return true
}

// inTime is false when an answer is overdue: the connection is dead.
func (s *session) inTime() bool {
	if time.Since(s.heard) > silence {
		return false
	}
	for _, t := range s.posts {
		if time.Now().After(t.deadline) {
			return false
		}
	}
	return true
}

// chores does now and then what people do: read on, look back.
func (s *session) chores() bool {
	if len(s.d.cfg.Conversations) == 0 {
		return true
	}
	c := s.d.cfg.Conversations[s.d.intn(len(s.d.cfg.Conversations))]
	switch s.d.intn(12) {
	case 0:
		if h := s.d.mem.head(c); h > 0 {
			return s.s.send(&wire.ClientFrame{T: wire.OpMark, Conversation: c, Delivered: h, Read: h}) == nil
		}
	case 1:
		if h := s.d.mem.head(c); s.read == nil && h > 0 {
			return s.ask(c, h-min(h, 3))
		}
	}
	return true
}

// fetch asks for what was announced and did not come.
func (s *session) fetch() bool {
	if s.read != nil {
		return true
	}
	c, after, ok := s.d.mem.want()
	return !ok || s.ask(c, after)
}

func (s *session) ask(c string, after uint64) bool {
	s.refs++
	s.readAs = wire.Ref(strconv.Itoa(s.refs))
	s.read = &Op{Op: OpRead, Client: s.client, User: s.d.cfg.User, Device: s.d.cfg.Name, Conversation: c,
		Call: s.d.cfg.Recorder.Stamp(), After: after, Limit: 100, Result: OK}
	return s.s.send(&wire.ClientFrame{T: wire.OpRead, Ref: s.readAs, Conversation: c, After: &after, Limit: 100}) == nil
}

// handle takes one frame; false ends the connection.
func (s *session) handle(f socketFrame) bool {
	s.heard = time.Now()
	if f.frame == nil {
		return s.s.pong(f.ping) == nil
	}
	mem := s.d.mem
	if s.d.cfg.Fault == Deaf && s.hello == 0 && f.frame.Ref == "" && f.frame.T != wire.FrameGoaway {
		return true
	}
	switch f.frame.T {
	case wire.FrameAck:
		if t := s.posts[f.frame.Ref]; t != nil {
			delete(s.posts, f.frame.Ref)
			delete(s.busy, t.draft.ID)
			mem.ended(s.client, t.draft, t.call, f.frame.Seq, OK, "")
		}
		return s.posting()
	case wire.FrameEntries:
		if s.read != nil && f.frame.Ref == s.readAs {
			op := *s.read
			op.Entries, op.Head = entriesOf(f.frame.Entries, f.frame.Head), &f.frame.Head
			s.read = nil
			mem.answered(op)
			return s.fetch()
		}
		mem.received(s.client, s.began, f.frame.Entries)
		mem.keep(f.frame.Cursor)
	case wire.FrameChanges:
		mem.rows(s.client, s.began, f.frame.Rows)
		mem.keep(f.frame.Cursor)
		if !f.frame.More && s.hello != 0 {
			mem.synced(s.client, s.hello)
			s.hello = 0
		}
	case wire.FramePresence:
		for _, it := range f.frame.Items {
			if s.up {
				s.presence(OpSeen, it.User, it.Online)
			}
		}
	case wire.FrameError:
		s.refused(f.frame)
	case wire.FrameResync:
		// What comes next is from nothing; start over with a clean slate.
		mem.reset(s.client, f.frame.Epoch)
		return false
	case wire.FrameGoaway:
		s.leave = time.Duration(f.frame.AfterMS) * time.Millisecond
		return false
	}
	return true
}

func (s *session) refused(f *wire.ServerFrame) {
	if s.read != nil && f.Ref == s.readAs {
		s.read = nil
		return
	}
	t := s.posts[f.Ref]
	if t == nil {
		return
	}
	delete(s.posts, f.Ref)
	delete(s.busy, t.draft.ID)
	result := Unknown
	if parley.Code(f.Code).Retry() == parley.GiveUp {
		result = Fail
	}
	s.d.mem.ended(s.client, t.draft, t.call, 0, result, f.Code)
	s.d.hold(time.Duration(f.RetryAfterMS) * time.Millisecond)
}
