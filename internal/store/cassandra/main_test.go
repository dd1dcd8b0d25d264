package cassandra_test

import (
	"os"
	"testing"

	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/cassandra"
	"github.com/parley-im/parley/internal/store/cassandra/cassandratest"
	"github.com/parley-im/parley/internal/store/storetest"
)

// node is the one Cassandra of this package's tests. It asks for a password,
// as production does.
var node = cassandratest.Lazy{Nodes: 1, Options: cassandratest.Options{Password: true}}

// clusters are what TestMain stops.
var clusters = []*cassandratest.Lazy{&node}

func TestMain(m *testing.M) { os.Exit(cassandratest.Main(m, clusters...)) }

// config is a keyspace that nobody else uses.
func config(t testing.TB) cassandra.Config {
	c := node.Get(t)
	return cassandra.Config{
		Hosts: c.Hosts(), Port: c.Port(), Keyspace: c.Keyspace(), Replication: c.Replication(),
		Username: cassandratest.User, Password: cassandratest.Secret,
	}
}

func open(t testing.TB, cfg cassandra.Config) *cassandra.Store {
	t.Helper()
	s, err := cassandra.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place {
		cfg := config(t)
		return storetest.Place{Durable: true, Open: func() (store.Store, error) { return cassandra.Open(t.Context(), cfg) }}
	})
}
