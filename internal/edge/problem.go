package edge

import (
	"log/slog"
	"net/http"
	"strconv"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// problem answers with err as an RFC 9457 problem. status is its code's own
// when 0; another one says how HTTP itself was misused.
func (e *Edge) problem(w http.ResponseWriter, r *http.Request, status int, err error) {
	p := wire.ProblemOf(err)
	if status != 0 {
		p.Status = status
	}
	if parley.CodeOf(err) == parley.Internal {
		e.cfg.Logger.Error("request failed", slog.String("route", r.Pattern), slog.Any("err", err))
	}
	h := w.Header()
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="parley"`)
	}
	if p.RetryAfterMS > 0 {
		h.Set("Retry-After", strconv.FormatInt((p.RetryAfterMS+999)/1000, 10))
	}
	write(w, p.Status, "application/problem+json", &p)
}

// write answers with a shape of wire.
func write(w http.ResponseWriter, status int, contentType string, v any) {
	body, err := wire.Encode(v)
	if err != nil {
		// Text that is not UTF-8 is refused on its way in.
		panic("edge: an answer does not encode: " + err.Error())
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // whoever went away does not want it
}
