package peer

// Interests returns how many users other nodes are told of.
func (p *Peers) Interests() int {
	p.remote.mu.Lock()
	defer p.remote.mu.Unlock()
	return len(p.remote.seats)
}
