package wire

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/parley-im/parley"
)

// DecodeClient reads one frame of a client. It refuses everything that the
// protocol does not name, with a coded error whose detail names the field and
// never holds a value. When the frame can be read far enough to know its ref,
// the frame returned beside an error carries T (if known) and Ref, for the
// answer. A body's text and data are not judged here: see CheckBody. Nothing
// in the result aliases frame.
func DecodeClient(frame []byte) (ClientFrame, error) {
	if len(frame) > MaxFrame {
		return ClientFrame{}, parley.E(parley.TooLarge, "wire.client", "a frame is at most %d bytes; send less at once", MaxFrame)
	}
	s := newScanner("wire.client", frame)
	var f ClientFrame
	seen := s.clientFields(&f)
	s.end()
	if s.err == nil {
		s.clientRules(&f, seen)
	}
	if s.err != nil {
		return salvage(frame), s.err
	}
	return f, nil
}

// clientFields reads the frame's object into f and returns which fields were there.
func (s *scanner) clientFields(f *ClientFrame) (seen fieldSet) {
	if !s.begin('{', "a frame") {
		return 0
	}
	for s.more('}') {
		k := s.key()
		if s.err != nil {
			return seen
		}
		bit := s.clientField(f, k)
		if bit == 0 {
			s.fail("unknown field %s; remove it", plainName(k))
		} else if seen&bit != 0 {
			s.fail("field %s stands twice; send it once", bit.first())
		}
		seen |= bit
	}
	return seen
}

// clientField reads the value of the field named k; 0: there is none such.
func (s *scanner) clientField(f *ClientFrame, k []byte) fieldSet {
	switch string(k) {
	case "t":
		f.T = s.opName()
		return fieldT
	case "ref":
		f.Ref = s.ref()
		return fieldRef
	case "conversation":
		f.Conversation = string(s.str("conversation"))
		return fieldConversation
	case "id":
		f.ID = string(s.str("id"))
		return fieldID
	case "body":
		f.Body = s.body()
		return fieldBody
	case "base":
		f.Base = s.uint("base")
		return fieldBase
	case "reply_to":
		f.ReplyTo = s.uint("reply_to")
		return fieldReplyTo
	case "delivered":
		f.Delivered = s.uint("delivered")
		return fieldDelivered
	case "read":
		f.Read = s.uint("read")
		return fieldRead
	case "after":
		n := s.uint("after")
		f.After = &n
		return fieldAfter
	case "before":
		n := s.uint("before")
		f.Before = &n
		return fieldBefore
	case "limit":
		f.Limit = s.uint("limit")
		return fieldLimit
	case "kind":
		f.Kind = string(s.str("kind"))
		return fieldKind
	case "users":
		f.Users = s.ids("users", MaxMembers)
		return fieldUsers
	case "token":
		f.Token = string(s.str("token"))
		return fieldToken
	case "cursor":
		if !s.word("null") {
			f.Cursor = string(s.str("cursor"))
		}
		return fieldCursor
	case "client":
		f.Client = string(s.str("client"))
		return fieldClient
	case "follow":
		f.Follow = s.bool("follow")
		return fieldFollow
	case "target":
		f.Target = s.uint("target")
		return fieldTarget
	case "mentions":
		f.Mentions = s.ids("mentions", parley.MaxMentions)
		return fieldMentions
	case "forwarded":
		f.Forwarded = s.bool("forwarded")
		return fieldForwarded
	}
	return 0
}

// opName reads "t". It gives the constant, so that a frame's op costs nothing.
func (s *scanner) opName() string {
	t := s.str("t")
	for i := range rules {
		if string(t) == rules[i].op {
			return rules[i].op
		}
	}
	s.fail("unknown op %s in t; send %s", plainName(t), opList)
	return ""
}

var opList = func() string {
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = r.op
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}()

// ids reads field's list of ids.
func (s *scanner) ids(field string, most int) []string {
	out := []string{}
	for ok := s.begin('[', field); ok && s.more(']'); {
		if len(out) == most {
			s.fail("%s holds more than %d ids; send fewer", field, most)
			return nil
		}
		out = append(out, string(s.str(field)))
		if s.err == nil {
			s.check(CheckID(field, out[len(out)-1]))
		}
	}
	return out
}

// check makes err, an *Error or nil, the scanner's own.
func (s *scanner) check(err error) {
	if e, ok := err.(*parley.Error); ok && s.err == nil {
		s.err = e
		s.i = len(s.b)
	}
}

// body reads a body: type is required, the rest is CheckBody's affair.
func (s *scanner) body() *Body {
	if !s.begin('{', "body") {
		return nil
	}
	// One allocation for the body and what its Text points at.
	both := new(struct {
		body Body
		text string
	})
	b := &both.body
	const typeBit, textBit, dataBit = 1, 2, 4
	seen := 0
	for s.more('}') {
		bit := 0
		k := s.key()
		if s.err != nil {
			return nil
		}
		switch string(k) {
		case "type":
			bit = typeBit
			b.Type = mediaType(s.str("body.type"))
		case "text":
			bit = textBit
			both.text = string(s.str("body.text"))
			b.Text = &both.text
		case "data":
			bit = dataBit
			b.Data = s.base64("body.data")
		default:
			s.fail("unknown field body.%s; remove it", plainName(k))
		}
		if seen&bit != 0 {
			s.fail("field body.%s stands twice; send it once", k)
		}
		seen |= bit
	}
	if seen&typeBit == 0 {
		s.fail("body.type is missing; send text/plain or another media type")
	}
	return b
}

// mediaType saves the allocation for the type that nearly every body has.
func mediaType(t []byte) string {
	if string(t) == parley.TextPlain {
		return parley.TextPlain
	}
	return string(t)
}

var strictBase64 = base64.StdEncoding.Strict()

// base64 reads field's bytes: RFC 4648 section 4, padded, no line breaks.
func (s *scanner) base64(field string) []byte {
	raw := s.str(field)
	if s.err != nil {
		return nil
	}
	out := make([]byte, strictBase64.DecodedLen(len(raw)))
	n, err := strictBase64.Decode(out, raw)
	if err != nil || strictBase64.EncodedLen(n) != len(raw) {
		s.fail("%s must be base64; use the standard alphabet with padding and no line breaks", field)
		return nil
	}
	return out[:n]
}

// clientRules checks f, of which seen were there, against its op's rule.
func (s *scanner) clientRules(f *ClientFrame, seen fieldSet) {
	if seen&fieldT == 0 {
		s.fail("t is missing; send %s", opList)
		return
	}
	var r rule
	for i := range rules {
		if rules[i].op == f.T {
			r = rules[i]
		}
	}
	if missing := r.required &^ seen; missing != 0 {
		s.fail("%s is missing; a %s needs it", missing.first(), r.op)
	} else if extra := seen &^ (fieldT | r.required | r.optional); extra != 0 {
		s.fail("%s does not belong to a %s; remove it", extra.first(), r.op)
	}
	if s.err == nil && seen&fieldConversation != 0 {
		s.check(CheckID("conversation", f.Conversation))
	}
	switch {
	case s.err != nil:
	case r.op == OpPost:
		s.check(CheckID("id", f.ID))
		s.postRules(f, seen)
	case r.op == OpWhisper:
		s.check(CheckID("kind", f.Kind))
	case r.op == OpMark && seen&(fieldDelivered|fieldRead) == 0:
		s.fail("a mark needs delivered or read; send one or both")
	case r.op == OpRead && f.After != nil && f.Before != nil:
		s.fail("a read takes after or before, not both; remove one")
	}
}

// kindRule says which fields a post of one kind must and may have beside those
// of every post.
type kindRule struct {
	kind               parley.Kind
	required, optional fieldSet
}

var kindRules = [...]kindRule{
	{parley.KindMessage, fieldBody, fieldReplyTo | fieldMentions | fieldForwarded},
	{parley.KindEdit, fieldBody | fieldTarget, 0},
	{parley.KindDelete, fieldTarget, 0},
	{parley.KindReaction, fieldTarget, fieldBody}, // without a body it is taken back
	{parley.KindPin, fieldTarget, 0},
	{parley.KindUnpin, fieldTarget, 0},
}

// postRules checks a post against its kind's rule.
func (s *scanner) postRules(f *ClientFrame, seen fieldSet) {
	const every = fieldT | fieldRef | fieldConversation | fieldID | fieldBase | fieldKind
	kind := parley.Kind(f.Kind)
	if seen&fieldKind == 0 {
		kind = parley.KindMessage
	}
	for _, r := range kindRules {
		if r.kind != kind {
			continue
		}
		if missing := r.required &^ seen; missing != 0 {
			s.fail("%s is missing; a post of kind %s needs it", missing.first(), kind)
		} else if extra := seen &^ (every | r.required | r.optional); extra != 0 {
			s.fail("%s does not belong to a post of kind %s; remove it", extra.first(), kind)
		} else if r.required&fieldTarget != 0 && f.Target == 0 {
			s.fail("target must be the number of an entry, 1 or more")
		}
		return
	}
	s.fail("kind of a post is message, edit, delete, reaction, pin or unpin")
}

// salvage finds what an answer to a refused frame needs: its op and its ref.
func salvage(frame []byte) (f ClientFrame) {
	s := newScanner("", frame)
	for ok := s.begin('{', ""); ok && s.more('}'); {
		k := s.key()
		switch {
		case string(k) == "ref" && f.Ref == "":
			// A bad ref ends it: nothing after it can be the ref.
			f.Ref = s.ref()
		case string(k) == "t" && f.T == "":
			probe := s
			if f.T = probe.opName(); f.T == "" {
				s.skip()
			} else {
				s = probe
			}
		default:
			s.skip()
		}
	}
	return f
}

// AppendClient appends f as a client sends it, with the fields of f.T alone.
// DecodeClient gives the same f back if f keeps the rules.
func AppendClient(dst []byte, f *ClientFrame) []byte {
	dst = append(dst, `{"t":`...)
	dst = appendString(dst, f.T)
	switch f.T {
	case OpHello:
		dst = appendStringField(dst, `,"token":`, f.Token)
		if f.Cursor == "" {
			dst = append(dst, `,"cursor":null`...)
		} else {
			dst = appendStringField(dst, `,"cursor":`, f.Cursor)
		}
		if f.Client != "" {
			dst = appendStringField(dst, `,"client":`, f.Client)
		}
		if f.Follow {
			dst = append(dst, `,"follow":true`...)
		}
	case OpPost:
		dst = appendRef(dst, f.Ref)
		dst = appendStringField(dst, `,"conversation":`, f.Conversation)
		dst = appendStringField(dst, `,"id":`, f.ID)
		if f.Body != nil {
			dst = appendBody(append(dst, `,"body":`...), f.Body)
		}
		dst = appendUintField(dst, `,"base":`, f.Base)
		dst = appendUintField(dst, `,"reply_to":`, f.ReplyTo)
		if f.Kind != "" {
			dst = appendStringField(dst, `,"kind":`, f.Kind)
		}
		dst = appendUintField(dst, `,"target":`, f.Target)
		if f.Mentions != nil {
			dst = appendIDs(append(dst, `,"mentions":`...), f.Mentions)
		}
		if f.Forwarded {
			dst = append(dst, `,"forwarded":true`...)
		}
	case OpMark:
		dst = appendStringField(dst, `,"conversation":`, f.Conversation)
		dst = appendUintField(dst, `,"delivered":`, f.Delivered)
		if f.Read != 0 || f.Delivered == 0 {
			dst = strconv.AppendUint(append(dst, `,"read":`...), f.Read, 10)
		}
	case OpRead:
		dst = appendRef(dst, f.Ref)
		dst = appendStringField(dst, `,"conversation":`, f.Conversation)
		if f.After != nil {
			dst = strconv.AppendUint(append(dst, `,"after":`...), *f.After, 10)
		}
		if f.Before != nil {
			dst = strconv.AppendUint(append(dst, `,"before":`...), *f.Before, 10)
		}
		dst = appendUintField(dst, `,"limit":`, f.Limit)
	case OpWhisper:
		dst = appendStringField(dst, `,"conversation":`, f.Conversation)
		dst = appendStringField(dst, `,"kind":`, f.Kind)
	case OpWatch:
		dst = appendIDs(append(dst, `,"users":`...), f.Users)
	}
	return append(dst, '}')
}
