// Command subject is a Parley server that tests may weaken: small, so that a
// small disk is soon full, or without the sync that the promises rest on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/server"
	"github.com/parley-im/parley/internal/store/pebblestore"
)

func main() {
	o := pebblestore.Options{
		CacheBytes: 8 << 20, MemTableBytes: 1 << 20, MinFree: 4 << 20,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	flag.StringVar(&o.Dir, "data", "", "directory of the store")
	flag.BoolVar(&o.UnsafeNoSyncForControlTests, "no-sync", false, "acknowledge before anything is durable")
	flag.Parse()
	if err := serve(o); err != nil {
		fmt.Fprintln(os.Stderr, "subject:", err)
		os.Exit(1)
	}
}

// serve serves until SIGTERM, and says where in the words of parley serve.
func serve(o pebblestore.Options) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s, err := pebblestore.Open(o)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, s.Close())
	}
	srv, err := server.Start(ctx, server.Config{
		Store: s, Listener: l, Registration: account.Open, NoRateLimits: true,
		Hasher: account.HashParams{Time: 1, MemoryKiB: 64, Threads: 1}, Logger: o.Logger,
	})
	if err != nil {
		return errors.Join(err, l.Close(), s.Close())
	}
	fmt.Printf("Parley is listening on http://%s\n", l.Addr())
	<-ctx.Done()
	ending, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return srv.Close(ending)
}
