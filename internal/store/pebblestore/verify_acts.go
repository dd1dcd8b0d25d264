package pebblestore

import (
	"bytes"

	parley "github.com/parley-im/parley"
)

// points checks that an act points at a message before it, and is found from
// there.
func (c *check) points(e *parley.Entry) error {
	if !e.Kind.IsAct() {
		return nil
	}
	target, found, err := c.entry(e.Conversation, e.Ref)
	if err != nil {
		return err
	}
	if !isAct(e) || !found || target.Kind != parley.KindMessage {
		c.problem("conversation %s: entry %d acts on entry %d, which is no message before it", e.Conversation, e.Seq, e.Ref)
	}
	if !isAct(e) {
		return nil
	}
	value, found, err := c.lookUp("acts", actKey(nil, e.Conversation, e.Ref, e.Seq))
	if err == nil && (!found || !bytes.Equal(value, appendAct(nil, e))) {
		c.problem("conversation %s: entry %d cannot be found from entry %d, on which it acts", e.Conversation, e.Seq, e.Ref)
	}
	return err
}

// acts checks that every act leads to its entry, and counts what is left of
// deleted messages.
func (c *check) acts() error {
	var of deleted
	err := c.each("acts", spaceAct, func(k, _ []byte) error {
		id, target, seq, err := takeActKey(k)
		if err != nil {
			return err
		}
		if len(of.bodies) == 0 || id != of.c || target != of.bodies[0] {
			if err := c.remains(&of); err != nil {
				return err
			}
			of = deleted{c: id, bodies: []parley.Seq{target}}
		}
		e, found, err := c.entry(id, seq)
		switch {
		case err != nil:
			return err
		case !found:
			c.problem("conversation %s: an act on entry %d leads to entry %d, which is not there", id, target, seq)
		case !isAct(&e) || e.Ref != target:
			c.problem("conversation %s: an act on entry %d leads to entry %d, which does not act on it", id, target, seq)
		}
		of.yes = of.yes || e.Kind == parley.KindDelete
		if e.Kind == parley.KindEdit {
			of.bodies = append(of.bodies, seq)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.remains(&of)
}

// deleted is a message with its edits, and whether it was deleted.
type deleted struct {
	c      parley.ConversationID
	bodies []parley.Seq // the message first
	yes    bool
}

func (c *check) remains(of *deleted) error {
	if !of.yes {
		return nil
	}
	for _, seq := range of.bodies {
		e, found, err := c.entry(of.c, seq)
		if err != nil {
			return err
		}
		if found && (e.Body.Type != "" || len(e.Body.Data) > 0) {
			c.done.Remains++
		}
	}
	return nil
}
