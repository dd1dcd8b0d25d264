package cassandra

import gocql "github.com/apache/cassandra-gocql-driver/v2"

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
