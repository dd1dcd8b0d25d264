// Command run keeps a Cassandra of n nodes running until it is interrupted,
// for trying things by hand:
//
//	go run ./internal/store/cassandra/cassandratest/run -n 3 -dir /tmp/c
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/parley-im/parley/internal/store/cassandra/cassandratest"
)

func main() {
	n := flag.Int("n", 1, "how many `nodes`")
	dir := flag.String("dir", "", "where they keep their `data`; empty: a temporary directory")
	flag.Parse()
	if err := run(*n, *dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(n int, dir string) error {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer release()
	c, err := cassandratest.Launch(ctx, n, cassandratest.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer c.Stop()
	fmt.Printf("hosts %s port %d\n", strings.Join(c.Hosts(), ","), c.Port())
	<-ctx.Done()
	return nil
}
