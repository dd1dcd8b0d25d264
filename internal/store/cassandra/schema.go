package cassandra

// eager has a coordinator ask a third replica when one of two is slow: see
// migrations.
const eager = ` AND speculative_retry = 'MIN(99PERCENTILE,50MS)'`

// wide is how tables are kept whose partitions grow.
const wide = ` WITH compaction = {'class': 'UnifiedCompactionStrategy', 'scaling_parameters': 'T4'}
	AND compression = {'class': 'ZstdCompressor', 'chunk_length_in_kb': 16}` + eager

// The tables. Rows of log are of three kinds (column kind): slots, one per
// entry, written once, at (0, seq, ""), ids, one per message id, at (1, 0, id),
// and acts, one for each entry that is one, at (2, target, its number).
// All are written, with the bucket's static columns, in one conditional
// batch, on the condition that the static head is the base and that the first
// slot is free. A bucket's static columns repeat what held at its beginning, so
// that the last bucket alone says where a conversation stands. Erasing writes a
// slot, and the act of a reaction, over without its body, conditionally too.
//
// An act lies in the bucket of its own number, where the append can reach it;
// table act has it by the bucket of what it points at, once the log has left
// its bucket. Rows of act have 1 as their time, and 2 when they are erased, so
// that an erasure outlives a copy made before it (see acts.go).
//
// There is no threshold to mind for the size of such a batch: Cassandra applies
// batch_size_fail_threshold to batches over several partitions, and an append
// is within one. What bounds it is half a commit log segment, 16 MiB by
// default; maxAppend stays below.
//
// In dirty a row says that a conversation may have entries its members' inboxes
// lack: mark is the entry before which it was written, fanned how far the
// inboxes are. Both are written with their value as the time (see marks).
// Neither inbox nor log rows are ever removed or expire: a condition on a
// static column reads past every tombstone.
//
// A replica that is frozen, or dead and not yet known to be, is chosen for
// reads all the same; speculative_retry has the coordinator ask a third after
// 50 ms at the latest, whatever the percentile has become by then.
var migrations = [][]string{1: {
	`CREATE TABLE IF NOT EXISTS log (
		conversation text, bucket bigint, kind tinyint, seq bigint, id text,
		head bigint static, count bigint static, state blob static,
		entry blob, at bigint, try blob,
		PRIMARY KEY ((conversation, bucket), kind, seq, id)
	)` + wide,
	`CREATE TABLE IF NOT EXISTS hint (conversation text PRIMARY KEY, bucket bigint) WITH gc_grace_seconds = 864000` + eager,
	`CREATE TABLE IF NOT EXISTS dirty (
		slice int, shard int, conversation text, mark bigint, fanned bigint,
		PRIMARY KEY (slice, shard, conversation)
	) WITH gc_grace_seconds = 600` + eager,
	`CREATE TABLE IF NOT EXISTS inbox (
		owner text, conversation text, pos bigint static, try blob static, value blob,
		PRIMARY KEY (owner, conversation)
	)` + wide,
	`CREATE TABLE IF NOT EXISTS record (
		part blob, key blob, version bigint, value blob, try blob,
		PRIMARY KEY (part, key)
	)` + wide,
}, 2: {
	`CREATE TABLE IF NOT EXISTS act (
		conversation text, bucket bigint, target bigint, seq bigint, value blob,
		PRIMARY KEY ((conversation, bucket), target, seq)
	)` + wide,
}}

// version is the schema that this program reads and writes.
var version = len(migrations) - 1
