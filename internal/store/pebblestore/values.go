package pebblestore

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	parley "github.com/parley-im/parley"
)

// The words that values write as one number. Append only; 0 means that the
// word itself follows.
var (
	kindCodes = []parley.Kind{1: parley.KindMessage, 2: parley.KindMembers, 3: parley.KindTitle,
		4: parley.KindEdit, 5: parley.KindDelete, 6: parley.KindWithheld}
	conversationCodes = []parley.ConversationKind{1: parley.Direct, 2: parley.Group}
	roleCodes         = []parley.Role{1: parley.RoleOwner, 2: parley.RoleAdmin, 3: parley.RoleMember}
)

// The first byte of an entry: the code of its kind in three bits, and what
// else is there.
const (
	entryKindMask  = 0x07
	entryHasRef    = 0x08
	entryHasReply  = 0x10
	entryPlain     = 0x20 // the body is parley.TextPlain
	entryWideTime  = 0x40 // eight bytes of time instead of six
	entryHasOthers = 0x80 // Count is not Seq: the difference follows
)

var errValue = errors.New("pebblestore: value of no known shape")

// appendEntry writes e but its conversation and number, which are its key.
// What neighbours share stands together at the front, for the compressor.
func appendEntry(b []byte, e *parley.Entry) []byte {
	flags := byte(max(slices.Index(kindCodes, e.Kind), 0))
	if e.Kind == "" {
		flags = 0
	}
	ms := e.At.UnixMilli()
	if e.Ref != 0 {
		flags |= entryHasRef
	}
	if e.ReplyTo != 0 {
		flags |= entryHasReply
	}
	if e.Body.Type == parley.TextPlain {
		flags |= entryPlain
	}
	if ms>>47 != 0 {
		flags |= entryWideTime
	}
	if e.Count != uint64(e.Seq) {
		flags |= entryHasOthers
	}
	b = append(b, flags)
	if flags&entryKindMask == 0 {
		b = appendString(b, string(e.Kind))
	}
	if flags&entryHasOthers != 0 {
		b = binary.AppendUvarint(b, uint64(e.Seq)-e.Count)
	}
	b = appendID(appendID(b, e.Sender), e.Device)
	if flags&entryWideTime == 0 {
		b = append(b, byte(ms>>40), byte(ms>>32))
		b = binary.BigEndian.AppendUint32(b, uint32(ms))
	} else {
		b = binary.BigEndian.AppendUint64(b, uint64(ms))
	}
	b = appendID(b, e.ID)
	if flags&entryPlain == 0 {
		b = appendString(b, e.Body.Type)
	}
	if flags&entryHasRef != 0 {
		b = binary.AppendUvarint(b, uint64(e.Seq-e.Ref))
	}
	if flags&entryHasReply != 0 {
		b = binary.AppendUvarint(b, uint64(e.Seq-e.ReplyTo))
	}
	return append(b, e.Body.Data...)
}

// entryCount reads what the count of the entry seq is, and nothing else.
func entryCount(b []byte, seq parley.Seq) (uint64, error) {
	r := reader{b: b}
	flags := r.byte()
	if flags&entryKindMask == 0 {
		r.bytes()
	}
	others := uint64(0)
	if flags&entryHasOthers != 0 {
		others = r.uvarint()
	}
	return uint64(seq) - others, r.err
}

func decodeEntry(b []byte, c parley.ConversationID, seq parley.Seq) (parley.Entry, error) {
	e := parley.Entry{Conversation: c, Seq: seq}
	r := reader{b: b}
	flags := r.byte()
	e.Kind = word(&r, flags&entryKindMask, kindCodes)
	e.Count = uint64(seq)
	if flags&entryHasOthers != 0 {
		e.Count -= r.uvarint()
	}
	e.Sender, e.Device = readID[parley.UserID](&r), readID[parley.DeviceID](&r)
	width := 6
	if flags&entryWideTime != 0 {
		width = 8
	}
	var ms uint64
	for _, c := range r.take(width) {
		ms = ms<<8 | uint64(c)
	}
	e.At = time.UnixMilli(int64(ms)).UTC()
	e.ID = readID[parley.MessageID](&r)
	if flags&entryPlain != 0 {
		e.Body.Type = parley.TextPlain
	} else {
		e.Body.Type = string(r.bytes())
	}
	if flags&entryHasRef != 0 {
		e.Ref = seq - parley.Seq(r.uvarint())
	}
	if flags&entryHasReply != 0 {
		e.ReplyTo = seq - parley.Seq(r.uvarint())
	}
	if r.err == nil && len(r.b) > 0 {
		e.Body.Data = append([]byte(nil), r.b...)
	}
	return e, r.err
}

// Values other than entries are few and begin with the number of their shape.
const (
	stateShape = 1
	rowShape   = 1
)

func appendState(b []byte, c *parley.Conversation) []byte {
	b = append(b, stateShape)
	b = appendID(b, c.ID)
	b = appendWord(b, c.Kind, conversationCodes)
	b = appendString(b, c.Title)
	b = binary.AppendVarint(b, c.Created.UnixMilli())
	b = binary.AppendUvarint(b, uint64(len(c.Members)))
	for i := range c.Members {
		m := &c.Members[i]
		b = appendWord(appendID(b, m.User), m.Role, roleCodes)
		b = binary.AppendUvarint(b, uint64(m.Since))
		b = binary.AppendUvarint(b, uint64(m.Until))
	}
	return b
}

func decodeState(b []byte) (*parley.Conversation, error) {
	r := reader{b: b}
	if r.byte() != stateShape {
		return nil, errValue
	}
	c := &parley.Conversation{ID: readID[parley.ConversationID](&r)}
	c.Kind = word(&r, r.byte(), conversationCodes)
	c.Title = string(r.bytes())
	c.Created = time.UnixMilli(r.varint()).UTC()
	n := r.count(4)
	if n > 0 {
		c.Members = make([]parley.Member, n)
	}
	for i := range c.Members {
		m := &c.Members[i]
		m.User = readID[parley.UserID](&r)
		m.Role = word(&r, r.byte(), roleCodes)
		m.Since, m.Until = parley.Seq(r.uvarint()), parley.Seq(r.uvarint())
	}
	return c, r.end()
}

// appendRow writes r but its conversation, which is its key.
func appendRow(b []byte, row *parley.Row) []byte {
	b = appendWord(append(b, rowShape), row.Kind, conversationCodes)
	for _, n := range [...]uint64{uint64(row.Pos), uint64(row.Since), uint64(row.Until), uint64(row.Head), row.Count,
		uint64(row.Delivered), uint64(row.Read), row.ReadCount, uint64(len(row.Own)), uint64(len(row.Past))} {
		b = binary.AppendUvarint(b, n)
	}
	var last parley.Seq
	for _, run := range row.Own {
		b = binary.AppendUvarint(b, uint64(run.From-last))
		b = binary.AppendUvarint(b, uint64(run.To-run.From))
		last = run.To
	}
	for _, p := range row.Past { // counted back from the row: small numbers
		b = binary.AppendUvarint(b, uint64(row.Pos-p.Pos))
		b = binary.AppendUvarint(b, uint64(row.Head-p.Head))
	}
	return b
}

func decodeRow(b []byte, c parley.ConversationID) (parley.Row, error) {
	r := reader{b: b}
	if r.byte() != rowShape {
		return parley.Row{}, errValue
	}
	row := parley.Row{Conversation: c, Kind: word(&r, r.byte(), conversationCodes)}
	row.Pos = parley.Pos(r.uvarint())
	row.Since, row.Until, row.Head = parley.Seq(r.uvarint()), parley.Seq(r.uvarint()), parley.Seq(r.uvarint())
	row.Count = r.uvarint()
	row.Delivered, row.Read, row.ReadCount = parley.Seq(r.uvarint()), parley.Seq(r.uvarint()), r.uvarint()
	own, past := r.count(2), r.uvarint()
	if past > uint64(len(r.b))/2 {
		return row, errShort
	}
	if own > 0 {
		row.Own = make([]parley.Run, own)
	}
	var last parley.Seq
	for i := range row.Own {
		from := last + parley.Seq(r.uvarint())
		last = from + parley.Seq(r.uvarint())
		row.Own[i] = parley.Run{From: from, To: last}
	}
	if past > 0 {
		row.Past = make([]parley.Checkpoint, past)
	}
	for i := range row.Past {
		row.Past[i].Pos = row.Pos - parley.Pos(r.uvarint())
		row.Past[i].Head = row.Head - parley.Seq(r.uvarint())
	}
	return row, r.end()
}

func appendRecord(b []byte, version uint64, value []byte) []byte {
	return append(binary.AppendUvarint(b, version), value...)
}

func decodeRecord(b []byte) (version uint64, value []byte, err error) {
	version, value, err = takeUvarint(b)
	if err == nil && version == 0 {
		err = errValue
	}
	return version, value, err
}

func appendWord[T ~string](b []byte, w T, codes []T) []byte {
	if i := slices.Index(codes, w); i > 0 && w != "" {
		return append(b, byte(i))
	}
	return appendString(append(b, 0), string(w))
}

func word[T ~string](r *reader, code byte, codes []T) T {
	if code == 0 {
		return T(r.bytes())
	}
	if int(code) >= len(codes) {
		r.fail(errValue)
		return ""
	}
	return codes[code]
}

// reader takes a value apart and remembers the first failure.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.fail(errShort)
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail(errShort)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail(errShort)
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads how many items of at least size bytes follow; a number that
// cannot be true fails before anything is made for it.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail(errShort)
		return 0
	}
	return int(n)
}

func (r *reader) bytes() []byte {
	s, rest, err := takeBytes(r.b)
	if err != nil {
		r.fail(err)
		return nil
	}
	r.b = rest
	return s
}

func (r *reader) end() error {
	if r.err == nil && len(r.b) != 0 {
		return errValue
	}
	return r.err
}

func readID[T ~string](r *reader) T {
	id, rest, err := takeID[T](r.b)
	if err != nil {
		r.fail(err)
		return ""
	}
	r.b = rest
	return id
}
