package load

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
)

// maxRounds bounds a comparison.
const maxRounds = 100

// Comparison is the server and the limit, measured in turn in one run: on a
// machine whose speed drifts from hour to hour, only that ratio holds.
type Comparison struct {
	Server *Report `json:"server"`
	Limit  *Report `json:"limit"`
	Shares []Share `json:"rounds"`
	Median float64 `json:"median_share"`
}

// Share is one round of each.
type Share struct {
	Server float64 `json:"server_per_second"`
	Limit  float64 `json:"limit_per_second"`
	Share  float64 `json:"share"` // Server / Limit
}

// Compare lays W1 upon the server and upon the limit, in turn, rounds times
// each, o.Duration a round. A comparison that could not be finished has the
// rounds that were, beside the error; it is nil when there was none.
func Compare(ctx context.Context, o Options, plan PairsPlan, rounds int) (*Comparison, error) {
	o = o.withDefaults()
	if rounds < 1 || rounds > maxRounds {
		return nil, fmt.Errorf("a comparison has 1 to %d rounds", maxRounds)
	}
	if err := checkLoad(2*plan.Pairs, plan.Window, plan.Rate); err != nil {
		return nil, err
	}
	w, err := preparePairs(ctx, &o, plan)
	if err != nil {
		return nil, err
	}
	var server, limit []round
	var name string
	out := &Comparison{}
	out.Server, err = o.report("pairs", plan, func() (round, string, error) {
		for n := range rounds {
			o.say("round %d of %d: the server", n+1, rounds)
			r, s, err := w.namedPairs(ctx, &o, plan)
			name = s
			if err == nil || r.seconds > 0 {
				server = append(server, r)
			}
			if err != nil || r.interrupted {
				return sum(server), name, err
			}
			o.say("round %d of %d: the limit", n+1, rounds)
			r, err = limitRound(ctx, &o, plan)
			if err == nil || r.seconds > 0 {
				limit = append(limit, r)
			}
			if err != nil || r.interrupted {
				return sum(server), name, err
			}
		}
		return sum(server), name, nil
	})
	if out.Server == nil || len(limit) == 0 {
		return nil, cmp.Or(err, errNothing)
	}
	limits := sum(limit)
	out.Limit = reportOf("limit", plan, "limit", &limits)
	out.Limit.Sync = out.Server.Sync
	out.share(server, limit)
	return out, err
}

// sum is all rounds as one.
func sum(rounds []round) round {
	var all round
	all.used.known = true
	for i := range rounds {
		r := &rounds[i]
		all.tally.add(&r.tally)
		all.seconds += r.seconds
		all.interrupted = all.interrupted || r.interrupted
		all.used.known = all.used.known && r.used.known
		all.used.cpu += r.used.cpu
		all.used.written += r.used.written
		all.used.memory = max(all.used.memory, r.used.memory)
	}
	return all
}

func (c *Comparison) share(server, limit []round) {
	var shares []float64
	for i := range min(len(server), len(limit)) {
		s := Share{Server: perSecond(server[i].messages, server[i].seconds), Limit: perSecond(limit[i].messages, limit[i].seconds)}
		if s.Limit > 0 {
			s.Share = s.Server / s.Limit
			shares = append(shares, s.Share)
		}
		c.Shares = append(c.Shares, s)
	}
	slices.Sort(shares)
	if n := len(shares); n > 0 {
		c.Median = (shares[(n-1)/2] + shares[n/2]) / 2
	}
}

// WriteText writes c for people.
func (c *Comparison) WriteText(w io.Writer) error {
	if err := c.Server.WriteText(w); err != nil {
		return err
	}
	if err := c.Limit.WriteText(w); err != nil {
		return err
	}
	for i, s := range c.Shares {
		if _, err := fmt.Fprintf(w, "round %d: server %.0f msgs/s, limit %.0f msgs/s: %.1f %%\n", i+1, s.Server, s.Limit, 100*s.Share); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "median: %.1f %% of the limit\n", 100*c.Median)
	return err
}
