package convo

import (
	"context"
	"errors"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

var (
	// errRetired and errStale never leave the package.
	errRetired = errors.New("convo: retired")
	errStale   = errors.New("convo: the log is further than what is in memory")
)

func errNotFound(op string) error {
	return parley.E(parley.NotFound, op, "there is no such conversation, or you are not a member of it")
}

func errIDConflict() error {
	return parley.E(parley.IDConflict, "convo.post", "this id already carries another message in this conversation; make a new id for a new message")
}

func errDraining() error {
	return &parley.Error{Code: parley.Draining, Op: "convo.post", Detail: "the server is shutting down; reconnect and send again with the same id", After: time.Second}
}

func overloaded(detail string) error {
	return &parley.Error{Code: parley.Overloaded, Op: "convo.post", Detail: detail + "; send again later with the same id", After: time.Second}
}

func bad(format string, args ...any) error {
	return parley.E(parley.BadRequest, "convo.post", format, args...)
}

func forbidden(format string, args ...any) error {
	return parley.E(parley.Forbidden, "convo.post", format, args...)
}

func conflict(format string, args ...any) error {
	return parley.E(parley.Conflict, "convo.post", format, args...)
}

func tooLarge(format string, args ...any) error {
	return parley.E(parley.TooLarge, "convo.post", format, args...)
}

// coded turns the store's errors into what a person may see.
func coded(op string, err error) error {
	if known := new(parley.Error); errors.As(err, &known) {
		return err
	}
	e := &parley.Error{Code: parley.Internal, Op: op, Err: err, After: time.Second}
	switch {
	case errors.Is(err, store.ErrFull):
		e.Code, e.Detail, e.After = parley.StorageFull, "the server's disk is full; nothing was stored. Send again later with the same id", 5*time.Second
	case errors.Is(err, store.ErrClosed):
		e.Code, e.Detail = parley.Draining, "the server is shutting down; reconnect and send again with the same id"
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		e.Code, e.Detail = parley.Overloaded, "the storage did not answer in time; send again with the same id to learn whether it was stored"
	case errors.Is(err, store.ErrConflict):
		e.Code, e.Detail = parley.Overloaded, "the storage was busy; send again later with the same id"
	default:
		e.Detail = "the server could not read its storage; its operator should run parley doctor"
	}
	return e
}
