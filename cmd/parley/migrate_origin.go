package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/parley-im/parley/internal/migrate"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/pebblestore"
)

// origin is a store that is copied from, by what its engine can do while
// servers use it.
type origin interface {
	// served returns what can be read while servers go on, and how to let go of
	// it; nil when there is no such thing.
	served(ctx context.Context) (store.Store, func() error, error)
	// still returns the store once no server uses it. It calls waiting when it
	// has to wait.
	still(ctx context.Context, waiting func()) (store.Store, error)
}

func (m *move) origin() origin {
	if m.from == cassandraStore {
		return shared{m}
	}
	return directory{m.cfg.Data}
}

// lookEvery is how often it is looked whether servers still run.
const lookEvery = 50 * time.Millisecond

// directory is an embedded store, which one process at a time has open.
type directory struct{ dir string }

// passing is where the server puts the copy of its store that is read, in its
// data directory: there it can share files.
const passing = "migrating"

func (d directory) served(ctx context.Context) (store.Store, func() error, error) {
	to, err := filepath.Abs(filepath.Join(d.dir, passing))
	if err != nil {
		return nil, nil, err
	}
	if err := os.RemoveAll(to); err != nil { // an interrupted run's
		return nil, nil, err
	}
	if err := tell(ctx, d.dir, order{Backup: to}); err != nil {
		if errors.Is(err, errNoServer) {
			err = nil
		}
		return nil, nil, err
	}
	s, err := openThere(to)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(to))
	}
	return s, func() error { return errors.Join(s.Close(), os.RemoveAll(to)) }, nil
}

func (d directory) still(ctx context.Context, waiting func()) (store.Store, error) {
	s, err := openThere(d.dir)
	if !errors.Is(err, syscall.EAGAIN) {
		return s, err
	}
	waiting()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if s, err := openThere(d.dir); !errors.Is(err, syscall.EAGAIN) {
				return s, err
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("stopped before the server was; run the same command again to go on: %w", ctx.Err())
		}
	}
}

// openThere opens an embedded store that must be there.
func openThere(dir string) (store.Store, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("there is no store in %s; say where it is with --data", dir)
	}
	s, err := pebblestore.Open(pebblestore.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err // not s: a nil *Store is not a nil store.Store
	}
	return s, nil
}

// shared is a store that any process may open beside the nodes.
type shared struct{ m *move }

func (o shared) served(ctx context.Context) (store.Store, func() error, error) {
	s, err := o.m.openSource(ctx)
	if err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}

// A node writes its row of the node table every second; none has for this
// long when all have ended.
const (
	nodeTable = "cluster/nodes"
	quiet     = 5 * time.Second
)

func (o shared) still(ctx context.Context, waiting func()) (store.Store, error) {
	s, err := o.m.openSource(ctx)
	if err != nil {
		return nil, err
	}
	if err := silence(ctx, s, o.m.e.now, waiting); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// silence waits until no node writes to the node table any more. It calls
// waiting when one does. A table without a row says that there was no node.
func silence(ctx context.Context, s store.Records, now func() time.Time, waiting func()) error {
	last, err := nodes(ctx, s)
	if err != nil || len(last) == 0 {
		return err
	}
	since, told := now(), false
	tick := time.NewTicker(10 * lookEvery)
	defer tick.Stop()
	for now().Sub(since) < quiet {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("stopped before the nodes were; run the same command again to go on: %w", ctx.Err())
		}
		seen, err := nodes(ctx, s)
		if err != nil {
			return err
		}
		if !maps.Equal(seen, last) {
			last, since = seen, now()
			if !told {
				told = true
				waiting()
			}
		}
	}
	return nil
}

// nodes returns the version of each node's row.
func nodes(ctx context.Context, s store.Records) (map[string]uint64, error) {
	const most = 1000
	rows, err := s.ListRecords(ctx, nodeTable, "", "", most)
	out := make(map[string]uint64, len(rows))
	for _, r := range rows {
		out[r.Key] = r.Version
	}
	return out, err
}

// show tells a person how a move goes: a line that changes on a terminal, or
// else a line now and then.
type show struct {
	out   env
	what  string
	total migrate.Counts
	last  time.Time
}

// lineEvery is how often a line is printed where lines stay.
const lineEvery = 10 * time.Second

func (s *show) begin(what string, total migrate.Counts) {
	s.what, s.total, s.last = what, total, s.out.now()
	if !s.out.terminal(s.out.stderr) {
		fmt.Fprintf(s.out.stderr, "%s: %s\n", what, amount(total))
	}
}

func (s *show) progress(p migrate.Progress) {
	line := fmt.Sprintf("%s: %d of %d entries, %d of %d users, %d of %d records; %.0f a second", s.what,
		p.Done.Entries, p.Total.Entries, p.Done.Users, p.Total.Users, p.Done.Records, p.Total.Records, p.Rate())
	if left := p.Left(); left > 0 {
		line += fmt.Sprintf("; about %s left", left.Round(time.Second))
	}
	switch now := s.out.now(); {
	case s.out.terminal(s.out.stderr):
		fmt.Fprintf(s.out.stderr, "\r\x1b[K%s", line)
	case now.Sub(s.last) >= lineEvery:
		s.last = now
		fmt.Fprintln(s.out.stderr, line)
	}
}

func (s *show) end() {
	if s.out.terminal(s.out.stderr) {
		fmt.Fprintln(s.out.stderr)
	}
}

func amount(n migrate.Counts) string {
	return fmt.Sprintf("%d conversations with %d entries, %d inboxes with %d rows, %d records",
		n.Conversations, n.Entries, n.Users, n.Rows, n.Records)
}
