package pebblestore

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"

	parley "github.com/parley-im/parley"
)

// Format numbers the layout of keys and values below. It only grows; a store
// of a greater format is refused, and one of a smaller format is read as it is
// and says from then on that it has this one:
//
//	1: the beginning
//	2: acts; entries with mentions, forwarded or withheld; states with pins;
//	   rows with a user's wishes. What has none of these is written as before.
const Format = 2

// The first byte of a key says what it is. These numbers are on disk.
const (
	spaceMeta   = 0x01 // name → value
	spaceEntry  = 0x10 // conversation, seq → entry
	spaceID     = 0x11 // conversation, hash of a message id, seq → nothing
	spaceState  = 0x12 // conversation → parley.Conversation
	spaceDirty  = 0x13 // conversation id, as it is → nothing
	spaceAct    = 0x14 // conversation, target, seq → what its entry does to target
	spaceRow    = 0x20 // user, conversation → parley.Row
	spacePos    = 0x21 // user → the inbox's position
	spaceRecord = 0x30 // length of partition, partition, key → version, value
)

var (
	keyFormat = []byte{spaceMeta, 'f'} // uvarint
	keyEpoch  = []byte{spaceMeta, 'e'} // text
	keyCommit = []byte{spaceMeta, 'c'} // uvarint: how many synced commits there were
	keySalt   = []byte{spaceMeta, 's'} // 16 bytes: makes hashes of ids unguessable
)

// hashLen is how much of an id's hash stands in a key. Five bytes make one
// false candidate in a million look-ups in a conversation of a million
// messages; a candidate is verified against its entry.
const hashLen = 5

type salt [16]byte

func (s *salt) hash(id parley.MessageID) [hashLen]byte {
	var buf [16 + parley.MaxID]byte
	sum := sha256.Sum256(append(append(buf[:0], s[:]...), id...))
	return [hashLen]byte(sum[:hashLen])
}

func conversationPrefix(b []byte, space byte, c parley.ConversationID) []byte {
	return appendID(append(b, space), c)
}

func entryKey(b []byte, c parley.ConversationID, seq parley.Seq) []byte {
	return appendSeq(conversationPrefix(b, spaceEntry, c), uint64(seq))
}

func idKey(b []byte, c parley.ConversationID, h [hashLen]byte, seq parley.Seq) []byte {
	b = append(conversationPrefix(b, spaceID, c), h[:]...)
	return appendSeq(b, uint64(seq))
}

func stateKey(b []byte, c parley.ConversationID) []byte {
	return conversationPrefix(b, spaceState, c)
}

func dirtyKey(b []byte, c parley.ConversationID) []byte {
	return append(append(b, spaceDirty), c...)
}

func actKey(b []byte, c parley.ConversationID, target, seq parley.Seq) []byte {
	return appendSeq(appendSeq(conversationPrefix(b, spaceAct, c), uint64(target)), uint64(seq))
}

func rowPrefix(b []byte, u parley.UserID) []byte { return appendID(append(b, spaceRow), u) }

func rowKey(b []byte, u parley.UserID, c parley.ConversationID) []byte {
	return appendID(rowPrefix(b, u), c)
}

func posKey(b []byte, u parley.UserID) []byte { return appendID(append(b, spacePos), u) }

func recordPrefix(b []byte, partition string) []byte {
	return appendString(append(b, spaceRecord), partition)
}

func recordKey(b []byte, partition, key string) []byte {
	return append(recordPrefix(b, partition), key...)
}

// upperBound returns the first key after all that begin with prefix.
func upperBound(prefix []byte) []byte {
	out := append([]byte(nil), prefix...)
	for i := len(out) - 1; i >= 0; i-- {
		out[i]++
		if out[i] != 0 {
			return out[:i+1]
		}
	}
	return nil // no such key: nothing is greater
}

var errKey = errors.New("pebblestore: key of no known shape")

func takeEntryKey(k []byte) (c parley.ConversationID, seq parley.Seq, err error) {
	if len(k) == 0 || k[0] != spaceEntry {
		return "", 0, errKey
	}
	c, rest, err := takeID[parley.ConversationID](k[1:])
	if err != nil {
		return "", 0, err
	}
	n, rest, err := takeSeq(rest)
	if err != nil || len(rest) != 0 {
		return "", 0, errKey
	}
	return c, parley.Seq(n), nil
}

func takeIDKey(k []byte) (c parley.ConversationID, h [hashLen]byte, seq parley.Seq, err error) {
	if len(k) == 0 || k[0] != spaceID {
		return "", h, 0, errKey
	}
	c, rest, err := takeID[parley.ConversationID](k[1:])
	if err != nil || len(rest) < hashLen {
		return "", h, 0, errKey
	}
	h = [hashLen]byte(rest[:hashLen])
	n, rest, err := takeSeq(rest[hashLen:])
	if err != nil || len(rest) != 0 {
		return "", h, 0, errKey
	}
	return c, h, parley.Seq(n), nil
}

func takeActKey(k []byte) (c parley.ConversationID, target, seq parley.Seq, err error) {
	if len(k) == 0 || k[0] != spaceAct {
		return "", 0, 0, errKey
	}
	c, rest, err := takeID[parley.ConversationID](k[1:])
	if err != nil {
		return "", 0, 0, err
	}
	t, rest, err := takeSeq(rest)
	if err != nil {
		return "", 0, 0, err
	}
	n, rest, err := takeSeq(rest)
	if err != nil || len(rest) != 0 {
		return "", 0, 0, errKey
	}
	return c, parley.Seq(t), parley.Seq(n), nil
}

func takeRowKey(k []byte) (u parley.UserID, c parley.ConversationID, err error) {
	if len(k) == 0 || k[0] != spaceRow {
		return "", "", errKey
	}
	u, rest, err := takeID[parley.UserID](k[1:])
	if err != nil {
		return "", "", err
	}
	c, rest, err = takeID[parley.ConversationID](rest)
	if err != nil || len(rest) != 0 {
		return "", "", errKey
	}
	return u, c, nil
}

func takeRecordKey(k []byte) (partition, key string, err error) {
	if len(k) == 0 || k[0] != spaceRecord {
		return "", "", errKey
	}
	p, rest, err := takeBytes(k[1:])
	if err != nil {
		return "", "", err
	}
	return string(p), string(rest), nil
}

func uvarintValue(n uint64) []byte { return binary.AppendUvarint(nil, n) }
