package edge

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/wire"
)

// leads returns the group in the path if the asker leads it.
func (e *Edge) leads(c *call) (parley.Conversation, error) {
	conv, m, _, err := e.cfg.Conversations.Get(c.Context(), c.id.User, parley.ConversationID(c.PathValue("conversation")))
	switch {
	case err != nil:
		return conv, err
	case conv.Kind != parley.Group:
		return conv, parley.E(parley.BadRequest, "edge.invites", "only a group has invites")
	case m.Until != 0:
		return conv, parley.E(parley.NotFound, "edge.invites", "there is no such conversation, or you are not a member of it")
	case m.Role != parley.RoleOwner && m.Role != parley.RoleAdmin:
		return conv, parley.E(parley.Forbidden, "edge.invites", "only who leads the group may invite by link; ask its owner or an admin")
	}
	return conv, nil
}

// wireGroupInvite describes an invite into conv, whose title and members may
// be nobody's to see but those who have the code.
func (e *Edge) wireGroupInvite(ctx context.Context, i account.GroupInvite, conv *parley.Conversation) (wire.GroupInvite, error) {
	by, err := e.cfg.People.User(ctx, i.By)
	if err != nil {
		return wire.GroupInvite{}, err
	}
	w := wire.GroupInvite{
		Code: i.Code, Conversation: string(i.Conversation), Title: conv.Title, By: wireUser(by),
		Uses: uint64(i.Uses), Used: uint64(i.Used), Expires: wire.Time(i.Expires),
	}
	for _, m := range conv.Members {
		if m.Until == 0 {
			w.Members++
		}
	}
	if e.cfg.BaseURL != "" {
		w.Link = strings.TrimSuffix(e.cfg.BaseURL, "/") + "/#/join/" + i.Code
	}
	return w, nil
}

func (e *Edge) groupInvite(c *call) (int, any, error) {
	q := c.body.(*wire.NewGroupInvite)
	if q.Hours > maxInviteHours || q.Uses > math.MaxInt32 {
		return 0, nil, parley.E(parley.BadRequest, "edge.invite", "an invite is good for at most %d hours", maxInviteHours)
	}
	conv, err := e.leads(c)
	if err != nil {
		return 0, nil, err
	}
	i, err := e.cfg.GroupInvites.CreateGroupInvite(c.Context(), c.id.User, conv.ID, int(q.Uses), time.Duration(q.Hours)*time.Hour)
	if err != nil {
		return 0, nil, err
	}
	w, err := e.wireGroupInvite(c.Context(), i, &conv)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, &w, nil
}

func (e *Edge) groupInvites(c *call) (int, any, error) {
	limit, err := c.limit()
	if err != nil {
		return 0, nil, err
	}
	conv, err := e.leads(c)
	if err != nil {
		return 0, nil, err
	}
	invites, next, err := e.cfg.GroupInvites.GroupInvites(c.Context(), conv.ID, c.query["cursor"], limit)
	if err != nil {
		return 0, nil, err
	}
	page := wire.List[wire.GroupInvite]{Items: make([]wire.GroupInvite, len(invites))}
	for i := range invites {
		if page.Items[i], err = e.wireGroupInvite(c.Context(), invites[i], &conv); err != nil {
			return 0, nil, err
		}
	}
	if next != "" {
		page.Next = &next
	}
	return http.StatusOK, &page, nil
}

func (e *Edge) revokeGroupInvite(c *call) (int, any, error) {
	conv, err := e.leads(c)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, e.cfg.GroupInvites.RevokeGroupInvite(c.Context(), conv.ID, c.PathValue("code"))
}

// invited returns the group that a code leads to, as its maker sees it: it is
// not_found also when they lead the group no more.
func (e *Edge) invited(ctx context.Context, i account.GroupInvite) (parley.Conversation, error) {
	conv, m, _, err := e.cfg.Conversations.Get(ctx, i.By, i.Conversation)
	leads := m.Until == 0 && (m.Role == parley.RoleOwner || m.Role == parley.RoleAdmin)
	if parley.CodeOf(err) == parley.NotFound || err == nil && !leads {
		return conv, parley.E(parley.NotFound, "edge.join", "this link is not valid (any more); ask for a new one")
	}
	return conv, err
}

// previewInvite shows what a code leads to.
func (e *Edge) previewInvite(c *call) (int, any, error) {
	i, err := e.cfg.GroupInvites.GroupInvite(c.Context(), c.PathValue("code"))
	if err != nil {
		return 0, nil, err
	}
	conv, err := e.invited(c.Context(), i)
	if err != nil {
		return 0, nil, err
	}
	w, err := e.wireGroupInvite(c.Context(), i, &conv)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, &w, nil
}

// join has the asker join by a code. A use is put aside before and settled
// after, so that it counts once for each who joined.
func (e *Edge) join(c *call) (int, any, error) {
	code := c.PathValue("code")
	// An invite is worth what its maker may do. One that is used up still lets
	// in who has a use of it, so that a join whose answer was lost may be tried
	// again.
	i, err := e.cfg.GroupInvites.GroupInvite(c.Context(), code)
	if err == nil {
		_, err = e.invited(c.Context(), i)
	} else if parley.CodeOf(err) == parley.NotFound {
		err = nil
	}
	if err != nil {
		return 0, nil, err
	}
	group, settle, err := e.cfg.GroupInvites.UseGroupInvite(c.Context(), code, c.id.User)
	if err != nil {
		return 0, nil, err
	}
	joined := true
	if _, m, _, gerr := e.cfg.Conversations.Get(c.Context(), c.id.User, group); gerr != nil || m.Until != 0 {
		joined, err = e.joinNow(c, group)
	}
	if serr := settle(c.Context(), joined); err == nil {
		err = serr
	}
	if err != nil {
		return 0, nil, err
	}
	out, err := e.describe(c, group)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, out, nil
}

// joinNow says that the asker belongs from now on. joined is false only when
// it certainly did not happen.
func (e *Edge) joinNow(c *call, group parley.ConversationID) (joined bool, err error) {
	data, err := json.Marshal(parley.MembersBody{Add: []parley.UserID{c.id.User}})
	if err != nil {
		return false, parley.E(parley.Internal, "edge.join", "the server could not write down who belongs")
	}
	_, err = e.commit(c, parley.Post{
		Conversation: group, ID: parley.MessageID(parley.NewID("m", e.cfg.Rand)), Kind: parley.KindMembers, Invited: true,
		Body: parley.Body{Type: parley.MembersType, Data: data},
	})
	return err == nil || parley.CodeOf(err).Retry() != parley.GiveUp, err
}
