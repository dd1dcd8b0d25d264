package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/migrate"
	"github.com/parley-im/parley/internal/store/pebblestore"
)

// dataFlag adds --data, and returns how to learn where the data is.
func dataFlag(cmd *cobra.Command, e env) func() (string, error) {
	dir := cmd.Flags().String("data", "", "directory of the store (default: the platform's data directory)")
	return func() (string, error) {
		if *dir != "" {
			return *dir, nil
		}
		return dataDir(e)
	}
}

func newBackup(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup DIR",
		Short: "Copy the store, with the server running or stopped",
		Long: `Copy the store as it stands at one moment into DIR, which must not exist.

The server may run: it makes the copy itself, and goes on serving. On the same
file system the copy shares files with the store, so take it to another disk.`,
		Example: "  parley backup /backups/today\n  parley backup /backups/today --data ./data",
		Args:    takes(cobra.ExactArgs(1)),
	}
	data := dataFlag(cmd, e)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := data()
		if err != nil {
			return err
		}
		to, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		err = tell(cmd.Context(), dir, order{Backup: to})
		if errors.Is(err, errNoServer) {
			err = withStore(dir, func(s *pebblestore.Store) error { return s.Checkpoint(cmd.Context(), to) })
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "Copied to %s. Check it with: parley doctor --data %s\n", to, to)
		return err
	}
	return cmd
}

func newRestore(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore DIR",
		Short: "Make a store of a backup",
		Long: `Make a store of the backup in DIR, in a data directory that holds none.

The store begins another life with it: every device notices and starts over, so
that nobody waits for messages that the backup does not have.

A backup does not know what was deleted after it was made. If the data directory
that it is to stand in for can still be read, name it with --deletes-from: what
was deleted there is deleted in the restored store too.`,
		Example: "  parley restore /backups/today --data ./data\n  parley restore /backups/today --data ./data --deletes-from ./data.old",
		Args:    takes(cobra.ExactArgs(1)),
	}
	data := dataFlag(cmd, e)
	old := cmd.Flags().String("deletes-from", "", "data directory that the backup stands in for: what was deleted there stays deleted")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := data()
		if err != nil {
			return err
		}
		if dir, err = filepath.Abs(dir); err != nil {
			return err
		}
		from, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		restore := func() error { return pebblestore.Restore(vfs.Default, from, dir) }
		if *old != "" {
			restore = func() error { return restoreWithout(cmd.Context(), e, from, dir, *old) }
		}
		if err := restore(); err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "Restored into %s. Start it with: parley serve --data %s\n", dir, dir)
		return err
	}
	return cmd
}

// restoreWithout makes a store of a backup, without what was deleted since in the
// store in old. That is opened first, so that nothing is made when it cannot be.
func restoreWithout(ctx context.Context, e env, from, dir, old string) error {
	return withStore(old, func(lived *pebblestore.Store) error {
		if err := pebblestore.Restore(vfs.Default, from, dir); err != nil {
			return err
		}
		err := withStore(dir, func(restored *pebblestore.Store) error {
			n, err := migrate.Deletes(ctx, lived, restored)
			if err == nil {
				_, err = fmt.Fprintf(e.stdout, "Deleted what was deleted after the backup: %d.\n", n)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("restored, but what was deleted after the backup is there again: empty %s and try again: %w", dir, err)
		}
		return nil
	})
}

func newCompact(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "compact",
		Short: "Rewrite a store without what was deleted",
		Long: `Rewrite a store so that it takes the least room: what was deleted or replaced is
in none of its files any more. The server must be stopped; it may take long.`,
		Example: "  parley compact --data ./data",
		Args:    takes(cobra.NoArgs),
	}
	data := dataFlag(cmd, e)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dir, err := data()
		if err != nil {
			return err
		}
		if err := withStore(dir, func(s *pebblestore.Store) error { return s.Compact(cmd.Context()) }); err != nil {
			return err
		}
		// Opened anew, it lets go of logs that it kept for another use.
		var used uint64
		err = withStore(dir, func(s *pebblestore.Store) (err error) { used, err = s.DiskUsage(); return err })
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "Compacted: the store takes %d KiB.\n", (used+1023)>>10)
		return err
	}
	return cmd
}

func newDoctor(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check a store against itself",
		Long: `Check a store against itself: that numbers have no gaps and counts are right,
that every id leads to its entry and every act (an edit, a delete, a reaction) to
what it is about, that no inbox is ahead of its conversation.
The server must be stopped; a backup can be checked at any time.

With a --config that says the data is in Cassandra, it checks the settings of
that cluster instead: what Parley's promises need of it. Servers may run.`,
		Example: "  parley doctor\n  parley doctor --data /backups/today\n  parley doctor --config /etc/parley.toml",
		Args:    takes(cobra.NoArgs),
	}
	data := dataFlag(cmd, e)
	file := cmd.Flags().String("config", "", "file of settings, as of parley serve")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg := config{Registration: string(account.ByInvite), RateLimits: "on"}
		if err := cfg.load(cmd, e, *file); err != nil {
			return err
		}
		if cfg.distributed() {
			return examineCassandra(cmd.Context(), e, &cfg.Cassandra)
		}
		dir, err := data()
		if err != nil {
			return err
		}
		if *file != "" && !cmd.Flags().Changed("data") {
			dir = cfg.Data
		}
		return withStore(dir, func(s *pebblestore.Store) error { return examine(cmd.Context(), e, s) })
	}
	return cmd
}

// examine reports what is wrong with a store; that something is, is an error.
func examine(ctx context.Context, e env, s *pebblestore.Store) error {
	const shown = 20
	problems := 0
	v, err := s.Verify(ctx, func(problem string) {
		if problems++; problems <= shown {
			fmt.Fprintf(e.stdout, "  %s\n", problem)
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "Looked at %d conversations with %d entries, %d inboxes with %d rows, and %d records of accounts.\n",
		v.Conversations, v.Entries, v.Users, v.Rows, v.Records)
	if v.Problems > 0 {
		return fmt.Errorf("the store has %d problems; stop using it and restore a backup, or ask for help with what stands above", v.Problems)
	}
	if v.Remains > 0 {
		fmt.Fprintf(e.stdout, "Of deleted messages %d texts are still on the disk: a crash came between. Nobody is shown them; deleting the message again removes them.\n", v.Remains)
	}
	_, err = fmt.Fprintln(e.stdout, "The store is well.")
	return err
}

// withStore opens the store in dir, which must be there, for do.
func withStore(dir string, do func(*pebblestore.Store) error) error {
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("there is no store in %s; say where it is with --data", dir)
	}
	s, err := pebblestore.Open(pebblestore.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close())
}
