package sim

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// PartyConfig says who takes part.
type PartyConfig struct {
	Users, Devices int         // how many, and how many devices each has
	Groups         []Gathering // the conversations
	Dial           func(device string) Dialer
	Recorder       *Recorder
	Device         DeviceConfig                             // what all devices have in common
	Vary           func(n int, d DeviceConfig) DeviceConfig // makes the nth device its own; nil: they are alike
	Lives          func(n int, users, groups []string) Life // what the nth device does besides talking; nil: nothing
	Watch          bool                                     // everybody watches whom they have a direct conversation with
}

// Gathering is one conversation: users by number, the first one founds it.
// Two users without a title have a direct one.
type Gathering struct {
	Title  string
	Users  []int
	Weight int // how often it is spoken in, beside the others; 0: once
}

// Party is users with their devices and conversations, from their signing up
// to the last look at what is left.
type Party struct {
	Devices []*Device

	cfg     PartyConfig
	handles []string
	users   []string                   // ids, by number
	members map[string]map[string]Span // as Final.Members
	running sync.WaitGroup
}

// NewParty signs everybody up, one after the other, and makes the
// conversations. The server must be well; nothing is recorded yet.
func NewParty(ctx context.Context, cfg PartyConfig) (*Party, error) {
	p := &Party{cfg: cfg, members: map[string]map[string]Span{}}
	apis := make([]*API, cfg.Users)
	tokens := make([][]string, cfg.Users)
	for u := range cfg.Users {
		handle := fmt.Sprintf("user%d", u)
		api := NewAPI(cfg.Dial(handle), "")
		defer api.Close()
		in, err := api.Register(ctx, handle, "")
		if err != nil {
			return nil, err
		}
		api.Token = in.Token
		apis[u], tokens[u] = api, []string{in.Token}
		p.handles, p.users = append(p.handles, handle), append(p.users, in.User.ID)
		for len(tokens[u]) < cfg.Devices {
			in, err := api.SignIn(ctx, handle)
			if err != nil {
				return nil, err
			}
			tokens[u] = append(tokens[u], in.Token)
		}
	}
	var groups []string
	mates := make([]map[string][]string, cfg.Users)
	speaks, knows := make([][]string, cfg.Users), make([][]string, cfg.Users)
	for _, g := range cfg.Groups {
		c, err := p.gather(ctx, apis[g.Users[0]], g)
		if err != nil {
			return nil, err
		}
		p.members[c] = map[string]Span{}
		groups = append(groups, c)
		for _, u := range g.Users {
			for _, o := range g.Users {
				if mates[u] == nil {
					mates[u] = map[string][]string{}
				}
				if o != u {
					mates[u][c] = append(mates[u][c], p.users[o])
				}
			}
			if o := g.Users[0] + g.Users[len(g.Users)-1] - u; cfg.Watch && g.Title == "" {
				knows[u] = append(knows[u], p.users[o])
			}
			p.members[c][p.users[u]] = Span{Since: 1}
			speaks[u] = append(speaks[u], slices.Repeat([]string{c}, max(g.Weight, 1))...)
		}
	}
	for n := range cfg.Users * cfg.Devices {
		u := n / cfg.Devices
		d := cfg.Device
		d.Name, d.User, d.Token = fmt.Sprintf("d%d", n), p.users[u], tokens[u][n%cfg.Devices]
		d.Seed += uint64(n)
		d.Conversations, d.Dial, d.Recorder, d.Watches = speaks[u], cfg.Dial(d.Name), cfg.Recorder, knows[u]
		if cfg.Lives != nil {
			life := cfg.Lives(n, p.users, groups)
			life.Mates = mates[u]
			d.Life = &life
		}
		if cfg.Vary != nil {
			d = cfg.Vary(n, d)
		}
		p.Devices = append(p.Devices, NewDevice(d))
	}
	return p, nil
}

func (p *Party) gather(ctx context.Context, api *API, g Gathering) (id string, err error) {
	others := make([]string, 0, len(g.Users))
	for _, u := range g.Users[1:] {
		others = append(others, p.users[u])
	}
	if g.Title == "" {
		c, err := api.Direct(ctx, others[0])
		return c.ID, err
	}
	c, err := api.Group(ctx, g.Title, others...)
	return c.ID, err
}

// Live lets device n live until ctx ends, beginning after late. Wait waits for
// the ends of all.
func (p *Party) Live(ctx context.Context, n int, late time.Duration) {
	p.running.Go(func() {
		if pause(ctx, late) {
			p.Devices[n].Run(ctx)
		}
	})
}

// Wait returns when no device lives any more.
func (p *Party) Wait() { p.running.Wait() }

// Composed reports whether no device will compose anything more by itself.
func (p *Party) Composed() bool {
	return !slices.ContainsFunc(p.Devices, func(d *Device) bool { return !d.composed() })
}

// Rest waits until every device has sent and fetched everything. It returns
// the names of those that had not when ctx ended.
func (p *Party) Rest(ctx context.Context) (restless []string) {
	for {
		restless = restless[:0]
		for _, d := range p.Devices {
			if !d.Idle() {
				restless = append(restless, d.cfg.Name)
			}
		}
		if len(restless) == 0 || !pause(ctx, 50*time.Millisecond) {
			return restless
		}
	}
}

// Agree waits until all devices of a conversation's members hold equally much
// of it, or ctx ends: then the checker says who lacks what.
func (p *Party) Agree(ctx context.Context) {
	for !p.agreed() && pause(ctx, 50*time.Millisecond) {
	}
}

func (p *Party) agreed() bool {
	heads := map[string]uint64{}
	for _, d := range p.Devices {
		for _, c := range d.cfg.Conversations {
			h := d.mem.head(c)
			if have, ok := heads[c]; ok && have != h {
				return false
			}
			heads[c] = h
		}
	}
	return true
}

// Final lets every user look once more with a device that begins from
// nothing, and returns what all of them hold. The server must be well and the
// devices at rest, or dead.
func (p *Party) Final(ctx context.Context) (*Final, error) {
	f := &Final{
		Fresh: map[string]Logs{}, Rows: map[string]map[string]Row{},
		Devices: map[string]Holding{}, Members: p.members, Pages: map[string]Logs{},
	}
	for _, d := range p.Devices {
		f.Devices[d.cfg.Name] = d.Holding()
	}
	for u, handle := range p.handles {
		h, rows, pages, err := p.look(ctx, u, handle)
		if err != nil {
			return nil, err
		}
		if f.Epoch != "" && h.Epoch != f.Epoch {
			return nil, fmt.Errorf("sim: the epoch changed from %s to %s while nothing was wrong", f.Epoch, h.Epoch)
		}
		f.Epoch = h.Epoch
		f.Fresh[p.users[u]], f.Rows[p.users[u]], f.Pages[p.users[u]] = h.Logs, rows, pages
	}
	return f, f.belong()
}

// look reads everything of one user from nothing: every second one by a
// socket, the others by polling; and then again all history, page by page.
func (p *Party) look(ctx context.Context, u int, handle string) (Holding, map[string]Row, Logs, error) {
	name := "fresh-" + handle
	api := NewAPI(p.cfg.Dial(name), "")
	defer api.Close()
	in, err := api.SignIn(ctx, handle)
	if err != nil {
		return Holding{}, nil, nil, err
	}
	api.Token = in.Token
	d := NewDevice(DeviceConfig{
		Name: name, User: p.users[u], Token: in.Token, Dial: p.cfg.Dial(name), Recorder: p.cfg.Recorder,
		Poll: u%2 == 1, PollTimeout: time.Second,
	})
	live, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { d.Run(live) })
	for !d.synced() && pause(ctx, 20*time.Millisecond) {
	}
	stop()
	running.Wait()
	if !d.synced() {
		return Holding{}, nil, nil, fmt.Errorf("sim: a fresh device of %s does not come to the end of its first sync: %w", handle, ctx.Err())
	}
	list, err := api.List(ctx)
	if err != nil {
		return Holding{}, nil, nil, err
	}
	rows, pages := map[string]Row{}, Logs{}
	for _, r := range list {
		rows[r.ID] = Row{Head: r.Head, Read: r.Read, Delivered: r.Delivered, Unread: r.Unread, Mentions: r.Mentions, Last: lastSum(r.Last)}
		if pages[r.ID], err = d.history(ctx, r.ID); err != nil {
			return Holding{}, nil, nil, err
		}
	}
	if !d.search(ctx) {
		return Holding{}, nil, nil, fmt.Errorf("sim: a fresh device of %s cannot search", handle)
	}
	d.api.Close()
	_, err = api.Call(ctx, http.MethodDelete, "/v1/sessions/current", nil, nil)
	return d.Holding(), rows, pages, err
}

// history reads all pages of c, which recorded reads are.
func (d *Device) history(ctx context.Context, c string) (log []Entry, err error) {
	for {
		after := head(log)
		op := Op{Op: OpRead, Client: d.client(), User: d.cfg.User, Device: d.cfg.Name, Conversation: c,
			Call: d.cfg.Recorder.Stamp(), Epoch: d.mem.holding().Epoch, After: after, Limit: 200, Result: OK}
		page, err := d.api.Entries(ctx, c, after, 200)
		if err != nil {
			return nil, err
		}
		op.Entries, op.Head = entriesOf(page.Items, page.Head), &page.Head
		d.cfg.Recorder.Add(op)
		if len(op.Entries) == 0 {
			return log, nil
		}
		log = append(log, op.Entries...)
	}
}
