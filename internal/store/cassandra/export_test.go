package cassandra

import (
	"context"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	parley "github.com/parley-im/parley"
)

// Leave places the acts of a full bucket.
func (s *Store) Leave(ctx context.Context, c parley.ConversationID, k int) error {
	return s.leave(ctx, c, bucket(k))
}

// Through makes a store connect through d.
func (c Config) Through(d gocql.Dialer) Config {
	c.dialer = d
	return c
}

// Session is the store's own session, for looking behind it.
func (s *Store) Session() *gocql.Session { return s.session }

// Version is the schema's.
var Version = version

// The codec, for its tests.
var (
	EncodeEntry = encodeEntry
	DecodeEntry = decodeEntry
	EncodeState = encodeState
	DecodeState = decodeState
	EncodeRow   = encodeRow
	DecodeRow   = decodeRow
)
