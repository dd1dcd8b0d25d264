package cluster_test

import (
	"testing"

	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/cluster/clustertest"
)

const secret = "a secret of more than sixteen characters"

// openNATS opens buses on loopback that know the first one's address alone.
func openNATS(t *testing.T, ids ...cluster.NodeID) []cluster.Bus {
	t.Helper()
	var buses []cluster.Bus
	var routes []string
	for _, id := range ids {
		b, err := cluster.OpenNATS(cluster.NATSConfig{ID: id, Listen: "127.0.0.1:0", Secret: secret, Routes: routes})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		buses = append(buses, b)
		routes = []string{buses[0].Address()}
	}
	return buses
}

// TestNATS holds the bus between machines to the contract.
func TestNATS(t *testing.T) { clustertest.Suite(t, openNATS) }
