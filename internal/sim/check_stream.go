package sim

import "fmt"

// known is what a device has been told of one conversation.
type known struct {
	held      uint64 // has every entry up to here
	announced uint64 // a row or a pushed entry named this number
	pushed    uint64 // the last entry that came by itself on this connection
	client    string // the connection of pushed
}

func (k *known) upTo() uint64 { return max(k.held, k.announced) }

// streams replays what each device was told and calls see after each
// operation that told it something.
type streams struct {
	f     *Final
	known map[string]map[string]*known // by device and conversation
}

func (s *streams) of(device, conversation string) *known {
	m := s.known[device]
	if m == nil {
		m = map[string]*known{}
		s.known[device] = m
	}
	k := m[conversation]
	if k == nil {
		k = &known{}
		m[conversation] = k
	}
	return k
}

// apply replays op and returns what is wrong with it, or "".
func (s *streams) apply(op *Op) string {
	switch op.Op {
	case OpReset:
		delete(s.known, op.Device)
	case OpRow:
		k := s.of(op.Device, op.Conversation)
		if op.Head != nil {
			k.announced = max(k.announced, *op.Head)
		}
	case OpRead, OpRecv:
		if op.Result == OK && len(op.Entries) > 0 {
			return s.entries(op)
		}
	}
	return ""
}

func (s *streams) entries(op *Op) string {
	k := s.of(op.Device, op.Conversation)
	first, last := op.Entries[0].Seq, head(op.Entries)
	for i, e := range op.Entries {
		if e.Seq != first+uint64(i) {
			return fmt.Sprintf("%s got entries of %s with a gap: %d after %d", op.Device, op.Conversation, e.Seq, op.Entries[i-1].Seq)
		}
	}
	begins := first == 1 || s.f.begins(op.Conversation, op.User, first)
	if op.Op == OpRead {
		if first > op.After+1 && !begins {
			return fmt.Sprintf("%s asked for %s after %d and got %d first", op.Device, op.Conversation, op.After, first)
		}
	} else {
		fresh := k.client != op.Client
		if !fresh && first <= k.pushed {
			return fmt.Sprintf("%s was sent %d of %s twice on one connection", op.Device, first, op.Conversation)
		}
		if first > k.upTo()+1 && !begins {
			return fmt.Sprintf("%s was sent %d of %s while all it knew of was %d: %d to %d were skipped",
				op.Device, first, op.Conversation, k.upTo(), k.upTo()+1, first-1)
		}
		k.client, k.pushed = op.Client, last
		k.announced = max(k.announced, last) // and what lies before it
	}
	if first <= k.held+1 || begins {
		k.held = max(k.held, last)
	}
	return ""
}

// checkStreams is C4: what came to each device by itself continues what it
// knew, comes once per connection, and in the end every device has what a
// fresh one has.
func checkStreams(h History, f *Final) []Finding {
	var out []Finding
	say := func(text string) {
		if text != "" {
			out = append(out, Finding{"C4", "P4", text})
		}
	}
	s := streams{f: f, known: map[string]map[string]*known{}}
	for i := range h {
		say(s.apply(&h[i]))
	}
	for _, d := range sorted(f.Devices) {
		held := f.Devices[d]
		for _, c := range sorted(f.Members) {
			span, ok := f.Members[c][held.User]
			if !ok {
				continue
			}
			want := f.Fresh[held.User][c]
			log := since(held.Logs[c], span.Since)
			if text := compare(want, log, Span{Since: max(span.Since, 1), Until: span.Until}); text != "" {
				say(fmt.Sprintf("device %s of %s in %s: %s", d, held.User, c, text))
			} else if text := differ(f.Pages[held.User][c], folded(log)); text != "" {
				say(fmt.Sprintf("device %s of %s in %s: %s", d, held.User, c, text))
			}
		}
	}
	return out
}

// checkOwnWrites is P5: a sync begun after an ack, on any device of the same
// user, shows what was acked.
func checkOwnWrites(h History, f *Final) []Finding {
	var out []Finding
	// acked[user] is in the order of the acks; the greatest number of each
	// conversation is all that matters.
	type ack struct {
		at  int64
		seq uint64
		id  string
	}
	acks := map[string]map[string][]ack{} // by user and conversation
	s := streams{f: f, known: map[string]map[string]*known{}}
	for i := range h {
		op := &h[i]
		s.apply(op)
		switch {
		case op.Op == OpAppend && op.Result == OK:
			m := acks[op.User]
			if m == nil {
				m = map[string][]ack{}
				acks[op.User] = m
			}
			list := m[op.Conversation]
			if n := len(list); n == 0 || list[n-1].seq < op.Seq {
				m[op.Conversation] = append(list, ack{op.Return, op.Seq, op.ID})
			}
		case op.Op == OpSync && op.Result == OK:
			for c, list := range acks[op.User] {
				for n := len(list) - 1; n >= 0; n-- {
					if list[n].at >= op.Call {
						continue
					}
					if k := s.of(op.Device, c); k.upTo() < list[n].seq {
						out = append(out, Finding{"C5", "P5", fmt.Sprintf(
							"%s was acked to %s at %d of %s, but a sync of %s begun later knew only of %d",
							list[n].id, op.User, list[n].seq, c, op.Device, k.upTo())})
					}
					break
				}
			}
		}
	}
	return out
}

// checkMembership is C9: nothing reached a device outside its membership.
func checkMembership(h History, f *Final) []Finding {
	var out []Finding
	look := func(user, device, c string, entries []Entry) {
		for _, e := range entries {
			if !f.belonged(c, user, e.Seq) {
				out = append(out, Finding{"C9", "P11", fmt.Sprintf(
					"%d of %s reached %s of %s, who was not a member then", e.Seq, c, device, user)})
				return
			}
		}
	}
	for i := range h {
		if op := &h[i]; op.Op == OpRead || op.Op == OpRecv || op.Op == OpSearch {
			look(op.User, op.Device, op.Conversation, op.Entries)
		}
	}
	for _, u := range sorted(f.Fresh) {
		for _, c := range sorted(f.Fresh[u]) {
			look(u, "a fresh device", c, f.Fresh[u][c])
		}
	}
	for _, d := range sorted(f.Devices) {
		held := f.Devices[d]
		for _, c := range sorted(held.Logs) {
			look(held.User, d, c, held.Logs[c])
		}
	}
	return out
}
