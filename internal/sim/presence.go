package sim

import (
	"context"
	"errors"
	"net"
	"time"
)

// RunPresence is a life in which people come and go: in trouble first, then
// where nothing is wrong but that they flap, and at last a node dies with the
// devices it has. While nothing is wrong the world looks every second.
func (w *ClusterWorld) RunPresence(ctx context.Context) (h History, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	defer func() { err = errors.Join(err, w.end()) }()
	for _, n := range w.nodes {
		if err := w.start(ctx, n); err != nil {
			return nil, err
		}
	}
	pause(ctx, 10*time.Second) // until they are settled
	if w.party, err = NewParty(ctx, w.acquaintances()); err != nil {
		return nil, err
	}
	defer w.party.Wait()
	people := &coming{w: w, ctx: ctx, stop: make([]func(), len(w.party.Devices))}
	defer people.leave()
	for n := range people.stop {
		people.toggle(n)
	}
	w.rough.Store(true)
	for range 6 {
		if err := w.strike(ctx); err != nil {
			return nil, err
		}
		w.heal()
		people.flap(3)
	}
	w.rough.Store(false)
	for _, n := range w.nodes {
		n.net.Cut("") // also what fell silent
	}
	pause(ctx, time.Minute) // what was lost is told again, what died runs out
	for range 60 {
		people.flap(1)
		w.look(ctx, 10)
	}
	if err := w.nodes[len(w.nodes)-1].kill(); err != nil {
		return nil, err
	}
	people.flap(len(people.stop) / 2) // half of them do not come back
	for range 75 {
		w.look(ctx, 60)
	}
	err = w.start(ctx, w.nodes[len(w.nodes)-1])
	return w.rec.History(), err
}

// look lets a second pass and looks.
func (w *ClusterWorld) look(ctx context.Context, within uint64) {
	pause(ctx, time.Second)
	w.rec.Add(Op{Op: OpLook, Limit: within, Result: OK})
}

// acquaintances is six users with two devices each, most of whom know each
// other, and who have little to say.
func (w *ClusterWorld) acquaintances() PartyConfig {
	cfg := w.cast()
	cfg.Groups, cfg.Watch, cfg.Vary, cfg.Lives = nil, true, nil, nil
	for a := range cfg.Users {
		for b := range a {
			if (a+b)%5 != 0 {
				cfg.Groups = append(cfg.Groups, Gathering{Users: []int{a, b}})
			}
		}
	}
	// A device goes to any node that is there.
	cfg.Dial = func(device string) Dialer {
		return func(ctx context.Context) (net.Conn, error) {
			return w.nodes[w.dice.intn(len(w.nodes))].net.Dial(ctx, device)
		}
	}
	cfg.Device.Sends = 3
	return cfg
}

// coming is devices that come and go.
type coming struct {
	w    *ClusterWorld
	ctx  context.Context // of the world
	stop []func()        // by device; nil: it is away
}

// toggle has a device come, or go.
func (p *coming) toggle(n int) {
	if stop := p.stop[n]; stop != nil {
		stop()
		p.stop[n] = nil
		return
	}
	ctx, stop := context.WithCancel(p.ctx)
	p.stop[n] = stop
	p.w.party.Live(ctx, n, 0)
}

// flap toggles some devices.
func (p *coming) flap(times int) {
	for range times {
		p.toggle(p.w.dice.intn(len(p.stop)))
	}
}

// leave has everybody go.
func (p *coming) leave() {
	for n, stop := range p.stop {
		if stop != nil {
			p.toggle(n)
		}
	}
}
