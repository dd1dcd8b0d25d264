// Package wire is the protocol: every shape, limit, version and close code,
// once, and the codec for them. It knows no sockets and no storage.
package wire
