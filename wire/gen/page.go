package main

import (
	"errors"
	"strings"

	"github.com/parley-im/parley/wire"
)

// The table of codes stands between these lines of docs/PROTOCOL.md.
const (
	codesBegin = "<!-- codes: written by wire.CodesMarkdown, checked by a test -->\n"
	codesEnd   = "<!-- /codes -->"
)

// withCodes returns page with the table as it is now.
func withCodes(page []byte) ([]byte, error) {
	head, rest, begins := strings.Cut(string(page), codesBegin)
	_, tail, ends := strings.Cut(rest, codesEnd)
	if !begins || !ends {
		return nil, errors.New("the table of codes has no place: put these two lines where it belongs\n" + codesBegin + codesEnd)
	}
	return []byte(head + codesBegin + wire.CodesMarkdown() + "\n" + codesEnd + tail), nil
}
