package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"

	"github.com/parley-im/parley/wire"
)

// Draft is one message, or an act on one, on its way: it keeps its id from the
// moment it is composed until the ack, over any number of tries.
type Draft struct {
	Conversation, ID, Text string
	Base                   uint64
	Kind                   string   // empty: a message
	Target                 uint64   // of an act
	Mentions               []string // of a message

	seq uint64 // once acked
}

// op returns what a try of d is called in a history.
func (d *Draft) op() string {
	switch d.Kind {
	case kindEdit:
		return OpEdit
	case kindReaction:
		return OpReact
	case kindDelete:
		return OpDelete
	}
	return OpAppend
}

// body returns what d says, nil for what says nothing.
func (d *Draft) body() *wire.Body {
	if d.Text == "" {
		return nil
	}
	return textBody(d.Text)
}

// memory is what a device keeps over all its connections: its cursor, its
// logs, and what it has yet to send. It trusts the server: a cursor that comes
// is kept once every number that was announced before it is held. A server
// that skips something is therefore found out in the end.
type memory struct {
	rec          *Recorder
	user, device string
	jumps        bool // Jumps

	mu     sync.Mutex
	epoch  string
	cursor string // kept
	next   string // came, but something announced before it is not held yet
	logs   Logs
	wanted map[string]uint64 // heads announced and not held
	outbox []*Draft
	sent   []Draft // acked, for late resends
	resets int
	syncs  int
}

func newMemory(cfg *DeviceConfig) *memory {
	return &memory{rec: cfg.Recorder, user: cfg.User, device: cfg.Name, jumps: cfg.Fault == Jumps, logs: Logs{}, wanted: map[string]uint64{}}
}

// line begins an operation of this device.
func (m *memory) line(op, client string) Op {
	return Op{Op: op, Client: client, User: m.user, Device: m.device, Epoch: m.epoch, Result: OK}
}

func sum(body *wire.Body) string {
	if body == nil {
		return ""
	}
	text := ""
	if body.Text != nil {
		text = *body.Text
	}
	h := sha256.Sum256([]byte(body.Type + "\x00" + text + "\x00" + string(body.Data)))
	return hex.EncodeToString(h[:6])
}

func textBody(text string) *wire.Body { return &wire.Body{Type: "text/plain", Text: &text} }

// entriesOf returns what is kept of entries that are folded as of head; 0: each
// as of its own number.
func entriesOf(es []wire.Entry, head uint64) []Entry {
	out := make([]Entry, 0, len(es))
	for i := range es {
		out = append(out, entryOf(&es[i], head))
	}
	return out
}

func entryOf(e *wire.Entry, head uint64) Entry {
	out := Entry{
		Seq: e.Seq, ID: e.ID, Kind: e.Kind, Sender: e.Sender, Sum: sum(e.Body),
		Ref: e.Ref, Edited: e.Edited, Deleted: e.Deleted, Mentions: strings.Join(e.Mentions, " "), At: max(head, e.Seq),
	}
	switch {
	case e.Body == nil:
	case e.Kind == kindMembers:
		out.Members = string(e.Body.Data)
	case e.Kind == kindReaction && e.Body.Text != nil:
		out.Reactions = *e.Body.Text
	}
	for _, r := range e.Reactions {
		for _, u := range r.Users {
			out.Reactions = feel(out.Reactions, u, r.Text)
		}
	}
	return out
}

// welcome notes the epoch of a connection.
func (m *memory) welcome(epoch string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch = epoch
}

// reset drops everything: the server said so.
func (m *memory) reset(client, epoch string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if epoch != "" {
		m.epoch = epoch
	}
	m.cursor, m.next = "", ""
	m.logs, m.wanted = Logs{}, map[string]uint64{}
	m.resets++
	m.rec.Add(m.line(OpReset, client))
}

// received stores entries that came by themselves, of a connection or a sync
// that began at call.
func (m *memory) received(client string, call int64, es []wire.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(es) > 0 { // a sync's answer may speak of several conversations
		n := 1
		for n < len(es) && es[n].Conversation == es[0].Conversation {
			n++
		}
		op := m.line(OpRecv, client)
		op.Call, op.Conversation, op.Entries = call, es[0].Conversation, entriesOf(es[:n], 0)
		m.rec.Add(op)
		m.store(op.Conversation, op.Entries, false)
		es = es[n:]
	}
}

// answered stores what was asked for.
func (m *memory) answered(op Op) {
	m.mu.Lock()
	defer m.mu.Unlock()
	op.Epoch = m.epoch
	m.rec.Add(op)
	if len(op.Entries) > 0 && op.Entries[0].Seq > op.After+1 {
		delete(m.logs, op.Conversation) // a membership begins there
	}
	m.store(op.Conversation, op.Entries, true)
	if len(op.Entries) == 0 {
		delete(m.wanted, op.Conversation) // there is nothing more to have; the checker knows what to say
	}
	m.settle()
}

// store appends what continues the log and asks for what lies before a gap.
// Where a log begins (later than 1 for a member who came later) only the
// answer to a read can tell.
func (m *memory) store(c string, es []Entry, asked bool) {
	log := m.logs[c]
	for _, e := range es {
		switch h := head(log); {
		case e.Seq == h+1 || asked && len(log) == 0 || m.jumps && e.Seq > h:
			log = append(log, e)
		case e.Seq > h:
			m.wanted[c] = max(m.wanted[c], e.Seq)
		}
	}
	m.logs[c] = log
	if m.wanted[c] <= head(log) {
		delete(m.wanted, c)
	}
}

// rows stores what the inbox says and notes what is to be fetched.
func (m *memory) rows(client string, call int64, rows []wire.Row) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range rows {
		r := &rows[i]
		op := m.line(OpRow, client)
		op.Call, op.Conversation, op.Head, op.Marker, op.Unread = call, r.ID, &r.Head, r.Read, r.Unread
		op.Delivered, op.Mentions, op.Last, op.Since, op.Until = r.Delivered, r.Mentions, lastSum(r.Last), r.Since, r.Until
		m.rec.Add(op)
		if log := m.logs[r.ID]; len(log) > 0 && (r.Since > head(log)+1 || log[0].Seq > max(r.Since, 1)) {
			delete(m.logs, r.ID) // of a membership that is over, or there is more before it
		}
		if r.Head > head(m.logs[r.ID]) {
			m.wanted[r.ID] = max(m.wanted[r.ID], r.Head)
		}
	}
}

// lastSum is the sum of the message that a row shows, "" if it shows none.
func lastSum(l *wire.Last) string {
	if l == nil || l.Text == "" {
		return ""
	}
	return sum(textBody(l.Text))
}

// keep takes a cursor that may be kept once all before it is stored.
func (m *memory) keep(cursor string) {
	if cursor == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next = cursor
	m.settle()
}

func (m *memory) settle() {
	if m.next == "" || len(m.wanted) > 0 {
		return
	}
	m.cursor, m.next = m.next, ""
	op := m.line(OpCursor, "")
	op.Cursor = m.cursor
	m.rec.Add(op)
}

// lost forgets what a connection had begun.
func (m *memory) lost() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.next != "" {
		m.next = ""
		// What was announced after the kept cursor comes again.
		clear(m.wanted)
	}
}

// want returns a conversation to read from, and after which number.
func (m *memory) want() (c string, after uint64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range sorted(m.wanted) {
		return c, head(m.logs[c]), true
	}
	return "", 0, false
}

func (m *memory) at() (cursor string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cursor
}

func (m *memory) head(c string) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return head(m.logs[c])
}

// compose queues what is new.
func (m *memory) compose(d *Draft) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d.Base = head(m.logs[d.Conversation])
	m.outbox = append(m.outbox, d)
}

// mine returns the nth message of this device's own that was acked.
func (m *memory) mine(n int) (c string, seq uint64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.sent {
		if d := &m.sent[(n+i)%len(m.sent)]; d.Kind == "" {
			return d.Conversation, d.seq, true
		}
	}
	return "", 0, false
}

// recent returns one of the last messages held of c: the nth from the end, or
// one before it.
func (m *memory) recent(c string, n int) (seq uint64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	log := m.logs[c]
	for i := len(log) - 1 - n; i >= 0; i-- {
		if log[i].Kind == kindMessage {
			return log[i].Seq, true
		}
	}
	return 0, false
}

// pending returns up to n drafts that wait for an ack, oldest first.
func (m *memory) pending(n int) []*Draft {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]*Draft(nil), m.outbox[:min(n, len(m.outbox))]...)
}

// unsent counts what waits for an ack.
func (m *memory) unsent() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.outbox)
}

// ended records the end of a try. ok says whether it was acked.
func (m *memory) ended(client string, d *Draft, call int64, seq uint64, result Result, code string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	op := m.line(d.op(), client)
	op.Call, op.Conversation, op.ID, op.Sum, op.Target = call, d.Conversation, d.ID, sum(d.body()), d.Target
	op.Seq, op.Result, op.Code = seq, result, code
	m.rec.Add(op)
	if result == Unknown {
		return
	}
	for i, have := range m.outbox {
		if have.ID == d.ID {
			m.outbox = append(m.outbox[:i], m.outbox[i+1:]...)
			if result == OK {
				acked := *d
				acked.seq = seq
				m.sent = append(m.sent, acked)
			}
			return
		}
	}
}

// again puts the nth acked message back into the outbox, as a device does
// that died before it could note the ack.
func (m *memory) again(n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.sent) == 0 {
		return false
	}
	d := m.sent[n%len(m.sent)]
	m.outbox = append(m.outbox, &d)
	return true
}

func (m *memory) idle() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.outbox) == 0 && len(m.wanted) == 0 && m.next == ""
}

func (m *memory) holding() Holding {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := Holding{User: m.user, Epoch: m.epoch, Logs: Logs{}, Resets: m.resets}
	for c, log := range m.logs {
		h.Logs[c] = append([]Entry(nil), log...)
	}
	return h
}

// synced notes that a sync begun at call has ended.
func (m *memory) synced(client string, call int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	op := m.line(OpSync, client)
	op.Call = call
	m.rec.Add(op)
	m.syncs++
}

// upToDate reports whether a sync has ended and nothing announced is missing.
func (m *memory) upToDate() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.syncs > 0 && len(m.wanted) == 0 && m.next == ""
}
