package convo

import (
	"context"
	"errors"
	"slices"

	parley "github.com/parley-im/parley"
)

// Blocks knows who does not want to hear whom.
type Blocks interface {
	// Blockers returns the users who block sender, in any order. A block that
	// was acknowledged before the call is in the answer, and an unblock too:
	// an answer from memory must be as good as that. It is asked on the path
	// of each commit. The slice is only read.
	Blockers(ctx context.Context, sender parley.UserID) ([]parley.UserID, error)
	// Blocks returns the users whom user blocks, as Blockers does.
	Blocks(ctx context.Context, user parley.UserID) ([]parley.UserID, error)
}

// blockers looks up, once per plan, who blocks sender.
func (p *plan) blockers(sender parley.UserID) ([]parley.UserID, error) {
	o := p.c.owner
	if o.cfg.Blocks == nil {
		return nil, nil
	}
	if known, ok := p.blocks[sender]; ok {
		return known, nil
	}
	users, err := o.cfg.Blocks.Blockers(o.ctx, sender)
	if err != nil {
		return nil, coded("convo.blocks", err)
	}
	if p.blocks == nil {
		p.blocks = make(map[parley.UserID][]parley.UserID)
	}
	p.blocks[sender] = users
	return users, nil
}

// withheld returns the members who may not have what sender does to t (nil:
// to nothing): those who block the sender, and those who may not have t.
func (p *plan) withheld(sender parley.UserID, t *target) ([]parley.UserID, error) {
	blockers, err := p.blockers(sender)
	if err != nil {
		return nil, err
	}
	var from []parley.UserID
	for _, u := range blockers {
		if u != sender && present(p.state, u) {
			from = append(from, u)
		}
	}
	if t != nil {
		from = append(from, t.entry.Withheld...)
	}
	slices.Sort(from)
	return slices.Compact(from), nil
}

// errKnew marks the refusal of what its sender's own block forbids.
var errKnew = errors.New("convo: the sender blocks the recipient")

// knewBetter refuses what is said to somebody whom its sender blocks. To
// delete is still allowed: it says nothing.
func (p *plan) knewBetter(post *parley.Post) error {
	if p.state.Kind != parley.Direct || post.Kind == parley.KindDelete {
		return nil
	}
	for i := range p.state.Members {
		other := p.state.Members[i].User
		if other == post.Sender {
			continue
		}
		blockers, err := p.blockers(other)
		if err != nil {
			return err
		}
		if slices.Contains(blockers, post.Sender) {
			return &parley.Error{Code: parley.Forbidden, Op: "convo.post", Detail: "you blocked this person; unblock to write", Err: errKnew}
		}
	}
	return nil
}
