package migrate

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"reflect"
	"time"
)

// digest is a hash of content, whatever engine keeps it.
type digest [sha256.Size]byte

// digestOf is the digest of b.
func digestOf(b []byte) digest { return sha256.Sum256(b) }

// extend makes d the digest of what it was of, and b after it.
func (d *digest) extend(b []byte) {
	h := sha256.New()
	h.Write(d[:])
	h.Write(b)
	h.Sum(d[:0])
}

// mix adds other to d, in no order.
func (d *digest) mix(other digest) {
	for i := range d {
		d[i] ^= other[i]
	}
}

// named binds a digest to whose it is.
func named(kind, name string, sum digest) digest {
	return sha256.Sum256(fmt.Appendf(sum[:len(sum):len(sum)], "%s %s", kind, name))
}

// canonical appends v in a form that is the same for the same content: every
// field of it, also those that are added one day. Times count as milliseconds,
// and a slice that is empty is one that is not there.
func canonical(b []byte, v reflect.Value) []byte {
	if t, ok := v.Interface().(time.Time); ok {
		return binary.AppendVarint(b, t.UnixMilli())
	}
	switch v.Kind() {
	case reflect.String:
		return append(binary.AppendUvarint(b, uint64(v.Len())), v.String()...)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		return binary.AppendUvarint(b, v.Uint())
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		return binary.AppendVarint(b, v.Int())
	case reflect.Bool:
		return binary.AppendUvarint(b, map[bool]uint64{true: 1}[v.Bool()])
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, 0)
		}
		return canonical(append(b, 1), v.Elem())
	case reflect.Slice:
		b = binary.AppendUvarint(b, uint64(v.Len()))
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return append(b, v.Bytes()...)
		}
		for i := range v.Len() {
			b = canonical(b, v.Index(i))
		}
		return b
	case reflect.Struct:
		for i := range v.NumField() {
			b = canonical(b, v.Field(i))
		}
		return b
	default:
		panic("migrate: no canonical form of a " + v.Type().String())
	}
}

// written is canonical of a value.
func written(v any) []byte { return canonical(nil, reflect.ValueOf(v)) }

// differ names the first field of two structs of one type whose content is not
// the same, and is empty when there is none. It never tells the content.
func differ[T any](a, b T) string {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		if !bytes.Equal(canonical(nil, x.Field(i)), canonical(nil, y.Field(i))) {
			return x.Type().Field(i).Name
		}
	}
	return ""
}
