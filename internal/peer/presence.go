package peer

import (
	"context"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/presence"
)

// Presences is the other nodes, as presence sees them. It implements
// presence.Nodes.
type Presences struct{ p *Peers }

// Presences returns the other nodes, as presence sees them.
func (p *Peers) Presences() Presences { return Presences{p} }

// Self implements presence.Nodes.
func (n Presences) Self() presence.Node { return presence.Node(n.p.self()) }

// Owner implements presence.Nodes.
func (n Presences) Owner(user parley.UserID) presence.Node {
	return presence.Node(n.p.owner(parley.ShardOfUser(user)))
}

// Tell implements presence.Nodes.
func (n Presences) Tell(to presence.Node, note presence.Note) {
	n.p.tell(cluster.NodeID(to), request{Op: opPresence, Presence: &note})
}

// Ask implements presence.Nodes.
func (n Presences) Ask(ctx context.Context, to presence.Node, users []parley.UserID) ([]presence.State, error) {
	r, err := n.p.ask(ctx, cluster.NodeID(to), request{Op: opOnline, Users: users})
	return r.States, err
}
