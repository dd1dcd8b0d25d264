package edge

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// target returns the number of the entry in the path.
func (c *call) target() (parley.Seq, error) {
	n, err := strconv.ParseUint(c.PathValue("seq"), 10, 53)
	if err != nil || n == 0 {
		return 0, parley.E(parley.BadRequest, "edge.target", "seq is the number of an entry, from 1 to %d", uint64(wire.MaxNumber))
	}
	return parley.Seq(n), nil
}

// act says p, of which id and target are still to be filled in.
func (e *Edge) act(c *call, id string, p parley.Post) (int, any, error) {
	if err := wire.CheckID("id", id); err != nil {
		return 0, nil, err
	}
	target, err := c.target()
	if err != nil {
		return 0, nil, err
	}
	p.ID, p.Ref = parley.MessageID(id), target
	return e.say(c, p)
}

func (e *Edge) edit(c *call) (int, any, error) {
	q := c.body.(*wire.EntryEdit)
	body, err := q.Body.Parley(e.cfg.Limits)
	if err != nil {
		return 0, nil, err
	}
	if body.Type != parley.TextPlain {
		return 0, nil, parley.E(parley.BadRequest, "edge.edit", "an edit is a text; send text/plain")
	}
	return e.act(c, q.ID, parley.Post{Kind: parley.KindEdit, Body: body})
}

func (e *Edge) delete(c *call) (int, any, error) {
	return e.act(c, c.body.(*wire.EntryDelete).ID, parley.Post{Kind: parley.KindDelete})
}

func (e *Edge) react(c *call) (int, any, error) {
	q := c.body.(*wire.Feeling)
	p := parley.Post{Kind: parley.KindReaction}
	if q.Text != "" {
		if err := wire.CheckReaction(&wire.Body{Type: parley.TextPlain, Text: &q.Text}); err != nil {
			return 0, nil, err
		}
		p.Body = parley.Body{Type: parley.TextPlain, Data: []byte(q.Text)}
	}
	return e.act(c, q.ID, p)
}

func (e *Edge) pin(c *call) (int, any, error) {
	return e.act(c, c.body.(*wire.EntryPin).ID, parley.Post{Kind: parley.KindPin})
}

func (e *Edge) unpin(c *call) (int, any, error) {
	return e.act(c, c.body.(*wire.EntryPin).ID, parley.Post{Kind: parley.KindUnpin})
}

// idOr returns the id that a caller chose, or a new one: without an id of its
// own, a caller that tries again says it again.
func (e *Edge) idOr(id string) (parley.MessageID, error) {
	if id == "" {
		return parley.MessageID(parley.NewID("m", e.cfg.Rand)), nil
	}
	return parley.MessageID(id), wire.CheckID("id", id)
}

// change says that who belongs changes.
func (e *Edge) change(c *call, id string, change parley.MembersBody) error {
	message, err := e.idOr(id)
	if err != nil {
		return err
	}
	data, err := json.Marshal(change)
	if err != nil {
		return parley.E(parley.Internal, "edge.members", "the server could not write down who belongs")
	}
	_, err = e.commit(c, parley.Post{ID: message, Kind: parley.KindMembers, Body: parley.Body{Type: parley.MembersType, Data: data}})
	return err
}

func (e *Edge) addMembers(c *call) (int, any, error) {
	q := c.body.(*wire.NewMembers)
	if len(q.Users) == 0 {
		return 0, nil, parley.E(parley.BadRequest, "edge.members", "users: name at least one")
	}
	if len(q.Users) >= e.cfg.Limits.Members {
		return 0, nil, parley.E(parley.TooLarge, "edge.members", "users: a group has at most %d members", e.cfg.Limits.Members)
	}
	add := make([]parley.UserID, 0, len(q.Users))
	seen := make(map[parley.UserID]bool, len(q.Users))
	for _, named := range q.Users {
		u, err := e.find(c, named)
		switch {
		case parley.CodeOf(err) == parley.NotFound:
			return 0, nil, parley.E(parley.NotFound, "edge.members", "users: there is no user %.64q; a handle must be exact", named)
		case err != nil:
			return 0, nil, err
		case seen[u.ID]:
			return 0, nil, parley.E(parley.BadRequest, "edge.members", "users: %.64q stands twice; name each once", named)
		}
		seen[u.ID] = true
		add = append(add, u.ID)
	}
	if err := e.change(c, q.ID, parley.MembersBody{Add: add, All: q.All}); err != nil {
		return 0, nil, err
	}
	return e.conversation(c)
}

// removeMember also lets the asker leave: "me" is the asker.
func (e *Edge) removeMember(c *call) (int, any, error) {
	u, err := e.memberNamed(c)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, e.change(c, c.query["id"], parley.MembersBody{Remove: []parley.UserID{u}})
}

func (e *Edge) changeMember(c *call) (int, any, error) {
	q := c.body.(*wire.MemberPatch)
	u, err := e.memberNamed(c)
	if err != nil {
		return 0, nil, err
	}
	role := parley.Role(q.Role)
	if role != parley.RoleOwner && role != parley.RoleAdmin && role != parley.RoleMember {
		return 0, nil, parley.E(parley.BadRequest, "edge.members", "role is owner, admin or member")
	}
	if err := e.change(c, q.ID, parley.MembersBody{Roles: map[parley.UserID]parley.Role{u: role}}); err != nil {
		return 0, nil, err
	}
	return e.conversation(c)
}

// memberNamed returns the user in the path.
func (e *Edge) memberNamed(c *call) (parley.UserID, error) {
	if c.PathValue("user") == "me" {
		return c.id.User, nil
	}
	u, err := e.find(c, c.PathValue("user"))
	return u.ID, err
}

// rename says that the conversation of the path has another title.
func (e *Edge) rename(c *call, id, title string) error {
	title, err := wire.CleanTitle(title)
	if err != nil {
		return err
	}
	message, err := e.idOr(id)
	if err != nil {
		return err
	}
	_, err = e.commit(c, parley.Post{ID: message, Kind: parley.KindTitle, Body: parley.Body{Type: parley.TextPlain, Data: []byte(title)}})
	return err
}

// paged returns one page of what is known whole. Its cursor is a count.
func paged[T any](c *call, all []T) (*wire.List[T], error) {
	limit, err := c.limit()
	if err != nil {
		return nil, err
	}
	from := 0
	if s := c.query["cursor"]; s != "" {
		if from, err = strconv.Atoi(s); err != nil || from < 0 {
			return nil, parley.E(parley.BadRequest, "edge.page", "cursor: send what the page before gave as next")
		}
	}
	all = all[min(from, len(all)):]
	page := &wire.List[T]{Items: []T{}}
	if len(all) > limit {
		all = all[:limit]
		next := strconv.Itoa(from + limit)
		page.Next = &next
	}
	page.Items = append(page.Items, all...)
	return page, nil
}

func (e *Edge) editions(c *call) (int, any, error) {
	seq, err := c.target()
	if err != nil {
		return 0, nil, err
	}
	all, err := e.cfg.History.Editions(c.Context(), c.id.User, parley.ConversationID(c.PathValue("conversation")), seq)
	if err != nil {
		return 0, nil, err
	}
	out := make([]wire.Edition, len(all))
	for i, ed := range all {
		out[i] = wire.Edition{Seq: uint64(ed.Seq), At: wire.Time(ed.At), Body: wire.BodyOf(ed.Body)}
	}
	page, err := paged(c, out)
	return http.StatusOK, page, err
}

func (e *Edge) reactors(c *call) (int, any, error) {
	seq, err := c.target()
	if err != nil {
		return 0, nil, err
	}
	all, err := e.cfg.History.Reactors(c.Context(), c.id.User, parley.ConversationID(c.PathValue("conversation")), seq)
	if err != nil {
		return 0, nil, err
	}
	out := make([]wire.Reactor, len(all))
	for i, r := range all {
		out[i] = wire.Reactor{User: string(r.User), Text: r.Text, At: wire.Time(r.At)}
	}
	page, err := paged(c, out)
	return http.StatusOK, page, err
}
