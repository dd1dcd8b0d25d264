package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// folded returns a log as the acts in it make it read: each message with those
// that stand behind the head it was folded at already. It is how a device
// reads what it holds, and knows nothing of how the server folds.
func folded(log []Entry) []Entry {
	log = slices.Clone(log)
	for _, act := range log {
		if act.Kind != kindEdit && act.Kind != kindDelete && act.Kind != kindReaction {
			continue
		}
		for i := range log {
			if e := &log[i]; e.Seq == act.Ref && e.Kind == kindMessage && !e.Deleted && act.Seq > e.At {
				e.fold(act)
			}
		}
	}
	return log
}

// fold makes of e what act says.
func (e *Entry) fold(act Entry) {
	switch {
	case act.Kind == kindDelete:
		e.Deleted, e.Edited, e.Sum, e.Reactions = true, false, "", ""
	case act.Deleted: // so is what it is about, or will be
	case act.Kind == kindEdit:
		e.Edited, e.Sum = true, act.Sum
	case act.Kind == kindReaction:
		e.Reactions = feel(e.Reactions, act.Sender, act.Reactions)
	}
}

// feel returns reactions with that of user, in place of an earlier one; an
// empty text takes it back.
func feel(reactions, user, text string) string {
	all := map[string]string{}
	for _, r := range strings.Fields(reactions) {
		u, t, _ := strings.Cut(r, "=")
		all[u] = t
	}
	if all[user] = text; text == "" {
		delete(all, user)
	}
	var out []string
	for _, u := range slices.Sorted(maps.Keys(all)) {
		out = append(out, u+"="+all[u])
	}
	return strings.Join(out, " ")
}

// differ says how a log reads otherwise than the server's pages of it, or "".
// A delete whose own entry the reader may not have (withheld, or after the
// reader left) is known from pages alone.
func differ(pages, log []Entry) string {
	deleted := map[uint64]bool{}
	for _, e := range pages {
		if e.Kind == kindDelete {
			deleted[e.Ref] = true
		}
	}
	for _, e := range log {
		want, ok := entryAt(pages, e.Seq)
		if !ok || e.Kind != kindMessage || want.Kind != kindMessage || want.Deleted && !deleted[e.Seq] {
			continue
		}
		if e.Deleted != want.Deleted || e.Edited != want.Edited || e.Sum != want.Sum || e.Reactions != want.Reactions {
			return fmt.Sprintf("%d reads deleted=%v edited=%v %s %q, on a page deleted=%v edited=%v %s %q",
				e.Seq, e.Deleted, e.Edited, e.Sum, e.Reactions, want.Deleted, want.Edited, want.Sum, want.Reactions)
		}
	}
	return ""
}

// checkFolds is C3 for what is read: every page reads as the acts in the same
// log make it, and a fresh device that came by its entries otherwise, too.
func checkFolds(f *Final) []Finding {
	var out []Finding
	for _, u := range sorted(f.Pages) {
		for _, c := range sorted(f.Pages[u]) {
			pages := f.Pages[u][c]
			raw := slices.Clone(pages)
			for i := range raw {
				if e := &raw[i]; e.Kind == kindMessage && !e.Deleted {
					e.At, e.Edited, e.Reactions = 0, false, ""
				}
			}
			raw = folded(raw)
			for _, log := range [][]Entry{raw, folded(f.Fresh[u][c])} {
				if text := differ(pages, log); text != "" {
					out = append(out, Finding{"C3", "P3", fmt.Sprintf("%s as %s reads it: %s", c, u, text)})
				}
			}
		}
	}
	return out
}
