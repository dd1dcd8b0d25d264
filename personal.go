package parley

import (
	"cmp"
	"slices"
	"time"
)

// Apply makes the changes of c that are new, and reports whether there were
// any. head is the last number there is. A draft older than the one that
// stands changes nothing. It is too_large when more runs would be hidden than
// MaxHidden, and bad_request for runs of numbers that do not exist; then
// nothing changes. What p shares with other values stays as it is.
func (p *Personal) Apply(c PersonalChange, head Seq) (changed bool, err error) {
	for _, r := range c.Hide {
		if r.From == 0 || r.To < r.From || r.To > head {
			return false, E(BadRequest, "parley.personal", "hidden: this conversation has no entries with those numbers")
		}
	}
	hidden := UniteRuns(p.Hidden, c.Hide)
	if len(hidden) > MaxHidden {
		return false, E(TooLarge, "parley.personal", "hidden: no more than %d separate stretches of a conversation can be hidden", MaxHidden)
	}
	if !slices.Equal(hidden, p.Hidden) {
		p.Hidden, changed = hidden, true
	}
	if c.Muted != nil && !kept(*c.Muted).Equal(p.Muted) {
		p.Muted, changed = kept(*c.Muted), true
	}
	if c.Archived != nil && *c.Archived != p.Archived {
		p.Archived, changed = *c.Archived, true
	}
	if c.Pinned != nil && *c.Pinned != p.Pinned {
		p.Pinned, changed = *c.Pinned, true
	}
	if c.Draft != nil {
		d := *c.Draft
		if d.At = kept(d.At); d != p.Draft && !d.At.Before(p.Draft.At) {
			p.Draft, changed = d, true
		}
	}
	return changed, nil
}

// kept is a time as stores keep it.
func kept(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// UniteRuns returns the numbers of a and of b as runs: ascending, not
// touching. It shares nothing with either unless there is nothing to unite:
// then it returns a.
func UniteRuns(a, b []Run) []Run {
	if len(b) == 0 {
		return a
	}
	all := append(slices.Clone(a), b...)
	slices.SortFunc(all, func(x, y Run) int { return cmp.Or(cmp.Compare(x.From, y.From), cmp.Compare(x.To, y.To)) })
	out := all[:1]
	for _, r := range all[1:] {
		if last := &out[len(out)-1]; r.From <= last.To+1 {
			last.To = max(last.To, r.To)
		} else {
			out = append(out, r)
		}
	}
	return out
}
