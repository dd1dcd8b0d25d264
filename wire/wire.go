// Package wire is the protocol: every shape, limit, version and close code,
// once, and the codec for them. It knows no sockets and no storage.
//
// What crosses the wire is append-only. A name that was once there keeps its
// meaning for ever, and a shape only grows fields that may be absent:
// testdata/v1.txt holds all of it as it was released, testdata/corpus holds
// frames that every later version must read the same way.
package wire

//go:generate go run ./gen ..
