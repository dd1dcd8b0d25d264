package edge

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// presence tells who of some users is online, by id. Those the asker may not
// see are absent, as are those of whom nothing is known.
func (e *Edge) presence(c *call) (int, any, error) {
	named := strings.Split(c.query["users"], ",")
	if len(named) > wire.MaxLimit {
		return 0, nil, parley.E(parley.BadRequest, "edge.presence", "users holds more than %d ids; send fewer", wire.MaxLimit)
	}
	users := make([]parley.UserID, len(named))
	for i, s := range named {
		if err := wire.CheckID("users", s); err != nil {
			return 0, nil, err
		}
		users[i] = parley.UserID(s)
	}
	page := wire.List[wire.Presence]{Items: []wire.Presence{}}
	if e.cfg.Presence == nil {
		return http.StatusOK, &page, nil
	}
	known, err := e.cfg.Presence.Of(c.Context(), c.id.User, users)
	if err != nil {
		return 0, nil, err
	}
	for _, p := range known {
		it := wire.Presence{User: string(p.User), Online: p.Online}
		if !p.LastSeen.IsZero() {
			it.LastSeen = wire.Time(p.LastSeen)
		}
		page.Items = append(page.Items, it)
	}
	slices.SortFunc(page.Items, func(a, b wire.Presence) int { return cmp.Compare(a.User, b.User) })
	return http.StatusOK, &page, nil
}
