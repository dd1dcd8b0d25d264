package cassandra_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/cassandra"
)

// TestOpenRefuses: each mistake gets a sentence that says what to do, and no
// sentence says the password.
func TestOpenRefuses(t *testing.T) {
	good := config(t)
	foreign, half, newer := config(t), config(t), config(t)
	s := open(t, newer)
	do := func(stmt string, values ...any) {
		t.Helper()
		if err := s.Session().Query(stmt, values...).Exec(); err != nil {
			t.Fatal(err)
		}
	}
	do(`UPDATE meta SET value = '9999' WHERE name = 'schema'`)
	for _, ks := range []string{foreign.Keyspace, half.Keyspace} {
		do(`CREATE KEYSPACE ` + ks + ` WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`)
	}
	do(`CREATE TABLE ` + foreign.Keyspace + `.orders (id int PRIMARY KEY)`)
	do(`CREATE TABLE ` + half.Keyspace + `.meta (id int PRIMARY KEY, name text)`)
	with := func(change func(*cassandra.Config)) cassandra.Config {
		cfg := good
		change(&cfg)
		return cfg
	}
	for name, c := range map[string]struct {
		cfg  cassandra.Config
		says string
	}{
		"another program's tables": {foreign, "not Parley's"},
		"another program's meta":   {half, "not Parley's"},
		"a newer schema":           {newer, "written by a newer Parley"},
		"a wrong password":         {with(func(c *cassandra.Config) { c.Password = "hunter2" }), "refused the user name or the password"},
		"no password":              {with(func(c *cassandra.Config) { c.Username, c.Password = "", "" }), "refused the user name or the password"},
		"nobody there":             {with(func(c *cassandra.Config) { c.Port = 1 }), "no node answers at 127.0.0.1:1"},
		"no such host":             {with(func(c *cassandra.Config) { c.Hosts = []string{"nowhere.invalid"} }), "no node answers at nowhere.invalid"},
		"no hosts":                 {with(func(c *cassandra.Config) { c.Hosts = nil }), "no hosts"},
		"no name":                  {with(func(c *cassandra.Config) { c.Keyspace = "Drop; table" }), "cannot be a keyspace"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := cassandra.Open(t.Context(), c.cfg)
			if err == nil {
				_ = s.Close()
				t.Fatal("it opened")
			}
			if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("it says: %v", err)
			}
		})
	}
	t.Run("no time", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := cassandra.Open(ctx, good); !errors.Is(err, context.Canceled) {
			t.Errorf("it says: %v", err)
		}
	})
}

// await asks until ok, as often as a person would.
func await(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(within)
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("%s: not within %s", what, within)
		}
	}
}

// TestOutage kills a store that hangs, lies, or needs a restart when the
// cluster is gone for a while.
func TestOutage(t *testing.T) {
	cluster, cfg := node.Get(t), config(t)
	s := open(t, cfg)
	mustAppend(t, s, entries("c", 0, 1, "a"))
	for name, f := range map[string]struct{ gone, back func() error }{
		"frozen": {func() error { return cluster.Freeze(0) }, func() error { return cluster.Thaw(0) }},
		"killed": {func() error { return cluster.Kill(0) }, func() error { return cluster.Restart(t.Context(), 0) }},
	} {
		h, err := s.Load(t.Context(), "c")
		if err != nil {
			t.Fatal(err)
		}
		if err := f.gone(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		err = s.Append(t.Context(), entries("c", h.Seq, 1, "a"))
		if took := time.Since(began); !errors.Is(err, store.ErrUnavailable) || took > 3*time.Second {
			t.Errorf("%s: append: %v after %s", name, err, took)
		}
		if err := s.Writable(); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: writable: %v", name, err)
		}
		if _, err := s.Load(t.Context(), "c"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: load: %v", name, err)
		}
		w := &store.InboxWrite{User: "u", Rows: rowAt(1)}
		if err := s.WriteInboxes(t.Context(), []*store.InboxWrite{w}); !errors.Is(err, store.ErrUnavailable) || w.Err != nil {
			t.Errorf("%s: write inboxes: %v, %v", name, err, w.Err)
		}
		if err := f.back(); err != nil {
			t.Fatal(err)
		}
		await(t, 30*time.Second, "writable after "+name, func() bool { return s.Writable() == nil })
		await(t, 10*time.Second, "an append after "+name, func() bool {
			h, err := s.Load(t.Context(), "c")
			return err == nil && s.Append(t.Context(), entries("c", h.Seq, 1, "a")) == nil
		})
	}
}

// TestCheck kills a doctor that does not see what a developer's cluster lacks.
func TestCheck(t *testing.T) {
	cfg := config(t)
	findings := func() string {
		found, err := cassandra.Check(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, f := range found {
			all = append(all, f.Sentence)
		}
		return strings.Join(all, "\n")
	}
	if all := findings(); !strings.Contains(all, "does not exist yet") {
		t.Errorf("before the first start: %s", all)
	}
	open(t, cfg)
	if all := findings(); !strings.Contains(all, "fewer than three copies") || strings.Contains(all, "commitlog_sync:") ||
		strings.Contains(all, "clock") || strings.Contains(all, "paxos_variant") {
		t.Errorf("one node: %s", all)
	}
	ahead := cfg
	ahead.Now = func() time.Time { return time.Now().Add(time.Hour) }
	found, err := cassandra.Check(t.Context(), ahead)
	if err != nil || !strings.Contains(found[0].Sentence, "clock") {
		t.Errorf("an hour ahead: %v, %v", found, err)
	}
	cfg.Port = 1
	if _, err := cassandra.Check(t.Context(), cfg); err == nil {
		t.Error("checked a cluster that is not there")
	}
}
