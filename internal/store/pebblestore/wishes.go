package pebblestore

import (
	"encoding/binary"
	"time"

	parley "github.com/parley-im/parley"
)

// What a row may have beside the first shape: a byte of these says what of it
// is there, and then it follows in this order. Append only.
const (
	wishSpoke = 1 << iota
	wishArchived
	wishPinned
	wishMuted
	wishMentioned
	wishHidden
	wishDraft

	wishKnown = 1<<iota - 1
)

func wishesOf(row *parley.Row) (wishes byte) {
	p := &row.Personal
	for bit, there := range [...]bool{row.Spoke, p.Archived, p.Pinned, !p.Muted.IsZero(), len(row.Mentioned) > 0, len(p.Hidden) > 0, p.Draft != parley.Draft{}} {
		if there {
			wishes |= 1 << bit
		}
	}
	return wishes
}

func appendWishes(b []byte, row *parley.Row, wishes byte) []byte {
	p := &row.Personal
	b = append(b, wishes)
	if wishes&wishMuted != 0 {
		b = binary.AppendVarint(b, p.Muted.UnixMilli())
	}
	if wishes&wishMentioned != 0 {
		b = binary.AppendUvarint(b, uint64(len(row.Mentioned)))
		var last parley.Seq
		for _, seq := range row.Mentioned {
			b = binary.AppendUvarint(b, uint64(seq-last))
			last = seq
		}
	}
	if wishes&wishHidden != 0 {
		b = appendRuns(binary.AppendUvarint(b, uint64(len(p.Hidden))), p.Hidden)
	}
	if wishes&wishDraft != 0 {
		b = binary.AppendUvarint(b, uint64(p.Draft.ReplyTo))
		b = binary.AppendVarint(b, p.Draft.At.UnixMilli())
		b = appendString(b, p.Draft.Text)
	}
	return b
}

func (r *reader) wishes(row *parley.Row) {
	wishes, p := r.byte(), &row.Personal
	if wishes > wishKnown {
		r.fail(errValue)
	}
	row.Spoke, p.Archived, p.Pinned = wishes&wishSpoke != 0, wishes&wishArchived != 0, wishes&wishPinned != 0
	if wishes&wishMuted != 0 {
		p.Muted = time.UnixMilli(r.varint()).UTC()
	}
	if wishes&wishMentioned != 0 {
		if n := r.count(1); n > 0 {
			row.Mentioned = make([]parley.Seq, n)
		}
		var last parley.Seq
		for i := range row.Mentioned {
			last += parley.Seq(r.uvarint())
			row.Mentioned[i] = last
		}
	}
	if wishes&wishHidden != 0 {
		p.Hidden = r.runs(r.count(2))
	}
	if wishes&wishDraft != 0 {
		p.Draft.ReplyTo = parley.Seq(r.uvarint())
		p.Draft.At = time.UnixMilli(r.varint()).UTC()
		p.Draft.Text = string(r.bytes())
	}
}

// appendRuns writes each run as its distance from the last one and its length.
func appendRuns(b []byte, runs []parley.Run) []byte {
	var last parley.Seq
	for _, run := range runs {
		b = binary.AppendUvarint(b, uint64(run.From-last))
		b = binary.AppendUvarint(b, uint64(run.To-run.From))
		last = run.To
	}
	return b
}

// runs reads n of them; that they fit was looked at by count.
func (r *reader) runs(n int) []parley.Run {
	if n == 0 {
		return nil
	}
	out := make([]parley.Run, n)
	var last parley.Seq
	for i := range out {
		from := last + parley.Seq(r.uvarint())
		last = from + parley.Seq(r.uvarint())
		out[i] = parley.Run{From: from, To: last}
	}
	return out
}

func appendIDs(b []byte, ids []parley.UserID) []byte {
	b = binary.AppendUvarint(b, uint64(len(ids)))
	for _, id := range ids {
		b = appendID(b, id)
	}
	return b
}

func (r *reader) ids() []parley.UserID {
	n := r.count(1)
	if n == 0 {
		return nil
	}
	out := make([]parley.UserID, n)
	for i := range out {
		out[i] = readID[parley.UserID](r)
	}
	return out
}
