package sim

import "fmt"

// flight is how long what was told may be under way: a connection that began
// before something took effect may still carry what was sent then.
const flight = 10e9 // nanoseconds

// checkActs is C1 for acts: a delete that was acked stands where it was acked,
// only its author edits a message, and what reads edited or deleted was
// edited to that, or deleted, by somebody.
func checkActs(h History, f *Final) []Finding {
	var out []Finding
	say := func(format string, args ...any) {
		out = append(out, Finding{"C1", "P1", fmt.Sprintf(format, args...)})
	}
	type place struct {
		conversation string
		seq          uint64
	}
	canon := f.canon()
	edits, deletes := map[place]map[string]bool{}, map[place]bool{}
	for i := range h {
		op := &h[i]
		p := place{op.Conversation, op.Target}
		switch {
		case op.Result == Fail:
		case op.Op == OpEdit:
			if edits[p] == nil {
				edits[p] = map[string]bool{}
			}
			edits[p][op.Sum] = true
		case op.Op == OpDelete:
			deletes[p] = true
			if e, ok := entryAt(canon[op.Conversation], op.Seq); op.Result == OK && (!ok || e.Kind != kindWithheld && (e.Kind != kindDelete || e.Ref != op.Target)) {
				say("%s was acked as the delete of %d in %s at %d, where no such delete stands", op.ID, op.Target, op.Conversation, op.Seq)
			}
		case (op.Op == OpAdd || op.Op == OpRemove || op.Op == OpLeave) && op.Result == OK && !stands(canon[op.Conversation], op.ID):
			say("%s was acked as a change of members of %s and is lost", op.ID, op.Conversation)
		}
	}
	for _, c := range sorted(canon) {
		for _, e := range canon[c] {
			target, ok := entryAt(canon[c], e.Ref)
			switch {
			case e.Kind == kindEdit && ok && target.Kind == kindMessage && target.Sender != e.Sender:
				say("%d of %s edits what %s said, and is by %s", e.Seq, c, target.Sender, e.Sender)
			case e.Kind == kindMessage && e.Deleted && !deletes[place{c, e.Seq}]:
				say("%d of %s is deleted, and nobody deleted it", e.Seq, c)
			case e.Kind == kindMessage && e.Edited && !edits[place{c, e.Seq}][e.Sum]:
				say("%d of %s reads with an edit that nobody made", e.Seq, c)
			}
		}
	}
	return out
}

func stands(log []Entry, id string) bool {
	for _, e := range log {
		if e.ID == id {
			return true
		}
	}
	return false
}

// secret is content that some must not have: from anything that began after a
// time, or ever.
type secret struct {
	user  string // who must not; "": nobody may
	after int64  // 0: ever
	why   Finding
}

// leaks finds secrets, by sum of the content, in all that ever reached a
// device, and in what fresh devices hold in the end.
func leaks(h History, f *Final, secrets map[string][]secret) []Finding {
	var out []Finding
	look := func(user, device, how, sum string, call, ret int64) {
		for _, s := range secrets[sum] {
			if (s.user == "" || s.user == user) && (s.after == 0 || call > s.after || ret > s.after+flight) {
				out = append(out, Finding{s.why.Check, s.why.Promise, fmt.Sprintf("%s of %s %s %s", device, user, how, s.why.Text)})
			}
		}
	}
	how := map[string]string{OpRead: "read", OpRecv: "was sent", OpSearch: "found", OpRow: "was shown, in a row,"}
	for i := range h {
		op := &h[i]
		if how[op.Op] == "" {
			continue
		}
		if op.Last != "" {
			look(op.User, op.Device, how[op.Op], op.Last, op.Call, op.Return)
		}
		for _, e := range op.Entries {
			if e.Sum != "" {
				look(op.User, op.Device, how[op.Op], e.Sum, op.Call, op.Return)
			}
		}
	}
	const end = 1 << 62
	for _, u := range sorted(f.Fresh) {
		for _, c := range sorted(f.Fresh[u]) {
			for _, e := range f.Fresh[u][c] {
				look(u, "a fresh device", "holds", e.Sum, end, end)
			}
			look(u, "the list", "shows", f.Rows[u][c].Last, end, end)
		}
	}
	return out
}

// checkDeleted is C8 for deletes: nothing that began after a delete's ack has
// the content of the message, or of an edit of it.
func checkDeleted(h History, f *Final) []Finding {
	type place struct {
		conversation string
		seq          uint64
	}
	canon := f.canon()
	acked := map[place]int64{} // the first ack of a delete
	sums := map[place]map[string]bool{}
	add := func(p place, sum string) {
		if sums[p] == nil {
			sums[p] = map[string]bool{}
		}
		sums[p][sum] = true
	}
	at := map[message]uint64{}
	for c, log := range canon {
		for _, e := range log {
			if e.ID != "" {
				at[message{c, e.ID}] = e.Seq
			}
		}
	}
	for i := range h {
		op := &h[i]
		switch {
		case op.Op == OpDelete && op.Result == OK:
			if p := (place{op.Conversation, op.Target}); acked[p] == 0 {
				acked[p] = op.Return
			}
		case op.Op == OpAppend && op.Result != Fail:
			if seq := max(op.Seq, at[message{op.Conversation, op.ID}]); seq != 0 {
				add(place{op.Conversation, seq}, op.Sum)
			}
		case op.Op == OpEdit && op.Result != Fail:
			add(place{op.Conversation, op.Target}, op.Sum)
		}
	}
	secrets := map[string][]secret{}
	for p, t := range acked {
		why := Finding{"C8", "P8", fmt.Sprintf("what %d of %s said, after it was deleted", p.seq, p.conversation)}
		for sum := range sums[p] {
			secrets[sum] = append(secrets[sum], secret{after: t, why: why})
		}
	}
	return leaks(h, f, secrets)
}

// saying is a message, or an edit, from its first try to its first ack.
type saying struct {
	message
	user, sum string
	op        string
	call, ret int64 // ret is beyond every time while there is no ack
	seq       uint64
}

// checkBlocked is C8 for blocks: what was begun after a block's ack, and
// answered before an unblock was asked for, never reaches who blocks; what was
// begun when no block can have stood is not withheld; and nobody is told.
func checkBlocked(h History, f *Final) []Finding {
	var out []Finding
	say := func(format string, args ...any) {
		out = append(out, Finding{"C8", "P9", fmt.Sprintf(format, args...)})
	}
	changes := map[[2]string][]*Op{} // by who blocks and who is blocked
	all, order := map[message]*saying{}, []*saying{}
	for i := range h {
		op := &h[i]
		switch {
		case (op.Op == OpBlock || op.Op == OpClear) && op.Result != Fail:
			p := [2]string{op.User, op.About}
			changes[p] = append(changes[p], op)
		case (op.Op == OpAppend || op.Op == OpEdit) && op.Result == Fail && op.Code == "forbidden":
			if op.Op == OpAppend && !blocksSome(h, f, op) {
				say("%s was told %q for %s in %s, though it blocks nobody there", op.User, op.Code, op.ID, op.Conversation)
			}
		case op.Op == OpAppend || op.Op == OpEdit:
			m := message{op.Conversation, op.ID}
			s := all[m]
			if s == nil {
				s = &saying{message: m, user: op.User, sum: op.Sum, op: op.Op, call: op.Call, ret: 1 << 62}
				all[m], order = s, append(order, s)
			}
			s.call = min(s.call, op.Call)
			if op.Result == OK && s.seq == 0 {
				s.ret, s.seq = op.Return, op.Seq
			}
		}
	}
	secrets := map[string][]secret{}
	for _, s := range order {
		for u := range f.Members[s.conversation] {
			if u == s.user {
				continue
			}
			must, may := stood(changes[[2]string{u, s.user}], s)
			if must {
				secrets[s.sum] = append(secrets[s.sum], secret{user: u, why: Finding{"C8", "P9",
					fmt.Sprintf("what %s said in %s, whom %s blocked before that", s.user, s.conversation, u)}})
			}
			if e, ok := entryAt(f.Fresh[u][s.conversation], s.seq); ok && s.op == OpAppend && !may && e.Kind == kindWithheld {
				say("%d of %s is withheld from %s, who did not block %s then", s.seq, s.conversation, u, s.user)
			}
		}
		if e, ok := entryAt(f.Fresh[s.user][s.conversation], s.seq); ok && e.Kind == kindWithheld {
			say("%d of %s is withheld from %s, who said it", s.seq, s.conversation, s.user)
		}
	}
	return append(out, leaks(h, f, secrets)...)
}

// stood says, of the blocks and unblocks of one user by another, whether a
// block must have stood when s was committed, and whether one may have. Of
// two changes the one with the later call has the greater rev, and stays.
func stood(changes []*Op, s *saying) (must, may bool) {
	var on, off int64 // calls of the last block, and the last unblock, acked before s began; 0: none
	for _, op := range changes {
		if op.Result == OK && op.Return < s.call {
			if op.Op == OpBlock {
				on = max(on, op.Call)
			} else {
				off = max(off, op.Call)
			}
		}
	}
	must, may = on > 0, false
	for _, op := range changes {
		if op.Call >= s.ret {
			continue
		}
		if op.Op == OpClear && op.Call > on {
			must = false
		}
		if op.Op == OpBlock && (off == 0 || op.Call > off) {
			may = true
		}
	}
	return must, may
}

// blocksSome reports whether the user of op may have blocked a member of the
// conversation by the time of its answer.
func blocksSome(h History, f *Final, op *Op) bool {
	for i := range h {
		b := &h[i]
		if b.Call > op.Return {
			continue
		}
		if _, ok := f.Members[op.Conversation][b.About]; ok && b.Op == OpBlock && b.User == op.User {
			return true
		}
	}
	return false
}

// checkSpeakers is C9 of the log itself: whoever said something belonged then.
func checkSpeakers(f *Final) []Finding {
	var out []Finding
	canon := f.canon()
	for _, c := range sorted(canon) {
		for _, e := range canon[c] {
			if e.Sender != "" && !f.belonged(c, e.Sender, e.Seq) {
				out = append(out, Finding{"C9", "P11", fmt.Sprintf("%d of %s is by %s, who was not a member then", e.Seq, c, e.Sender)})
			}
		}
	}
	return out
}
