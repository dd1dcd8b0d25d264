package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// controlSocket is where a running server takes orders from its operator: a
// socket in the data directory, which only its owner can open. One request
// and one answer, a line of JSON each.
const controlSocket = "control.sock"

// order is a request to a running server.
type order struct {
	Backup string `json:"backup"` // make a copy of the store here, an absolute path
}

// outcome answers it. Error is a sentence, empty when all went well.
type outcome struct {
	Error string `json:"error,omitempty"`
}

// orderWithin bounds how long a connection may take to say what it wants.
const orderWithin = 5 * time.Second

// control serves orders until stop is called; stop waits for what is under way.
func control(dir string, logger *slog.Logger, obey func(order) error) (stop func(), err error) {
	path := filepath.Join(dir, controlSocket)
	// The store's lock is ours, so a socket that is there is a dead server's.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			running.Go(func() {
				defer c.Close()
				if err := answerOrder(c, obey); err != nil {
					logger.Warn("an order on the control socket failed", slog.Any("err", err))
				}
			})
		}
	})
	return func() {
		_ = l.Close()
		running.Wait()
	}, nil
}

func answerOrder(c net.Conn, obey func(order) error) error {
	_ = c.SetReadDeadline(time.Now().Add(orderWithin))
	var o order
	d := json.NewDecoder(c)
	d.DisallowUnknownFields()
	err := d.Decode(&o)
	if err == nil {
		err = obey(o)
	}
	var out outcome
	if err != nil {
		out.Error = sentence(err)
	}
	return errors.Join(err, json.NewEncoder(c).Encode(out))
}

// errNoServer says that no server runs on a data directory.
var errNoServer = errors.New("no server runs on this directory")

// tell gives an order to the server that runs on dir, and waits for its
// answer. It is errNoServer when there is none.
func tell(ctx context.Context, dir string, o order) error {
	c, err := (&net.Dialer{Timeout: orderWithin}).DialContext(ctx, "unix", filepath.Join(dir, controlSocket))
	if err != nil {
		return errNoServer
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	var out outcome
	if err := json.NewEncoder(c).Encode(o); err != nil {
		return fmt.Errorf("the server does not answer on its control socket: %w", err)
	}
	if err := json.NewDecoder(c).Decode(&out); err != nil {
		return fmt.Errorf("the server ended before it answered: %w", err)
	}
	if out.Error != "" {
		return errors.New(out.Error)
	}
	return nil
}
