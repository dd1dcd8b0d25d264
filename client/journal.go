package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"

	"github.com/parley-im/parley"
)

// A journal is a text file: a line that names the format, then a record a
// line: eight hexadecimal digits of CRC-32C, a space, and JSON. A record is
// whole or it does not count, so what one append wrote is kept or lost as one.
// Lines let a reader find the next record past a damaged one.
//
// The rule of the tail: a bad last line is a write that a crash cut short, and
// nobody was told that it succeeded; it is cut off. A bad line before the end
// is damage: it is passed over, and the caller is told.
//
// The second format has acts: a program that reads the first one alone would
// send an edit as a message, so it must not open this. It differs in nothing
// else, and a journal of the first is written anew as one of the second.
const (
	journalHeader = "parley queue 2\n"
	firstHeader   = "parley queue 1\n"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record is one step in the life of a queue. Exactly one field is set.
type record struct {
	Add    []queued `json:"add,omitempty"`    // composed: kept before the first try
	Done   *key     `json:"done,omitempty"`   // acknowledged
	Fail   *failed  `json:"fail,omitempty"`   // given up
	Forget *key     `json:"forget,omitempty"` // a failure that somebody has seen
}

// key names a message.
type key struct {
	Conversation parley.ConversationID `json:"conversation"`
	ID           parley.MessageID      `json:"id"`
}

// queued is a post on disk.
type queued struct {
	key
	Sender  parley.UserID `json:"sender,omitempty"`
	Kind    parley.Kind   `json:"kind,omitempty"`
	Type    string        `json:"type"`
	Data    []byte        `json:"data"` // base64, so that every byte comes back as it was
	Base    parley.Seq    `json:"base,omitempty"`
	ReplyTo parley.Seq    `json:"reply_to,omitempty"`

	Ref       parley.Seq       `json:"ref,omitempty"`
	About     parley.MessageID `json:"about,omitempty"`
	Mentions  []parley.UserID  `json:"mentions,omitempty"`
	Forwarded bool             `json:"forwarded,omitempty"`
}

// failed is why a message was given up.
type failed struct {
	key
	Code   parley.Code `json:"code"`
	Detail string      `json:"detail,omitempty"`
}

func queuedOf(p *parley.Post, about parley.MessageID) queued {
	return queued{
		key:    key{p.Conversation, p.ID},
		Sender: p.Sender, Kind: p.Kind, Type: p.Body.Type, Data: p.Body.Data, Base: p.Base, ReplyTo: p.ReplyTo,
		Ref: p.Ref, About: about, Mentions: p.Mentions, Forwarded: p.Forwarded,
	}
}

func (m *queued) post() parley.Post {
	return parley.Post{
		Conversation: m.Conversation, ID: m.ID, Sender: m.Sender, Kind: m.Kind,
		Body: parley.Body{Type: m.Type, Data: m.Data}, Base: m.Base, ReplyTo: m.ReplyTo,
		Ref: m.Ref, Mentions: m.Mentions, Forwarded: m.Forwarded,
	}
}

// appendRecord appends r as a line.
func appendRecord(dst []byte, r *record) ([]byte, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return dst, err
	}
	dst = fmt.Appendf(dst, "%08x ", crc32.Checksum(data, castagnoli))
	return append(append(dst, data...), '\n'), nil
}

// parseRecord reads a line without its end.
func parseRecord(line []byte) (record, bool) {
	if len(line) < 10 || line[8] != ' ' {
		return record{}, false
	}
	sum, err := strconv.ParseUint(string(line[:8]), 16, 32)
	if err != nil || crc32.Checksum(line[9:], castagnoli) != uint32(sum) {
		return record{}, false
	}
	var r record
	if json.Unmarshal(line[9:], &r) != nil {
		return record{}, false
	}
	return r, true
}

// replay calls apply for each record of data. It returns the length of the
// part that counts, and how many damaged lines stand before its end.
func replay(data []byte, apply func(record)) (size int, damaged int, err error) {
	if len(data) < len(journalHeader) && (bytes.HasPrefix([]byte(journalHeader), data) || bytes.HasPrefix([]byte(firstHeader), data)) {
		return 0, 0, nil // cut short while it was made: nothing was ever in it
	}
	if !bytes.HasPrefix(data, []byte(journalHeader)) && !bytes.HasPrefix(data, []byte(firstHeader)) {
		return 0, 0, errors.New("it is not a queue, or one of a newer version of this program")
	}
	size = len(journalHeader)
	bad := 0 // since the last good line
	for at := size; at < len(data); {
		end := bytes.IndexByte(data[at:], '\n')
		if end < 0 {
			break
		}
		r, ok := parseRecord(data[at : at+end])
		at += end + 1
		if !ok {
			bad++
			continue
		}
		damaged, bad, size = damaged+bad, 0, at
		apply(r)
	}
	return size, damaged, nil
}

// journal appends records to a file. Its owner lets one caller in at a time.
type journal struct {
	file   journalFile
	size   int64 // of the part that counts; the next record goes here
	broken error // why nothing can be appended any more
}

// append writes records as one, synced to stable storage if sync is set. After
// an error none of them counts: the next append overwrites what was written.
func (j *journal) append(sync bool, records ...record) error {
	if j.broken != nil {
		return j.broken
	}
	var buf []byte
	var err error
	for i := range records {
		if buf, err = appendRecord(buf, &records[i]); err != nil {
			return err
		}
	}
	if _, err = j.file.WriteAt(buf, j.size); err == nil && sync {
		err = j.file.Sync()
	}
	if err != nil {
		return j.undo(err)
	}
	j.size += int64(len(buf))
	return nil
}

// undo takes back an append that failed. A failed sync may have kept or lost
// anything, so if even the cut fails the journal is not to be trusted.
func (j *journal) undo(cause error) error {
	if err := j.file.Truncate(j.size); err == nil {
		err = j.file.Sync()
		if err == nil {
			return cause
		}
	}
	j.broken = fmt.Errorf("the queue could not be written and may hold the last messages all the same: %w", cause)
	return j.broken
}

// journalOf returns a journal that holds records.
func journalOf(records []record) ([]byte, error) {
	buf := []byte(journalHeader)
	var err error
	for i := range records {
		if buf, err = appendRecord(buf, &records[i]); err != nil {
			return nil, err
		}
	}
	return buf, nil
}
