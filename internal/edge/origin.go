package edge

import (
	"net/http"
	"net/url"
	"strings"
)

// csp is what a page of ours may do. There is no inline script or style
// anywhere. Of the two policies that may make trusted values one is for the
// markup in the components, the other for the address of the service worker.
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; " +
	"font-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types svelte-trusted-html parley-worker"

// secure sets the headers that every answer carries.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", csp)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// originAllowed reports whether the page that makes this request may. A
// program sends no Origin; a browser always does where it matters. "null" is
// a page that hides where it comes from.
func (e *Edge) originAllowed(r *http.Request) bool {
	values := r.Header.Values("Origin")
	if len(values) == 0 {
		return true
	}
	if len(values) > 1 {
		return false
	}
	o := canonicalOrigin(values[0])
	if o == "" {
		return false
	}
	if e.origins[o] {
		return true
	}
	// The scheme is not compared: behind a proxy we do not know ours.
	_, host, _ := strings.Cut(o, "://")
	return host == canonicalHost(r.Host, strings.HasPrefix(o, "https:"))
}

// share lets pages of the further origins read the answer to r. It reports
// whether r only asked if they may call; then it is answered.
func (e *Edge) share(w http.ResponseWriter, r *http.Request) bool {
	o := r.Header.Get("Origin")
	if o == "" || !e.origins[canonicalOrigin(o)] {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", o)
	h.Set("Access-Control-Expose-Headers", "Retry-After")
	h.Set("Vary", "Origin")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// canonicalOrigin returns scheme://host[:port] in lower case without a
// default port, or "" for what is no web origin.
func canonicalOrigin(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" ||
		u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.ForceQuery {
		return ""
	}
	return u.Scheme + "://" + canonicalHost(u.Host, u.Scheme == "https")
}

func canonicalHost(host string, tls bool) string {
	host = strings.ToLower(host)
	if tls {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}
