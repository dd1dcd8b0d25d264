package parley_test

import (
	"testing"

	parley "github.com/parley-im/parley"
)

// TestShardsAreForEver pins the hash: data placed by it must be found again.
func TestShardsAreForEver(t *testing.T) {
	for c, want := range map[parley.ConversationID]int{"": 805, "d0": 1753, "g0123456789abcdefghjkmnpqrs": 2057} {
		if got := parley.ShardOf(c); got != want {
			t.Errorf("ShardOf(%q) = %d, want %d", c, got, want)
		}
	}
}
