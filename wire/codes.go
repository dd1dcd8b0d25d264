package wire

import (
	"errors"
	"fmt"
	"strings"

	"github.com/parley-im/parley"
)

// CodeInfo is what the outside is told about a code.
type CodeInfo struct {
	Code   parley.Code
	Status int    // of HTTP
	Title  string // what happened
	Advice string // what to do
	Retry  parley.Retry
}

// Codes is every code, once, in the order of the documentation. The table in
// docs/PROTOCOL.md is CodesMarkdown().
var Codes = []CodeInfo{
	{parley.BadRequest, 400, "The request is wrong as it stands.", "Read the detail, mend the request, and send it as a new one.", parley.GiveUp},
	{parley.Unauthorized, 401, "Nobody is signed in.", "Sign in again to get a token that is good.", parley.GiveUp},
	{parley.Forbidden, 403, "This is not allowed to you.", "Ask somebody who may, such as an owner of the group or the operator.", parley.GiveUp},
	{parley.NotFound, 404, "There is no such thing, or it is not yours.", "Check the id or the address.", parley.GiveUp},
	{parley.Conflict, 409, "Somebody else was first.", "Read the present state and decide again.", parley.GiveUp},
	{parley.IDConflict, 409, "This id already carries another body.", "Use a fresh id for a new message; keep an id for retries of the same message alone.", parley.GiveUp},
	{parley.TooLarge, 413, "This is too large.", "Shorten it; the limits are in welcome.", parley.GiveUp},
	{parley.Unsupported, 415, "This media type or version is not spoken here.", "Send JSON as application/json and speak parley.v1.", parley.GiveUp},
	{parley.RateLimited, 429, "Too many requests.", "Wait for retry_after_ms, then send the same again with the same id.", parley.RetryLater},
	{parley.Internal, 500, "The server failed.", "Wait a little, then send the same again with the same id; tell the operator if it stays.", parley.RetryLater},
	{parley.Overloaded, 503, "The server is too busy, and the outcome may be unknown.", "Wait with jitter, then send the same again with the same id.", parley.RetryLater},
	{parley.Draining, 503, "The server is going away for a restart, or is cut off from the others of its cluster.", "Reconnect now, elsewhere if you know another address, and send the same again with the same id.", parley.RetryNow},
	{parley.StorageFull, 507, "The server's disk is full.", "Wait, then send the same again with the same id; the operator must make room.", parley.RetryLater},
}

// info returns the line of c. A code without a line is told as internal.
func info(c parley.Code) CodeInfo {
	for _, i := range Codes {
		if i.Code == c {
			return i
		}
	}
	return info(parley.Internal)
}

// Status returns the HTTP status of c, 500 for a code it does not know.
func Status(c parley.Code) int { return info(c).Status }

// ProblemOf returns what may be told of err, which must not be nil: code,
// status, the detail of the outermost *parley.Error or else a sentence for its
// code, and the wait. Nothing of a cause, an operation, or an error without a
// code gets out.
func ProblemOf(err error) Problem {
	i := info(parley.CodeOf(err))
	p := Problem{
		Type:   "/docs/protocol#" + string(i.Code),
		Title:  i.Title,
		Status: i.Status,
		Detail: i.Title + " " + i.Advice,
		Code:   string(i.Code),
	}
	var e *parley.Error
	if errors.As(err, &e) && e.Code == i.Code {
		if e.Detail != "" {
			p.Detail = e.Detail
		}
		if e.After > 0 {
			// Rounded up: a client that waits so long is never early.
			p.RetryAfterMS = max(1, (e.After.Microseconds()+999)/1000)
		}
	}
	return p
}

// CodesMarkdown returns the table of the codes for docs/PROTOCOL.md, without
// a line break at the end.
func CodesMarkdown() string {
	var b strings.Builder
	b.WriteString("| code | status | what happened | what to do | retry |\n|---|---|---|---|---|")
	for _, i := range Codes {
		retry := map[parley.Retry]string{parley.GiveUp: "no", parley.RetryNow: "now", parley.RetryLater: "later"}[i.Retry]
		fmt.Fprintf(&b, "\n| <a id=\"%[1]s\"></a>`%[1]s` | %d | %s | %s | %s |", i.Code, i.Status, i.Title, i.Advice, retry)
	}
	return b.String()
}
