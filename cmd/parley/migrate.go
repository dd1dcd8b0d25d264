package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/migrate"
	"github.com/parley-im/parley/internal/store"
)

// move is one run of parley migrate.
type move struct {
	e           env
	cfg         config // data is the embedded store to copy from
	from, to    string
	into        string // the embedded store to copy into
	dry, reopen bool
}

func newMigrate(e env) *cobra.Command {
	m := move{e: e}
	var file string
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Move a store to another engine, and back",
		Long: `Move everything from one store into another, and compare every entry.

From an embedded store, the server may run: what it has is copied while it
serves. Then you are asked to stop it; what was said meanwhile is copied, the
old store is marked so that no server starts on it, and you start the nodes on
the new one. From Cassandra it is the same: stop all nodes when you are asked to.
Nodes without cluster.listen cannot be seen: see to it that they are stopped.

A run that was interrupted goes on where it stopped when it is repeated. Devices
notice that they talk to another store and start over.`,
		Example: `  parley migrate --data /var/lib/parley --to cassandra --hosts 10.0.0.1,10.0.0.2,10.0.0.3
  parley migrate --from cassandra --config /etc/parley/parley.toml --to embedded --into /var/lib/parley-new
  parley migrate --data /var/lib/parley --dry-run
  parley migrate --data /var/lib/parley --reopen`,
		Args: takes(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := m.load(cmd, file); err != nil {
				return err
			}
			return m.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&m.from, "from", embedded, "engine to copy from: embedded or cassandra")
	f.StringVar(&m.to, "to", "", "engine to copy into: embedded or cassandra")
	f.StringVar(&m.cfg.Data, "data", "", "directory of the embedded store to copy from (default: the platform's data directory)")
	f.StringVar(&m.into, "into", "", "directory of the embedded store to copy into, empty or absent")
	f.BoolVar(&m.dry, "dry-run", false, "only count what there is to copy")
	f.BoolVar(&m.reopen, "reopen", false, "take back the mark that keeps servers from a store that was moved")
	f.StringVar(&file, "config", "", "file of settings; of it the table [cassandra] counts")
	m.cassandraFlags(cmd)
	return cmd
}

func (m *move) cassandraFlags(cmd *cobra.Command) {
	f, c := cmd.Flags(), &m.cfg.Cassandra
	f.StringSliceVar(&c.Hosts, "hosts", nil, "hosts of Cassandra to begin with")
	f.IntVar(&c.Port, "port", 0, "port of Cassandra (default 9042)")
	f.StringVar(&c.Keyspace, "keyspace", "", "keyspace, made when there is none (default parley)")
	f.IntVar(&c.Replication, "replication", 0, "copies of everything, in a keyspace that is made (default 3)")
	f.StringVar(&c.Datacenter, "datacenter", "", "datacenter of Cassandra to use")
	f.StringVar(&c.Username, "username", "", "user of Cassandra")
	f.StringVar(&c.PasswordFile, "password-file", "", "file with that user's password")
	f.StringVar(&c.CAFile, "ca-file", "", "speak TLS to Cassandra, and trust the authority in this file")
}

// load takes [cassandra] from the file; a flag that was given wins.
func (m *move) load(cmd *cobra.Command, file string) error {
	said := m.cfg.Cassandra
	m.cfg.Registration, m.cfg.RateLimits = string(account.ByInvite), "on" // what holds by default
	if err := m.cfg.load(cmd, m.e, file); err != nil {
		return err
	}
	c := &m.cfg.Cassandra
	if len(said.Hosts) > 0 {
		c.Hosts = said.Hosts
	}
	c.Port = pick(said.Port, c.Port)
	c.Keyspace = pick(said.Keyspace, c.Keyspace)
	c.Replication = pick(said.Replication, c.Replication)
	c.Datacenter = pick(said.Datacenter, c.Datacenter)
	c.Username = pick(said.Username, c.Username)
	c.PasswordFile = pick(said.PasswordFile, c.PasswordFile)
	c.CAFile = pick(said.CAFile, c.CAFile)
	return m.check()
}

// pick returns what was said, or else what holds.
func pick[T comparable](said, holds T) T {
	var nothing T
	if said != nothing {
		return said
	}
	return holds
}

func (m *move) check() error {
	target := !m.dry && !m.reopen
	for _, engine := range []string{m.from, m.to} {
		if engine != embedded && engine != cassandraStore && (engine != "" || target) {
			return usageError{fmt.Errorf("say what to copy into with --to embedded or --to cassandra (and from with --from), not %q", engine)}
		}
	}
	if (m.from == cassandraStore || target && m.to == cassandraStore) && len(m.cfg.Cassandra.Hosts) == 0 {
		return usageError{errors.New("say where Cassandra is with --hosts, or with --config and its table [cassandra]")}
	}
	if !target {
		return nil
	}
	if m.from == cassandraStore && m.to == cassandraStore {
		return usageError{errors.New("copy Cassandra to Cassandra with its own tools (snapshots), not parley migrate")}
	}
	if m.to == embedded {
		if m.into == "" {
			return usageError{errors.New("say where the new store goes with --into DIR")}
		}
		into, err := filepath.Abs(m.into)
		if err != nil {
			return err
		}
		if data, err := filepath.Abs(m.cfg.Data); m.from == embedded && (err != nil || data == into) {
			return usageError{errors.New("a store cannot be copied into itself; name another directory with --into")}
		}
		m.into = into
	}
	return nil
}

func (m *move) run(ctx context.Context) (err error) {
	switch {
	case m.reopen:
		return m.doReopen(ctx)
	case m.dry:
		return m.count(ctx)
	}
	to, err := m.openTarget(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	s := show{out: m.e}
	mv := &moving{move: m, show: &s, cfg: migrate.Config{To: to, Progress: s.progress, Now: m.e.now}}
	if err := mv.whileServed(ctx); err != nil {
		return err
	}
	return mv.rest(ctx)
}

// count says how much there is to copy.
func (m *move) count(ctx context.Context) error {
	o := m.origin()
	s, done, err := o.served(ctx)
	if err == nil && s == nil {
		if s, err = o.still(ctx, func() {}); err == nil {
			done = s.Close
		}
	}
	if err != nil {
		return err
	}
	n, err := migrate.Count(ctx, s, countAtOnce)
	if err := errors.Join(err, done()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(m.e.stdout, "To copy: %s.\n", amount(n))
	return err
}

// doReopen lets servers start again on a store that was moved.
func (m *move) doReopen(ctx context.Context) error {
	s, err := m.openSource(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(migrate.Reopen(ctx, s), s.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintln(m.e.stdout, "Servers may start on this store again. It holds what it held when it was moved, and nothing later.")
	return err
}

// openSource opens what is copied from, which must be there.
func (m *move) openSource(ctx context.Context) (store.Store, error) {
	if m.from == embedded {
		return openThere(m.cfg.Data)
	}
	return m.open(ctx, m.from, "")
}

func (m *move) openTarget(ctx context.Context) (store.Store, error) { return m.open(ctx, m.to, m.into) }

func (m *move) open(ctx context.Context, engine, dir string) (store.Store, error) {
	cfg := m.cfg
	cfg.Store.Engine, cfg.Data = engine, dir
	return openStore(ctx, m.e, cfg, slog.New(slog.DiscardHandler))
}

// name says where something was moved to, for a person.
func (m *move) name() string {
	if m.to == cassandraStore {
		return fmt.Sprintf("keyspace %s of Cassandra", pick(m.cfg.Cassandra.Keyspace, "parley"))
	}
	return m.into
}

// moving is a move whose target is open.
type moving struct {
	*move
	*show
	cfg  migrate.Config
	copy *migrate.Copy
}

const (
	countAtOnce = 16
	// When a pass beside the running server took less than this, what it missed
	// is little.
	shortPass = 5 * time.Second
	maxPasses = 4
)

// whileServed copies what there is while servers go on; nothing when none
// does.
func (m *moving) whileServed(ctx context.Context) error {
	o := m.origin()
	for range maxPasses {
		s, done, err := o.served(ctx)
		if err != nil || s == nil {
			return err
		}
		begun := m.e.now()
		err = m.pass(ctx, s, "Copying while the server goes on")
		if err := errors.Join(err, done()); err != nil {
			return err
		}
		if m.e.now().Sub(begun) < shortPass {
			return nil
		}
	}
	return nil
}

func (m *moving) pass(ctx context.Context, s store.Store, what string) error {
	if m.copy == nil {
		c, err := migrate.Begin(ctx, m.cfg, s)
		if err != nil {
			return err
		}
		m.copy = c
	}
	total, err := migrate.Count(ctx, s, countAtOnce)
	if err != nil {
		return err
	}
	m.begin(what, total)
	err = m.copy.Pass(ctx, s, total)
	m.end()
	return err
}

// rest waits until nobody serves the source, keeps others from it, and copies
// what was said since.
func (m *moving) rest(ctx context.Context) (err error) {
	s, err := m.origin().still(ctx, func() {
		fmt.Fprintln(m.e.stdout, "Everything said until now is copied. Stop the server now: what is missing is copied as soon as it has ended.")
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	begun := m.e.now()
	if m.copy == nil { // no server ran: refuse before the source is marked
		if m.copy, err = migrate.Begin(ctx, m.cfg, s); err != nil {
			return err
		}
	}
	if err := migrate.Seal(ctx, s, m.name()); err != nil {
		return err
	}
	if err := m.pass(ctx, s, "Copying what is missing"); err != nil {
		return err
	}
	if err := m.copy.Finish(ctx); err != nil {
		return err
	}
	n, print := m.copy.Report()
	_, err = fmt.Fprintf(m.e.stdout, "Copied and compared: %s (fingerprint %s).\nWhat was missing took %s. Start the server on %s now; servers refuse to start on the old store.\n",
		amount(n), print, m.e.now().Sub(begun).Round(time.Millisecond), m.name())
	return err
}
