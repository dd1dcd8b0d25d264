package session

import (
	"context"
	"log/slog"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/fanout"
	"github.com/parley-im/parley/wire"
)

const (
	// rowsAtOnce is how many rows one changes frame is made from.
	rowsAtOnce = 50
	// maxBehind is how many entries of one conversation a session tells
	// unasked. A device further behind gets the row and asks for the entries.
	maxBehind = 200
	// maxResume bounds the entries told unasked on one resume; conversations
	// that do not fit get their row.
	maxResume = 1000
	// tellAtOnce is how many bytes of entries one conversation adds to a
	// write before the others may speak.
	tellAtOnce = 128 << 10
	// answerAfter is how long an answer waits for what the same write could
	// bring: reading may have to wait for another node.
	answerAfter = 20 * time.Millisecond
)

// work is what one round has to say, beside answers.
type work struct {
	reads    []wire.ClientFrame
	nudged   map[parley.ConversationID]parley.Seq
	changed  bool
	receipts map[about]parley.Receipt
	asides   *asides
	contacts bool
	lead     string
}

// take takes what there is to say; false when there is nothing: then the
// session no longer runs. Receipts and asides wait until there is nothing else.
func (s *Session) take() (work, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := work{reads: s.reads, nudged: s.nudged, changed: s.changed, lead: s.lead}
	s.reads, s.nudged, s.changed = nil, nil, false
	if s.closed {
		s.running = false
		return w, false
	}
	if len(s.out)+len(w.reads)+len(w.nudged) > 0 || w.changed || w.lead != "" {
		return w, true
	}
	w.receipts, s.receipts = s.receipts, nil
	w.asides, s.asides = s.asides, nil
	w.contacts, s.contacts = s.contacts, false
	s.running = len(w.receipts) > 0 || w.asides != nil || w.contacts
	return w, s.running
}

// run says what there is to say, a round at a time, each in one write. Answers
// do not wait for the rest of it for long, and are written also when it fails.
func (s *Session) run() {
	for {
		w, ok := s.take()
		if !ok {
			return
		}
		if len(w.reads) > 0 {
			s.reading(true)
			var pages [][]byte
			for _, f := range w.reads {
				pages = append(pages, s.page(f))
			}
			s.write(pages)
		}
		s.reading(w.changed || len(w.nudged) > 0)
		frames, err := s.tell(w)
		if err != nil {
			s.write(nil)
			s.hub.cfg.Logger.Warn("session could not read", slog.Any("err", err))
			s.fail(err)
			continue
		}
		if w.lead != "" {
			frames = append(frames, wire.AppendGoaway(nil, 0, w.lead))
		}
		s.write(frames)
		if w.lead != "" {
			s.mu.Lock()
			s.closeLocked(wire.CloseRetryNow, "another node of this server is nearer to you")
			s.mu.Unlock()
		}
	}
}

// tellContacts tells how far the list of contacts has got; nothing if that is
// not known: it is a hint.
func (s *Session) tellContacts(frames [][]byte) [][]byte {
	if rev := s.hub.contactsRev(s.user); rev > 0 {
		frames = append(frames, wire.AppendContacts(nil, rev))
	}
	return frames
}

// tell reads what a round has to tell. It may wait for the store, or for the
// node that holds the inbox.
func (s *Session) tell(w work) (frames [][]byte, err error) {
	if w.changed {
		frames, err = s.tellRows(frames)
	}
	for c, head := range w.nudged {
		if err == nil {
			frames, err = s.tellNudged(frames, c, head)
		}
	}
	for _, r := range w.receipts {
		frames = append(frames, wire.AppendReceipts(nil, r))
	}
	frames = w.asides.frames(frames)
	if w.contacts {
		frames = s.tellContacts(frames)
	}
	return frames, err
}

// write writes frames, after the answers that there are.
func (s *Session) write(frames [][]byte) {
	for {
		s.mu.Lock()
		answering := s.answering
		if answering == nil {
			break
		}
		s.mu.Unlock()
		<-answering
	}
	s.waits = false
	out := s.answersLocked()
	s.mu.Unlock()
	s.send(append(out, frames...))
}

// answersLocked takes the answers there are. s.mu is held.
func (s *Session) answersLocked() [][]byte {
	out := s.out
	s.out, s.outBytes = nil, 0
	return out
}

func (s *Session) send(frames [][]byte) {
	if len(frames) > 0 && s.conn.WriteFrames(frames) != nil {
		// The connection says so to edge, which tells this session.
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
	}
}

// reading takes note that the round waits, or may, until it writes.
func (s *Session) reading(waits bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waits = waits; len(s.out) > 0 {
		s.answerSoon()
	}
}

// answerSoon has the answers there are written in a moment, should the round
// still wait then. s.mu is held.
func (s *Session) answerSoon() {
	if s.waits && !s.soon {
		s.soon = true
		time.AfterFunc(answerAfter, s.answer)
	}
}

// answer writes the answers there are while the round waits.
func (s *Session) answer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.soon = false
	if !s.waits || s.closed || len(s.out) == 0 || s.answering != nil {
		return
	}
	out, done := s.answersLocked(), make(chan struct{})
	if s.hub.start(func() {
		s.send(out)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.answering = nil
		close(done)
		if len(s.out) > 0 {
			s.answerSoon()
		}
	}) {
		s.answering = done
	}
}

// again marks what a round left over.
func (s *Session) again(c parley.ConversationID, head parley.Seq) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.note(c, head)
	}
}

// tellNudged tells what is new in c, up to head, past what the device was
// told.
func (s *Session) tellNudged(frames [][]byte, c parley.ConversationID, head parley.Seq) ([][]byte, error) {
	had, m, ok := s.hub.cfg.Inboxes.HeadFor(s.hub.ctx, s.user, c, s.at)
	if m.Since == 0 {
		return frames, nil // what the user may read is not known: the row tells of it
	}
	if told, known := s.told(c); known {
		had, ok = max(had, told), true
	}
	if m.Until != 0 {
		head = min(head, m.Until)
	}
	if !ok || had >= head || head-had > maxBehind {
		return frames, nil // nothing new, or the row tells of it
	}
	frames, _, err := s.tellEntries(frames, c, had, head)
	return frames, err
}

// told returns how much of c this connection has told.
func (s *Session) told(c parley.ConversationID) (parley.Seq, bool) {
	if had, ok := s.ahead[c]; ok {
		return had, true
	}
	had, ok := s.paged[c]
	return had, ok
}

// tellEntries tells the entries had+1..head of c, or as many of them as go
// into one round; the rest is told in the next. It returns how many it told.
// The position may move over had only because everything up to had was told.
func (s *Session) tellEntries(frames [][]byte, c parley.ConversationID, had, head parley.Seq) ([][]byte, int, error) {
	read := s.hub.cfg.Fanout.Read
	if !s.resuming {
		read = s.live
	}
	told, err := read(s.hub.ctx, c, had, int(head-had))
	if err != nil || len(told) == 0 {
		return frames, 0, err
	}
	size, n := 0, 0
	for n < len(told) && size < tellAtOnce {
		size += len(told[n].WireFor(s.user, encode))
		n++
	}
	told = told[:n]
	last := told[n-1].Seq
	if last < head {
		s.again(c, head)
	}
	if s.ahead == nil {
		s.ahead = make(map[parley.ConversationID]parley.Seq)
	}
	s.ahead[c] = last
	return s.appendEntries(frames, "", c, told, last), n, nil
}

// live reads what is pushed to a device that has caught up.
func (s *Session) live(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) ([]*fanout.Told, error) {
	return s.hub.cfg.Fanout.ReadAt(ctx, c, after, limit, 0)
}

// appendEntries makes as few entries frames as the frame limit allows.
func (s *Session) appendEntries(frames [][]byte, ref wire.Ref, c parley.ConversationID, told []*fanout.Told, head parley.Seq) [][]byte {
	encoded := make([][]byte, len(told))
	for i, t := range told {
		encoded[i] = t.WireFor(s.user, encode)
	}
	for len(encoded) > 0 {
		n := max(1, wire.FitEntries(encoded))
		size := 0
		for _, e := range encoded[:n] {
			size += len(e) + 1
		}
		frames = append(frames, wire.AppendEntries(make([]byte, 0, size+256), ref, c, encoded[:n], head, ""))
		encoded = encoded[n:]
	}
	return frames
}

// tellRows tells the rows that changed after the session's position, each
// after the entries it stands for, and moves the position.
func (s *Session) tellRows(frames [][]byte) ([][]byte, error) {
	read := s.hub.cfg.Inboxes.Written
	if s.resuming {
		// What was acknowledged before this connection began is in the first
		// answer, also when its rows were not yet written.
		read = s.hub.cfg.Inboxes.After
	}
	rows, now, err := read(s.hub.ctx, s.user, s.pos, rowsAtOnce)
	if err == nil && s.resuming && s.pos > now {
		// The cursor is ahead of the inbox: the device begins from nothing.
		frames = append(frames, wire.AppendResync(nil, s.hub.cfg.Epoch))
		s.at, s.pos = parley.Cursor{Epoch: s.hub.cfg.Epoch}, 0
		rows, now, err = read(s.hub.ctx, s.user, s.pos, rowsAtOnce)
	}
	if err != nil {
		return frames, err
	}
	if len(rows) == 0 {
		if s.resuming {
			s.caughtUp()
			frames = append(frames, wire.AppendChanges(nil, nil, s.cursor(), false))
		}
		return frames, nil
	}
	for i := range rows {
		if frames, err = s.tellBefore(frames, &rows[i]); err != nil {
			return frames, err
		}
	}
	return s.tellChanges(frames, rows, now)
}

// tellBefore tells the entries that a row stands for, unless the device is so
// far behind that it had better ask for what it needs.
func (s *Session) tellBefore(frames [][]byte, r *parley.Row) ([][]byte, error) {
	had, known := s.told(r.Conversation)
	if !known {
		had, known = r.HeadFor(s.at)
	}
	had = max(had, max(r.Since, 1)-1) // what was told may be of an earlier membership
	if !known || had >= r.Head || r.Head-had > maxBehind || s.resuming && int(r.Head-had) > s.unasked {
		return frames, nil
	}
	for had < r.Head {
		more, n, err := s.tellEntries(frames, r.Conversation, had, r.Head)
		if err != nil || n == 0 {
			return more, err
		}
		frames, had = more, had+parley.Seq(n)
		s.unasked -= n
	}
	return frames, nil
}

// tellChanges tells rows and moves the position over them.
func (s *Session) tellChanges(frames [][]byte, rows []parley.Row, now parley.Pos) ([][]byte, error) {
	described, err := s.hub.cfg.Describer.Describe(s.hub.ctx, s.user, rows)
	if err != nil {
		return frames, err
	}
	for len(rows) > 0 {
		n := min(len(rows), max(1, wire.FitRows(described)))
		s.pos = rows[n-1].Pos
		for i := range rows[:n] {
			s.saw(&rows[i])
		}
		if s.pos >= now {
			s.caughtUp()
		}
		frames = append(frames, wire.AppendChanges(nil, described[:n], s.cursor(), s.pos < now))
		rows, described = rows[n:], described[n:]
	}
	if s.pos < now {
		s.mu.Lock()
		s.changed = true
		s.mu.Unlock()
	}
	return frames, nil
}

// saw takes note that the device was told a row.
func (s *Session) saw(r *parley.Row) {
	if s.ahead[r.Conversation] <= r.Head {
		delete(s.ahead, r.Conversation)
	}
	if s.paged == nil {
		s.paged = make(map[parley.ConversationID]parley.Seq)
	}
	s.paged[r.Conversation] = r.Head
}

// caughtUp takes note that the device was told every row there is. What was
// remembered of the pages goes: an idle session holds nothing.
func (s *Session) caughtUp() {
	s.at.Pos, s.at.Lag = s.pos, 0
	s.resuming, s.paged = false, nil
	if len(s.ahead) == 0 {
		s.ahead = nil
	}
}

// cursor is the cursor of the device as it stands.
func (s *Session) cursor() string {
	c := s.at
	c.Pos, c.Lag = s.pos, c.Lag+s.pos-c.Pos
	return c.String()
}
