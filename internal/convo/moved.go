package convo

import parley "github.com/parley-im/parley"

// Moved takes note that another owner appended to a conversation, up to head:
// what is in memory of it is not believed until it is read again, and then
// only if it reaches so far.
func (o *Owner) Moved(id parley.ConversationID, head parley.Seq) {
	o.mu.Lock()
	c := o.resident[id]
	o.mu.Unlock()
	if c == nil {
		return // whoever reads it reads the log
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.least = max(c.least, head)
	if c.head.Seq < head {
		c.term = 0
	}
}
