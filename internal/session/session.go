package session

import (
	"slices"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/presence"
	"github.com/parley-im/parley/wire"
)

const (
	// maxOut bounds the bytes of answers that wait to be written to one
	// device: acks, errors, pages it asked for. A device that asks and does
	// not read is told to come back later; its posts are safe under their ids.
	maxOut = 256 << 10
	// maxNudged bounds the conversations a session marks. Past it the marks
	// are dropped and the rows, which hold the same news, are read instead.
	maxNudged = 1024
	// maxReads bounds the reads a device may have under way.
	maxReads = 64
	// maxReceipts bounds the receipts that wait to be told, the newest of each
	// member in each conversation. Past it they are dropped: the device finds
	// the same with the conversation.
	maxReceipts = 256
)

// Session is one device online. It implements fanout.Watcher, fanout.Receiver,
// fanout.Hearer and presence.Watcher, and what edge asks of a session.
type Session struct {
	// static after Connect
	hub    *Hub
	conn   Conn
	user   parley.UserID
	device parley.DeviceID
	stop   func() // ends watching

	follows bool // the device goes where a goaway sends it

	mu       sync.Mutex
	out      [][]byte                             // answers that wait
	reads    []wire.ClientFrame                   // reads that wait
	nudged   map[parley.ConversationID]parley.Seq // and the head they may have
	receipts map[about]parley.Receipt             // told when there is nothing else to say
	asides   *asides                              // and these
	interest *presence.Interest                   // nil until the device watches somebody, or writes
	lead     string                               // where the device is sent; empty: nowhere
	outBytes int32                                // of out
	changed  bool                                 // rows may have changed
	contacts bool                                 // the list of contacts changed
	running  bool                                 // a goroutine runs
	waits    bool                                 // and may wait, before it writes
	soon     bool                                 // answer is about to look
	closed   bool

	answering chan struct{} // closed when answers are written that did not wait; nil: none are

	// owned by the goroutine that runs
	at       parley.Cursor                        // what the device had when it began to catch up; when it has, where it stands
	pos      parley.Pos                           // the pages told reach up to here; at.Pos when it has caught up
	paged    map[parley.ConversationID]parley.Seq // what the pages since at said of these
	ahead    map[parley.ConversationID]parley.Seq // entries told beyond what a row said
	resuming bool                                 // until every row there was is told
	unasked  int                                  // entries that resuming may still tell
}

// Receive takes one good frame of the device, never a hello.
func (s *Session) Receive(f wire.ClientFrame) {
	switch f.T {
	case wire.OpPost:
		s.post(f)
	case wire.OpMark:
		s.hub.cfg.Inboxes.MarkSoon(s.user, parley.ConversationID(f.Conversation), parley.Seq(f.Delivered), parley.Seq(f.Read))
	case wire.OpRead:
		s.read(f)
	case wire.OpWhisper:
		s.whisper(f)
	case wire.OpWatch:
		s.watch(f)
	default:
		s.Refuse(f.Ref, parley.E(parley.BadRequest, "session.receive", "t: %s is not expected here", f.T))
	}
}

// post checks a post and hands it on. The answer comes when it is committed.
func (s *Session) post(f wire.ClientFrame) {
	ref := f.Ref
	if wait := s.hub.cfg.Limiter.Wait(s.user); wait > 0 {
		s.Refuse(ref, &parley.Error{Code: parley.RateLimited, Op: "session.post", After: wait, Detail: "you send faster than this server allows; wait and send again with the same id"})
		return
	}
	p, err := f.Post(s.hub.cfg.Limits)
	if err != nil {
		s.Refuse(ref, err)
		return
	}
	p.Sender, p.Device = s.user, s.device
	s.hub.cfg.Conversations.Post(p, func(ack parley.Ack, err error) {
		if err != nil {
			s.Refuse(ref, err)
			return
		}
		s.say(wire.AppendAck(make([]byte, 0, 192), ref, ack))
		s.spoke(ack.Conversation)
	})
}

// read notes a read for the goroutine that may wait for the log.
func (s *Session) read(f wire.ClientFrame) {
	s.mu.Lock()
	full := len(s.reads) >= maxReads
	if !full && !s.closed {
		s.reads = append(s.reads, f)
		s.schedule()
	}
	s.mu.Unlock()
	if full {
		s.Refuse(f.Ref, &parley.Error{Code: parley.Overloaded, Op: "session.read", After: time.Second, Detail: "too many reads are under way on this connection; wait for their answers"})
	}
}

// Refuse tells the device what is wrong with the request it called ref.
func (s *Session) Refuse(ref wire.Ref, err error) { s.say(wire.AppendError(nil, ref, err)) }

// say queues an answer.
func (s *Session) say(frame []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if s.outBytes += int32(len(frame)); s.outBytes > maxOut {
		s.closeLocked(wire.CloseRetryLater, "answers wait unread; reconnect and read faster")
		return
	}
	s.out = append(s.out, frame)
	s.answerSoon()
	s.schedule()
}

// Nudge implements fanout.Watcher.
func (s *Session) Nudge(c parley.ConversationID, head parley.Seq) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.note(c, head)
		s.schedule()
	}
}

// note marks c as having news up to head. s.mu is held.
func (s *Session) note(c parley.ConversationID, head parley.Seq) {
	known, ok := s.nudged[c]
	switch {
	case ok:
		s.nudged[c] = max(known, head)
	case len(s.nudged) >= maxNudged:
		s.changed = true
	case s.nudged == nil:
		s.nudged = map[parley.ConversationID]parley.Seq{c: head}
	default:
		s.nudged[c] = head
	}
}

// about is what a receipt is about; the newest is all there is to say.
type about struct {
	conversation parley.ConversationID
	user         parley.UserID
}

// Receipt implements fanout.Receiver.
func (s *Session) Receipt(r parley.Receipt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := about{r.Conversation, r.User}
	known, ok := s.receipts[key]
	if s.closed || !ok && len(s.receipts) >= maxReceipts {
		return
	}
	r.Delivered, r.Read = max(r.Delivered, known.Delivered), max(r.Read, known.Read)
	if s.receipts == nil {
		s.receipts = make(map[about]parley.Receipt)
	}
	s.receipts[key] = r
	s.schedule()
}

// Changed implements fanout.Watcher.
func (s *Session) Changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.changed = true
		s.schedule()
	}
}

// ContactsChanged implements fanout.Acquaintance.
func (s *Session) ContactsChanged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.contacts = true
		s.schedule()
	}
}

// Revoked implements fanout.Watcher.
func (s *Session) Revoked(d parley.DeviceID) {
	if d != s.device {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeLocked(wire.CloseSignedOut, "this device was signed out")
}

// Keep implements fanout.Watcher.
func (s *Session) Keep(devices []parley.DeviceID) {
	if !slices.Contains(devices, s.device) {
		s.Revoked(s.device)
	}
}

// Lead implements fanout.Watcher: a device that goes where it is sent is sent
// there, once what it was owed is written.
func (s *Session) Lead(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.follows && s.lead == "" && !s.closed {
		s.lead = url
		s.schedule()
	}
}

// Closed says that the connection is gone.
func (s *Session) Closed() {
	s.mu.Lock()
	s.closed = true
	s.forget()
	s.mu.Unlock()
	s.stop()
	s.left()
}

// closeLocked has the connection closed; Closed follows from there. s.mu is
// held.
func (s *Session) closeLocked(code int, reason string) {
	if !s.closed {
		s.closed = true
		s.forget()
		s.conn.Close(code, reason)
	}
}

// forget drops what there was to say. s.mu is held.
func (s *Session) forget() {
	s.out, s.reads, s.nudged, s.receipts, s.asides = nil, nil, nil, nil, nil
}

// fail closes the connection after the session could not go on.
func (s *Session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	code := wire.CloseRetryLater
	if parley.CodeOf(err).Retry() == parley.RetryNow {
		code = wire.CloseRetryNow
	}
	s.closeLocked(code, "the server could not read its storage; reconnect")
}

// schedule has the session run, unless it does. s.mu is held.
func (s *Session) schedule() bool {
	if s.running {
		return true
	}
	s.running = s.hub.start(s.run)
	return s.running
}
