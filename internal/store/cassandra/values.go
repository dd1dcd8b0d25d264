package cassandra

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	parley "github.com/parley-im/parley"
)

// Values are the number of their shape and then fields: a tag, odd when bytes
// follow and even when a number does, and the number or the bytes with their
// length. A field that is zero is left out. Tags are append only; a value with
// a tag that is not known here was written by a newer program, which the
// schema's version keeps away.
const valueShape = 1

// The tags of an entry; what is its key is not in it.
const (
	entryKind   = 1
	entryID     = 3
	entrySender = 5
	entryDevice = 7
	entryAt     = 2 // milliseconds, zigzag
	entryType   = 9
	entryData   = 11
	entryRef    = 4
	entryReply  = 6
	entryCount  = 8

	// Since schema 2; a list is the field, once for each.
	entryMention   = 13
	entryForwarded = 10
	entryWithheld  = 15
)

// The tags of a conversation's state, and of the members in it.
const (
	stateID      = 1
	stateKind    = 3
	stateTitle   = 5
	stateCreated = 2 // milliseconds, zigzag
	stateMember  = 7
	statePins    = 9 // numbers; since schema 2

	memberUser  = 1
	memberRole  = 3
	memberSince = 2
	memberUntil = 4
)

// The tags of an inbox row. Own and past are pairs of numbers.
const (
	rowKind      = 1
	rowPos       = 2
	rowSince     = 4
	rowUntil     = 6
	rowHead      = 8
	rowCount     = 10
	rowDelivered = 12
	rowRead      = 14
	rowReadCount = 16
	rowOwn       = 3
	rowPast      = 5

	// Since schema 2.
	rowSpoke     = 18
	rowMuted     = 20 // milliseconds, zigzag, and one
	rowArchived  = 22
	rowPinned    = 24
	rowMentioned = 7 // numbers
	rowHidden    = 9 // pairs
	rowDraft     = 11
	rowDraftTo   = 26
	rowDraftAt   = 28 // as rowMuted
)

// value is what is being written.
type value []byte

func (v value) number(tag byte, n uint64) value {
	if n == 0 {
		return v
	}
	return binary.AppendUvarint(append(v, tag), n)
}

func (v value) text(tag byte, s string) value {
	if s == "" {
		return v
	}
	return append(binary.AppendUvarint(append(v, tag), uint64(len(s))), s...)
}

func (v value) time(tag byte, t time.Time) value {
	ms := t.UnixMilli()
	return v.number(tag, uint64(ms<<1)^uint64(ms>>63))
}

// moment is time for what may be no time at all, which is left out.
func (v value) moment(tag byte, t time.Time) value {
	if t.IsZero() {
		return v
	}
	ms := t.UnixMilli()
	return v.number(tag, uint64(ms<<1)^uint64(ms>>63)+1)
}

func (v value) flag(tag byte, b bool) value {
	if !b {
		return v
	}
	return v.number(tag, 1)
}

func (v value) users(tag byte, users []parley.UserID) value {
	for _, u := range users {
		v = v.text(tag, string(u))
	}
	return v
}

func (v value) seqs(tag byte, seqs []parley.Seq) value {
	var list []byte
	for _, seq := range seqs {
		list = binary.AppendUvarint(list, uint64(seq))
	}
	return v.text(tag, string(list))
}

func timeOf(n uint64) time.Time { return time.UnixMilli(int64(n>>1) ^ -int64(n&1)).UTC() }

// momentOf reads what moment wrote; fields never hands out a zero of ours.
func momentOf(n uint64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return timeOf(n - 1)
}

var errValue = errors.New("a value of no known shape")

// fields takes a value apart and hands each field to one of the two.
func fields(b []byte, number func(tag byte, n uint64) bool, text func(tag byte, s []byte) bool) error {
	if len(b) == 0 || b[0] != valueShape {
		return errValue
	}
	for b = b[1:]; len(b) > 0; {
		tag := b[0]
		n, width := binary.Uvarint(b[1:])
		if width <= 0 {
			return errValue
		}
		b = b[1+width:]
		known := false
		if tag&1 == 0 {
			known = number(tag, n)
		} else {
			if n > uint64(len(b)) {
				return errValue
			}
			known = text(tag, b[:n])
			b = b[n:]
		}
		if !known {
			return fmt.Errorf("%w: field %d", errValue, tag)
		}
	}
	return nil
}

func encodeEntry(e *parley.Entry) []byte {
	v := make(value, 0, 160+len(e.Body.Data))
	v = append(v, valueShape).text(entryKind, string(e.Kind)).text(entrySender, string(e.Sender)).text(entryDevice, string(e.Device))
	v = v.text(entryType, e.Body.Type).number(entryCount, e.Count).time(entryAt, e.At).text(entryID, string(e.ID))
	v = v.users(entryMention, e.Mentions).flag(entryForwarded, e.Forwarded).users(entryWithheld, e.Withheld)
	return v.number(entryRef, uint64(e.Ref)).number(entryReply, uint64(e.ReplyTo)).text(entryData, string(e.Body.Data))
}

func decodeEntry(b []byte) (e parley.Entry, err error) {
	e.At = timeOf(0)
	err = fields(b, func(tag byte, n uint64) bool {
		switch tag {
		case entryAt:
			e.At = timeOf(n)
		case entryRef:
			e.Ref = parley.Seq(n)
		case entryReply:
			e.ReplyTo = parley.Seq(n)
		case entryCount:
			e.Count = n
		case entryForwarded:
			e.Forwarded = n != 0
		default:
			return false
		}
		return true
	}, func(tag byte, s []byte) bool {
		switch tag {
		case entryKind:
			e.Kind = parley.Kind(s)
		case entryID:
			e.ID = parley.MessageID(s)
		case entrySender:
			e.Sender = parley.UserID(s)
		case entryDevice:
			e.Device = parley.DeviceID(s)
		case entryType:
			e.Body.Type = string(s)
		case entryData:
			e.Body.Data = append([]byte(nil), s...)
		case entryMention:
			e.Mentions = append(e.Mentions, parley.UserID(s))
		case entryWithheld:
			e.Withheld = append(e.Withheld, parley.UserID(s))
		default:
			return false
		}
		return true
	})
	return e, err
}

func encodeState(c *parley.Conversation) []byte {
	v := value{valueShape}.text(stateID, string(c.ID)).text(stateKind, string(c.Kind)).text(stateTitle, c.Title).time(stateCreated, c.Created)
	for i := range c.Members {
		m := &c.Members[i]
		one := value{valueShape}.text(memberUser, string(m.User)).text(memberRole, string(m.Role))
		v = v.text(stateMember, string(one.number(memberSince, uint64(m.Since)).number(memberUntil, uint64(m.Until))))
	}
	return v.seqs(statePins, c.Pins)
}

func decodeState(b []byte) (*parley.Conversation, error) {
	c := &parley.Conversation{Created: timeOf(0)}
	var inner error
	err := fields(b, func(tag byte, n uint64) bool {
		c.Created = timeOf(n)
		return tag == stateCreated
	}, func(tag byte, s []byte) bool {
		switch tag {
		case stateID:
			c.ID = parley.ConversationID(s)
		case stateKind:
			c.Kind = parley.ConversationKind(s)
		case stateTitle:
			c.Title = string(s)
		case stateMember:
			m, err := decodeMember(s)
			c.Members, inner = append(c.Members, m), errors.Join(inner, err)
		case statePins:
			inner = errors.Join(inner, eachNumber(s, func(n uint64) { c.Pins = append(c.Pins, parley.Seq(n)) }))
		default:
			return false
		}
		return true
	})
	return c, errors.Join(err, inner)
}

func decodeMember(b []byte) (m parley.Member, err error) {
	err = fields(b, func(tag byte, n uint64) bool {
		switch tag {
		case memberSince:
			m.Since = parley.Seq(n)
		case memberUntil:
			m.Until = parley.Seq(n)
		default:
			return false
		}
		return true
	}, func(tag byte, s []byte) bool {
		switch tag {
		case memberUser:
			m.User = parley.UserID(s)
		case memberRole:
			m.Role = parley.Role(s)
		default:
			return false
		}
		return true
	})
	return m, err
}

func encodeRow(r *parley.Row) []byte {
	v := value{valueShape}.text(rowKind, string(r.Kind))
	v = v.number(rowPos, uint64(r.Pos)).number(rowSince, uint64(r.Since)).number(rowUntil, uint64(r.Until))
	v = v.number(rowHead, uint64(r.Head)).number(rowCount, r.Count).number(rowDelivered, uint64(r.Delivered))
	v = v.number(rowRead, uint64(r.Read)).number(rowReadCount, r.ReadCount)
	var own, past []byte
	for _, run := range r.Own {
		own = binary.AppendUvarint(binary.AppendUvarint(own, uint64(run.From)), uint64(run.To))
	}
	for _, p := range r.Past {
		past = binary.AppendUvarint(binary.AppendUvarint(past, uint64(p.Pos)), uint64(p.Head))
	}
	v = v.text(rowOwn, string(own)).text(rowPast, string(past))
	p := &r.Personal
	var hidden []byte
	for _, run := range p.Hidden {
		hidden = binary.AppendUvarint(binary.AppendUvarint(hidden, uint64(run.From)), uint64(run.To))
	}
	v = v.flag(rowSpoke, r.Spoke).seqs(rowMentioned, r.Mentioned).moment(rowMuted, p.Muted).flag(rowArchived, p.Archived).flag(rowPinned, p.Pinned)
	return v.text(rowHidden, string(hidden)).text(rowDraft, p.Draft.Text).number(rowDraftTo, uint64(p.Draft.ReplyTo)).moment(rowDraftAt, p.Draft.At)
}

func decodeRow(b []byte) (r parley.Row, err error) {
	var inner error
	numbers := map[byte]func(uint64){
		rowPos:       func(n uint64) { r.Pos = parley.Pos(n) },
		rowSince:     func(n uint64) { r.Since = parley.Seq(n) },
		rowUntil:     func(n uint64) { r.Until = parley.Seq(n) },
		rowHead:      func(n uint64) { r.Head = parley.Seq(n) },
		rowCount:     func(n uint64) { r.Count = n },
		rowDelivered: func(n uint64) { r.Delivered = parley.Seq(n) },
		rowRead:      func(n uint64) { r.Read = parley.Seq(n) },
		rowReadCount: func(n uint64) { r.ReadCount = n },
		rowSpoke:     func(n uint64) { r.Spoke = n != 0 },
		rowMuted:     func(n uint64) { r.Personal.Muted = momentOf(n) },
		rowArchived:  func(n uint64) { r.Personal.Archived = n != 0 },
		rowPinned:    func(n uint64) { r.Personal.Pinned = n != 0 },
		rowDraftTo:   func(n uint64) { r.Personal.Draft.ReplyTo = parley.Seq(n) },
		rowDraftAt:   func(n uint64) { r.Personal.Draft.At = momentOf(n) },
	}
	err = fields(b, func(tag byte, n uint64) bool {
		set := numbers[tag]
		if set != nil {
			set(n)
		}
		return set != nil
	}, func(tag byte, s []byte) bool {
		switch tag {
		case rowKind:
			r.Kind = parley.ConversationKind(s)
		case rowOwn:
			inner = errors.Join(inner, pairs(s, func(a, b uint64) { r.Own = append(r.Own, parley.Run{From: parley.Seq(a), To: parley.Seq(b)}) }))
		case rowPast:
			inner = errors.Join(inner, pairs(s, func(a, b uint64) {
				r.Past = append(r.Past, parley.Checkpoint{Pos: parley.Pos(a), Head: parley.Seq(b)})
			}))
		case rowMentioned:
			inner = errors.Join(inner, eachNumber(s, func(n uint64) { r.Mentioned = append(r.Mentioned, parley.Seq(n)) }))
		case rowHidden:
			inner = errors.Join(inner, pairs(s, func(a, b uint64) {
				r.Personal.Hidden = append(r.Personal.Hidden, parley.Run{From: parley.Seq(a), To: parley.Seq(b)})
			}))
		case rowDraft:
			r.Personal.Draft.Text = string(s)
		default:
			return false
		}
		return true
	})
	return r, errors.Join(err, inner)
}

// eachNumber hands out numbers one by one.
func eachNumber(b []byte, each func(n uint64)) error {
	for len(b) > 0 {
		first, n := binary.Uvarint(b)
		if n <= 0 {
			return errValue
		}
		each(first)
		b = b[n:]
	}
	return nil
}

// pairs hands out numbers two by two.
func pairs(b []byte, each func(a, b uint64)) error {
	for len(b) > 0 {
		first, n := binary.Uvarint(b)
		if n <= 0 {
			return errValue
		}
		second, m := binary.Uvarint(b[n:])
		if m <= 0 {
			return errValue
		}
		each(first, second)
		b = b[n+m:]
	}
	return nil
}
