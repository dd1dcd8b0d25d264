package cassandra

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// Level says how grave a finding is.
type Level int

// The levels.
const (
	Fine    Level = iota // as it should be
	Advice               // works, and could be better
	Warning              // will hurt one day
	Failure              // a promise does not hold like this
)

// Finding is one thing that Check found: a sentence that says what is and what
// to do.
type Finding struct {
	Level    Level
	Sentence string
}

// Check looks at the cluster's settings, node by node, at the keyspace and at
// the clocks, and changes nothing. An error means that it could not look.
func Check(ctx context.Context, cfg Config) ([]Finding, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	session, err := connect(ctx, cfg, "", nil)
	if err != nil {
		return nil, err
	}
	defer letGo(session, cfg.Logger)
	c := checkup{ctx: ctx, cfg: &cfg, session: session}
	racks := map[string]int{}
	hosts := session.GetHosts()
	slices.SortFunc(hosts, func(a, b *gocql.HostInfo) int {
		return strings.Compare(a.ConnectAddress().String(), b.ConnectAddress().String())
	})
	for _, host := range hosts {
		racks[host.Rack()]++
		c.node(host)
	}
	c.keyspace(racks)
	if len(c.findings) == 0 {
		c.say(Fine, "Cassandra is as Parley needs it: %d nodes in %d racks.", len(hosts), len(racks))
	}
	return c.findings, nil
}

// checkup is one look at a cluster.
type checkup struct {
	ctx      context.Context
	cfg      *Config
	session  *gocql.Session
	findings []Finding
}

func (c *checkup) say(l Level, format string, args ...any) {
	c.findings = append(c.findings, Finding{l, fmt.Sprintf(format, args...)})
}

// node looks at one node.
func (c *checkup) node(host *gocql.HostInfo) {
	name := host.ConnectAddress().String()
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.Timeout)
	defer cancel()
	settings, err := c.settings(ctx, host.HostID())
	if err != nil {
		c.say(Warning, "The node %s does not answer; see whether it is down, and its log.", name)
		return
	}
	v := host.Version()
	if v.Major < 5 {
		c.say(Failure, "The node %s runs Cassandra %s; Parley needs 5.0 or newer.", name, v.String())
	}
	c.settingsOf(name, settings)
	c.clock(ctx, name, host.HostID())
}

// clockWithin is how far a node's clock may be from this machine's.
const clockWithin = 2 * time.Second

// clock compares clocks. Ballots of conditional writes come from the nodes'
// clocks: one that is ahead makes all others wait for it.
func (c *checkup) clock(ctx context.Context, name, id string) {
	var ms int64
	before := c.cfg.Now()
	err := c.session.Query(`SELECT toUnixTimestamp(now()) FROM system.local`).SetHostID(id).Consistency(gocql.One).ScanContext(ctx, &ms)
	if err != nil {
		return // it has just answered; whatever this is, it is not the clock
	}
	after := c.cfg.Now()
	theirs := time.UnixMilli(ms)
	if off := max(before.Sub(theirs), theirs.Sub(after)); off > clockWithin {
		c.say(Warning, "The clock of the node %s is %s away from this machine's; run NTP on both.", name, off.Round(time.Second))
	}
}

func (c *checkup) settings(ctx context.Context, id string) (map[string]string, error) {
	out := map[string]string{}
	rows := c.session.Query(`SELECT name, value FROM system_views.settings`).SetHostID(id).Consistency(gocql.One).IterContext(ctx).Scanner()
	for rows.Next() {
		var name string
		var value *string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, errors.Join(err, rows.Err())
		}
		if value != nil {
			out[name] = *value
		}
	}
	return out, rows.Err()
}

// settingsOf judges the settings of one node.
func (c *checkup) settingsOf(name string, settings map[string]string) {
	if v := settings["paxos_variant"]; v != "v2" {
		c.say(Warning, "The node %s has paxos_variant: %s; set paxos_variant: v2 in cassandra.yaml on every node, or each message costs two more round trips.", name, v)
	}
	if v := settings["commitlog_sync"]; v != "group" && v != "batch" {
		c.say(Failure, "The node %s has commitlog_sync: %s: a power cut loses acknowledged messages; set commitlog_sync: group (and commitlog_sync_group_window: 2ms) in cassandra.yaml.", name, v)
	}
	if v := settings["paxos_state_purging"]; v == "legacy" {
		c.say(Advice, "The node %s has paxos_state_purging: legacy; set repaired, and run Paxos repair regularly.", name)
	}
	if n, ok := bytesOf(settings["max_mutation_size"]); ok && n < 2*maxAppend {
		c.say(Warning, "The node %s takes writes of at most %s; leave commitlog_segment_size at 32MiB or more.", name, settings["max_mutation_size"])
	}
	if v := settings["minimum_timestamp_fail_threshold"]; v != "" {
		c.say(Failure, "The node %s refuses old timestamps (minimum_timestamp_fail_threshold: %s), which Parley's hints have; remove that setting.", name, v)
	}
	if d, err := time.ParseDuration(settings["cas_contention_timeout"]); err == nil && d > c.cfg.Timeout {
		c.say(Advice, "The node %s tries a contended write for %s, longer than Parley waits; set cas_contention_timeout: %s.", name, d, c.cfg.Timeout*9/10)
	}
	if v := settings["authenticator"]; v == "AllowAllAuthenticator" {
		c.say(Advice, "The node %s asks nobody for a password; set authenticator: PasswordAuthenticator, or see that only Parley reaches its port.", name)
	}
}

var quantity = regexp.MustCompile(`^(\d+)\s*(B|KiB|MiB|GiB)$`)

// bytesOf reads a size as Cassandra writes it.
func bytesOf(s string) (int64, bool) {
	m := quantity.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	return n << map[string]int{"B": 0, "KiB": 10, "MiB": 20, "GiB": 30}[m[2]], err == nil
}

// keyspace looks at the keyspace's copies and version.
func (c *checkup) keyspace(racks map[string]int) {
	meta, err := c.session.KeyspaceMetadata(c.cfg.Keyspace)
	if errors.Is(err, gocql.ErrKeyspaceDoesNotExist) {
		c.say(Advice, "The keyspace %q does not exist yet; parley serve will make it with %d copies.", c.cfg.Keyspace, c.cfg.Replication)
		return
	}
	if err != nil {
		c.say(Warning, "The keyspace %q could not be looked at; try again when the cluster is well.", c.cfg.Keyspace)
		return
	}
	copies := copiesOf(meta.StrategyOptions)
	if len(copies) == 0 || slices.Min(slices.Collect(maps.Values(copies))) < 3 {
		c.say(Failure, "The keyspace %q keeps fewer than three copies, so that one lost node stops it or loses messages; "+
			"ALTER KEYSPACE %s to a replication of 3 and run nodetool repair -full on every node.", c.cfg.Keyspace, c.cfg.Keyspace)
	} else if len(racks) < 3 {
		c.say(Warning, "The nodes are in %d racks: with three, a rack can fail without a message delayed; see OPERATIONS.md.", len(racks))
	}
	written, err := c.version()
	switch {
	case err != nil:
		c.say(Failure, "The keyspace %q is not Parley's, or half made; choose another, or start parley serve once to finish it.", c.cfg.Keyspace)
	case written > version:
		c.say(Failure, "The keyspace %q was written by a newer Parley (schema %d, this one knows %d); run that version.", c.cfg.Keyspace, written, version)
	case written < version:
		c.say(Advice, "The keyspace %q has schema %d; the next start of parley serve migrates it to %d.", c.cfg.Keyspace, written, version)
	}
}

// version reads the schema's version.
func (c *checkup) version() (int, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.Timeout)
	defer cancel()
	var value string
	err := c.session.Query(strings.Replace(selectMeta, "meta", c.cfg.Keyspace+".meta", 1), metaSchema).ScanContext(ctx, &value)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(value)
}

// copiesOf returns the copies per datacenter.
func copiesOf(options map[string]any) map[string]int {
	out := map[string]int{}
	for dc, v := range options {
		if n, err := strconv.Atoi(fmt.Sprint(v)); err == nil && dc != "class" {
			out[dc] = n
		}
	}
	return out
}
