package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-im/parley/wire"
)

func newList(e env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List your conversations with unread counts, the most recent first",
		Long: `List your conversations, the most recent first: how many messages are unread,
when the last one was said, the id to use with send and tail, and the title.
With --json each line is a conversation.`,
		Example: `  parley list
  parley list --json | jq -r 'select(.unread > 0) | .id'`,
		Args: takes(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := dial(e)
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
			for row, err := range c.Conversations(cmd.Context()) {
				if err != nil {
					return err
				}
				if err := printRow(e, table, &row, asJSON); err != nil {
					return err
				}
			}
			return table.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, a conversation a line")
	return cmd
}

func printRow(e env, table *tabwriter.Writer, row *wire.Row, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(e.stdout).Encode(row)
	}
	unread := "-"
	if row.Unread > 0 {
		unread = fmt.Sprint(row.Unread)
	}
	last := "-"
	if row.Last != nil {
		last = moment(e.now(), row.Last.At)
	}
	_, err := fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", unread, last, row.ID, visible(rowName(row)))
	return err
}

// rowName is how a list calls a conversation.
func rowName(row *wire.Row) string {
	if row.With != nil {
		return "@" + row.With.Handle
	}
	return row.Title
}

// moment is a time as a list shows it: the hour today, else the day.
func moment(now time.Time, at string) string {
	t, err := wire.ParseTime(at)
	if err != nil {
		return "-"
	}
	t, now = t.Local(), now.Local()
	if y, m, d := t.Date(); now.Year() == y && now.Month() == m && now.Day() == d {
		return t.Format("15:04")
	}
	return t.Format(time.DateOnly)
}
