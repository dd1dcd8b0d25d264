package sim

import (
	"fmt"
	"time"
)

// told is how soon a change must be told, from the moment the world is well.
const told = 10 * time.Second

// standing is how users stand, and what connections were told of it, at one
// moment of a history.
type standing struct {
	up    map[string]map[string]bool // the connections of each user
	since map[string]int64           // since when the user has some, or none
	seen  map[string]map[string]bool // what each connection was told last, by user
	began map[string]int64           // when each connection watched that is up
}

// apply replays op.
func (s *standing) apply(op *Op) {
	switch op.Op {
	case OpUp:
		if s.up[op.User] == nil {
			s.up[op.User] = map[string]bool{}
		}
		if len(s.up[op.User]) == 0 {
			s.since[op.User] = op.Return
		}
		s.up[op.User][op.Client] = true
		s.began[op.Client], s.seen[op.Client] = op.Return, map[string]bool{}
	case OpDown:
		delete(s.up[op.User], op.Client)
		if len(s.up[op.User]) == 0 {
			s.since[op.User] = op.Return
		}
		delete(s.began, op.Client)
		delete(s.seen, op.Client)
	case OpWatch:
		if _, known := s.seen[op.Client][op.ID]; !known && s.seen[op.Client] != nil {
			s.seen[op.Client][op.ID] = false // offline is the same as unknown
		}
	case OpSeen:
		if s.seen[op.Client] != nil {
			s.seen[op.Client][op.ID] = op.Online
		}
	}
}

// checkPresence is C7: whenever the world looks, every connection was told of
// those it watches what the lease model says: online who has been connected
// for a while, offline who has not.
func checkPresence(h History) []Finding {
	var out []Finding
	s := &standing{up: map[string]map[string]bool{}, since: map[string]int64{}, seen: map[string]map[string]bool{}, began: map[string]int64{}}
	for i := range h {
		op := &h[i]
		if op.Op != OpLook {
			s.apply(op)
			continue
		}
		for _, client := range sorted(s.began) {
			if op.Return-s.began[client] < int64(told) {
				continue
			}
			for _, user := range sorted(s.seen[client]) {
				online, within := len(s.up[user]) > 0, told
				if !online {
					within = time.Duration(op.Limit) * time.Second
				}
				is := time.Duration(op.Return - s.since[user])
				if s.seen[client][user] != online && is >= within {
					out = append(out, Finding{"C7", "P7", fmt.Sprintf(
						"%s holds %s for online=%v, who has been online=%v for %v", client, user, !online, online, is)})
				}
			}
		}
	}
	return out
}
