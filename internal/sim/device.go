package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

// DeviceConfig is what a device is made of.
type DeviceConfig struct {
	Name, User, Token string
	Conversations     []string // where it speaks
	Dial              Dialer
	Recorder          *Recorder
	Seed              uint64
	Sends             int           // how many messages it composes by itself
	Pause             time.Duration // between them, on average
	Window            int           // how many posts it has under way at once
	Poll              bool          // HTTP and long polling instead of a socket
	AckTimeout        time.Duration // when a try without an answer counts as unknown
	Backoff           time.Duration // the greatest wait before a reconnect
	PollTimeout       time.Duration // how long a long poll may wait
	Fault             DeviceFault   // what is wrong with it
	Watches           []string      // the users whose presence it watches; nil: presence is not recorded
	Life              *Life         // what it does besides talking; nil: nothing
}

// DeviceFault is a fault seeded into a device, for tests of the checker.
type DeviceFault string

// The faults of devices.
const (
	// Jumps takes what is pushed for everything before it.
	Jumps DeviceFault = "jumps"
	// Deaf hears nothing that is not an answer, as if nobody had nudged its
	// session: it has news when it connects, or asks.
	Deaf DeviceFault = "deaf"
)

// maxUnsent bounds what a device composes ahead of what is acked.
const maxUnsent = 64

// silence is how long a connection may say nothing, not even a ping.
const silence = 40 * time.Second

// Device is one device of a user. Its life is Run; what it holds outlives
// every connection, and every server.
type Device struct {
	cfg DeviceConfig
	mem *memory
	api *API

	poke    chan struct{} // capacity 1: there may be something to send
	mu      sync.Mutex
	rand    *rand.Rand
	clients int
	left    int       // messages it will still compose
	waiting time.Time // sends wait until then: the server asked for it
	busy    bool      // with something of its Life
}

// NewDevice returns a device that has never connected.
func NewDevice(cfg DeviceConfig) *Device {
	if cfg.Window == 0 {
		cfg.Window = 1
	}
	if cfg.AckTimeout == 0 {
		cfg.AckTimeout = 15 * time.Second
	}
	if cfg.Backoff == 0 {
		cfg.Backoff = 5 * time.Second
	}
	if cfg.PollTimeout == 0 {
		cfg.PollTimeout = 20 * time.Second
	}
	return &Device{
		cfg: cfg, mem: newMemory(&cfg), api: NewAPI(cfg.Dial, cfg.Token),
		poke: make(chan struct{}, 1), rand: rand.New(rand.NewPCG(cfg.Seed, 17)), left: cfg.Sends,
	}
}

// Run lives until ctx ends: it composes, connects, sends, receives.
func (d *Device) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { d.composeAll(ctx) })
	if d.cfg.Life != nil {
		wg.Go(func() { d.liveOn(ctx) })
	}
	if d.cfg.Poll {
		wg.Go(func() { d.sendLoop(ctx) })
		d.pollLoop(ctx)
	} else {
		for ctx.Err() == nil {
			after := d.session(ctx)
			d.mem.lost()
			pause(ctx, max(after, d.between(d.cfg.Backoff/20, d.cfg.Backoff)))
		}
	}
	wg.Wait()
	d.api.Close()
}

// Idle reports whether the device has composed and sent everything and has
// nothing left to fetch.
func (d *Device) Idle() bool {
	d.mu.Lock()
	busy := d.busy
	d.mu.Unlock()
	return !busy && d.composed() && d.mem.idle()
}

// synced reports whether the device came to the end of a sync and has fetched
// everything it was told of.
func (d *Device) synced() bool { return d.mem.upToDate() }

// Say tries once, over HTTP and past what is queued, to send a message to c,
// and returns how that ended: the code is empty when it was acked, or when
// nothing was answered.
func (d *Device) Say(ctx context.Context, c string) (Result, string) {
	id := fmt.Sprintf("%s-%016x", d.cfg.Name, d.uint64())
	draft := &Draft{Conversation: c, ID: id, Text: "what " + id + " says"}
	client, call := d.client(), d.cfg.Recorder.Stamp()
	posted, err := d.api.Post(ctx, draft)
	result, code := outcome(err)
	d.mem.ended(client, draft, call, posted.Seq, result, code)
	return result, code
}

// Look reads the first entries of c over HTTP.
func (d *Device) Look(ctx context.Context, c string) bool { return d.readEntries(ctx, c, 0) }

// Conversations returns where the device speaks.
func (d *Device) Conversations() []string { return d.cfg.Conversations }

// Holding returns what the device holds.
func (d *Device) Holding() Holding { return d.mem.holding() }

// Compose queues a message to c.
func (d *Device) Compose(c string) {
	id := d.newID()
	d.mem.compose(&Draft{Conversation: c, ID: id, Text: "what " + id + " says", Mentions: d.mention(c)})
	d.wake()
}

func (d *Device) newID() string { return fmt.Sprintf("%s-%016x", d.cfg.Name, d.uint64()) }

// composed reports whether the device will compose nothing more by itself.
func (d *Device) composed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.left == 0
}

// Hush has the device compose nothing more by itself.
func (d *Device) Hush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = 0
}

// Again sends a message once more that was acked long ago.
func (d *Device) Again() {
	d.mu.Lock()
	n := d.rand.IntN(1 << 20)
	d.mu.Unlock()
	if d.mem.again(n) {
		d.wake()
	}
}

func (d *Device) composeAll(ctx context.Context) {
	for {
		if d.composed() || !pause(ctx, d.between(0, 2*d.cfg.Pause)) {
			return
		}
		if d.mem.unsent() >= maxUnsent {
			continue // who sees nothing going out stops typing
		}
		d.Compose(d.cfg.Conversations[d.intn(len(d.cfg.Conversations))])
		d.act()
		if d.intn(10) == 0 {
			d.Again()
		}
		d.mu.Lock()
		d.left = max(d.left-1, 0)
		d.mu.Unlock()
	}
}

func (d *Device) wake() {
	select {
	case d.poke <- struct{}{}:
	default:
	}
}

func (d *Device) intn(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand.IntN(n)
}

func (d *Device) uint64() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand.Uint64()
}

// between returns a random time; the upper end is left out.
func (d *Device) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(d.intn(int(max(hi-lo, 1))))
}

// client names the next connection (or request) of this device.
func (d *Device) client() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clients++
	return d.cfg.Name + "/" + strconv.Itoa(d.clients)
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, for_ time.Duration) bool {
	t := time.NewTimer(for_)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// held reports whether the server asked for a pause that is not over.
func (d *Device) held() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Now().Before(d.waiting)
}

func (d *Device) hold(after time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = time.Now().Add(min(max(after, 100*time.Millisecond), 5*time.Second))
}
