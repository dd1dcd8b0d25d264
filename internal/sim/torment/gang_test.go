package torment

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/sim"
)

// build compiles one of our programs and returns where it is.
func build(t *testing.T, pkg string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), filepath.Base(pkg))
	if out, err := exec.Command("go", "build", "-o", bin, pkg).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return bin
}

const (
	parleyProgram  = "github.com/parley-im/parley/cmd/parley"
	subjectProgram = "github.com/parley-im/parley/internal/sim/torment/subject"
)

// gang is the devices that talk while a server suffers.
type gang struct {
	*sim.Party
	t       *testing.T
	subject *Subject
	rec     *sim.Recorder
	stop    context.CancelFunc
	readies []time.Duration
}

const (
	gangUsers   = 8
	gangDevices = 2
)

// newGang starts the subject and has sixteen devices of eight users talk in
// sixteen conversations until Rest. Everything ends with the test.
func newGang(t *testing.T, s *Subject) *gang {
	t.Helper()
	g := &gang{t: t, subject: s, rec: sim.NewRecorder()}
	g.start()
	t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			if err := s.Kill(); err != nil {
				t.Error(err)
			}
		}
	})
	cfg := crowd(g.rec, func(string) sim.Dialer { return s.Dial }, 25*time.Millisecond)
	var err error
	if g.Party, err = sim.NewParty(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return g
}

// start starts the subject and notes how long it took.
func (g *gang) start() {
	g.t.Helper()
	ready, err := g.subject.Start(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	g.readies = append(g.readies, ready)
}

// talk lets all devices live.
func (g *gang) talk() {
	ctx, stop := context.WithCancel(g.t.Context())
	g.stop = stop
	g.t.Cleanup(func() { stop(); g.Wait() })
	for n := range g.Devices {
		g.Live(ctx, n, 0)
	}
}

// until waits until acks more messages were acknowledged.
func (g *gang) until(acks int, within time.Duration) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), within)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for want := g.rec.Acks() + acks; g.rec.Acks() < want; {
		select {
		case <-poll.C:
		case <-ctx.Done():
			g.t.Fatalf("no %d acks within %v", acks, within)
		}
	}
}

// end has the devices send what is pending, looks at everything once more, has
// the server end in order, and returns what the checker says.
func (g *gang) end(rules sim.Rules) (sim.History, []sim.Finding, error) {
	g.t.Helper()
	for _, d := range g.Devices {
		d.Hush()
	}
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	if restless := g.Rest(ctx); len(restless) > 0 {
		return nil, nil, fmt.Errorf("after a minute of peace these devices still send or fetch: %v", restless)
	}
	level, done := context.WithTimeout(ctx, 10*time.Second)
	g.Agree(level)
	done()
	g.stop()
	g.Wait()
	f, err := g.Final(ctx)
	if err = errors.Join(err, g.subject.Stop()); err != nil {
		return nil, nil, err
	}
	h := g.rec.History()
	return h, sim.Check(h, f, rules), nil
}

// report fails the test for every finding and says how much was proven.
func (g *gang) report(h sim.History, found []sim.Finding, err error) (acked, resends int) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
	for _, f := range found {
		g.t.Error(f)
	}
	acked, resends = h.Acked()
	judged := 0
	for i := range h {
		if h[i].Op == sim.OpAppend || h[i].Op == sim.OpRead {
			judged++
		}
	}
	slices.Sort(g.readies)
	g.t.Logf("%d acked, %d resends, %d operations judged for linearizability; ready after a start: median %v, longest %v of %d",
		acked, resends, judged, g.readies[len(g.readies)/2].Round(time.Millisecond), g.readies[len(g.readies)-1].Round(time.Millisecond), len(g.readies))
	return acked, resends
}

// crowd is sixteen devices of eight users in sixteen conversations, each of
// which says something after every pause.
func crowd(rec *sim.Recorder, dial func(string) sim.Dialer, pause time.Duration) sim.PartyConfig {
	cfg := sim.PartyConfig{
		Users: gangUsers, Devices: gangDevices, Recorder: rec, Dial: dial,
		Device: sim.DeviceConfig{
			Seed: 4711, Sends: 1 << 30, Pause: pause,
			AckTimeout: 5 * time.Second, Backoff: 100 * time.Millisecond, PollTimeout: 5 * time.Second,
		},
		Vary: func(n int, d sim.DeviceConfig) sim.DeviceConfig {
			d.Poll, d.Window = n%4 == 3, 1+n%4
			return d
		},
	}
	for u := range gangUsers {
		cfg.Groups = append(cfg.Groups,
			sim.Gathering{Title: fmt.Sprintf("group %d", u), Users: []int{u, (u + 1) % gangUsers, (u + 3) % gangUsers}},
			sim.Gathering{Users: []int{u, (u + 2) % gangUsers}})
	}
	return cfg
}
