package parley

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Code is the kind of a failure, as the outside sees it. Each has its line in
// docs/PROTOCOL.md: what happened, what to do, retry or not.
type Code string

// The codes.
const (
	BadRequest   Code = "bad_request"  // give up: the request is wrong as it stands
	Unauthorized Code = "unauthorized" // give up: sign in
	Forbidden    Code = "forbidden"    // give up: not allowed
	NotFound     Code = "not_found"    // give up: does not exist, or is not yours
	Conflict     Code = "conflict"     // give up: somebody else was first
	IDConflict   Code = "id_conflict"  // give up: this id already carries another body
	TooLarge     Code = "too_large"    // give up: shorten it
	Unsupported  Code = "unsupported"  // give up: a media type or version we do not speak
	RateLimited  Code = "rate_limited" // retry later
	Internal     Code = "internal"     // retry later: our fault
	Overloaded   Code = "overloaded"   // retry later
	Draining     Code = "draining"     // retry now, elsewhere or after the restart
	StorageFull  Code = "storage_full" // retry later: the operator must make room
)

// Retry says what a code asks of whoever got it.
type Retry int

// What to do after an error.
const (
	GiveUp     Retry = iota // the same request will fail again
	RetryNow                // reconnect and try again
	RetryLater              // wait, then try again with the same id
)

// Retry returns what c asks for. An unknown code is worth a later retry.
func (c Code) Retry() Retry {
	switch c {
	case BadRequest, Unauthorized, Forbidden, NotFound, Conflict, IDConflict, TooLarge, Unsupported:
		return GiveUp
	case Draining:
		return RetryNow
	default:
		return RetryLater
	}
}

// Error is a failure that may reach a person. Detail is a sentence that says
// what to do; it never carries content, names or tokens. Err, the cause, is
// for logs alone.
type Error struct {
	Code   Code
	Op     string // the operation that failed, "convo.post"
	Detail string
	After  time.Duration // how long to wait before a retry; 0: not said
	Err    error
}

// Error implements error.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, parley.NotFound.Error()) and errors.Is(err, &Error{Code: c}) match by code.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code && t.Op == "" && t.Err == nil
}

// E makes an Error with a formatted detail.
func E(code Code, op, format string, args ...any) *Error {
	return &Error{Code: code, Op: op, Detail: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of err: of the outermost Error in its chain,
// Overloaded for a deadline (the outcome is unknown: retry with the same id),
// Internal for anything else, "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return Overloaded
	}
	return Internal
}
