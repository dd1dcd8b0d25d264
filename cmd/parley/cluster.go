package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/server"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/cassandra"
	"github.com/parley-im/parley/internal/store/pebblestore"
)

// storeConfig says which engine keeps the data.
type storeConfig struct {
	Engine string `toml:"engine"`
}

const (
	embedded       = "embedded"
	cassandraStore = "cassandra"
)

// cassandraConfig is where Cassandra is.
type cassandraConfig struct {
	Hosts        []string `toml:"hosts"`
	Port         int      `toml:"port"`
	Keyspace     string   `toml:"keyspace"`
	Replication  int      `toml:"replication"`
	Datacenter   string   `toml:"datacenter"`
	Username     string   `toml:"username"`
	PasswordFile string   `toml:"password_file"`
	CAFile       string   `toml:"ca_file"`
}

// clusterConfig is this node's place among others.
type clusterConfig struct {
	ID         string   `toml:"id"`
	Listen     string   `toml:"listen"`
	Advertise  string   `toml:"advertise"`
	SecretFile string   `toml:"secret_file"`
	Routes     []string `toml:"routes"`
	URL        string   `toml:"url"`
	Weight     int      `toml:"weight"`
}

// exampleCluster is the part of exampleConfig that one machine does not need.
const exampleCluster = `
# When one machine is not enough: several nodes over one Cassandra.

# [store]
# engine = "embedded"           # or cassandra

# [cassandra]
# hosts = []                    # ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
# port = 9042
# keyspace = "parley"
# replication = 3               # copies of everything; a majority must be up
# datacenter = ""               # the driver learns it from the first host
# username = ""
# password_file = ""
# ca_file = ""                  # speak TLS to Cassandra, and trust this authority

# [cluster]
# id = ""                       # this node's name, a-z 0-9 -; the host's name
# listen = ""                   # "0.0.0.0:7422": where other nodes reach this one (TLS); empty: this node is alone
# advertise = ""                # host:port that other nodes use, where it differs
# secret_file = ""              # a file with the same 16 or more characters on every node
# routes = []                   # ["10.0.0.2:7422"]: nodes to begin with; the others are found
# url = ""                      # "https://a.chat.example.org": where clients reach this very node
# weight = 8                    # 1 to 16: this node's share of the work
`

// check says what is wrong with the settings of the store and the cluster.
func (c *config) checkCluster() error {
	switch c.Store.Engine {
	case "", embedded:
		if c.Cluster.Listen != "" {
			return usageError{errors.New("cluster.listen needs store.engine = \"cassandra\": nodes share one store")}
		}
	case cassandraStore:
		if len(c.Cassandra.Hosts) == 0 {
			return usageError{errors.New("cassandra.hosts is empty: name at least one host of the Cassandra cluster")}
		}
		if c.Cluster.Listen != "" && c.Cluster.SecretFile == "" {
			return usageError{errors.New("cluster.secret_file is empty: write the same 16 or more characters into a file on every node and name it")}
		}
	default:
		return usageError{fmt.Errorf("store.engine is embedded or cassandra, not %q", c.Store.Engine)}
	}
	return nil
}

// distributed reports whether the data is on other machines.
func (c *config) distributed() bool { return c.Store.Engine == cassandraStore }

// openStore opens the engine that c names. It waits for a Cassandra that is
// not there yet, and says so, until ctx ends.
func openStore(ctx context.Context, e env, c config, logger *slog.Logger) (store.Store, error) {
	if !c.distributed() {
		return pebblestore.Open(pebblestore.Options{
			Dir: c.Data, Logger: logger, CacheBytes: c.CacheMB << 20, MinFree: uint64(c.MinFreeMB) << 20,
		})
	}
	cfg, err := c.Cassandra.driver(logger)
	if err != nil {
		return nil, err
	}
	for said := ""; ; {
		s, err := openCassandra(ctx, cfg)
		if err == nil || cassandra.Refused(err) || ctx.Err() != nil {
			return s, err
		}
		if why := err.Error(); why != said {
			fmt.Fprintf(e.stderr, "parley: %s; trying again until it works\n", why)
			said = why
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(openPause):
		}
	}
}

const (
	openWithin = 30 * time.Second
	openPause  = 2 * time.Second
)

func openCassandra(ctx context.Context, cfg cassandra.Config) (store.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	s, err := cassandra.Open(ctx, cfg)
	if err != nil {
		return nil, err // not s: a nil *Store is not a nil store.Store
	}
	return s, nil
}

// driver is what the engine needs to know.
func (c *cassandraConfig) driver(logger *slog.Logger) (cassandra.Config, error) {
	cfg := cassandra.Config{
		Hosts: c.Hosts, Port: c.Port, Keyspace: c.Keyspace, Replication: c.Replication,
		Datacenter: c.Datacenter, Username: c.Username, Logger: logger,
	}
	if c.PasswordFile != "" {
		password, err := secretOf(c.PasswordFile)
		if err != nil {
			return cfg, fmt.Errorf("cassandra.password_file: %w", err)
		}
		cfg.Password = password
	}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return cfg, fmt.Errorf("cassandra.ca_file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return cfg, fmt.Errorf("cassandra.ca_file: %s holds no certificate in PEM", c.CAFile)
		}
		cfg.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return cfg, nil
}

// secretOf reads a secret from a file of its own.
func secretOf(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(raw))
	if secret == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return secret, nil
}

// member is the node's place among others; nil when it is alone.
func (c *clusterConfig) member(logger *slog.Logger) (*server.Cluster, error) {
	if c.Listen == "" {
		return nil, nil
	}
	secret, err := secretOf(c.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("cluster.secret_file: %w", err)
	}
	id := c.ID
	if id == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, errors.New("cluster.id is empty, and this host has no name; give the node one")
		}
		id, _, _ = strings.Cut(strings.ToLower(host), ".")
	}
	bus, err := cluster.OpenNATS(cluster.NATSConfig{
		ID: cluster.NodeID(id), Listen: c.Listen, Advertise: c.Advertise, Secret: secret, Routes: c.Routes, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	return &server.Cluster{ID: cluster.NodeID(id), Bus: bus, URL: c.URL, Weight: c.Weight}, nil
}

// examineCassandra reports what the settings of a Cassandra cluster do to the
// promises; that one does not hold is an error.
func examineCassandra(ctx context.Context, e env, c *cassandraConfig) error {
	cfg, err := c.driver(slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	findings, err := cassandra.Check(ctx, cfg)
	if err != nil {
		return err
	}
	failures := 0
	for _, f := range findings {
		mark := "ok     "
		switch f.Level {
		case cassandra.Advice:
			mark = "advice "
		case cassandra.Warning:
			mark = "warning"
		case cassandra.Failure:
			mark = "FAILURE"
			failures++
		}
		fmt.Fprintf(e.stdout, "%s  %s\n", mark, f.Sentence)
	}
	if failures > 0 {
		return fmt.Errorf("%d settings of the Cassandra cluster break a promise of Parley; change them before people rely on it", failures)
	}
	_, err = fmt.Fprintln(e.stdout, "The Cassandra cluster is fit for Parley.")
	return err
}
