package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/cluster/clustertest"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
)

// shards is few, so that worlds are quick; every node owns some of them.
const shards = 32

// world is a cluster in fake time: it must be made inside a synctest bubble.
type world struct {
	t     *testing.T
	fault string // seeded into every node
	hub   *clustertest.Hub
	store *memstore.Store
	log   *slog.Logger
	procs map[cluster.NodeID]*process
	began time.Time
	bad   string // the first violation
}

func newWorld(t *testing.T, seed uint64, fault string) *world {
	return &world{
		t: t, fault: fault, hub: clustertest.NewHub(seed), store: memstore.New(), log: slog.New(slog.DiscardHandler),
		procs: make(map[cluster.NodeID]*process), began: time.Now(),
	}
}

// process is one start of a node, and the machine under it.
type process struct {
	node   *cluster.Node
	joined chan error // buffered; the outcome of Join

	mu      sync.Mutex
	thawed  chan struct{} // closed while it runs
	dead    bool
	lost    bool    // it does not reach the store
	deaf    bool    // what it asks the store arrives, and no answer comes
	unknown float64 // share of writes that happen and are not acknowledged
	rng     *rand.Rand
}

var errLost = errors.New("the store is out of reach")

// pass holds up a frozen process, and says whether it lives.
func (p *process) pass() bool {
	for {
		p.mu.Lock()
		thawed, dead := p.thawed, p.dead
		p.mu.Unlock()
		select {
		case <-thawed:
			return !dead
		default:
			<-thawed
		}
	}
}

// machine is a bus and a store seen from a process.
type machine struct {
	cluster.Bus
	store.Records
	p *process
}

func (m machine) TellAll(msg []byte) error {
	if !m.p.pass() {
		return errLost
	}
	return m.Bus.TellAll(msg)
}

// call does something with the store.
func (m machine) call(ctx context.Context, f func() error) error {
	if !m.p.pass() {
		return errLost
	}
	m.p.mu.Lock()
	lost, deaf, unknown := m.p.lost, m.p.deaf, m.p.rng.Float64() < m.p.unknown
	m.p.mu.Unlock()
	if lost {
		<-ctx.Done()
		return ctx.Err()
	}
	err := f()
	if deaf {
		<-ctx.Done()
		return ctx.Err()
	}
	if !m.p.pass() || unknown {
		return store.ErrUnavailable
	}
	return err
}

func (m machine) GetRecord(ctx context.Context, partition, key string) (r store.Record, err error) {
	err = m.call(ctx, func() error { r, err = m.Records.GetRecord(ctx, partition, key); return err })
	return r, err
}

func (m machine) ListRecords(ctx context.Context, partition, prefix, after string, limit int) (rs []store.Record, err error) {
	err = m.call(ctx, func() error { rs, err = m.Records.ListRecords(ctx, partition, prefix, after, limit); return err })
	return rs, err
}

func (m machine) CommitRecords(ctx context.Context, partition string, changes []store.Change) error {
	return m.call(ctx, func() error { return m.Records.CommitRecords(ctx, partition, changes) })
}

// silence hears and says nothing.
type silence struct{}

func (silence) Told(cluster.NodeID, []byte)                {}
func (silence) Asked(cluster.NodeID, []byte, func([]byte)) {}

// start begins a process of that name and joins in the background.
func (w *world) start(id cluster.NodeID) *process {
	p := &process{joined: make(chan error, 1), thawed: make(chan struct{}), rng: rand.New(rand.NewPCG(uint64(len(id)), 7))}
	close(p.thawed)
	w.procs[id] = p
	m := machine{w.hub.Bus(id), w.store, p}
	go func() {
		n, err := cluster.Join(context.Background(), cluster.Config{
			ID: id, Version: "1.0.0", Shards: shards, Bus: m, Records: m, Peers: silence{}, Logger: w.log,
		}.Seeded(w.fault))
		if err != nil {
			m.Close()
		}
		p.mu.Lock()
		p.node = n
		p.mu.Unlock()
		p.joined <- err
	}()
	return p
}

// join starts a process and waits until it joined.
func (w *world) join(id cluster.NodeID) *cluster.Node {
	w.t.Helper()
	p := w.start(id)
	if err := <-p.joined; err != nil {
		w.t.Fatal(err)
	}
	p.joined <- nil
	return p.node
}

// running returns the nodes that are not frozen.
func (w *world) running() map[cluster.NodeID]*cluster.Node {
	nodes := make(map[cluster.NodeID]*cluster.Node)
	for id, p := range w.procs {
		p.mu.Lock()
		select {
		case <-p.thawed:
			if p.node != nil {
				nodes[id] = p.node
			}
		default:
		}
		p.mu.Unlock()
	}
	return nodes
}

// check holds what the nodes believe at this instant to the invariants.
func (w *world) check() {
	nodes := w.running()
	ids := slices.Sorted(maps.Keys(nodes))
	for s := range shards {
		var owner cluster.NodeID
		for _, id := range ids {
			if nodes[id].Term(s) == 0 {
				continue
			}
			if owner != "" {
				w.violated(nodes, "shard %d has the owners %s and %s", s, owner, id)
			}
			owner = id
		}
	}
	for _, a := range ids {
		view := nodes[a].View()
		if view.Term == 0 {
			continue
		}
		for _, b := range ids {
			other := nodes[b].View()
			if other.Term != 0 && other.Digest != view.Digest {
				w.violated(nodes, "%s and %s are settled in different views", a, b)
			}
			if other.Digest != view.Digest && nodes[b].Undisputed() {
				w.violated(nodes, "%s is settled in a view that %s, whose own is another, calls impossible", a, b)
			}
			if _, in := view.Member(b); !in && nodes[b].Announced() {
				w.violated(nodes, "%s is announced and not in the settled view of %s", b, a)
			}
		}
	}
	for _, id := range ids {
		select {
		case err := <-nodes[id].Failed():
			w.violated(nodes, "%s failed: %v", id, err)
		default:
		}
	}
}

func (w *world) violated(nodes map[cluster.NodeID]*cluster.Node, format string, args ...any) {
	if w.bad != "" {
		return
	}
	w.bad = fmt.Sprintf("after %v: ", time.Since(w.began)) + fmt.Sprintf(format, args...)
	for id, n := range nodes {
		w.bad += fmt.Sprintf("\n%s: %+v", id, n.Status())
	}
}

// run lets the world turn, checking all the time.
func (w *world) run(d time.Duration) {
	const step = 7 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end) && w.bad == ""; {
		<-tick.C
		w.check()
	}
}

func (w *world) freeze(id cluster.NodeID) {
	p := w.procs[id]
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.thawed:
		p.thawed = make(chan struct{})
		w.hub.Freeze(id)
	default: // it is
	}
}

// thaw lets a frozen process go on. What it believes is checked before it gets
// to do anything.
func (w *world) thaw(id cluster.NodeID) {
	p := w.procs[id]
	p.mu.Lock()
	frozen := p.thawed
	p.thawed = make(chan struct{})
	close(p.thawed)
	p.mu.Unlock()
	w.check()
	select {
	case <-frozen:
	default:
		close(frozen)
	}
	w.hub.Thaw(id)
}

// kill ends a process as kill -9 does, frozen or not.
func (w *world) kill(id cluster.NodeID) {
	p := w.procs[id]
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	w.hub.Thaw(id)
	p.mu.Lock()
	select {
	case <-p.thawed:
	default:
		close(p.thawed)
	}
	p.mu.Unlock()
	if err := <-p.joined; err == nil {
		p.node.Kill()
	}
	delete(w.procs, id)
}

// heal ends all faults.
func (w *world) heal() {
	for id := range w.procs {
		w.thaw(id)
	}
	w.hub.Mend()
	w.each(func(p *process) { p.lost, p.deaf, p.unknown = false, false, 0 })
}

func (w *world) each(f func(*process)) {
	for _, p := range w.procs {
		p.mu.Lock()
		f(p)
		p.mu.Unlock()
	}
}

// close ends every process.
func (w *world) close() {
	for id := range w.procs {
		w.kill(id)
	}
}

// settled fails unless, within d, every shard has one owner with a term and
// all nodes agree who it is.
func (w *world) settled(d time.Duration) {
	w.t.Helper()
	for end := time.Now().Add(d); ; {
		if w.owned() {
			return
		}
		if time.Now().After(end) || w.bad != "" {
			break
		}
		w.run(50 * time.Millisecond)
	}
	for id, n := range w.running() {
		w.t.Logf("%s: %+v", id, n.Status())
	}
	w.t.Errorf("not settled after %v", d)
}

func (w *world) owned() bool {
	nodes := w.running()
	for s := range shards {
		var owners []cluster.NodeID
		for id, n := range nodes {
			if n.Term(s) != 0 {
				owners = append(owners, id)
			}
			if len(n.View().Members) != len(nodes) {
				return false
			}
		}
		if len(owners) != 1 {
			return false
		}
	}
	return len(nodes) > 0
}

func code(err error) parley.Code { return parley.CodeOf(err) }
