package load_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/load"
	"github.com/parley-im/parley/internal/server"
	"github.com/parley-im/parley/internal/store/memstore"
)

// serve runs a real server in memory and returns options for a short load.
func serve(t *testing.T, set func(*server.Config)) load.Options {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := server.Config{Store: memstore.New(), Listener: l, Version: "9.9", Registration: account.Open, NoRateLimits: true,
		Hasher: account.HashParams{Time: 1, MemoryKiB: 8, Threads: 1}}
	set(&cfg)
	srv, err := server.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := srv.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return load.Options{URL: "http://" + l.Addr().String(), Duration: 200 * time.Millisecond, Data: t.TempDir(),
		Accounts: filepath.Join(t.TempDir(), "accounts.json")}
}

func asIs(*server.Config) {}

// check wants a report without faults that can be printed both ways.
func check(t *testing.T, rep *load.Report, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if rep.Faults != (load.Faults{}) || rep.Unanswered != 0 || rep.Interrupted || rep.Seconds < .15 || rep.Server != "parley/9.9" {
		t.Errorf("%+v", rep)
	}
	var text bytes.Buffer
	if err := rep.WriteText(&text); err != nil || !strings.HasPrefix(text.String(), rep.Workload+" on parley/9.9: ") {
		t.Errorf("%v: %s", err, &text)
	}
	data, err := json.Marshal(rep)
	var back map[string]any
	if err != nil || json.Unmarshal(data, &back) != nil || back["workload"] != rep.Workload {
		t.Errorf("%v: %s", err, data)
	}
}

func TestPairs(t *testing.T) {
	o := serve(t, asIs)
	for _, plan := range []load.PairsPlan{{Pairs: 4, Window: 2}, {Pairs: 4, Rate: 200}} {
		rep, err := load.Pairs(t.Context(), o, plan)
		check(t, rep, err)
		if rep.Messages == 0 || rep.Ack == nil || rep.EndToEnd == nil || rep.EndToEnd.Max < rep.Ack.P50 || rep.Deliveries == 0 || rep.Sync == nil || rep.GapReads != 0 {
			t.Errorf("%+v", rep)
		}
	}
}

func TestGroup(t *testing.T) {
	rep, err := load.Group(t.Context(), serve(t, asIs), load.GroupPlan{Members: 20, Senders: 3, Window: 2})
	check(t, rep, err)
	if rep.Messages == 0 || rep.Arrival == nil || rep.Deliveries < rep.Messages*17 || rep.Deliveries > rep.Messages*21 {
		t.Errorf("%d messages, %d deliveries", rep.Messages, rep.Deliveries)
	}
}

// TestMixed wants messages of every kind, each heard by as many as belong to
// its conversation, and the time to the last of everybody by itself.
func TestMixed(t *testing.T) {
	o := serve(t, asIs)
	o.Duration = 500 * time.Millisecond
	rep, err := load.Mixed(t.Context(), o, load.MixedPlan{People: 70, Rate: 400})
	check(t, rep, err)
	if rep.Messages == 0 || rep.LastMember == nil || rep.EndToEnd == nil || rep.LastMember.Count == 0 || rep.LastMember.Count > rep.EndToEnd.Count/40 ||
		rep.Arrival == nil || rep.Deliveries <= rep.Messages || rep.GapReads != 0 {
		t.Errorf("%+v", rep)
	}
}

func TestIdle(t *testing.T) {
	rep, err := load.Idle(t.Context(), serve(t, asIs), load.IdlePlan{Connections: 20, Users: 3})
	check(t, rep, err)
	if rep.Connections != 20 || rep.ConnectsPerSecond == 0 || rep.Messages != 0 {
		t.Errorf("%+v", rep)
	}
}

// TestHistory fills conversations once: the second run must find them deep
// enough, and the third fill up what it lacks.
func TestHistory(t *testing.T) {
	o := serve(t, asIs)
	for i, plan := range []load.HistoryPlan{{Conversations: 5, Depth: 60, Readers: 2}, {Conversations: 5, Depth: 60, Readers: 1}, {Conversations: 7, Depth: 3, Readers: 1}} {
		var said bytes.Buffer
		o.Progress = &said
		rep, err := load.History(t.Context(), o, plan)
		check(t, rep, err)
		if rep.Reads == 0 || rep.Read == nil {
			t.Errorf("%+v", rep)
		}
		if filled := strings.Contains(said.String(), "filling"); filled != (i != 1) {
			t.Errorf("run %d: said %q", i, &said)
		}
	}
}

// TestSearch wants the one message found again and again, and a second run that
// writes nothing more.
func TestSearch(t *testing.T) {
	o := serve(t, asIs)
	plan := load.SearchPlan{Conversations: 3, Megabytes: 1}
	for i := range 2 {
		var said bytes.Buffer
		o.Progress = &said
		rep, err := load.Search(t.Context(), o, plan)
		check(t, rep, err)
		if rep.Reads == 0 || rep.Read == nil {
			t.Errorf("%+v", rep)
		}
		if filled := strings.Contains(said.String(), "filling"); filled != (i == 0) {
			t.Errorf("run %d: said %q", i, &said)
		}
	}
}

func TestCompare(t *testing.T) {
	o := serve(t, asIs)
	o.Duration = 500 * time.Millisecond // a disk may stall for a part of it
	c, err := load.Compare(t.Context(), o, load.PairsPlan{Pairs: 3, Window: 2}, 2)
	if err != nil {
		t.Fatal(err)
	}
	check(t, c.Server, err)
	if len(c.Shares) != 2 || c.Median <= 0 || c.Limit.Messages == 0 || c.Limit.Seconds < .9 {
		t.Errorf("%+v", c)
	}
	var text bytes.Buffer
	if err := c.WriteText(&text); err != nil || !strings.Contains(text.String(), "% of the limit") {
		t.Errorf("%v: %s", err, &text)
	}
}

// TestRateLimits wants a load that rate limits make meaningless refused, and
// in words that say why.
func TestRateLimits(t *testing.T) {
	o := serve(t, func(c *server.Config) { c.NoRateLimits = false })
	o.Duration = time.Minute // however slow the machine is: it ends at the first refusal
	if _, err := load.Pairs(t.Context(), o, load.PairsPlan{Pairs: 40, Window: 4}); !errors.Is(err, load.ErrLimited) {
		t.Errorf("signing up 80 people: %v", err)
	}
	o.Accounts = ""
	o = serve(t, func(c *server.Config) { c.NoRateLimits = false })
	o.Duration = time.Minute
	rep, err := load.Pairs(t.Context(), o, load.PairsPlan{Pairs: 1, Window: 4})
	if !errors.Is(err, load.ErrLimited) {
		t.Errorf("%v; %+v", err, rep)
	}
}

// TestAccounts keeps people between runs, tells when the server is another,
// and signs up by invite only where that is asked for.
func TestAccounts(t *testing.T) {
	o := serve(t, asIs)
	plan := load.PairsPlan{Pairs: 1, Window: 1}
	read := func() string {
		data, err := os.ReadFile(o.Accounts)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	rep, err := load.Pairs(t.Context(), o, plan)
	check(t, rep, err)
	first := read()
	if info, err := os.Stat(o.Accounts); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("tokens are in a file of mode %v, %v", info.Mode(), err)
	}
	rep, err = load.Pairs(t.Context(), o, plan)
	check(t, rep, err)
	if read() != first {
		t.Error("known people were signed up again")
	}
	another := serve(t, func(c *server.Config) { c.Registration = account.ByInvite })
	another.Accounts = o.Accounts
	if _, err := load.Pairs(t.Context(), another, plan); err == nil || !strings.Contains(err.Error(), "--registration open") {
		t.Errorf("strangers without an invite: %v", err)
	}
}
