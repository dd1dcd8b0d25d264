package sim

import (
	"cmp"
	"slices"
)

// Logs is entries by conversation, ascending.
type Logs map[string][]Entry

// Final is what is there when everything has healed and synced.
type Final struct {
	Epoch   string
	Fresh   map[string]Logs            // by user: a device that began from nothing
	Rows    map[string]map[string]Row  // by user and conversation: the fresh device's list
	Devices map[string]Holding         // by device: what its life left it with
	Members map[string]map[string]Span // by conversation and user
}

// Row is what a user's list says of one conversation.
type Row struct{ Head, Read, Unread uint64 }

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
