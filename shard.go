package parley

import "hash/fnv"

// Shards is how many logical shards conversations and users hash to. It never
// changes: what was hashed once must be found again.
const Shards = 4096

// ShardOf returns the shard of a conversation, 0 to Shards-1.
func ShardOf(c ConversationID) int { return shardOf(string(c)) }

// ShardOfUser returns the shard of a user's inbox, 0 to Shards-1.
func ShardOfUser(u UserID) int { return shardOf(string(u)) }

func shardOf(id string) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // a hash does not fail
	return int(h.Sum64() % Shards)
}
