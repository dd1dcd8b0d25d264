package wire

import (
	"reflect"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley"
)

// DecodeRequest reads the JSON body of an HTTP request into v, a pointer to a
// struct of this package, under the rules of DecodeClient: no unknown or
// repeated field, no null, no number but a whole one from 0 to MaxNumber,
// nothing after the object. A field without omitzero must be there. The
// error is BadRequest and names the field; v is then not to be used.
func DecodeRequest(data []byte, v any) error {
	t := reflect.TypeOf(v).Elem()
	s := newScanner("wire.request", data)
	s.value(t, "")
	s.end()
	if s.err != nil {
		return s.err
	}
	// The scanner has judged; the library fills in, and is a second guard.
	if err := json.Unmarshal(data, v, json.RejectUnknownMembers(true)); err != nil {
		return &parley.Error{Code: parley.BadRequest, Op: "wire.request",
			Detail: "the body of the request does not have the right form; see /openapi.json", Err: err}
	}
	return nil
}

// member is one field of a request's struct.
type member struct {
	name     string
	path     string // for messages
	typ      reflect.Type
	required bool
}

type shapeKey struct {
	typ  reflect.Type
	path string
}

var shapeCache sync.Map // shapeKey → []member

// membersOf returns the fields of t, which stands at path.
func membersOf(t reflect.Type, path string) []member {
	key := shapeKey{t, path}
	if m, ok := shapeCache.Load(key); ok {
		return m.([]member)
	}
	var out []member
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		p := name
		if path != "" {
			p = path + "." + name
		}
		out = append(out, member{name, p, f.Type, !strings.Contains(options, "omitzero")})
	}
	shapeCache.Store(key, out)
	return out
}

// value checks one value of type t at path; path is empty for the whole.
func (s *scanner) value(t reflect.Type, path string) {
	switch t.Kind() {
	case reflect.Pointer:
		s.value(t.Elem(), path)
	case reflect.Struct:
		s.object(membersOf(t, path), path)
	case reflect.String:
		if t == reflect.TypeFor[Ref]() {
			s.ref()
		} else {
			s.str(path)
		}
	case reflect.Bool:
		s.bool(path)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			s.base64(path)
			return
		}
		for ok := s.begin('[', path); ok && s.more(']'); {
			s.value(t.Elem(), path)
		}
	default:
		s.uint(path)
	}
}

// object checks one object against its members.
func (s *scanner) object(members []member, path string) {
	name := path
	if name == "" {
		name = "the body of the request"
	}
	if !s.begin('{', name) {
		return
	}
	var seen uint64 // no request has 64 fields
	for s.more('}') {
		k := s.key()
		if s.err != nil {
			return
		}
		at := -1
		for i := range members {
			if members[i].name == string(k) {
				at = i
			}
		}
		switch {
		case at < 0 && path == "":
			s.fail("unknown field %s; remove it", plainName(k))
		case at < 0:
			s.fail("unknown field %s.%s; remove it", path, plainName(k))
		case seen&(1<<at) != 0:
			s.fail("field %s stands twice; send it once", members[at].path)
		default:
			seen |= 1 << at
			s.value(members[at].typ, members[at].path)
		}
	}
	for i := range members {
		if members[i].required && seen&(1<<i) == 0 {
			s.fail("%s is missing; send it", members[i].path)
		}
	}
}
