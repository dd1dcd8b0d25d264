package convo

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"

	parley "github.com/parley-im/parley"
)

const (
	// MaxMembers is how many may belong to a conversation at once.
	MaxMembers = 1000
	// maxMemberships bounds the memberships of a conversation, those ended
	// included: a state is one value, read and written whole.
	maxMemberships = 10 * MaxMembers
)

// members judges a change of who belongs. It asks for one thing only: to
// leave, to join by an invite, or, by who leads, any of adding, removing and
// giving roles.
func (p *plan) members(post *parley.Post, m parley.Member, joins bool) (ruling, error) {
	if p.state.Kind != parley.Group {
		return ruling{}, bad("only a group's members change")
	}
	b, err := parseMembers(post.Body)
	if err != nil {
		return ruling{}, err
	}
	if err := checkMembers(b); err != nil {
		return ruling{}, err
	}
	switch {
	case joins:
		err = p.mayJoin(post.Sender, b)
	case slices.Contains(b.Remove, post.Sender):
		err = mayLeave(b)
	default:
		err = p.mayChange(m, b)
	}
	if err == nil {
		err = p.fits(b)
	}
	if err != nil {
		return ruling{}, err
	}
	p.fill(post.Sender, b)
	all, err := p.readers(b)
	if err != nil {
		return ruling{}, err
	}
	e := p.next(post)
	e.Body = membersBody(b)
	return ruling{entry: e, state: withMembers(p.state, b, all, e.Seq)}, nil
}

// readers returns those whom b adds that read from the start: if b says so, all
// but who blocks somebody that ever belonged. What that one said while they were
// away was withheld from nobody, and must not reach them now.
func (p *plan) readers(b *parley.MembersBody) ([]parley.UserID, error) {
	if !b.All || p.c.owner.cfg.Blocks == nil {
		return b.Add, nil
	}
	var all []parley.UserID
	for _, u := range b.Add {
		blocked, err := p.c.owner.cfg.Blocks.Blocks(p.c.owner.ctx, u)
		if err != nil {
			return nil, coded("convo.blocks", err)
		}
		if !slices.ContainsFunc(blocked, func(other parley.UserID) bool { _, was := p.state.Member(other); return was }) {
			all = append(all, u)
		}
	}
	return all, nil
}

// parseMembers reads what a members entry asks for. It is as strict as wire.
func parseMembers(body parley.Body) (*parley.MembersBody, error) {
	b := new(parley.MembersBody)
	d := json.NewDecoder(bytes.NewReader(body.Data))
	d.DisallowUnknownFields()
	if err := d.Decode(b); body.Type != parley.MembersType || err != nil || d.Decode(new(any)) != io.EOF {
		return nil, bad("body: not a change of members")
	}
	return b, nil
}

// checkMembers refuses what no group could do.
func checkMembers(b *parley.MembersBody) error {
	if b.Title != "" || len(b.Add)+len(b.Remove)+len(b.Roles) == 0 || b.All && len(b.Add) == 0 {
		return bad("body: add, remove or roles, and nothing else")
	}
	if len(b.Add) > MaxMembers || len(b.Remove) > MaxMembers || len(b.Roles) > MaxMembers {
		return tooLarge("a group has at most %d members", MaxMembers)
	}
	all := slices.Concat(b.Add, b.Remove, slices.Collect(maps.Keys(b.Roles)))
	for _, u := range all {
		if !parley.ValidID(string(u)) {
			return bad("body: what stands for a user is none")
		}
	}
	slices.Sort(all)
	if len(slices.Compact(all)) < len(b.Add)+len(b.Remove)+len(b.Roles) {
		return conflict("a user stands in the change twice")
	}
	owners := 0
	for _, role := range b.Roles {
		switch role {
		case parley.RoleOwner:
			owners++
		case parley.RoleAdmin, parley.RoleMember:
		default:
			return bad("roles: owner, admin or member")
		}
	}
	if owners > 1 {
		return bad("roles: a group has one owner")
	}
	return nil
}

// mayJoin: who was invited adds themself and does nothing else.
func (p *plan) mayJoin(u parley.UserID, b *parley.MembersBody) error {
	if len(b.Add) != 1 || b.Add[0] != u || len(b.Remove)+len(b.Roles) > 0 {
		return forbidden("an invite lets its bearer in, and nobody else")
	}
	if present(p.state, u) {
		return conflict("you are a member already")
	}
	return nil
}

// mayLeave: everybody may, and says nothing else with it.
func mayLeave(b *parley.MembersBody) error {
	if len(b.Remove) > 1 || len(b.Add)+len(b.Roles) > 0 {
		return bad("body: leave by itself")
	}
	return nil
}

// mayChange: owners and admins add, owners remove anybody, admins remove
// plain members, owners give roles.
func (p *plan) mayChange(m parley.Member, b *parley.MembersBody) error {
	if !leads(p.state, m) {
		return forbidden("only who leads the group may change its members")
	}
	owner := m.Role == parley.RoleOwner
	if len(b.Roles) > 0 && !owner {
		return forbidden("only the owner gives roles")
	}
	if _, own := b.Roles[m.User]; own {
		return forbidden("nobody changes their own role; to be no longer the owner, make another one so")
	}
	for _, u := range b.Remove {
		other, ok := p.state.Member(u)
		switch {
		case !ok || other.Until != 0:
			return errNoMember()
		case !owner && other.Role != parley.RoleMember:
			return forbidden("an admin removes members alone")
		}
	}
	for u := range b.Roles {
		if !present(p.state, u) {
			return errNoMember()
		}
	}
	for _, u := range b.Add {
		if present(p.state, u) {
			return conflict("who is to be added is a member already")
		}
	}
	return nil
}

func errNoMember() error {
	return parley.E(parley.NotFound, "convo.post", "there is no such member")
}

// fits refuses a member too many.
func (p *plan) fits(b *parley.MembersBody) error {
	now, ever := len(b.Add)-len(b.Remove), len(p.state.Members)
	for i := range p.state.Members {
		if p.state.Members[i].Until == 0 {
			now++
		}
	}
	for _, u := range b.Add {
		if _, was := p.state.Member(u); !was {
			ever++
		}
	}
	switch {
	case len(b.Add) == 0:
		return nil
	case now > MaxMembers:
		return tooLarge("a group has at most %d members", MaxMembers)
	case ever > maxMemberships:
		return tooLarge("too many have come to this group and gone; make another")
	}
	return nil
}

// fill writes into b what follows from it, so that who reads the entry need
// know no rule: who becomes owner when the owner leaves, that a group has one
// owner, who owns a group that all had left, and, for those removed, how the
// group was called. asked takes it out again.
func (p *plan) fill(sender parley.UserID, b *parley.MembersBody) {
	give := func(u parley.UserID, role parley.Role) {
		if b.Roles == nil {
			b.Roles = make(map[parley.UserID]parley.Role)
		}
		b.Roles[u] = role
	}
	if slices.Contains(slices.Collect(maps.Values(b.Roles)), parley.RoleOwner) {
		give(sender, parley.RoleAdmin)
	}
	if len(b.Remove) > 0 {
		b.Title = p.state.Title
	}
	m, _ := p.state.Member(sender)
	switch {
	case slices.Contains(b.Remove, sender) && m.Role == parley.RoleOwner:
		if heir, ok := heir(p.state, sender); ok {
			give(heir, parley.RoleOwner)
		}
	case slices.Contains(b.Add, sender):
		if _, owned := heir(p.state, sender); !owned {
			give(sender, parley.RoleOwner)
		}
	}
}

// heir returns the longest-standing admin aside from u, or else member; among
// equals the first by id.
func heir(c *parley.Conversation, u parley.UserID) (parley.UserID, bool) {
	var best *parley.Member
	for i := range c.Members {
		m := &c.Members[i]
		if m.User == u || m.Until != 0 {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(rank(m.Role), rank(best.Role)), cmp.Compare(m.Since, best.Since)) < 0 {
			best = m
		}
	}
	if best == nil {
		return "", false
	}
	return best.User, true
}

// rank orders roles, from most to least.
func rank(r parley.Role) int {
	return slices.Index([]parley.Role{parley.RoleOwner, parley.RoleAdmin, parley.RoleMember}, r)
}

// withMembers returns c after the change b at number seq: who is removed
// reads that entry and nothing after it, who is added reads from it on, or
// everything if b says so and they are among all.
func withMembers(c *parley.Conversation, b *parley.MembersBody, all []parley.UserID, seq parley.Seq) *parley.Conversation {
	state := *c
	state.Members = make([]parley.Member, len(c.Members), len(c.Members)+len(b.Add))
	copy(state.Members, c.Members)
	of := func(u parley.UserID) (int, bool) {
		return slices.BinarySearchFunc(state.Members, u, func(m parley.Member, u parley.UserID) int { return cmp.Compare(m.User, u) })
	}
	for _, u := range b.Remove {
		if i, ok := of(u); ok {
			state.Members[i].Until, state.Members[i].Role = seq, parley.RoleMember
		}
	}
	for _, u := range b.Add {
		m := parley.Member{User: u, Role: parley.RoleMember, Since: seq}
		if b.All && slices.Contains(all, u) {
			m.Since = 1
		}
		if i, ok := of(u); ok {
			state.Members[i] = m
		} else {
			state.Members = slices.Insert(state.Members, i, m)
		}
	}
	for u, role := range b.Roles {
		if i, ok := of(u); ok {
			state.Members[i].Role = role
		}
	}
	return &state
}

// knownTo is how c was when m, who left, belonged: the others of that time, and
// the title that the removal, the last entry m may read, wrote down.
func (o *Owner) knownTo(ctx context.Context, c *parley.Conversation, m parley.Member) (parley.Conversation, error) {
	out := *c
	out.Title, out.Pins, out.Members = "", nil, nil
	removal, err := o.cfg.Log.Read(ctx, c.ID, m.Until-1, 1)
	if err != nil {
		return out, coded("convo.read", err)
	}
	if len(removal) > 0 {
		if b, err := parseMembers(removal[0].Body); err == nil {
			out.Title = b.Title
		}
	}
	for _, other := range c.Members {
		if other.Since > m.Until {
			continue // came later
		}
		if other.Until > m.Until {
			other.Until = 0 // left later
		}
		out.Members = append(out.Members, other)
	}
	return out, nil
}

// sameMembers reports whether p asks for what stands as e.
func sameMembers(e *parley.Entry, p *parley.Post) bool {
	stands, err := parseMembers(e.Body)
	if err != nil {
		return false
	}
	wants, err := parseMembers(p.Body)
	if err != nil {
		return false
	}
	asked(e.Sender, stands)
	return stands.Title == wants.Title && stands.All == wants.All && slices.Equal(stands.Add, wants.Add) &&
		slices.Equal(stands.Remove, wants.Remove) && maps.Equal(stands.Roles, wants.Roles)
}

// asked leaves of b what its sender asked for: see fill. Nobody asks for a
// role of their own, and who leaves asks for none.
func asked(sender parley.UserID, b *parley.MembersBody) {
	b.Title = ""
	delete(b.Roles, sender)
	if slices.Contains(b.Remove, sender) {
		b.Roles = nil
	}
}
