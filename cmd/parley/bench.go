package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-im/parley/internal/load"
)

// bench is what every workload can be told.
type bench struct {
	load.Options
	json bool
}

// result is what a workload came to: a report or a comparison.
type result interface {
	WriteText(io.Writer) error
}

func newBench(e env) *cobra.Command {
	var b bench
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a running server",
		Long: `Measure a running server: lay a load upon it from outside, over real sockets,
and say how many messages a second it carries and how long each takes.

A message counts when its sender has the acknowledgement and every recipient
has the message. A message lost, doubled or out of order is reported and makes
the command fail.

Start the server with --registration open --rate-limits off, on data that may
be thrown away. Signing up thousands of people takes minutes, because a
password is costly to hash: --accounts FILE keeps them for the next run.
Ctrl-C ends a run with what has been measured.`,
		Example: `  parley serve --data /tmp/bench --registration open --rate-limits off &
  parley bench pairs --accounts /tmp/accounts.json --data /tmp/bench
  parley bench pairs --rate 1000 --with-limit`,
		Args: takes(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	b.flags(cmd)
	cmd.AddCommand(benchPairs(e, &b), benchIdle(e, &b), benchGroup(e, &b), benchMixed(e, &b), benchHistory(e, &b), benchSearch(e, &b), benchLimit(e, &b))
	return cmd
}

func (b *bench) flags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&b.URL, "url", "http://"+defaultListen, "the server")
	f.StringArrayVar(&b.Nodes, "node", nil, "a further node of the server's cluster, given once for each; connections are spread over all")
	f.StringVar(&b.Accounts, "accounts", "", "file that keeps the accounts signed up, with their tokens, for the next run")
	f.StringVar(&b.Invite, "invite", "", "invite to sign up with, if registration is not open")
	f.BoolVar(&b.RemoteOK, "remote-ok", false, "load a server that is not on this machine: it is yours, and expects it")
	f.IntVar(&b.ServerPID, "pid", 0, "the server's process, for its processor time and memory (default: whoever listens there)")
	f.StringVar(&b.Data, "data", "", "the server's data directory, to measure what a message takes on disk")
	f.StringVar(&b.Texts, "texts", "", "file whose lines are sent (default: made-up texts of 200 bytes)")
	f.DurationVar(&b.Duration, "duration", 30*time.Second, "how long is measured")
	f.DurationVar(&b.Warmup, "warmup", 3*time.Second, "how long before that is not")
	f.BoolVar(&b.json, "json", false, "print the result as JSON")
}

// run runs one workload and prints what it came to, also when it failed after
// something was measured.
func (b *bench) run(ctx context.Context, e env, workload func(context.Context, load.Options) (result, error)) error {
	if b.Duration < time.Millisecond || b.Warmup < 0 {
		return usageError{errors.New("--duration is at least 1ms, and --warmup is not negative")}
	}
	o := b.Options
	o.Progress = e.stderr
	res, err := workload(ctx, o)
	if res != nil {
		err = errors.Join(err, b.print(e.stdout, res))
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return errors.New("ended before anything was measured")
	}
	if err != nil {
		return fmt.Errorf("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}

func (b *bench) print(w io.Writer, res result) error {
	if !b.json {
		return res.WriteText(w)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(res)
}

// some is a report as a result: a nil report is no result.
func some[R interface {
	comparable
	result
}](r R, err error) (result, error) {
	var none R
	if r == none {
		return nil, err
	}
	return r, err
}

// pairsFlags adds the flags of a plan for pairs.
func pairsFlags(cmd *cobra.Command, plan *load.PairsPlan) {
	cmd.Flags().IntVar(&plan.Pairs, "pairs", 200, "pairs of people, one of each speaks")
	cmd.Flags().IntVar(&plan.Window, "window", 4, "messages every speaker keeps under way")
	cmd.Flags().Float64Var(&plan.Rate, "rate", 0, "offer that many messages a second instead, whatever the answers")
	eitherPace(cmd)
}

// eitherPace has cmd refuse a window beside a rate.
func eitherPace(cmd *cobra.Command) {
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("window") && cmd.Flags().Changed("rate") {
			return usageError{errors.New("give --window or --rate, not both: one waits for answers, the other does not")}
		}
		return nil
	}
}

func benchPairs(e env, b *bench) *cobra.Command {
	var plan load.PairsPlan
	var withLimit bool
	var rounds int
	cmd := &cobra.Command{
		Use:   "pairs",
		Short: "Pairs of people in direct conversations",
		Long: `Pairs of people in direct conversations; one of each speaks, the other listens.

With --with-limit the server and a bare loop that only forwards and syncs are
measured in turn, --rounds times --duration each.`,
		Example: `  parley bench pairs --pairs 200 --window 4 --duration 30s
  parley bench pairs --pairs 1000 --rate 10000 --json
  parley bench pairs --with-limit --rounds 3 --duration 10s`,
		Args: takes(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), e, func(ctx context.Context, o load.Options) (result, error) {
				if withLimit {
					return some(load.Compare(ctx, o, plan, rounds))
				}
				return some(load.Pairs(ctx, o, plan))
			})
		},
	}
	pairsFlags(cmd, &plan)
	cmd.Flags().BoolVar(&withLimit, "with-limit", false, "measure the limit of this machine in the same run, in turn")
	cmd.Flags().IntVar(&rounds, "rounds", 2, "how many times each is measured, with --with-limit")
	return cmd
}

func benchLimit(e env, b *bench) *cobra.Command {
	var plan load.PairsPlan
	cmd := &cobra.Command{
		Use:   "limit",
		Short: "What this machine can do at best",
		Long: `What this machine can do at best: pairs of people, but the server is a bare
loop within this command. It speaks the same frames over the same sockets,
appends one record per message and syncs once per batch before it answers;
there is no database. Its log is in --data, or where temporary files are: that
should be the disk that the server's data is on.`,
		Example: `  parley bench limit --pairs 200 --window 4`,
		Args:    takes(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), e, func(ctx context.Context, o load.Options) (result, error) {
				return some(load.Limit(ctx, o, plan))
			})
		},
	}
	pairsFlags(cmd, &plan)
	return cmd
}

func benchIdle(e env, b *bench) *cobra.Command {
	var plan load.IdlePlan
	cmd := &cobra.Command{
		Use:   "idle",
		Short: "Connections that say nothing",
		Long: `Connections that say hello and then nothing but answer pings: what each takes
of the server's memory, and what all take of its processor. Memory is what is
resident more than before, so the server should be freshly started, and its
people known already by --accounts FILE.`,
		Example: `  parley bench idle --connections 5000 --accounts /tmp/accounts.json`,
		Args:    takes(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), e, func(ctx context.Context, o load.Options) (result, error) {
				return some(load.Idle(ctx, o, plan))
			})
		},
	}
	cmd.Flags().IntVar(&plan.Connections, "connections", 5000, "connections")
	cmd.Flags().IntVar(&plan.Users, "users", 0, "people who share them (default: one each)")
	return cmd
}

func benchGroup(e env, b *bench) *cobra.Command {
	var plan load.GroupPlan
	var within time.Duration
	var promise bool
	cmd := &cobra.Command{
		Use:   "group",
		Short: "A big group with everybody online",
		Long: `A big group with everybody online, of whom some speak.

--promise measures what a group of 1,000 is promised, and nothing else: at
twenty messages a second, 99 of 100 reach the last member within a second. The
command fails if they do not.`,
		Example: `  parley bench group --members 1000 --senders 4
  parley bench group --members 1000 --senders 4 --rate 100
  parley bench group --promise`,
		Args: takes(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if promise {
				for _, other := range []string{"members", "senders", "window", "rate", "within"} {
					if cmd.Flags().Changed(other) {
						return usageError{errors.New("give --promise alone: what is promised says how it is measured")}
					}
				}
				plan, within = load.Promise()
			}
			return b.run(cmd.Context(), e, func(ctx context.Context, o load.Options) (result, error) {
				return some(inTime(load.Group(ctx, o, plan))(within))
			})
		},
	}
	cmd.Flags().IntVar(&plan.Members, "members", 1000, "members, all online")
	cmd.Flags().IntVar(&plan.Senders, "senders", 4, "members who speak")
	cmd.Flags().IntVar(&plan.Window, "window", 4, "messages every speaker keeps under way")
	cmd.Flags().Float64Var(&plan.Rate, "rate", 0, "offer that many messages a second instead, whatever the answers")
	cmd.Flags().BoolVar(&promise, "promise", false, "as --members 1000 --senders 4 --rate 20 --within 1s")
	withinFlag(cmd, &within)
	eitherPace(cmd)
	return cmd
}

// withinFlag adds how late the last member may be.
func withinFlag(cmd *cobra.Command, within *time.Duration) {
	cmd.Flags().DurationVar(within, "within", 0, "fail unless 99 of 100 messages reach the last member within so long")
}

// inTime adds to a run's error that it was not in time.
func inTime(rep *load.Report, err error) func(within time.Duration) (*load.Report, error) {
	return func(within time.Duration) (*load.Report, error) {
		if err == nil && !rep.Interrupted {
			err = rep.Within(within)
		}
		return rep, err
	}
}

func benchMixed(e env, b *bench) *cobra.Command {
	var plan load.MixedPlan
	var within time.Duration
	cmd := &cobra.Command{
		Use:   "mixed",
		Short: "Everybody online, in all kinds of conversations",
		Long: `Everybody online, in all kinds of conversations: of a hundred messages 90 go to
one person, 9 to a group of 5 to 50 and one to a group of everybody. They are
sent at a rate, whatever the answers. The time to the last member is that of
the messages to everybody.`,
		Example: `  parley bench mixed --people 1000 --rate 2000 --within 1s --accounts /tmp/accounts.json`,
		Args:    takes(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), e, func(ctx context.Context, o load.Options) (result, error) {
				return some(inTime(load.Mixed(ctx, o, plan))(within))
			})
		},
	}
	cmd.Flags().IntVar(&plan.People, "people", 1000, "people, all online")
	cmd.Flags().Float64Var(&plan.Rate, "rate", 2000, "messages a second")
	withinFlag(cmd, &within)
	return cmd
}

func benchHistory(e env, b *bench) *cobra.Command {
	var plan load.HistoryPlan
	cmd := &cobra.Command{
		Use:   "history",
		Short: "The last page of a random conversation",
		Long: `The last 50 entries of a random conversation, again and again. Conversations
are filled to --depth first; with --accounts FILE those of an earlier run are
used again.`,
		Example: `  parley bench history --conversations 1000 --depth 1000 --accounts /tmp/accounts.json`,
		Args:    takes(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), e, func(ctx context.Context, o load.Options) (result, error) {
				return some(load.History(ctx, o, plan))
			})
		},
	}
	cmd.Flags().IntVar(&plan.Conversations, "conversations", 1000, "direct conversations")
	cmd.Flags().IntVar(&plan.Depth, "depth", 1000, "entries in each")
	cmd.Flags().IntVar(&plan.Readers, "readers", 1, "reads under way at once")
	return cmd
}

func benchSearch(e env, b *bench) *cobra.Command {
	var plan load.SearchPlan
	cmd := &cobra.Command{
		Use:   "search",
		Short: "A search that has to look at everything",
		Long: `A search for a word that stands only in somebody's very first message, again
and again. Their conversations are filled with texts first; with --accounts
FILE those of an earlier run with the same --texts are used again.`,
		Example: `  parley bench search --texts testdata/ubuntu-irc/two-thousand.txt --accounts /tmp/searchers.json`,
		Args:    takes(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), e, func(ctx context.Context, o load.Options) (result, error) {
				return some(load.Search(ctx, o, plan))
			})
		},
	}
	cmd.Flags().IntVar(&plan.Conversations, "conversations", 50, "direct conversations")
	cmd.Flags().IntVar(&plan.Megabytes, "megabytes", 10, "text in all of them together")
	return cmd
}
