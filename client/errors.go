package client

import (
	"errors"
	"fmt"

	"github.com/parley-im/parley"
)

// sentence returns what err tells a person.
func sentence(err error) string {
	var e *parley.Error
	if errors.As(err, &e) && e.Detail != "" {
		return e.Detail
	}
	return err.Error()
}

// diskError is the error of something the disk refused.
func diskError(op, what string, err error) error {
	var e *parley.Error
	if errors.As(err, &e) {
		return err
	}
	return &parley.Error{Code: parley.StorageFull, Op: op, Detail: fmt.Sprintf("%s: %v", what, err), Err: err}
}
