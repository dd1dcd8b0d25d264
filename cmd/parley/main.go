// Command parley is the whole of Parley in one binary: the server, the
// clients for a terminal, and the tools of an operator.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/parley-im/parley"
)

// version is the version of this program; releases set it when they link.
var version = "0.1.0-dev"

// env is the world outside a command, so that tests can be it.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	now            func() time.Time
	rand           io.Reader
	// password asks a person on a terminal, without showing what is typed.
	password func(prompt string) (string, error)
	// terminal says whether w is watched by a person.
	terminal func(w io.Writer) bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, osEnv(), os.Args[1:]))
}

func osEnv() env {
	return env{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv,
		now: time.Now, rand: rand.Reader,
		password: askPassword,
		terminal: func(w io.Writer) bool {
			f, ok := w.(*os.File)
			return ok && term.IsTerminal(int(f.Fd()))
		},
	}
}

func askPassword(prompt string) (string, error) {
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return "", errors.New("no terminal to ask for the password on; set PARLEY_PASSWORD")
	}
	fmt.Fprint(os.Stderr, prompt)
	typed, err := term.ReadPassword(fd)
	fmt.Fprintln(os.Stderr)
	return string(typed), err
}

// usageError is a command used wrongly: exit 2.
type usageError struct{ error }

// run runs one command and returns its exit code: 0, 1 for what went wrong,
// 2 for wrong usage. ctx ends when the process is asked to.
func run(ctx context.Context, e env, args []string) int {
	root := newRoot(e)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(e.stderr, "parley: %s\n", sentence(err))
	if _, usage := errors.AsType[usageError](err); usage {
		return 2
	}
	return 1
}

// sentence is what a person is told of err: the detail of a coded error, which
// says what to do, or else the error itself.
func sentence(err error) string {
	if e, ok := errors.AsType[*parley.Error](err); ok && e.Detail != "" {
		return e.Detail
	}
	return err.Error()
}

func newRoot(e env) *cobra.Command {
	root := &cobra.Command{
		Use:   "parley",
		Short: "A messenger that people host themselves",
		Long: `Parley is a messenger that people host themselves.

Run a server with "parley serve". Talk to one with "parley login", then
"parley chat", or "parley send", "parley tail" and "parley list".`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("there is no command %q; see parley --help", args[0])}
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	})
	root.AddCommand(
		newServe(e), newBackup(e), newRestore(e), newDoctor(e), newCompact(e), newMigrate(e),
		newLogin(e), newLogout(e), newChat(e), newSend(e), newTail(e), newList(e), newContacts(e), newGroup(e),
		newBench(e), newVersion(e),
	)
	return root
}

// takes is cobra's check of how many arguments there are, as wrong usage.
func takes(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
		}
		return nil
	}
}

func newVersion(e env) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  takes(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(e.stdout, "parley %s\n", version)
			return err
		},
	}
}
