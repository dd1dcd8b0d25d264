package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newGroup(e env) *cobra.Command {
	return &cobra.Command{
		Use:   "group TITLE [@HANDLE]...",
		Short: "Make a group and print its id",
		Long: `Make a group of yourself and others, and print its id: what send and tail
take as TO.`,
		Example: `  parley send "$(parley group "Lunch" @bob @carol)" "Where to?"`,
		Args:    takes(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := dial(e)
			if err != nil {
				return err
			}
			members := make([]string, len(args)-1)
			for i, m := range args[1:] {
				members[i] = strings.TrimPrefix(m, "@")
			}
			made, err := c.NewGroup(cmd.Context(), args[0], members...)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(e.stdout, made.ID)
			return err
		},
	}
}
