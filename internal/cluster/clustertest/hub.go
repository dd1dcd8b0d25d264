// Package clustertest carries messages between nodes in memory, with the
// faults of a network, and holds every bus to the contract of cluster.Bus.
package clustertest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/parley-im/parley/internal/cluster"
)

// Hub connects buses in memory. Its clock is package time's, so that it works
// inside a synctest bubble.
type Hub struct {
	mu     sync.Mutex
	rng    *rand.Rand
	buses  map[cluster.NodeID]*bus
	cut    map[[2]cluster.NodeID]bool
	frozen map[cluster.NodeID]bool
	lose   float64
	repeat float64
	delay  time.Duration // at most
}

// NewHub returns a hub whose faults follow from seed.
func NewHub(seed uint64) *Hub {
	return &Hub{
		rng: rand.New(rand.NewPCG(seed, 0)), buses: make(map[cluster.NodeID]*bus),
		cut: make(map[[2]cluster.NodeID]bool), frozen: make(map[cluster.NodeID]bool),
	}
}

// Bus connects a node. One that was connected under the name before hears
// nothing more.
func (h *Hub) Bus(id cluster.NodeID) cluster.Bus {
	b := &bus{
		hub: h, id: id, wake: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
		last: make(map[*bus]time.Time), asked: make(map[uint64]chan []byte),
	}
	h.mu.Lock()
	h.buses[id] = b
	h.mu.Unlock()
	return b
}

// Cut loses everything from one node to another from now on, until Mend.
func (h *Hub) Cut(from, to cluster.NodeID) {
	h.mu.Lock()
	h.cut[[2]cluster.NodeID{from, to}] = true
	h.mu.Unlock()
}

// Isolate cuts a node off from all others, both ways.
func (h *Hub) Isolate(id cluster.NodeID) {
	h.mu.Lock()
	for other := range h.buses {
		if other != id {
			h.cut[[2]cluster.NodeID{id, other}], h.cut[[2]cluster.NodeID{other, id}] = true, true
		}
	}
	h.mu.Unlock()
}

// Freeze keeps back everything a node would hear, until Thaw or Mend: then it
// hears all of it at once.
func (h *Hub) Freeze(id cluster.NodeID) {
	h.mu.Lock()
	h.frozen[id] = true
	h.mu.Unlock()
}

// Thaw ends Freeze.
func (h *Hub) Thaw(id cluster.NodeID) {
	h.mu.Lock()
	delete(h.frozen, id)
	b := h.buses[id]
	h.mu.Unlock()
	if b != nil {
		b.poke()
	}
}

// Mend ends all cuts, freezes and faults.
func (h *Hub) Mend() {
	h.mu.Lock()
	clear(h.cut)
	clear(h.frozen)
	h.lose, h.repeat, h.delay = 0, 0, 0
	for _, b := range h.buses {
		b.poke()
	}
	h.mu.Unlock()
}

// Fault has a share of the messages lost, a share repeated, and each take up
// to delay.
func (h *Hub) Fault(lose, repeat float64, delay time.Duration) {
	h.mu.Lock()
	h.lose, h.repeat, h.delay = lose, repeat, delay
	h.mu.Unlock()
}

func (h *Hub) isFrozen(id cluster.NodeID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.frozen[id]
}

// fate decides what becomes of one message: to whom it goes (nil: nobody is
// there), in how many copies, and when.
func (h *Hub) fate(from, to cluster.NodeID, ask bool) (target *bus, copies int, due time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	copies, due = 1, time.Now()
	switch {
	case h.cut[[2]cluster.NodeID{from, to}] || h.rng.Float64() < h.lose:
		copies = 0
	case h.rng.Float64() < h.repeat && !ask:
		copies = 2
	}
	if h.delay > 0 {
		due = due.Add(time.Duration(h.rng.Int64N(int64(h.delay))))
	}
	return h.buses[to], copies, due
}

// bus is one node's end of a Hub.
type bus struct {
	// static after Hub.Bus
	hub     *Hub
	id      cluster.NodeID
	wake    chan struct{}
	closing chan struct{} // closed by Close
	done    chan struct{} // closed when the deliverer ended
	once    sync.Once

	mu       sync.Mutex
	listener cluster.Listener
	queue    []message          // by due
	last     map[*bus]time.Time // when the last of a sender is due
	next     uint64
	asked    map[uint64]chan []byte
}

// message is on its way.
type message struct {
	from   *bus
	body   []byte
	ask    uint64 // a question, or the answer to one
	answer bool
	due    time.Time
}

// maxQueue bounds what waits for a node; more is lost.
const maxQueue = 1 << 16

var errClosed = errors.New("clustertest: the bus is closed")

// Self implements cluster.Bus.
func (b *bus) Self() cluster.NodeID { return b.id }

// Address implements cluster.Bus.
func (b *bus) Address() string { return string(b.id) + ":1" }

// Connect implements cluster.Bus: all are connected.
func (b *bus) Connect([]string) {}

// Listen implements cluster.Bus.
func (b *bus) Listen(l cluster.Listener) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listener != nil {
		panic("clustertest: a bus has one listener")
	}
	b.listener = l
	go b.deliver()
}

// Tell implements cluster.Bus.
func (b *bus) Tell(to cluster.NodeID, msg []byte) error {
	return b.send(to, message{from: b, body: slices.Clone(msg)})
}

// TellAll implements cluster.Bus.
func (b *bus) TellAll(msg []byte) error {
	b.hub.mu.Lock()
	var all []cluster.NodeID
	for id := range b.hub.buses {
		if id != b.id {
			all = append(all, id)
		}
	}
	b.hub.mu.Unlock()
	slices.Sort(all)
	for _, id := range all {
		if err := b.Tell(id, msg); errors.Is(err, errClosed) {
			return err
		}
	}
	return nil
}

// Ask implements cluster.Bus.
func (b *bus) Ask(ctx context.Context, to cluster.NodeID, msg []byte) ([]byte, error) {
	answer := make(chan []byte, 1)
	b.mu.Lock()
	b.next++
	ask := b.next
	b.asked[ask] = answer
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.asked, ask)
		b.mu.Unlock()
	}()
	if err := b.send(to, message{from: b, body: slices.Clone(msg), ask: ask}); err != nil {
		return nil, err
	}
	select {
	case a := <-answer:
		return a, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-b.closing:
		return nil, errClosed
	}
}

// Close implements cluster.Bus.
func (b *bus) Close() {
	b.once.Do(func() {
		b.hub.mu.Lock()
		if b.hub.buses[b.id] == b {
			delete(b.hub.buses, b.id)
		}
		b.hub.mu.Unlock()
		close(b.closing)
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.listener == nil {
			close(b.done) // nothing delivers
		}
	})
	<-b.done
}

// isClosed reports whether Close was called.
func (b *bus) isClosed() bool {
	select {
	case <-b.closing:
		return true
	default:
		return false
	}
}

func (b *bus) poke() {
	select {
	case b.wake <- struct{}{}:
	default: // it is awake
	}
}

// send takes a message to a node, or loses it.
func (b *bus) send(to cluster.NodeID, m message) error {
	if b.isClosed() {
		return errClosed
	}
	target, copies, due := b.hub.fate(b.id, to, m.ask != 0)
	if target == nil || !target.hears() {
		return cluster.ErrUnreachable
	}
	for range copies {
		target.put(m, due)
	}
	return nil
}

func (b *bus) hears() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.listener != nil
}

// put queues a message. What is behind another of its sender waits for it, as
// on a connection.
func (b *bus) put(m message, due time.Time) {
	b.mu.Lock()
	if last := b.last[m.from]; due.Before(last) {
		due = last
	}
	if len(b.queue) < maxQueue {
		m.due, b.last[m.from] = due, due
		i := len(b.queue)
		for i > 0 && b.queue[i-1].due.After(due) {
			i--
		}
		b.queue = slices.Insert(b.queue, i, m)
	}
	b.mu.Unlock()
	b.poke()
}

// deliver hands messages to the listener until the bus closes.
func (b *bus) deliver() {
	defer close(b.done)
	for !b.isClosed() {
		m, wait := b.take()
		if wait == 0 {
			b.hand(m)
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-b.wake:
		case <-b.closing:
		}
		t.Stop()
	}
}

// take returns the next message, or how long there is none.
func (b *bus) take() (message, time.Duration) {
	frozen := b.hub.isFrozen(b.id)
	b.mu.Lock()
	defer b.mu.Unlock()
	if frozen || len(b.queue) == 0 {
		return message{}, time.Hour
	}
	m := b.queue[0]
	if wait := time.Until(m.due); wait > 0 {
		return message{}, wait
	}
	b.queue = b.queue[1:]
	return m, 0
}

func (b *bus) hand(m message) {
	switch {
	case m.answer:
		b.mu.Lock()
		answer := b.asked[m.ask]
		b.mu.Unlock()
		if answer != nil {
			select {
			case answer <- m.body:
			default: // answered before
			}
		}
	case m.ask != 0:
		b.listener.Asked(m.from.id, m.body, func(reply []byte) { b.reply(m, reply) })
	default:
		b.listener.Told(m.from.id, m.body)
	}
}

// reply takes an answer back to the very bus that asked.
func (b *bus) reply(to message, body []byte) {
	target, copies, due := b.hub.fate(b.id, to.from.id, true)
	if target == to.from && copies > 0 && !b.isClosed() {
		target.put(message{from: b, body: slices.Clone(body), ask: to.ask, answer: true}, due)
	}
}
