package cassandra

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// connectWithin bounds one connection's greeting; a cluster that is starting
// is slow to greet.
const connectWithin = 5 * time.Second

var keyspaceName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,47}$`)

func (c *Config) check() error {
	if len(c.Hosts) == 0 {
		return errors.New("cassandra: no hosts: name at least one address of the cluster, better three")
	}
	if !keyspaceName.MatchString(c.Keyspace) {
		return fmt.Errorf("cassandra: %q cannot be a keyspace: a small letter, then up to 47 small letters, digits and underscores", c.Keyspace)
	}
	return nil
}

// at names the hosts for a sentence.
func (c *Config) at() string {
	out := make([]string, len(c.Hosts))
	for i, h := range c.Hosts {
		out[i] = net.JoinHostPort(h, strconv.Itoa(c.Port))
	}
	return strings.Join(out, ", ")
}

// connect makes a session. keyspace may be empty.
func connect(ctx context.Context, cfg Config, keyspace string, h *health) (*gocql.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := gocql.NewCluster(cfg.Hosts...)
	c.Port = cfg.Port
	c.Keyspace = keyspace
	c.ProtoVersion = 5
	c.Timeout, c.WriteTimeout = cfg.Timeout, cfg.Timeout
	c.ConnectTimeout = connectWithin
	if deadline, ok := ctx.Deadline(); ok {
		c.ConnectTimeout = min(connectWithin, max(time.Until(deadline), time.Millisecond))
	}
	c.Consistency, c.SerialConsistency = gocql.LocalQuorum, gocql.LocalSerial
	// The time of a conditional write is its ballot, given by the replicas;
	// that of a hint stands in its statement.
	c.DefaultTimestamp = false
	// Nothing is repeated behind our back: a conditional write that is run
	// again without knowing its mark says "conflict" to whoever has won.
	c.RetryPolicy, c.DefaultIdempotence = nil, false
	c.ReconnectInterval = time.Second
	c.ReconnectionPolicy = &gocql.ConstantReconnectionPolicy{MaxRetries: 1, Interval: 100 * time.Millisecond}
	c.Metadata.CacheMode = gocql.KeyspaceOnly
	c.Logger = quiet{cfg.Logger}
	c.Dialer = attentive{cfg.dialer, cfg.silence()}
	if cfg.hasty {
		c.MaxWaitSchemaAgreement = time.Millisecond
	}
	if cfg.Username != "" {
		c.Authenticator = gocql.PasswordAuthenticator{Username: cfg.Username, Password: cfg.Password}
	}
	if cfg.TLS != nil {
		c.SslOpts = &gocql.SslOptions{Config: cfg.TLS, EnableHostVerification: !cfg.TLS.InsecureSkipVerify}
	}
	near := gocql.RoundRobinHostPolicy()
	if cfg.Datacenter != "" {
		near = gocql.DCAwareRoundRobinPolicy(cfg.Datacenter)
	}
	policy := gocql.TokenAwareHostPolicy(near, gocql.DoNotShuffleReplicas())
	c.PoolConfig.HostSelectionPolicy = policy
	if h != nil {
		c.PoolConfig.HostSelectionPolicy = &patient{policy, h}
		c.QueryObserver, c.BatchObserver = h, h
	}
	session, err := c.CreateSession()
	if err != nil {
		return nil, connectErr(ctx, &cfg, err)
	}
	return session, nil
}

// closeWithin is how long a session may take to close.
const closeWithin = 5 * time.Second

// letGo closes a session. The driver's Close can wait for ever (2.1.2): when
// the control connection comes back just then, it asks for a refresh from a
// loop that Close has ended. By then every other connection is closed; that
// one, and the goroutine that waits, are left to the end of the process.
func letGo(session *gocql.Session, logger *slog.Logger) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		session.Close()
	}()
	patience := time.NewTimer(closeWithin)
	defer patience.Stop()
	select {
	case <-closed:
	case <-patience.C:
		logger.Warn("the cassandra driver did not close; one connection stays until this program ends")
	}
}

// connectErr says what an operator can do. It names no account.
func connectErr(ctx context.Context, cfg *Config, err error) error {
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "Provided username"), strings.Contains(text, "authentication"), strings.Contains(text, "Password"):
		return fmt.Errorf("cassandra: the cluster at %s refused the user name or the password; check both in the configuration", cfg.at())
	case strings.Contains(text, "x509"), strings.Contains(text, "tls:"):
		return fmt.Errorf("cassandra: no TLS with the cluster at %s; check its certificates and the ca_file: %w", cfg.at(), err)
	}
	return fmt.Errorf("cassandra: no node answers at %s; check that Cassandra runs there, that addresses and port are right, "+
		"and that no firewall is between: %w", cfg.at(), err)
}

// patient prefers hosts that answer: a host that let a request time out comes
// after the others until it has answered a probe. Otherwise a partition whose
// first replica is frozen would pay a timeout with every call.
type patient struct {
	gocql.HostSelectionPolicy
	health *health
}

// Pick implements gocql.HostSelectionPolicy.
func (p *patient) Pick(q gocql.ExecutableStatement) gocql.NextHost {
	next := p.HostSelectionPolicy.Pick(q)
	if !p.health.anySuspect() {
		return next
	}
	var held []gocql.SelectedHost
	return func() gocql.SelectedHost {
		for next != nil {
			host := next()
			if host == nil {
				next = nil
				break
			}
			if host.Info() == nil || !p.health.isSuspect(host.Info().HostID()) {
				return host
			}
			held = append(held, host)
		}
		if len(held) == 0 {
			return nil
		}
		host := held[0]
		held = held[1:]
		return host
	}
}

// quiet hands the driver's complaints to our log, without its values: they
// may be keys and rows.
type quiet struct{ to *slog.Logger }

func (q quiet) Error(msg string, _ ...gocql.LogField) { q.to.Debug("cassandra driver", "says", msg) }
func (q quiet) Warning(msg string, _ ...gocql.LogField) {
	q.to.Debug("cassandra driver", "says", msg)
}
func (quiet) Info(string, ...gocql.LogField)  {}
func (quiet) Debug(string, ...gocql.LogField) {}
