package edge

import "io/fs"

// Bounds that tests reach.
const (
	MaxRequests = maxRequests
	LimiterKept = limiterKept
)

// Kept returns how many users l knows.
func (l *Limiter) Kept() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.users)
}

// CanonicalOrigin is canonicalOrigin.
func CanonicalOrigin(s string) string { return canonicalOrigin(s) }

// Route is one call of the API.
type Route struct {
	Method, Path, Name string
	Open, JSON         bool // takes no token; takes JSON
}

// Routes returns every call of the API.
func Routes() []Route {
	out := make([]Route, len(routes))
	for i := range routes {
		r := &routes[i]
		out[i] = Route{Method: r.method, Path: r.path, Name: r.name, Open: r.open, JSON: r.in != nil}
	}
	return out
}

// CheckApp reports what is wrong with the files of a web app.
func CheckApp(app fs.FS) error {
	_, err := readApp(app)
	return err
}
