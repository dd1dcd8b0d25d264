package peer

// Interests returns how many users other nodes are told of.
func (p *Peers) Interests() int {
	p.remote.mu.Lock()
	defer p.remote.mu.Unlock()
	return len(p.remote.seats)
}

// Satchels returns for how many nodes receipts wait.
func (p *Peers) Satchels() int {
	p.satchels.mu.Lock()
	defer p.satchels.mu.Unlock()
	return len(p.satchels.of)
}

// Hear puts something between what nodes say and who hears it here.
func (p *Peers) Hear(between func(Keeper, Fanout) (Keeper, Fanout)) {
	p.cfg.Keeper, p.cfg.Fanout = between(p.cfg.Keeper, p.cfg.Fanout)
}

// Crowd sets how many questions of other nodes may wait for the gate.
func (p *Peers) Crowd(n int64) { p.crowd = n }
