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
		4: parley.KindEdit, 5: parley.KindDelete, 6: parley.KindWithheld, // 7 is entryMore
		8: parley.KindReaction, 9: parley.KindPin, 10: parley.KindUnpin}
	conversationCodes = []parley.ConversationKind{1: parley.Direct, 2: parley.Group}
	roleCodes         = []parley.Role{1: parley.RoleOwner, 2: parley.RoleAdmin, 3: parley.RoleMember}
)

// The first byte of an entry: the code of its kind in three bits, and what
// else is there. Since format 2 the code may be entryMore: then a byte with the
// whole code follows, and one that says what stands before the body.
const (
	entryKindMask  = 0x07
	entryMore      = 0x07
	entryHasRef    = 0x08
	entryHasReply  = 0x10
	entryPlain     = 0x20 // the body is parley.TextPlain
	entryWideTime  = 0x40 // eight bytes of time instead of six
	entryHasOthers = 0x80 // Count is not Seq: the difference follows

	moreMentions  = 0x01
	moreForwarded = 0x02
	moreWithheld  = 0x04
	moreKnown     = moreMentions | moreForwarded | moreWithheld
)

var errValue = errors.New("pebblestore: value of no known shape")

// appendEntry writes e but its conversation and number, which are its key.
// What neighbours share stands together at the front, for the compressor.
func appendEntry(b []byte, e *parley.Entry) []byte {
	code, more := kindCode(e.Kind), entryMoreOf(e)
	flags := code
	if more != 0 || code > entryKindMask {
		flags = entryMore
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
	if flags&entryKindMask == entryMore {
		b = append(b, code, more)
	}
	if code == 0 {
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
	if more&moreMentions != 0 {
		b = appendIDs(b, e.Mentions)
	}
	if more&moreWithheld != 0 {
		b = appendIDs(b, e.Withheld)
	}
	return append(b, e.Body.Data...)
}

func kindCode(k parley.Kind) byte {
	if k == "" {
		return 0 // kindCodes has no word at 0, nor at entryMore
	}
	return byte(max(slices.Index(kindCodes, k), 0))
}

func entryMoreOf(e *parley.Entry) (more byte) {
	if len(e.Mentions) > 0 {
		more |= moreMentions
	}
	if e.Forwarded {
		more |= moreForwarded
	}
	if len(e.Withheld) > 0 {
		more |= moreWithheld
	}
	return more
}

// entryCount reads what the count of the entry seq is, and nothing else.
func entryCount(b []byte, seq parley.Seq) (uint64, error) {
	r := reader{b: b}
	flags, code, _ := r.entryHead()
	if code == 0 {
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
	var p page
	err := p.decode(b, &e)
	return e, err
}

// decode reads what appendEntry wrote into e, which has its key already.
func (p *page) decode(b []byte, e *parley.Entry) error {
	seq := e.Seq
	r := reader{b: b}
	flags, code, more := r.entryHead()
	e.Kind = word(&r, code, kindCodes)
	e.Count = uint64(seq)
	if flags&entryHasOthers != 0 {
		e.Count -= r.uvarint()
	}
	e.Sender, e.Device = parley.UserID(p.name(&r)), parley.DeviceID(p.name(&r))
	width := 6
	if flags&entryWideTime != 0 {
		width = 8
	}
	var ms uint64
	for _, c := range r.take(width) {
		ms = ms<<8 | uint64(c)
	}
	e.At = time.UnixMilli(int64(ms)).UTC()
	e.ID = parley.MessageID(p.id(&r))
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
	if more&moreMentions != 0 {
		e.Mentions = r.ids()
	}
	if more&moreWithheld != 0 {
		e.Withheld = r.ids()
	}
	e.Forwarded = more&moreForwarded != 0
	if r.err == nil && len(r.b) > 0 {
		e.Body.Data = p.keep(r.b)
	}
	return r.err
}

// entryHead reads how an entry begins.
func (r *reader) entryHead() (flags, code, more byte) {
	flags = r.byte()
	if code = flags & entryKindMask; code == entryMore {
		if code, more = r.byte(), r.byte(); code == entryMore || more&^moreKnown != 0 {
			r.fail(errValue)
		}
	}
	return flags, code, more
}

// Values other than entries are few and begin with the number of their shape.
// What fits the first shape is written in it: older programs' rows and ours
// are then the same bytes.
const (
	stateShape = 1
	statePins  = 2 // as 1, and then the pins
	rowShape   = 1
	rowWishes  = 2 // as 1, and then what appendWishes writes
)

func appendState(b []byte, c *parley.Conversation) []byte {
	shape := byte(stateShape)
	if len(c.Pins) > 0 {
		shape = statePins
	}
	b = append(b, shape)
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
	if shape == statePins {
		b = binary.AppendUvarint(b, uint64(len(c.Pins)))
		for _, seq := range c.Pins {
			b = binary.AppendUvarint(b, uint64(seq))
		}
	}
	return b
}

func decodeState(b []byte) (*parley.Conversation, error) {
	r := reader{b: b}
	shape := r.byte()
	if shape != stateShape && shape != statePins {
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
	if shape == statePins {
		if c.Pins = make([]parley.Seq, r.count(1)); len(c.Pins) == 0 {
			c.Pins = nil
		}
		for i := range c.Pins {
			c.Pins[i] = parley.Seq(r.uvarint())
		}
	}
	return c, r.end()
}

// appendRow writes r but its conversation, which is its key.
func appendRow(b []byte, row *parley.Row) []byte {
	shape, wishes := byte(rowShape), wishesOf(row)
	if wishes != 0 {
		shape = rowWishes
	}
	b = appendWord(append(b, shape), row.Kind, conversationCodes)
	for _, n := range [...]uint64{uint64(row.Pos), uint64(row.Since), uint64(row.Until), uint64(row.Head), row.Count,
		uint64(row.Delivered), uint64(row.Read), row.ReadCount, uint64(len(row.Own)), uint64(len(row.Past))} {
		b = binary.AppendUvarint(b, n)
	}
	b = appendRuns(b, row.Own)
	for _, p := range row.Past { // counted back from the row: small numbers
		b = binary.AppendUvarint(b, uint64(row.Pos-p.Pos))
		b = binary.AppendUvarint(b, uint64(row.Head-p.Head))
	}
	if wishes != 0 {
		b = appendWishes(b, row, wishes)
	}
	return b
}

func decodeRow(b []byte, c parley.ConversationID) (parley.Row, error) {
	r := reader{b: b}
	shape := r.byte()
	if shape != rowShape && shape != rowWishes {
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
	row.Own = r.runs(own)
	if past > 0 {
		row.Past = make([]parley.Checkpoint, past)
	}
	for i := range row.Past {
		row.Past[i].Pos = row.Pos - parley.Pos(r.uvarint())
		row.Past[i].Head = row.Head - parley.Seq(r.uvarint())
	}
	if shape == rowWishes {
		r.wishes(&row)
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
