package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/cluster/clustertest"
	"github.com/parley-im/parley/internal/server"
	"github.com/parley-im/parley/internal/store"
)

// ClusterConfig is all that decides what happens in a cluster's world, but
// for the order in which goroutines run.
type ClusterConfig struct {
	Seed  int64
	Sends int                                                  // what each device composes; 0: 30
	Nodes int                                                  // 0: 3
	Wrap  func(node cluster.NodeID, s store.Store) store.Store // seeds a fault into one node's store; nil: none
	Lease time.Duration                                        // of presence; 0: the server's
	Log   *slog.Logger                                         // of the nodes; nil: discards
}

// ClusterWorld is several nodes over one store that lasts, and the devices of
// World, each of which talks to any node. Nodes die, leave and come back; they
// are cut off from each other, from the store, from both, one way and two
// ways; they stand still and go on; messages between them are lost, late and
// repeated; rows are written late, and the outcomes of writes are unknown. It must run inside a testing/synctest bubble.
type ClusterWorld struct {
	cfg   ClusterConfig
	dice  *dice
	hub   *clustertest.Hub
	disk  *MemoryDisk
	nodes []*clusterNode
	rec   *Recorder
	party *Party
	rough atomic.Bool // networks tear and lag
	late  atomic.Bool // rows of inboxes are written slowly
}

// clusterNode is one node's place, whatever runs there.
type clusterNode struct {
	id  cluster.NodeID
	net *Network
	cut atomic.Bool // from the store
	ice *ice

	srv *server.Server // nil: it is down. Owned by whoever starts and stops: one at a time
}

// NewClusterWorld makes a world in which nothing happens yet.
func NewClusterWorld(cfg ClusterConfig) *ClusterWorld {
	if cfg.Sends == 0 {
		cfg.Sends = 30
	}
	if cfg.Nodes == 0 {
		cfg.Nodes = 3
	}
	w := &ClusterWorld{
		cfg: cfg, rec: NewRecorder(), hub: clustertest.NewHub(uint64(cfg.Seed)),
		dice: &dice{rand: rand.New(rand.NewPCG(uint64(cfg.Seed), 3))},
	}
	w.disk = NewMemoryDisk(func() bool { return w.dice.intn(4) == 0 })
	for i := range cfg.Nodes {
		n := &clusterNode{id: cluster.NodeID('a' + rune(i)), ice: newIce()}
		n.net = NewNetwork(w.latency, func() bool { return w.rough.Load() && w.dice.intn(200) == 0 })
		w.nodes = append(w.nodes, n)
	}
	return w
}

func (w *ClusterWorld) latency() time.Duration {
	return time.Millisecond + w.dice.within(10*time.Millisecond)
}

// Run is the whole life, as World.Run's.
func (w *ClusterWorld) Run(ctx context.Context) (h History, f *Final, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	defer func() { err = errors.Join(err, w.end()) }()
	for _, n := range w.nodes {
		if err := w.start(ctx, n); err != nil {
			return nil, nil, err
		}
	}
	pause(ctx, 10*time.Second) // until they are settled
	if w.party, err = NewParty(ctx, w.cast()); err != nil {
		return nil, nil, err
	}
	live, stop := context.WithCancel(ctx)
	defer func() { stop(); w.party.Wait() }()
	for n := range w.party.Devices {
		w.party.Live(live, n, w.dice.within(5*time.Second))
	}
	if err := w.trouble(ctx); err != nil {
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

// cast is who lives here. A device goes to any node each time it connects.
func (w *ClusterWorld) cast() PartyConfig {
	dial := func(device string) Dialer {
		return func(ctx context.Context) (net.Conn, error) {
			return w.nodes[w.dice.intn(len(w.nodes))].net.Dial(ctx, device)
		}
	}
	return cast(w.rec, dial, DeviceConfig{Seed: uint64(w.cfg.Seed) << 8, Sends: w.cfg.Sends})
}

// start starts a node.
func (w *ClusterWorld) start(ctx context.Context, n *clusterNode) error {
	shared, err := w.disk.Open()
	if err != nil {
		return err
	}
	var s store.Store = &reached{Store: shared, node: n, world: w}
	if w.cfg.Wrap != nil {
		s = w.cfg.Wrap(n.id, s)
	}
	logger := w.cfg.Log
	if logger != nil {
		logger = logger.With("node", string(n.id))
	}
	n.srv, err = server.Start(ctx, server.Config{
		Store: s, Listener: coldListener{n.net.Listen(), n.ice}, Registration: account.Open, NoRateLimits: true, NoPolling: true,
		Hasher: account.HashParams{Time: 1, MemoryKiB: 8, Threads: 1}, SettleEvery: 10 * time.Second, Logger: logger, Lease: w.cfg.Lease,
		Cluster: &server.Cluster{ID: n.id, Bus: coldBus{w.hub.Bus(n.id), n.ice}},
	})
	if err != nil {
		return fmt.Errorf("sim: start node %s: %w", n.id, err)
	}
	return nil
}

// kill stops a node as kill -9 does.
func (n *clusterNode) kill() error {
	n.net.Down()
	n.srv.Kill()
	n.srv = nil
	return nil
}

// drain stops a node as its operator does.
func (n *clusterNode) drain() error {
	n.net.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := n.srv.Close(ctx)
	n.srv = nil
	n.net.Down()
	return err
}

func (w *ClusterWorld) end() error {
	w.heal()
	var all error
	for _, n := range w.nodes {
		if n.srv != nil {
			all = errors.Join(all, n.drain())
		}
	}
	return all
}

// heal ends every fault of the networks and of the store.
func (w *ClusterWorld) heal() {
	w.hub.Mend()
	w.disk.Ail(false)
	for _, n := range w.nodes {
		n.cut.Store(false)
		n.ice.thaw()
	}
}

// trouble lasts until everything is composed; then the world heals and
// everything pending is sent.
func (w *ClusterWorld) trouble(ctx context.Context) error {
	w.rough.Store(true)
	for !w.party.Composed() && pause(ctx, w.dice.within(4*time.Second)) {
		if err := w.strike(ctx); err != nil {
			return err
		}
		w.heal()
	}
	w.rough.Store(false)
	w.late.Store(false)
	for _, n := range w.nodes {
		n.net.Cut("") // also what fell silent
	}
	return w.party.rest(ctx)
}

// strike is one fault, for a while.
func (w *ClusterWorld) strike(ctx context.Context) error {
	n := w.nodes[w.dice.intn(len(w.nodes))]
	other := w.nodes[w.dice.intn(len(w.nodes))]
	lasts := w.dice.within(12 * time.Second)
	w.late.Store(w.dice.intn(2) == 0)
	switch w.dice.intn(12) {
	case 0:
		return w.restart(ctx, n, n.kill)
	case 1:
		return w.restart(ctx, n, n.drain)
	case 2:
		w.hub.Isolate(n.id)
	case 3:
		w.hub.Isolate(n.id)
		n.cut.Store(true)
	case 4:
		n.cut.Store(true)
	case 5:
		w.hub.Cut(n.id, other.id)
	case 6:
		w.hub.Fault(0.2, 0.2, 300*time.Millisecond)
	case 7:
		w.disk.Ail(true)
	case 8:
		n.net.Cut("")
		return nil
	case 9:
		n.net.Silence("")
		return nil
	case 10, 11:
		n.ice.freeze()
		w.hub.Freeze(n.id)
	}
	pause(ctx, lasts)
	return nil
}

func (w *ClusterWorld) restart(ctx context.Context, n *clusterNode, stop func() error) error {
	if err := stop(); err != nil {
		return fmt.Errorf("sim: stop node %s: %w", n.id, err)
	}
	pause(ctx, w.dice.within(12*time.Second))
	return w.start(ctx, n)
}

// reached is the store as one node reaches it, or not.
type reached struct {
	store.Store
	node  *clusterNode
	world *ClusterWorld
}

// storeDeadline is how long a call waits for a store that cannot be reached.
const storeDeadline = 2 * time.Second

// try is what becomes of a call.
func (r *reached) try(ctx context.Context) error {
	r.node.ice.pass()
	if !r.node.cut.Load() {
		return nil
	}
	if !pause(ctx, storeDeadline) {
		return ctx.Err()
	}
	return store.ErrUnavailable
}

func (r *reached) Load(ctx context.Context, c parley.ConversationID) (store.Head, error) {
	if err := r.try(ctx); err != nil {
		return store.Head{}, err
	}
	return r.Store.Load(ctx, c)
}

func (r *reached) Append(ctx context.Context, a store.Append) error {
	if err := r.try(ctx); err != nil {
		return err
	}
	return r.Store.Append(ctx, a)
}

func (r *reached) Read(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) ([]parley.Entry, error) {
	if err := r.try(ctx); err != nil {
		return nil, err
	}
	return r.Store.Read(ctx, c, after, limit)
}

func (r *reached) Find(ctx context.Context, c parley.ConversationID, id parley.MessageID, base parley.Seq) (parley.Seq, error) {
	if err := r.try(ctx); err != nil {
		return 0, err
	}
	return r.Store.Find(ctx, c, id, base)
}

func (r *reached) Acts(ctx context.Context, c parley.ConversationID, from, to parley.Seq) ([]parley.Act, error) {
	if err := r.try(ctx); err != nil {
		return nil, err
	}
	return r.Store.Acts(ctx, c, from, to)
}

func (r *reached) Erase(ctx context.Context, c parley.ConversationID, seqs []parley.Seq) error {
	if err := r.try(ctx); err != nil {
		return err
	}
	return r.Store.Erase(ctx, c, seqs)
}

func (r *reached) DirtyAfter(ctx context.Context, of func(int) bool, c parley.ConversationID, limit int) ([]parley.ConversationID, error) {
	if err := r.try(ctx); err != nil {
		return nil, err
	}
	return r.Store.DirtyAfter(ctx, of, c, limit)
}

func (r *reached) Settle(ctx context.Context, c parley.ConversationID, head parley.Seq) error {
	if err := r.try(ctx); err != nil {
		return err
	}
	return r.Store.Settle(ctx, c, head)
}

func (r *reached) LoadInbox(ctx context.Context, u parley.UserID) (store.Inbox, error) {
	if err := r.try(ctx); err != nil {
		return store.Inbox{}, err
	}
	return r.Store.LoadInbox(ctx, u)
}

func (r *reached) WriteInboxes(ctx context.Context, writes []*store.InboxWrite) error {
	if err := r.try(ctx); err != nil {
		return err
	}
	if r.world.late.Load() && !pause(ctx, r.world.dice.within(storeDeadline)) {
		return ctx.Err()
	}
	return r.Store.WriteInboxes(ctx, writes)
}

func (r *reached) GetRecord(ctx context.Context, partition, key string) (store.Record, error) {
	if err := r.try(ctx); err != nil {
		return store.Record{}, err
	}
	return r.Store.GetRecord(ctx, partition, key)
}

func (r *reached) ListRecords(ctx context.Context, partition, prefix, after string, limit int) ([]store.Record, error) {
	if err := r.try(ctx); err != nil {
		return nil, err
	}
	return r.Store.ListRecords(ctx, partition, prefix, after, limit)
}

func (r *reached) CommitRecords(ctx context.Context, partition string, changes []store.Change) error {
	if err := r.try(ctx); err != nil {
		return err
	}
	return r.Store.CommitRecords(ctx, partition, changes)
}
