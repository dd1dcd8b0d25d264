package clustertest_test

import (
	"testing"

	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/cluster/clustertest"
)

// TestHub holds the bus in memory to the contract.
func TestHub(t *testing.T) {
	clustertest.Suite(t, func(_ *testing.T, ids ...cluster.NodeID) []cluster.Bus {
		hub := clustertest.NewHub(1)
		buses := make([]cluster.Bus, len(ids))
		for i, id := range ids {
			buses[i] = hub.Bus(id)
		}
		return buses
	})
}
