package sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// checkUnread is C6: unread is what the log says, and no read marker stands
// behind where it was moved to.
func checkUnread(h History, f *Final) []Finding {
	var out []Finding
	say := func(format string, args ...any) {
		out = append(out, Finding{"C6", "P6", fmt.Sprintf(format, args...)})
	}
	for _, c := range sorted(f.Members) {
		for _, u := range sorted(f.Members[c]) {
			if f.Members[c][u].Until != 0 {
				continue // what a former member's list still says is its own affair
			}
			log := f.Fresh[u][c]
			row, ok := f.Rows[u][c]
			if !ok {
				if len(log) > 0 {
					say("%s is missing from the list of %s", c, u)
				}
				continue
			}
			if row.Head != head(log) {
				say("the list of %s puts the head of %s at %d, the log at %d", u, c, row.Head, head(log))
			}
			unread, mentions := news(u, log, row.Read)
			if row.Unread != unread {
				say("%s has %d unread in %s after %d, the log says %d", u, row.Unread, c, row.Read, unread)
			}
			if row.Mentions != mentions {
				say("%s is mentioned %d times in %s after %d, the log says %d", u, row.Mentions, c, row.Read, mentions)
			}
		}
	}
	type place struct{ user, conversation string }
	marks := map[place]uint64{}
	for i := range h {
		if op := &h[i]; op.Op == OpMark && op.Result == OK {
			p := place{op.User, op.Conversation}
			marks[p] = max(marks[p], op.Marker)
		}
	}
	for _, p := range slices.SortedFunc(maps.Keys(marks), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.conversation, b.conversation), cmp.Compare(a.user, b.user))
	}) {
		m := marks[p]
		if row := f.Rows[p.user][p.conversation]; row.Read < m {
			say("%s had read %s to %d, now the marker is at %d", p.user, p.conversation, m, row.Read)
		}
	}
	return out
}

// news counts what is unread in the log as u has it, after a marker: messages of
// others that u may have, and those of them that mention u.
func news(u string, log []Entry, read uint64) (unread, mentions uint64) {
	for _, e := range log {
		if e.Seq > read && e.Kind == kindMessage && e.Sender != u {
			unread++
			if slices.Contains(strings.Fields(e.Mentions), u) {
				mentions++
			}
		}
	}
	return unread, mentions
}

// checkRows is C6 for every row that ever came: with its head and its marker it
// says what the log says of them. Rows of a membership that is over say
// nothing that can be looked up.
func checkRows(h History, f *Final) []Finding {
	type place struct{ user, conversation string }
	type count struct{ unread, mentions uint64 }
	counts := map[place][]count{} // of 1..n, by n
	of := func(p place) []count {
		if list, ok := counts[p]; ok {
			return list
		}
		log := f.Fresh[p.user][p.conversation]
		list := make([]count, head(log)+1)
		for n := range list {
			if n == 0 {
				continue
			}
			list[n] = list[n-1]
			if e, ok := entryAt(log, uint64(n)); ok {
				unread, mentions := news(p.user, []Entry{e}, 0)
				list[n] = count{list[n].unread + unread, list[n].mentions + mentions}
			}
		}
		counts[p] = list
		return list
	}
	var out []Finding
	for i := range h {
		op := &h[i]
		span, ok := f.Members[op.Conversation][op.User]
		if op.Op != OpRow || op.Head == nil || op.Epoch != f.Epoch || !ok || span.Until != 0 || op.Until != 0 || max(op.Since, 1) != max(span.Since, 1) {
			continue
		}
		list := of(place{op.User, op.Conversation})
		if *op.Head >= uint64(len(list)) || op.Marker > *op.Head {
			continue // C10's to say
		}
		have, read := list[*op.Head], list[op.Marker]
		if want := have.unread - read.unread; op.Unread != want {
			out = append(out, Finding{"C6", "P6", fmt.Sprintf("a row on %s had %d unread in %s from %d to %d, the log says %d",
				op.Device, op.Unread, op.Conversation, op.Marker, *op.Head, want)})
		}
		if want := have.mentions - read.mentions; op.Mentions != want {
			out = append(out, Finding{"C6", "P6", fmt.Sprintf("a row on %s was mentioned %d times in %s from %d to %d, the log says %d",
				op.Device, op.Mentions, op.Conversation, op.Marker, *op.Head, want)})
		}
	}
	return out
}

// checkMarkers is C6: no marker that a device was told of ever falls.
func checkMarkers(h History) []Finding {
	type place struct{ device, conversation, epoch string }
	type markers struct{ read, delivered uint64 }
	last := map[place]markers{}
	var out []Finding
	for i := range h {
		op := &h[i]
		if op.Op != OpRow {
			continue
		}
		p := place{op.Device, op.Conversation, op.Epoch}
		for _, m := range []struct {
			name     string
			was, now uint64
		}{{"read", last[p].read, op.Marker}, {"delivered", last[p].delivered, op.Delivered}} {
			if m.now < m.was {
				out = append(out, Finding{"C6", "P6", fmt.Sprintf("the %s marker of %s went back from %d to %d on %s", m.name, op.Conversation, m.was, m.now, op.Device)})
			}
		}
		last[p] = markers{op.Marker, op.Delivered}
	}
	return out
}

// checkHeads is C10: no conversation is ever seen shorter than it had been
// seen before, unless the epoch changed; and the epoch does not change
// without a cause.
func checkHeads(h History, f *Final, epochMoves bool) []Finding {
	var out []Finding
	say := func(format string, args ...any) {
		out = append(out, Finding{"C10", "P1", fmt.Sprintf(format, args...)})
	}
	type seen struct {
		at  int64
		seq uint64
	}
	type place struct{ conversation, epoch string }
	history := map[place][]seen{} // ascending in both
	for i := range h {
		op := &h[i]
		if op.Result != OK || op.Conversation == "" {
			continue
		}
		list := history[place{op.Conversation, op.Epoch}]
		if op.Op == OpRead && op.Head != nil && !f.left(op.Conversation, op.User) { // who left sees the head of then
			// The last sight that ended before this read began.
			n, _ := slices.BinarySearchFunc(list, op.Call, func(s seen, t int64) int { return cmp.Compare(s.at, t) })
			if n > 0 && *op.Head < list[n-1].seq {
				say("%s was seen at %d, and a later read by %s put its head at %d", op.Conversation, list[n-1].seq, op.Device, *op.Head)
			}
		}
		seq := max(op.Seq, head(op.Entries))
		if op.Head != nil {
			seq = max(seq, *op.Head)
		}
		if n := len(list); seq > 0 && (n == 0 || list[n-1].seq < seq) {
			history[place{op.Conversation, op.Epoch}] = append(list, seen{op.Return, seq})
		}
	}
	canon := f.canon()
	for _, p := range slices.SortedFunc(maps.Keys(history), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.conversation, b.conversation), cmp.Compare(a.epoch, b.epoch))
	}) {
		list := history[p]
		if last := list[len(list)-1].seq; (p.epoch == f.Epoch || p.epoch == "") && last > head(canon[p.conversation]) {
			say("%s was seen at %d, in the end its head is %d", p.conversation, last, head(canon[p.conversation]))
		}
	}
	if !epochMoves {
		epochs := map[string]bool{f.Epoch: true}
		for i := range h {
			if e := h[i].Epoch; e != "" && !epochs[e] {
				epochs[e] = true
				say("the epoch changed (%q is not %q) though nothing was lost", e, f.Epoch)
			}
		}
	}
	return out
}

// checkLive kills a server that keeps everything and tells nobody: in a calm,
// what was acked reaches every device of every member within bound.
func checkLive(h History, f *Final, bound time.Duration) []Finding {
	var out []Finding
	for i := range h {
		if h[i].Op == OpCalm {
			out = append(out, lateIn(h, f, h[i].Call, h[i].Return, bound.Nanoseconds())...)
		}
	}
	return out
}

// lateIn looks at one calm.
func lateIn(h History, f *Final, from, to, bound int64) []Finding {
	type sight struct {
		device, conversation string
		seq                  uint64
	}
	first := map[sight]int64{}
	for i := range h {
		op := &h[i]
		if op.Op != OpRecv && op.Op != OpRead {
			continue
		}
		for _, e := range op.Entries {
			s := sight{op.Device, op.Conversation, e.Seq}
			if _, ok := first[s]; !ok {
				first[s] = op.Return
			}
		}
	}
	var out []Finding
	for i := range h {
		op := &h[i]
		if op.Op != OpAppend || op.Result != OK || op.Call < from || op.Return+bound > to {
			continue
		}
		for _, d := range sorted(f.Devices) {
			u := f.Devices[d].User
			if span, ok := f.Members[op.Conversation][u]; !ok || !span.Has(op.Seq) {
				continue
			}
			at, ok := first[sight{d, op.Conversation, op.Seq}]
			switch {
			case !ok:
				out = append(out, Finding{"L1", "P4", fmt.Sprintf("%d of %s was acked in a calm and never reached %s", op.Seq, op.Conversation, d)})
			case at > op.Return+bound:
				out = append(out, Finding{"L1", "P4", fmt.Sprintf("%d of %s reached %s %v after its ack, in a calm", op.Seq, op.Conversation, d,
					time.Duration(at-op.Return).Round(time.Millisecond))})
			}
		}
	}
	return out
}
