package edge

import (
	"net/http"
	"net/url"
	"strings"
)

// A browser keeps its token in a cookie that no script can read and that no
// other site's page makes it send, so that markup which somehow ran in the
// page could not carry the token away: docs/adr/0008-browser-session.md.
const (
	// secureCookie is the name over HTTPS: the prefix has the browser refuse
	// one that was not set by this host over HTTPS.
	secureCookie = "__Host-parley"
	// cookieSeconds is how long a browser keeps it: 400 days is the most that
	// browsers allow. Each connection begins them anew.
	cookieSeconds = 400 * 24 * 3600
)

// cookieName returns the name of the cookie for r and whether it is sent over
// HTTPS alone. Cookies do not know ports, so that without HTTPS, where several
// servers may run on one machine, the name does.
func cookieName(r *http.Request) (name string, secure bool) {
	if r.TLS != nil || strings.HasPrefix(strings.ToLower(r.Header.Get("Origin")), "https:") {
		return secureCookie, true
	}
	if u, err := url.Parse("http://" + r.Host); err == nil && u.Port() != "" {
		return "parley-" + u.Port(), false
	}
	return "parley", false
}

// setCookie has the browser keep token.
func setCookie(answer http.Header, r *http.Request, token string) {
	name, secure := cookieName(r)
	addCookie(answer, &http.Cookie{Name: name, Value: token, Secure: secure, MaxAge: cookieSeconds})
}

// clearCookies has the browser forget its token, if it sent one.
func clearCookies(answer http.Header, r *http.Request) {
	for _, c := range r.Cookies() {
		if name, _ := cookieName(r); c.Name == name || c.Name == secureCookie {
			addCookie(answer, &http.Cookie{Name: c.Name, Secure: c.Name == secureCookie, MaxAge: -1})
		}
	}
}

func addCookie(answer http.Header, c *http.Cookie) {
	c.Path, c.HttpOnly, c.SameSite = "/", true, http.SameSiteStrictMode
	answer.Add("Set-Cookie", c.String())
}

// cookieOf returns the token in the cookies of r, "" if there is none or if
// the page that makes the request is not ours: not even one of the further
// origins, which use the header.
func cookieOf(r *http.Request) string {
	if !fromOurPage(r) {
		return ""
	}
	// A GET within the page has no Origin, so that over HTTPS behind a proxy
	// only the cookie itself tells.
	for _, name := range []string{secureCookie, plainName(r)} {
		if c, err := r.Cookie(name); err == nil && c.Value != "" {
			return c.Value
		}
	}
	return ""
}

func plainName(r *http.Request) string {
	plain := *r
	plain.TLS, plain.Header = nil, nil
	name, _ := cookieName(&plain)
	return name
}

// fromOurPage reports whether nothing says that another page than one of this
// server makes the request. Browsers say it in one of two headers.
func fromOurPage(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	_, host, _ := strings.Cut(canonicalOrigin(origin), "://")
	return host != "" && host == canonicalHost(r.Host, strings.HasPrefix(origin, "https:"))
}
