package cassandra

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// The rows of meta: what the keyspace is. Each is written conditionally, the
// first three once.
const (
	metaProduct = "product" // "parley"
	metaEpoch   = "epoch"   // the store's epoch
	metaSchema  = "schema"  // the number of the last migration
	metaLock    = "lock"    // who migrates, for a lease
)

const product = "parley"

// The statements of meta.
const (
	selectMeta  = `SELECT value FROM meta WHERE name = ?`
	insertMeta  = `INSERT INTO meta (name, value) VALUES (?, ?) IF NOT EXISTS`
	updateMeta  = `UPDATE meta SET value = ? WHERE name = ? IF value = ?`
	leaseMeta   = `INSERT INTO meta (name, value) VALUES (?, ?) IF NOT EXISTS USING TTL 60`
	releaseMeta = `DELETE FROM meta WHERE name = ? IF value = ?`
)

// A migration ends itself before its lease does. Who finds it under way looks
// again after a while.
const (
	lease     = 60 * time.Second
	lookAgain = 250 * time.Millisecond
)

// schemaWithin bounds one statement about the schema, which takes a cluster
// longer than a message does.
const schemaWithin = 30 * time.Second

// prepareWithin is how long preparing is tried again.
const prepareWithin = 15 * time.Second

// refusal is an answer that does not change by asking again.
type refusal struct{ error }

func refuse(format string, args ...any) error { return refusal{fmt.Errorf(format, args...)} }

// Refused reports whether err of Open says that this program and the keyspace
// do not go together: trying again does not help, an operator must choose.
func Refused(err error) bool {
	var r refusal
	return errors.As(err, &r)
}

// errForeign: there is something else in the keyspace.
func errForeign(cfg *Config) error {
	return refuse("cassandra: the keyspace %q holds something that is not Parley's; choose another keyspace in the configuration, "+
		"or one that does not exist, which will be made", cfg.Keyspace)
}

// prepare makes the keyspace when it does not exist, migrates it when it is
// older than this program, and returns its epoch. Several programs may do so
// at once; every step may be done again, and is when it fails: a node tells of
// a table somewhat before it can use it.
func prepare(ctx context.Context, cfg Config) (parley.Epoch, error) {
	end := cfg.Now().Add(prepareWithin)
	for pause := firstPause; ; pause *= 2 {
		epoch, err := prepareOnce(ctx, &cfg)
		if err == nil {
			return epoch, nil
		}
		var no refusal
		if errors.As(err, &no) || cfg.Now().After(end) || sleep(ctx, pause) != nil {
			return "", explain(ctx, &cfg, err)
		}
	}
}

func prepareOnce(ctx context.Context, cfg *Config) (parley.Epoch, error) {
	slow := *cfg
	slow.Timeout = schemaWithin
	first, err := connect(ctx, slow, "", nil)
	if err != nil {
		return "", refusal{err}
	}
	err = makeKeyspace(ctx, cfg, first)
	letGo(first, cfg.Logger)
	if err != nil {
		return "", err
	}
	session, err := connect(ctx, slow, cfg.Keyspace, nil)
	if err != nil {
		return "", err
	}
	defer letGo(session, cfg.Logger)
	k := keyspace{cfg: cfg, session: session}
	return k.prepare(ctx)
}

// sleep waits, or returns why not.
func sleep(ctx context.Context, d time.Duration) error {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// explain says what kept the keyspace from being prepared.
func explain(ctx context.Context, cfg *Config, err error) error {
	var e gocql.RequestError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("cassandra: the cluster at %s did not answer in time: %w", cfg.at(), errors.Join(ctx.Err(), err))
	case errors.As(err, &e) && e.Code() == gocql.ErrCodeUnauthorized:
		return fmt.Errorf("cassandra: the account may not use the keyspace %q; grant it ALL on that keyspace", cfg.Keyspace)
	case errors.As(err, &e) && e.Code() == gocql.ErrCodeUnavailable:
		return fmt.Errorf("cassandra: too few nodes of the cluster at %s are up for %d copies of everything: %w", cfg.at(), cfg.Replication, err)
	}
	return err
}

func makeKeyspace(ctx context.Context, cfg *Config, s *gocql.Session) error {
	var name string
	found, err := one(ctx, s.Query(`SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?`, cfg.Keyspace), &name)
	if err != nil || found {
		return err
	}
	dc := cfg.Datacenter
	if dc == "" {
		if err := s.Query(`SELECT data_center FROM system.local`).Consistency(gocql.One).ScanContext(ctx, &dc); err != nil {
			return err
		}
	}
	err = s.Query(fmt.Sprintf(`CREATE KEYSPACE IF NOT EXISTS %s WITH replication = {'class': 'NetworkTopologyStrategy', '%s': %d}`,
		cfg.Keyspace, dc, cfg.Replication)).ExecContext(ctx)
	return errors.Join(err, s.AwaitSchemaAgreement(ctx))
}

// keyspace is a keyspace that is being looked at.
type keyspace struct {
	cfg     *Config
	session *gocql.Session
}

func (k *keyspace) prepare(ctx context.Context) (parley.Epoch, error) {
	if err := k.claim(ctx); err != nil {
		return "", err
	}
	owner, err := k.write(ctx, insertMeta, metaProduct, product)
	if err != nil {
		return "", err
	}
	if owner != product {
		return "", errForeign(k.cfg)
	}
	epoch, err := k.write(ctx, insertMeta, metaEpoch, parley.NewID("", k.cfg.Rand))
	if err != nil {
		return "", err
	}
	return parley.Epoch(epoch), k.migrate(ctx)
}

// claim makes the table meta, unless the keyspace holds anything that is not
// ours. Its identity is derived from the keyspace's name: two programs that
// make it at once make the same table.
func (k *keyspace) claim(ctx context.Context) error {
	tables, err := k.names(ctx, `SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?`, k.cfg.Keyspace)
	if err != nil {
		return err
	}
	if slices.Contains(tables, "meta") {
		columns, err := k.names(ctx, `SELECT column_name FROM system_schema.columns WHERE keyspace_name = ? AND table_name = 'meta'`, k.cfg.Keyspace)
		if err == nil && !slices.Equal(columns, []string{"name", "value"}) {
			err = errForeign(k.cfg)
		}
		return err
	}
	if len(tables) > 0 {
		return errForeign(k.cfg)
	}
	sum := sha256.Sum256([]byte("parley meta " + k.cfg.Keyspace))
	id, err := gocql.UUIDFromBytes(sum[:16])
	if err != nil {
		return err
	}
	err = k.session.Query(fmt.Sprintf(`CREATE TABLE IF NOT EXISTS meta (name text PRIMARY KEY, value text) WITH ID = '%s'`, id)).ExecContext(ctx)
	return errors.Join(err, k.session.AwaitSchemaAgreement(ctx))
}

func (k *keyspace) names(ctx context.Context, stmt string, values ...any) (out []string, err error) {
	rows := k.session.Query(stmt, values...).IterContext(ctx).Scanner()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, errors.Join(err, rows.Err())
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return out, rows.Err()
}

// write writes a row of meta unless it stands, and returns what stands.
func (k *keyspace) write(ctx context.Context, stmt, name, value string) (string, error) {
	if _, err := k.session.Query(stmt, name, value).MapScanCASContext(ctx, map[string]any{}); err != nil {
		return "", err
	}
	return k.read(ctx, name)
}

// read returns a row of meta, or "" when there is none.
func (k *keyspace) read(ctx context.Context, name string) (value string, err error) {
	_, err = one(ctx, serially(k.session.Query(selectMeta, name)), &value)
	return value, err
}

// migrate brings the tables to this program's version, or waits until another
// program has.
func (k *keyspace) migrate(ctx context.Context) error {
	me := parley.NewID("", k.cfg.Rand)
	for {
		written, err := k.read(ctx, metaSchema)
		if err != nil {
			return err
		}
		from := 0 // no tables yet
		if written != "" {
			if from, err = strconv.Atoi(written); err != nil {
				return errForeign(k.cfg)
			}
		}
		switch {
		case from > version:
			return refuse("cassandra: the keyspace %q was written by a newer Parley (schema %d, this one knows %d); run that version",
				k.cfg.Keyspace, from, version)
		case from == version:
			return nil
		}
		holder, err := k.write(ctx, leaseMeta, metaLock, me)
		if err != nil {
			return err
		}
		if holder == me {
			return k.apply(ctx, me, written, from)
		}
		if err := sleep(ctx, lookAgain); err != nil {
			return fmt.Errorf("cassandra: another program is migrating the keyspace %q: %w", k.cfg.Keyspace, err)
		}
	}
}

// apply runs the migrations after from. The lock is held.
func (k *keyspace) apply(ctx context.Context, me, written string, from int) error {
	ctx, cancel := context.WithTimeout(ctx, lease*3/4)
	defer cancel()
	if err := k.run(ctx, slices.Concat(migrations[from+1:]...)); err != nil {
		return fmt.Errorf("cassandra: migrate the keyspace: %w", err)
	}
	if err := k.session.AwaitSchemaAgreement(ctx); err != nil {
		return fmt.Errorf("cassandra: the nodes do not agree on the schema: %w", err)
	}
	to, q := strconv.Itoa(version), k.session.Query(insertMeta, metaSchema, strconv.Itoa(version))
	if written != "" {
		q = k.session.Query(updateMeta, to, metaSchema, written)
	}
	if _, err := q.MapScanCASContext(ctx, map[string]any{}); err != nil {
		return err
	}
	if now, err := k.read(ctx, metaSchema); err != nil || now != to {
		return errors.Join(store.ErrConflict, err)
	}
	_, err := k.session.Query(releaseMeta, metaLock, me).MapScanCASContext(ctx, map[string]any{})
	return err
}

// run runs statements about the schema one after the other on one node, which
// knows each when it runs the next. The others need not agree in between: it
// takes them a second each time.
func (k *keyspace) run(ctx context.Context, statements []string) error {
	cfg := *k.cfg
	cfg.Timeout, cfg.hasty = schemaWithin, true
	session, err := connect(ctx, cfg, cfg.Keyspace, nil)
	if err != nil {
		return err
	}
	defer letGo(session, cfg.Logger)
	var id gocql.UUID
	if err := session.Query(`SELECT host_id FROM system.local`).Consistency(gocql.One).ScanContext(ctx, &id); err != nil {
		return err
	}
	for _, stmt := range statements {
		if err := session.Query(stmt).SetHostID(id.String()).ExecContext(ctx); err != nil {
			return err
		}
	}
	return nil
}
