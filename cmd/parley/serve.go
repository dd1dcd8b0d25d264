package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/migrate"
	"github.com/parley-im/parley/internal/server"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/pebblestore"
	"github.com/parley-im/parley/web"
)

// drainWithin is how long a server takes at most to go away in order.
const drainWithin = 25 * time.Second

func newServe(e env) *cobra.Command {
	var cfg config
	var file string
	var show bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server: one process, one directory.

It prints where to open it and, until there is an account, a one-time link
that makes the first one, the administrator's. SIGTERM or ctrl-C drains: what
was accepted is finished, everybody is told to reconnect, and it exits 0.`,
		Example: `  parley serve
  parley serve --listen 127.0.0.1:9000 --data ./data --registration open
  parley serve --print-config > parley.toml && parley serve --config parley.toml`,
		Args: takes(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if show {
				_, err := fmt.Fprint(e.stdout, exampleConfig)
				return err
			}
			if err := cfg.load(cmd, e, file); err != nil {
				return err
			}
			return serve(cmd.Context(), e, cfg, cmd.Flags().Changed("admin"))
		},
	}
	cfg.flags(cmd)
	cmd.Flags().StringVar(&file, "config", "", "file of settings; see --print-config")
	cmd.Flags().BoolVar(&show, "print-config", false, "print a commented file of settings and exit")
	return cmd
}

// serve runs a server until ctx ends, then drains it.
func serve(ctx context.Context, e env, cfg config, adminAsked bool) error {
	logger := newLogger(e, cfg.LogFormat)
	data, err := openStore(ctx, e, cfg, logger)
	if err != nil {
		return err
	}
	if err := migrate.Unfinished(ctx, data); err != nil {
		return errors.Join(err, data.Close())
	}
	srv, err := start(ctx, e, cfg, adminAsked, data, logger)
	if err != nil {
		return errors.Join(err, data.Close())
	}
	if local, ok := data.(*pebblestore.Store); ok {
		stop := takeOrders(cfg.Data, logger, local)
		defer stop()
	}
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-srv.Failed():
	}
	fmt.Fprintln(e.stderr, "parley: finishing what was accepted …")
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainWithin)
	defer cancel()
	if err := errors.Join(failed, srv.Close(ending)); err != nil {
		return fmt.Errorf("the server did not end in order: %w", err)
	}
	return nil
}

// takeOrders listens for what the operator wants of the running server. A
// server that cannot still serves.
func takeOrders(dir string, logger *slog.Logger, store *pebblestore.Store) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	wait, err := control(dir, logger, func(o order) error {
		if !filepath.IsAbs(o.Backup) {
			return errors.New("a backup goes to an absolute path")
		}
		return store.Checkpoint(ctx, o.Backup)
	})
	if err != nil {
		cancel()
		logger.Warn("no control socket; backups can be made while the server is stopped", slog.Any("err", err))
		return func() {}
	}
	return func() {
		cancel()
		wait()
	}
}

// start opens the ports, starts a server on store, and says where it is.
func start(ctx context.Context, e env, cfg config, adminAsked bool, data store.Store, logger *slog.Logger) (*server.Server, error) {
	public, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s (%w); choose another address with --listen", cfg.Listen, err)
	}
	admin, err := listenAdmin(cfg, adminAsked)
	if err != nil {
		return nil, errors.Join(err, public.Close())
	}
	member, err := cfg.Cluster.member(logger)
	if err != nil {
		return nil, errors.Join(err, closeAll(public, admin))
	}
	srv, err := server.Start(ctx, server.Config{
		Store: data, Cluster: member, Listener: public, Admin: admin, Version: version,
		Registration: account.Mode(cfg.Registration), NoRateLimits: cfg.RateLimits == "off",
		TextLimit: cfg.TextLimit, Origins: cfg.Origins, BaseURL: cfg.BaseURL, PrivateWebhooks: cfg.PrivateWebhooks,
		App: web.App(), Logger: logger,
	})
	if err != nil {
		if member != nil {
			member.Bus.Close()
		}
		_ = closeAll(public, admin) // the reason that counts is err
		return nil, err
	}
	announce(e, cfg, srv, admin)
	return srv, nil
}

// closeAll closes the ports there are.
func closeAll(ports ...net.Listener) error {
	var all error
	for _, l := range ports {
		if l != nil {
			all = errors.Join(all, l.Close())
		}
	}
	return all
}

// listenAdmin opens the admin port. When nobody asked for a certain one and
// the usual is taken, by another server perhaps, any free one does.
func listenAdmin(cfg config, asked bool) (net.Listener, error) {
	if cfg.Admin == "off" || cfg.Admin == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", cfg.Admin)
	if err == nil {
		return l, nil
	}
	if !asked && cfg.Admin == defaultAdmin {
		return net.Listen("tcp", "127.0.0.1:0")
	}
	return nil, fmt.Errorf("cannot listen on %s (%w); choose another address with --admin", cfg.Admin, err)
}

// announce says what a person who just started a server wants to know.
func announce(e env, cfg config, srv *server.Server, admin net.Listener) {
	url := strings.TrimSuffix(cfg.BaseURL, "/")
	if url == "" {
		url = "http://" + reachable(srv.Addr().String())
	}
	fmt.Fprintf(e.stdout, "Parley is listening on %s\n", url)
	if cfg.distributed() {
		fmt.Fprintf(e.stdout, "Data: keyspace %s of Cassandra at %s\n", cfg.Cassandra.Keyspace, strings.Join(cfg.Cassandra.Hosts, ", "))
	} else {
		fmt.Fprintf(e.stdout, "Data: %s\n", cfg.Data)
	}
	if admin != nil {
		fmt.Fprintf(e.stdout, "Health and metrics: http://%s\n", admin.Addr())
	}
	if cfg.RateLimits == "off" {
		fmt.Fprintln(e.stdout, "Rate limits are OFF: this is for benches and tests only.")
	}
	if host, _, err := net.SplitHostPort(srv.Addr().String()); err == nil {
		if ip := net.ParseIP(host); ip != nil && !ip.IsLoopback() {
			fmt.Fprintln(e.stdout, "This address can be reached from other machines without encryption: put TLS in front of it.")
		}
	}
	if code := srv.Setup(); code != "" {
		fmt.Fprintf(e.stdout, "\nMake the first (admin) account, within 30 minutes:\n  %s/#/setup/%s\nor:\n  parley login %s HANDLE --register --invite %s\n", url, code, url, code)
	}
}

// reachable is addr as one can open it: an address of no host is this machine.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return addr
}

func newLogger(e env, format string) *slog.Logger {
	if format == "json" {
		return slog.New(slog.NewJSONHandler(e.stderr, nil))
	}
	return slog.New(slog.NewTextHandler(e.stderr, nil))
}
