package convo

import (
	"encoding/json"
	"slices"
	"time"

	parley "github.com/parley-im/parley"
)

// draft is the conversation Create would make.
func (o *Owner) draft(by parley.UserID, kind parley.ConversationKind, title string, members []parley.UserID) (*parley.Conversation, error) {
	all := append([]parley.UserID{by}, members...)
	slices.Sort(all)
	all = slices.Compact(all)
	c := &parley.Conversation{Kind: kind, Title: title}
	switch kind {
	case parley.Direct:
		if len(all) > 2 || len(members) == 0 {
			return nil, parley.E(parley.BadRequest, "convo.create", "members: a direct conversation has exactly one other member")
		}
		c.ID, c.Title = parley.DirectID(all[0], all[len(all)-1]), ""
	case parley.Group:
		if len(all) > MaxMembers {
			return nil, parley.E(parley.TooLarge, "convo.create", "members: a group has at most %d, you among them", MaxMembers)
		}
		c.ID = parley.ConversationID(parley.NewID("g", o.cfg.Rand))
	default:
		return nil, parley.E(parley.BadRequest, "convo.create", "kind: direct or group")
	}
	for _, u := range all {
		role := parley.RoleMember
		if u == by && kind == parley.Group {
			role = parley.RoleOwner
		}
		c.Members = append(c.Members, parley.Member{User: u, Role: role, Since: 1})
	}
	return c, nil
}

// found has j make the conversation, unless somebody has.
func (p *plan) found(j *job) outcome {
	switch {
	case p.founded: // by this very append
		p.waiting = append(p.waiting, waiting{j, 0, true})
		return planned
	case p.state != nil:
		j.answer(p.c.owner, parley.Ack{Conversation: p.c.id, Seq: 1, Again: true}, nil)
		return answered
	}
	state := *j.create
	state.Created = p.at
	e := founding(j, &state)
	if state.Kind == parley.Direct {
		// Whoever blocks the founder hears nothing of it. In a group it is not
		// the founder who speaks, but the group.
		p.state = &state
		var err error
		if e.Withheld, err = p.withheld(j.post.Sender, nil); err != nil {
			p.state = nil
			j.answer(p.c.owner, parley.Ack{}, err)
			return answered
		}
	}
	p.founded = true
	p.setState(&state)
	p.add(j, e)
	return planned
}

// founding is the first entry of a conversation: who belongs.
func founding(j *job, state *parley.Conversation) parley.Entry {
	body := parley.MembersBody{Title: state.Title}
	for _, m := range state.Members {
		body.Add = append(body.Add, m.User)
	}
	return parley.Entry{
		Conversation: state.ID, Seq: 1, Kind: parley.KindMembers, ID: j.post.ID,
		Sender: j.post.Sender, At: state.Created.UTC().Truncate(time.Millisecond), Body: membersBody(&body),
	}
}

// membersBody is b as an entry carries it.
func membersBody(b *parley.MembersBody) parley.Body {
	data, err := json.Marshal(b)
	if err != nil {
		panic("convo: strings do not marshal: " + err.Error())
	}
	return parley.Body{Type: parley.MembersType, Data: data}
}
