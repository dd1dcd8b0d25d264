package sim

import (
	"fmt"
	"time"
)

// Finding is one broken promise, as a sentence.
type Finding struct {
	Check   string // C1 … C10, as docs/bench/promises.md lists them
	Promise string // P1 …
	Text    string
}

// String names the check, the promise and what happened.
func (f Finding) String() string {
	return fmt.Sprintf("%s (%s): %s", f.Check, f.Promise, f.Text)
}

// Rules is what a test may set for the checker. The zero value is strict.
type Rules struct {
	Converge    time.Duration // how soon an acked entry reaches every connected device in a calm; 0: 1 s
	LinearLimit time.Duration // how long porcupine may think about a conversation; 0: 20 s
	EpochMoves  bool          // the test damages the store: the epoch may change
}

// The kinds of entries that the checker tells apart.
const (
	kindMessage  = "message"
	kindWithheld = "withheld"
	kindMembers  = "members"
	kindEdit     = "edit"
	kindDelete   = "delete"
	kindReaction = "reaction"
)

// maxFindings is how often one check repeats itself: the first few of a kind
// explain a failure, the thousandth hides it.
const maxFindings = 8

// Check judges a history and what was there in the end. No finding means that
// every promise it knows was kept.
func Check(h History, f *Final, rules Rules) []Finding {
	if rules.Converge == 0 {
		rules.Converge = time.Second
	}
	if rules.LinearLimit == 0 {
		rules.LinearLimit = 20 * time.Second
	}
	var all []Finding
	for _, found := range [][]Finding{
		checkAcked(h, f),
		checkOnce(h, f),
		checkOrder(f),
		checkStreams(h, f),
		checkLinear(h, f, rules.LinearLimit),
		checkOwnWrites(h, f),
		checkUnread(h, f),
		checkRows(h, f),
		checkMarkers(h),
		checkPresence(h),
		checkActs(h, f),
		checkFolds(f),
		checkDeleted(h, f),
		checkBlocked(h, f),
		checkMembership(h, f),
		checkSpeakers(f),
		checkHeads(h, f, rules.EpochMoves),
		checkLive(h, f, rules.Converge),
	} {
		all = append(all, found[:min(len(found), maxFindings)]...)
		if more := len(found) - maxFindings; more > 0 {
			last := found[len(found)-1]
			all = append(all, Finding{last.Check, last.Promise, fmt.Sprintf("… and %d more like these", more)})
		}
	}
	return all
}

// message names a message in a conversation.
type message struct{ conversation, id string }

// checkAcked is C1: every acked id stands at exactly its number with the body
// that was sent, every ack of an id gives the same number, and nothing stands
// there that nobody said.
func checkAcked(h History, f *Final) []Finding {
	var out []Finding
	say := func(format string, args ...any) {
		out = append(out, Finding{"C1", "P1", fmt.Sprintf(format, args...)})
	}
	canon := f.canon()
	at := map[message]uint64{}
	mayStand := map[message]string{} // sum of what was tried and not refused
	for i := range h {
		op := &h[i]
		if kindOf(op.Op) == "" {
			continue
		}
		m := message{op.Conversation, op.ID}
		if op.Result != Fail {
			mayStand[m] = op.Sum
		}
		if op.Result != OK {
			continue
		}
		if first, ok := at[m]; ok {
			if first != op.Seq {
				out = append(out, Finding{"C1", "P2", fmt.Sprintf(
					"%s in %s was acked at %d and again at %d", op.ID, op.Conversation, first, op.Seq)})
			}
			continue
		}
		at[m] = op.Seq
		e, ok := entryAt(canon[op.Conversation], op.Seq)
		switch {
		case !ok:
			say("%s was acked at %d of %s and is lost: the head is %d", op.ID, op.Seq, op.Conversation, head(canon[op.Conversation]))
		case e.Kind == kindWithheld:
		case e.ID != op.ID:
			say("%s was acked at %d of %s, where %s stands", op.ID, op.Seq, op.Conversation, e.ID)
		case e.Kind != kindOf(op.Op) || e.Ref != op.Target:
			say("%s at %d of %s is another kind of entry than was acked", op.ID, op.Seq, op.Conversation)
		case e.Sum != op.Sum && !e.Edited && !e.Deleted: // else see checkActs
			say("%s at %d of %s has another body than was acked", op.ID, op.Seq, op.Conversation)
		}
	}
	for _, c := range sorted(canon) {
		for _, e := range canon[c] {
			if e.Kind != kindMessage && e.Kind != kindEdit && e.Kind != kindReaction {
				continue
			}
			if _, ok := mayStand[message{c, e.ID}]; !ok {
				say("%s stands at %d of %s, but nobody sent it or it was refused", e.ID, e.Seq, c)
			}
		}
	}
	return out
}

// checkOnce is C2: no id twice, in any view.
func checkOnce(_ History, f *Final) []Finding {
	var out []Finding
	look := func(who string, logs Logs) {
		for _, c := range sorted(logs) {
			seen := map[string]uint64{}
			for _, e := range logs[c] {
				if e.ID == "" {
					continue
				}
				if first, ok := seen[e.ID]; ok {
					out = append(out, Finding{"C2", "P2", fmt.Sprintf(
						"%s stands twice in %s, at %d and %d, for %s", e.ID, c, first, e.Seq, who)})
				}
				seen[e.ID] = e.Seq
			}
		}
	}
	look("all", f.canon())
	for _, u := range sorted(f.Fresh) {
		look("a fresh device of "+u, f.Fresh[u])
	}
	for _, d := range sorted(f.Devices) {
		look("device "+d, f.Devices[d].Logs)
	}
	return out
}

// checkOrder is C3: the numbers of every conversation run 1..head without a
// gap, and every member has the same list.
func checkOrder(f *Final) []Finding {
	var out []Finding
	say := func(format string, args ...any) {
		out = append(out, Finding{"C3", "P3", fmt.Sprintf(format, args...)})
	}
	canon := f.canon()
	for _, c := range sorted(canon) {
		for i, e := range canon[c] {
			if e.Seq != uint64(i)+1 {
				say("%s has a gap before %d", c, e.Seq)
				break
			}
		}
	}
	for _, c := range sorted(f.Members) {
		for _, u := range sorted(f.Members[c]) {
			span := f.Members[c][u]
			if text := compare(canon[c], f.Fresh[u][c], span); text != "" {
				say("%s as %s reads it: %s", c, u, text)
			}
		}
	}
	return out
}

// compare says how a member's log differs from the one it should have, or "".
func compare(canon, log []Entry, span Span) string {
	for i, e := range log {
		if i > 0 && e.Seq != log[i-1].Seq+1 {
			return fmt.Sprintf("a gap between %d and %d", log[i-1].Seq, e.Seq)
		}
		want, ok := entryAt(canon, e.Seq)
		if !ok {
			return fmt.Sprintf("%d is beyond the head %d", e.Seq, head(canon))
		}
		if !e.same(want) && e.Kind != kindWithheld && want.Kind != kindWithheld {
			return fmt.Sprintf("at %d it has %s, others have %s", e.Seq, e.ID, want.ID)
		}
	}
	first, last := max(span.Since, 1), head(canon)
	if span.Until != 0 {
		// The bound is an upper one (the removal stands at or before it), so a
		// shorter log is right too; C9 judges what lies beyond.
		last = min(last, head(log))
	}
	if first > last {
		return ""
	}
	if len(log) == 0 {
		return fmt.Sprintf("it lacks %d to %d", first, last)
	}
	if log[0].Seq > first {
		return fmt.Sprintf("it lacks %d to %d", first, log[0].Seq-1)
	}
	if got := head(log); got < last {
		return fmt.Sprintf("it lacks %d to %d", got+1, last)
	}
	return ""
}

// same reports whether e and o are one entry, whatever acts made of either.
func (e Entry) same(o Entry) bool {
	said := e.Sum == o.Sum || e.Edited || o.Edited || e.Deleted || o.Deleted
	return said && e.Seq == o.Seq && e.ID == o.ID && e.Kind == o.Kind && e.Sender == o.Sender && e.Ref == o.Ref && e.Mentions == o.Mentions
}

// kindOf returns the kind of entry that op appends under its own id, whatever
// happens; "" if none. (A second delete of one message gets the number of
// the first.)
func kindOf(op string) string {
	switch op {
	case OpAppend:
		return kindMessage
	case OpEdit:
		return kindEdit
	case OpReact:
		return kindReaction
	}
	return ""
}

// entryAt finds seq in an ascending log.
func entryAt(log []Entry, seq uint64) (Entry, bool) {
	if len(log) == 0 || seq < log[0].Seq {
		return Entry{}, false
	}
	// Without gaps it stands exactly there; with one, before.
	for i := min(seq-log[0].Seq, uint64(len(log)-1)); ; i-- {
		if log[i].Seq == seq {
			return log[i], true
		}
		if i == 0 || log[i].Seq < seq {
			return Entry{}, false
		}
	}
}
