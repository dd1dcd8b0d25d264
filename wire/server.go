package wire

import (
	"bytes"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley"
)

// DecodeServer reads one frame of a server, for clients. It ignores fields it
// does not know, and passes frames of types it does not know with their T. A
// frame that is not a JSON object, or whose known fields have other types, is
// BadRequest. Nothing in the result aliases frame.
func DecodeServer(frame []byte) (ServerFrame, error) {
	var f ServerFrame
	if fastServer(frame, &f) {
		return f, nil
	}
	f = ServerFrame{}
	s := newScanner("wire.server", frame)
	object := s.peek() == '{'
	s.skip()
	s.end()
	var err error
	if s.err != nil {
		err = s.err
	} else if !crowded(&s) {
		err = json.Unmarshal(frame, &f)
	}
	if err != nil || !object || crowded(&s) {
		return ServerFrame{}, &parley.Error{Code: parley.BadRequest, Op: "wire.server",
			Detail: "the server sent a frame that is not of this protocol", Err: err}
	}
	return f, nil
}

// crowded reports whether s has met so many objects and lists in so few bytes
// that they cannot be ours: an empty object of two bytes would become an entry
// of some hundred and fifty.
func crowded(s *scanner) bool { return s.count > 64+len(s.b)/16 }

// Encode returns v, a shape of this package, as JSON: lists that are nil are
// written [], and what is absent is left out. It fails only for text that is
// not UTF-8.
func Encode(v any) ([]byte, error) { return json.Marshal(v) }

// fastServer reads the two frames that make up nearly all traffic, if they are
// as this version writes them. Of anything else, a mistake or a field of a
// later version, it says false, and the library decides.
func fastServer(frame []byte, f *ServerFrame) bool {
	switch {
	case bytes.HasPrefix(frame, []byte(`{"t":"ack",`)):
		f.T = FrameAck
	case bytes.HasPrefix(frame, []byte(`{"t":"entries",`)):
		f.T = FrameEntries
	default:
		return false
	}
	s := newScanner("", frame)
	s.i = len(`{"t":"`) + len(f.T) + len(`",`)
	s.depth, s.fresh = 1, true
	if s.peek() == '}' { // after the comma
		return false
	}
	var seen uint
	for s.more('}') {
		bit := s.serverField(f, s.key())
		if bit == 0 || seen&bit != 0 {
			return false
		}
		seen |= bit
	}
	s.end()
	return s.err == nil
}

// serverField reads the value of the field named k; 0: not one of ours.
func (s *scanner) serverField(f *ServerFrame, k []byte) uint {
	switch string(k) {
	case "ref":
		f.Ref = s.ref()
		return 1 << 0
	case "conversation":
		f.Conversation = string(s.str(""))
		return 1 << 1
	case "id":
		f.ID = string(s.str(""))
		return 1 << 2
	case "seq":
		f.Seq = s.uint("")
		return 1 << 3
	case "at":
		f.At = string(s.str(""))
		return 1 << 4
	case "head":
		f.Head = s.uint("")
		return 1 << 5
	case "cursor":
		f.Cursor = string(s.str(""))
		return 1 << 6
	case "entries":
		f.Entries = []Entry{}
		for ok := s.begin('[', ""); ok && s.more(']'); {
			f.Entries = append(f.Entries, Entry{})
			s.entry(&f.Entries[len(f.Entries)-1], f.Conversation)
			if crowded(s) {
				s.failSyntax()
			}
		}
		return 1 << 7
	}
	return 0
}

// entry reads an entry into e; most are of the conversation conv.
func (s *scanner) entry(e *Entry, conv string) {
	var seen uint
	for ok := s.begin('{', ""); ok && s.more('}'); {
		bit := s.entryField(e, s.key(), conv)
		if bit == 0 || seen&bit != 0 {
			s.failSyntax()
		}
		seen |= bit
	}
}

// entryField reads the value of the field named k; 0: not one of ours.
func (s *scanner) entryField(e *Entry, k []byte, conv string) uint {
	switch string(k) {
	case "conversation":
		e.Conversation = s.strOr(conv)
		return 1 << 0
	case "seq":
		e.Seq = s.uint("")
		return 1 << 1
	case "kind":
		e.Kind = s.strOr(string(parley.KindMessage))
		return 1 << 2
	case "id":
		e.ID = string(s.str(""))
		return 1 << 3
	case "sender":
		e.Sender = string(s.str(""))
		return 1 << 4
	case "device":
		e.Device = string(s.str(""))
		return 1 << 5
	case "at":
		e.At = string(s.str(""))
		return 1 << 6
	case "body":
		e.Body = s.body()
		return 1 << 7
	case "ref":
		e.Ref = s.uint("")
		return 1 << 8
	case "reply_to":
		e.ReplyTo = s.uint("")
		return 1 << 9
	case "edited":
		e.Edited = s.bool("")
		return 1 << 10
	case "deleted":
		e.Deleted = s.bool("")
		return 1 << 11
	case "edited_at":
		e.EditedAt = string(s.str(""))
		return 1 << 12
	case "mentions":
		e.Mentions = s.ids("", parley.MaxMentions)
		return 1 << 13
	case "forwarded":
		e.Forwarded = s.bool("")
		return 1 << 14
	}
	return 0
}

// strOr reads a string, and returns usual itself if it is the same.
func (s *scanner) strOr(usual string) string {
	if b := s.str(""); string(b) != usual {
		return string(b)
	}
	return usual
}
