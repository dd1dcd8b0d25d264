package sim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	parley "github.com/parley-im/parley"
)

// Logs is entries by conversation, ascending.
type Logs map[string][]Entry

// Final is what is there when everything has healed and synced.
type Final struct {
	Epoch   string
	Fresh   map[string]Logs              // by user: a device that began from nothing
	Rows    map[string]map[string]Row    // by user and conversation: the fresh device's list
	Devices map[string]Holding           // by device: what its life left it with
	Members map[string]map[string]Span   // by conversation and user
	Past    map[string]map[string][]Span // memberships that were over when the one in Members began
	Pages   map[string]Logs              // by user: the pages of history, folded, as of the end
}

// belonged reports whether seq of c lies in any membership of user.
func (f *Final) belonged(c, user string, seq uint64) bool {
	span, ok := f.Members[c][user]
	return ok && span.Has(seq) || slices.ContainsFunc(f.Past[c][user], func(s Span) bool { return s.Has(seq) })
}

// begins reports whether a membership of user begins with seq of c.
func (f *Final) begins(c, user string, seq uint64) bool {
	span, ok := f.Members[c][user]
	return ok && span.Since == seq || slices.ContainsFunc(f.Past[c][user], func(s Span) bool { return s.Since == seq })
}

// left reports whether user was ever outside of c after having been in it.
func (f *Final) left(c, user string) bool {
	return f.Members[c][user].Until != 0 || len(f.Past[c][user]) > 0
}

// belong works out Members and Past from what the logs say of who belongs. A
// conversation whose log says nothing of it keeps the members it has.
func (f *Final) belong() error {
	f.Past = map[string]map[string][]Span{}
	members := map[string]map[string]Span{}
	for c, log := range f.canon() {
		spans := map[string][]Span{}
		for _, e := range log {
			if e.Kind != kindMembers || e.Members == "" {
				continue
			}
			var b parley.MembersBody
			if err := json.Unmarshal([]byte(e.Members), &b); err != nil {
				return fmt.Errorf("sim: who belongs to %s at %d: %w", c, e.Seq, err)
			}
			for _, u := range b.Add {
				since := e.Seq
				if b.All {
					since = 1
				}
				spans[string(u)] = append(spans[string(u)], Span{Since: since})
			}
			for _, u := range b.Remove {
				if n := len(spans[string(u)]); n > 0 {
					spans[string(u)][n-1].Until = e.Seq
				}
			}
		}
		if len(spans) == 0 {
			continue
		}
		members[c], f.Past[c] = map[string]Span{}, map[string][]Span{}
		for u, list := range spans {
			members[c][u] = list[len(list)-1]
			if len(list) > 1 {
				f.Past[c][u] = list[:len(list)-1]
			}
		}
	}
	for c, m := range f.Members {
		if members[c] == nil {
			members[c] = m
		}
	}
	f.Members = members
	return nil
}

// since returns the part of log that begins with seq.
func since(log []Entry, seq uint64) []Entry {
	for len(log) > 0 && log[0].Seq < seq {
		log = log[1:]
	}
	return log
}

// Row is what a user's list says of one conversation.
type Row struct {
	Head, Read, Delivered, Unread, Mentions uint64
	Last                                    string // sum of the newest message it shows
}

// Holding is what one device holds.
type Holding struct {
	User   string
	Epoch  string // of the last answer
	Logs   Logs
	Resets int
}

// Span is the numbers a member may read, both ends included; Until 0 means
// to the end.
type Span struct{ Since, Until uint64 }

// Has reports whether seq lies in s.
func (s Span) Has(seq uint64) bool {
	return seq >= s.Since && (s.Until == 0 || seq <= s.Until)
}

// canon merges the fresh logs: the one log each conversation should have. Of
// entries that differ the first user's stands; C3 reports the difference.
func (f *Final) canon() Logs {
	byConv := map[string]map[uint64]Entry{}
	for _, u := range sorted(f.Fresh) {
		for c, log := range f.Fresh[u] {
			m := byConv[c]
			if m == nil {
				m = map[uint64]Entry{}
				byConv[c] = m
			}
			for _, e := range log {
				if have, ok := m[e.Seq]; !ok || have.Kind == kindWithheld {
					m[e.Seq] = e
				}
			}
		}
	}
	logs := Logs{}
	for c, m := range byConv {
		log := make([]Entry, 0, len(m))
		for _, e := range m {
			log = append(log, e)
		}
		slices.SortFunc(log, func(a, b Entry) int { return cmp.Compare(a.Seq, b.Seq) })
		logs[c] = log
	}
	return logs
}

// head returns the last number of a log.
func head(log []Entry) uint64 {
	if len(log) == 0 {
		return 0
	}
	return log[len(log)-1].Seq
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
