package wire

import "github.com/parley-im/parley"

// MarshalJSON returns the JSON that r is.
func (r Ref) MarshalJSON() ([]byte, error) {
	if r == "" {
		return []byte(`""`), nil
	}
	return []byte(r), nil
}

// UnmarshalJSON keeps b as it is. It is BadRequest unless b is a string or a
// whole number of at most MaxRef bytes.
func (r *Ref) UnmarshalJSON(b []byte) error {
	s := newScanner("wire.ref", b)
	ref := s.ref()
	s.end()
	if s.err != nil {
		return s.err
	}
	*r = ref
	return nil
}

// StringRef returns the ref that is the string s, of letters, digits and - . _
// ~ : as in an id. It panics on anything else: refs are the client's own.
func StringRef(s string) Ref {
	if !parley.ValidID(s) || len(s) > MaxRef-2 {
		panic("wire: a ref is 1 to 62 letters, digits and - . _ ~ :")
	}
	return Ref(`"` + s + `"`)
}
