package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
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
	return d.composed() && d.mem.idle()
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
	id := fmt.Sprintf("%s-%016x", d.cfg.Name, d.uint64())
	d.mem.compose(c, id, "what "+id+" says")
	d.wake()
}

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

// session is one connection of a socket device.
type session struct {
	d      *Device
	s      *socket
	client string
	hello  int64 // when it said hello; 0 once its first sync has ended
	refs   int
	posts  map[wire.Ref]*try
	busy   map[string]bool // ids under way
	read   *Op             // the read under way
	readAs wire.Ref
	leave  time.Duration // the server said goaway
	heard  time.Time     // when the last frame came
}

type try struct {
	draft    *Draft
	call     int64
	deadline time.Time
}

// session connects and lives until the connection is lost. It returns how
// long the server asked it to stay away.
func (d *Device) session(ctx context.Context) (away time.Duration) {
	dialCtx, cancel := context.WithTimeout(ctx, 5*time.Second)
	sock, err := dialSocket(dialCtx, d.cfg.Dial)
	cancel()
	if err != nil {
		return 0
	}
	s := &session{d: d, s: sock, client: d.client(), posts: map[wire.Ref]*try{}, busy: map[string]bool{}, heard: time.Now()}
	s.hello = d.cfg.Recorder.Stamp()
	defer s.end()
	if sock.send(&wire.ClientFrame{T: wire.OpHello, Token: d.cfg.Token, Cursor: d.mem.at(), Client: "sim/1"}) != nil {
		return 0
	}
	if !s.welcome(ctx) {
		return 0
	}
	s.loop(ctx)
	return s.leave
}

// end records what is left without an answer.
func (s *session) end() {
	s.s.close()
	for _, t := range s.posts {
		s.d.mem.ended(s.client, t.draft, t.call, 0, Unknown, "")
	}
}

// welcome waits for the server's first frame.
func (s *session) welcome(ctx context.Context) bool {
	t := time.NewTimer(s.d.cfg.AckTimeout)
	defer t.Stop()
	select {
	case f := <-s.s.frames:
		if f.frame == nil || f.frame.T != wire.FrameWelcome {
			return false
		}
		s.d.mem.welcome(f.frame.Epoch)
		return true
	case <-s.s.done:
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

func (s *session) loop(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	// A row announces a head; the entries to it often follow at once. Ask for
	// them only if they do not.
	fetch := time.NewTimer(0)
	defer fetch.Stop()
	for ok := s.posting(); ok; {
		select {
		case f := <-s.s.frames:
			ok = s.handle(f)
			fetch.Reset(20 * time.Millisecond)
		case <-fetch.C:
			ok = s.fetch()
		case <-s.d.poke:
			ok = s.posting()
		case <-tick.C:
			ok = s.inTime() && s.posting() && s.chores()
		case <-s.s.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// posting sends what is pending and not under way.
func (s *session) posting() bool {
	if s.d.held() {
		return true
	}
	for _, draft := range s.d.mem.pending(s.d.cfg.Window) {
		if s.busy[draft.ID] {
			continue
		}
		s.refs++
		ref := wire.Ref(strconv.Itoa(s.refs))
		t := &try{draft, s.d.cfg.Recorder.Stamp(), time.Now().Add(s.d.cfg.AckTimeout)}
		s.posts[ref], s.busy[draft.ID] = t, true
		err := s.s.send(&wire.ClientFrame{T: wire.OpPost, Ref: ref, Conversation: draft.Conversation,
			ID: draft.ID, Body: textBody(draft.Text), Base: draft.Base})
		if err != nil {
			return false
		}
	}
	return true
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

// inTime is false when an answer is overdue: the connection is dead.
func (s *session) inTime() bool {
	if time.Since(s.heard) > silence {
		return false
	}
	for _, t := range s.posts {
		if time.Now().After(t.deadline) {
			return false
		}
	}
	return true
}

// chores does now and then what people do: read on, look back.
func (s *session) chores() bool {
	if len(s.d.cfg.Conversations) == 0 {
		return true
	}
	c := s.d.cfg.Conversations[s.d.intn(len(s.d.cfg.Conversations))]
	switch s.d.intn(12) {
	case 0:
		if h := s.d.mem.head(c); h > 0 {
			return s.s.send(&wire.ClientFrame{T: wire.OpMark, Conversation: c, Delivered: h, Read: h}) == nil
		}
	case 1:
		if h := s.d.mem.head(c); s.read == nil && h > 0 {
			return s.ask(c, h-min(h, 3))
		}
	}
	return true
}

// fetch asks for what was announced and did not come.
func (s *session) fetch() bool {
	if s.read != nil {
		return true
	}
	c, after, ok := s.d.mem.want()
	return !ok || s.ask(c, after)
}

func (s *session) ask(c string, after uint64) bool {
	s.refs++
	s.readAs = wire.Ref(strconv.Itoa(s.refs))
	s.read = &Op{Op: OpRead, Client: s.client, User: s.d.cfg.User, Device: s.d.cfg.Name, Conversation: c,
		Call: s.d.cfg.Recorder.Stamp(), After: after, Limit: 100, Result: OK}
	return s.s.send(&wire.ClientFrame{T: wire.OpRead, Ref: s.readAs, Conversation: c, After: &after, Limit: 100}) == nil
}

// handle takes one frame; false ends the connection.
func (s *session) handle(f socketFrame) bool {
	s.heard = time.Now()
	if f.frame == nil {
		return s.s.pong(f.ping) == nil
	}
	mem := s.d.mem
	if s.d.cfg.Fault == Deaf && s.hello == 0 && f.frame.Ref == "" && f.frame.T != wire.FrameGoaway {
		return true
	}
	switch f.frame.T {
	case wire.FrameAck:
		if t := s.posts[f.frame.Ref]; t != nil {
			delete(s.posts, f.frame.Ref)
			delete(s.busy, t.draft.ID)
			mem.ended(s.client, t.draft, t.call, f.frame.Seq, OK, "")
		}
		return s.posting()
	case wire.FrameEntries:
		if s.read != nil && f.frame.Ref == s.readAs {
			op := *s.read
			op.Entries, op.Head = entriesOf(f.frame.Entries), &f.frame.Head
			s.read = nil
			mem.answered(op)
			return s.fetch()
		}
		mem.received(s.client, f.frame.Entries)
		mem.keep(f.frame.Cursor)
	case wire.FrameChanges:
		mem.rows(s.client, f.frame.Rows)
		mem.keep(f.frame.Cursor)
		if !f.frame.More && s.hello != 0 {
			mem.synced(s.client, s.hello)
			s.hello = 0
		}
	case wire.FrameError:
		s.refused(f.frame)
	case wire.FrameResync:
		// What comes next is from nothing; start over with a clean slate.
		mem.reset(s.client, f.frame.Epoch)
		return false
	case wire.FrameGoaway:
		s.leave = time.Duration(f.frame.AfterMS) * time.Millisecond
		return false
	}
	return true
}

func (s *session) refused(f *wire.ServerFrame) {
	if s.read != nil && f.Ref == s.readAs {
		s.read = nil
		return
	}
	t := s.posts[f.Ref]
	if t == nil {
		return
	}
	delete(s.posts, f.Ref)
	delete(s.busy, t.draft.ID)
	result := Unknown
	if parley.Code(f.Code).Retry() == parley.GiveUp {
		result = Fail
	}
	s.d.mem.ended(s.client, t.draft, t.call, 0, result, f.Code)
	s.d.hold(time.Duration(f.RetryAfterMS) * time.Millisecond)
}
