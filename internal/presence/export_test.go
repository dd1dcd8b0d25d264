package presence

// Bounds that tests hold a Presence to.
const (
	Tick  = tick
	Stay  = stay
	Grace = grace
	Pace  = pace
)

// Held returns how much a Presence holds: of users with sessions here, of
// users watched here, and of records of the users who live here.
func Held(p *Presence) (here, watched, records int) {
	p.mu.Lock()
	here, watched = len(p.here)+len(p.touched), len(p.watched)+len(p.wishes)+len(p.learners)+len(p.resting)+len(p.ready)
	p.mu.Unlock()
	p.ledger.mu.Lock()
	defer p.ledger.mu.Unlock()
	return here, watched, len(p.ledger.of) + len(p.ledger.restless)
}
