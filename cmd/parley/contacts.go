package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func newContacts(e env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "contacts",
		Short: "List how you stand with others",
		Long: `List your contacts, requests either way, and whom you blocked: the handle, how
you stand, and the name. With --json each line is a contact, to keep or to take
elsewhere.`,
		Example: `  parley contacts
  parley contacts --json > contacts.jsonl`,
		Args: takes(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := dial(e)
			if err != nil {
				return err
			}
			all, err := c.Contacts(cmd.Context())
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
			for _, contact := range all {
				if asJSON {
					err = json.NewEncoder(e.stdout).Encode(contact)
				} else if contact.State != "none" {
					_, err = fmt.Fprintf(table, "@%s\t%s\t%s\n", contact.User.Handle, contact.State, visible(contact.User.Name))
				}
				if err != nil {
					return err
				}
			}
			return table.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, a contact a line")
	return cmd
}
