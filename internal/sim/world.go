package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/server"
	"github.com/parley-im/parley/internal/store"
)

// WorldConfig is all that decides what happens in a world, but for the order
// in which goroutines run.
type WorldConfig struct {
	Seed  int64
	Sends int                           // what each device composes; 0: 40
	Disk  Disk                          // nil: a MemoryDisk
	Wrap  func(store.Store) store.Store // seeds a fault into the store; nil: none
	Fault DeviceFault                   // seeds one into every device
	Log   *slog.Logger                  // of the server; nil: discards
}

// World is one server on one disk, twelve devices of six users, and a network
// between them, for the few virtual minutes of its life. It must run inside a
// testing/synctest bubble.
type World struct {
	cfg   WorldConfig
	dice  *dice
	net   *Network
	disk  Disk
	rec   *Recorder
	party *Party
	rough atomic.Bool // the network tears and lags
	store store.Store // owned by whoever starts and stops the server: one at a time
	srv   *server.Server
}

// dice is a source of chance that many may use at once.
type dice struct {
	mu   sync.Mutex
	rand *rand.Rand
}

func (d *dice) intn(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand.IntN(n)
}

// within returns a time from 0 up to, but not including, limit.
func (d *dice) within(limit time.Duration) time.Duration { return time.Duration(d.intn(int(limit))) }

// NewWorld makes a world in which nothing happens yet.
func NewWorld(cfg WorldConfig) *World {
	if cfg.Sends == 0 {
		cfg.Sends = 40
	}
	w := &World{cfg: cfg, rec: NewRecorder(), dice: &dice{rand: rand.New(rand.NewPCG(uint64(cfg.Seed), 1))}}
	w.net = NewNetwork(w.latency, func() bool { return w.rough.Load() && w.dice.intn(100) == 0 })
	if w.disk = cfg.Disk; w.disk == nil {
		w.disk = NewMemoryDisk(func() bool { return w.dice.intn(4) == 0 })
	}
	return w
}

// latency is 1 to 30 ms, and in rough times now and then up to half a second.
func (w *World) latency() time.Duration {
	if w.rough.Load() && w.dice.intn(20) == 0 {
		return w.dice.within(500 * time.Millisecond)
	}
	return time.Millisecond + w.dice.within(29*time.Millisecond)
}

// Run is the whole life: people sign up, talk through every mischief, are
// healed, send again what they sent long ago, enjoy a calm, and look back. An
// error means that the world did not come to its end, which is a failure too.
func (w *World) Run(ctx context.Context) (h History, f *Final, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	if err := w.start(ctx); err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, w.drain()) }()
	if w.party, err = NewParty(ctx, w.cast()); err != nil {
		return nil, nil, err
	}
	live, stop := context.WithCancel(ctx)
	defer func() { stop(); w.party.Wait() }()
	for n := range w.party.Devices {
		late := time.Duration(0)
		if w.dice.intn(4) == 0 {
			late = w.dice.within(40 * time.Second)
		}
		w.party.Live(live, n, late)
	}
	if err := w.trouble(ctx); err != nil {
		return w.rec.History(), nil, err
	}
	if err := w.night(ctx); err != nil {
		return w.rec.History(), nil, err
	}
	if err := w.party.calm(ctx); err != nil {
		return w.rec.History(), nil, err
	}
	stop()
	w.party.Wait()
	f, err = w.party.Final(ctx)
	return w.rec.History(), f, err
}

// cast is who lives here.
func (w *World) cast() PartyConfig {
	dial := func(device string) Dialer {
		return func(ctx context.Context) (net.Conn, error) { return w.net.Dial(ctx, device) }
	}
	return cast(w.rec, dial, DeviceConfig{Seed: uint64(w.cfg.Seed) << 8, Sends: w.cfg.Sends, Fault: w.cfg.Fault})
}

// cast is six users with two devices each: everybody in one group, some in
// another, pairs. Every third device polls. User 2 leads the smaller group;
// some users' first devices block somebody now and then.
func cast(rec *Recorder, dial func(device string) Dialer, d DeviceConfig) PartyConfig {
	d.Pause = 1200 * time.Millisecond
	return PartyConfig{
		Users: 6, Devices: 2,
		Groups: []Gathering{
			{Title: "everybody", Users: []int{0, 1, 2, 3, 4, 5}, Weight: 3},
			{Title: "some", Users: []int{2, 3, 4}},
			{Users: []int{0, 1}}, {Users: []int{4, 5}}, {Users: []int{0, 3}},
		},
		Recorder: rec, Dial: dial, Device: d,
		Lives: func(n int, users, groups []string) Life {
			l := Life{Pause: 4 * time.Second}
			switch n {
			case 0:
				l.Blocks = users[5:]
			case 2:
				l.Blocks = users[:1]
			case 4:
				l.Leads, l.Wards, l.Whole, l.Pause = groups[1], users[3:], users[4:5], 3*time.Second
			case 6:
				l.Blocks = []string{users[2], users[4]}
			case 9:
				l.Leaves = groups[1]
			case 10:
				l.Blocks = users[4:5]
			}
			return l
		},
		Vary: func(n int, d DeviceConfig) DeviceConfig {
			d.Poll, d.Window = n%3 == 2, 1+n%4
			return d
		},
	}
}

// start opens the disk and starts a server on it.
func (w *World) start(ctx context.Context) error {
	s, err := w.disk.Open()
	if err != nil {
		return err
	}
	if w.cfg.Wrap != nil {
		s = w.cfg.Wrap(s)
	}
	w.store = s
	w.srv, err = server.Start(ctx, server.Config{
		Store: s, Listener: w.net.Listen(), Registration: account.Open, NoRateLimits: true, NoPolling: true,
		Hasher: account.HashParams{Time: 1, MemoryKiB: 8, Threads: 1}, SettleEvery: 10 * time.Second, Logger: w.cfg.Log,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("sim: start the server: %w", err), s.Close())
	}
	return nil
}

// crash loses power: at one instant the links are gone and the disk is what it
// is. What the old server still does, nobody sees.
func (w *World) crash() error {
	w.net.Down()
	w.disk.Crash(rand.New(rand.NewPCG(uint64(w.dice.intn(1<<30)), 2)))
	w.srv.Kill()
	w.srv = nil
	return w.store.Close()
}

// drain stops the server as an operator does.
func (w *World) drain() error {
	if w.srv == nil {
		return nil
	}
	w.net.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := w.srv.Close(ctx)
	w.srv = nil
	w.net.Down()
	return err
}

// restart takes the server down, by a crash or in order, and starts another
// after a while.
func (w *World) restart(ctx context.Context, stop func() error) error {
	if err := stop(); err != nil {
		return fmt.Errorf("sim: stop the server: %w", err)
	}
	pause(ctx, w.dice.within(3*time.Second))
	return w.start(ctx)
}

// trouble lasts until everything is composed; then the world heals and
// everything pending is sent.
func (w *World) trouble(ctx context.Context) error {
	w.rough.Store(true)
	barred := map[string]time.Time{}
	for !w.party.Composed() && pause(ctx, w.dice.within(2*time.Second)) {
		for d, until := range barred {
			if time.Now().After(until) {
				w.net.Bar(d, false)
				delete(barred, d)
			}
		}
		d := w.party.Devices[w.dice.intn(len(w.party.Devices))].cfg.Name
		var err error
		switch n := w.dice.intn(100); {
		case n < 40:
			w.net.Cut(d)
		case n < 50:
			w.net.Silence(d)
		case n < 58:
			barred[d] = time.Now().Add(w.dice.within(30 * time.Second))
			w.net.Bar(d, true)
			w.net.Cut(d)
		case n < 64:
			err = w.restart(ctx, w.crash)
		case n < 67:
			err = w.restart(ctx, w.drain)
		case n < 72:
			w.disk.Ail(true)
			pause(ctx, w.dice.within(4*time.Second))
			w.disk.Ail(false)
		}
		if err != nil {
			return err
		}
	}
	w.rough.Store(false)
	for d := range barred {
		w.net.Bar(d, false)
	}
	w.net.Cut("") // also what fell silent
	return w.party.rest(ctx)
}

// rest waits until everything is sent and fetched, in a world without faults.
func (p *Party) rest(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if restless := p.Rest(ctx); len(restless) > 0 {
		slices.Sort(restless)
		return fmt.Errorf("sim: three minutes after the last fault these devices still send or fetch: %s", strings.Join(restless, ", "))
	}
	return nil
}

// night is longer than any cache should matter, with a loss of power in it.
// In the morning devices send again what they do not remember was acked.
func (w *World) night(ctx context.Context) error {
	pause(ctx, 3*time.Minute)
	if err := w.restart(ctx, w.crash); err != nil {
		return err
	}
	for range 3 {
		for _, d := range w.party.Devices {
			d.Again()
		}
		pause(ctx, time.Second)
	}
	return w.party.rest(ctx)
}

// calm is a time without a fault, in which everybody says something.
func (p *Party) calm(ctx context.Context) error {
	// Until everybody is back: a poll that a restart cut may have been tried
	// again by the HTTP client, within the time that it began with (20 s and
	// 15 s), and its device rests up to 5 s before the next.
	pause(ctx, 45*time.Second)
	rec := p.cfg.Recorder
	begun := rec.Stamp()
	for _, d := range p.Devices {
		d.Compose(d.cfg.Conversations[0])
		pause(ctx, 100*time.Millisecond)
	}
	pause(ctx, 5*time.Second)
	rec.Add(Op{Op: OpCalm, Call: begun, Result: OK})
	return p.rest(ctx)
}
