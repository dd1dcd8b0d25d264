package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/wire"
)

// signOutWithin bounds how long a login waits for the device before it to be
// signed out.
const signOutWithin = 5 * time.Second

func newLogin(e env) *cobra.Command {
	var reg client.Registration
	var register bool
	cmd := &cobra.Command{
		Use:   "login URL HANDLE",
		Short: "Sign in to a server, or sign up with --register",
		Long: `Sign this device in to a server, or sign up first with --register.

The password is PARLEY_PASSWORD, or is asked for. What is kept is a token for
this device, readable by you alone, in the directory PARLEY_HOME or the usual
one for settings. Signing in again replaces it.`,
		Example: `  parley login https://chat.example.org alice
  parley login chat.example.org alice --register --invite 7k2m…
  PARLEY_HOME=./bob PARLEY_PASSWORD=… parley login 127.0.0.1:8080 bob`,
		Args: takes(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !register && (reg.Invite != "" || reg.Name != "") {
				return usageError{errors.New("--invite and --name are for signing up; add --register")}
			}
			handle, err := wire.CleanHandle(args[1])
			if err != nil {
				return usageError{errors.New(sentence(err))}
			}
			reg.Handle, reg.Invite = handle, inviteCode(reg.Invite)
			return login(cmd.Context(), e, args[0], reg, register)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&register, "register", false, "make the account first")
	f.StringVar(&reg.Invite, "invite", "", "the invite's code, or its whole link")
	f.StringVar(&reg.Name, "name", "", "the name others see (default: the handle)")
	f.StringVar(&reg.Device, "device", "", "a name for this device (default: this machine's)")
	return cmd
}

// inviteCode returns the code in an invite's link, or the code as it is.
func inviteCode(s string) string {
	s = strings.TrimRight(strings.TrimSpace(s), "/")
	return s[strings.LastIndexByte(s, '/')+1:]
}

func login(ctx context.Context, e env, url string, reg client.Registration, register bool) error {
	h, err := openHome(e)
	if err != nil {
		return err
	}
	if reg.Password, err = password(e, reg.Handle, register); err != nil {
		return err
	}
	if reg.Device == "" {
		reg.Device = machine()
	}
	var cred client.Credentials
	if register {
		cred, err = client.Register(ctx, url, reg, options(e))
	} else {
		cred, err = client.SignIn(ctx, url, reg.Handle, reg.Password, reg.Device, options(e))
	}
	if err != nil {
		return err
	}
	before, had := h.load()
	if err := h.save(cred); err != nil {
		return err
	}
	if had == nil {
		// One home is one device. If the server before is gone, so be it.
		ctx, cancel := context.WithTimeout(ctx, signOutWithin)
		defer cancel()
		_ = client.New(before, options(e)).SignOut(ctx)
	}
	_, err = fmt.Fprintf(e.stdout, "Signed in to %s as @%s.\n", cred.URL, cred.User.Handle)
	return err
}

// password returns PARLEY_PASSWORD, or what a person types; a new one twice.
func password(e env, handle string, fresh bool) (string, error) {
	if p := e.getenv("PARLEY_PASSWORD"); p != "" {
		return p, nil
	}
	p, err := e.password("Password of @" + handle + ": ")
	if err != nil || !fresh {
		return p, err
	}
	again, err := e.password("The same again: ")
	if err == nil && again != p {
		err = errors.New("the two passwords differ; try again")
	}
	return p, err
}

// machine is a name for this device.
func machine() string {
	name, err := os.Hostname()
	if err != nil {
		return "terminal"
	}
	if name, err = wire.CleanName(name); err != nil {
		return "terminal"
	}
	return name
}

func newLogout(e env) *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "Sign this device out",
		Long: `Sign this device out: the server forgets its token, and so does this machine.

Messages that were queued and not sent stay; sign in again and run
parley send --flush.`,
		Args: takes(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, h, err := dial(e)
			if err != nil {
				return err
			}
			err = c.SignOut(cmd.Context())
			if code := parley.CodeOf(err); err != nil && code != parley.Unauthorized {
				return fmt.Errorf("this device is still signed in: %s; or remove %s to forget it here alone", sentence(err), h.device())
			}
			if err := h.forget(); err != nil {
				return fmt.Errorf("the sign-in cannot be removed: %w", err)
			}
			_, err = fmt.Fprintln(e.stdout, "Signed out.")
			return err
		},
	}
}
