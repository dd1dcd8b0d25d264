package edge

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// asset is one file of the web app, or another that never changes while the
// server runs. Its name is stable, so that browsers ask each time whether it
// is still the same; what answers them is the tag of its content.
type asset struct {
	name, kind string
	plain, gz  []byte // gz is nil if compressing is not worth it
	tag        string // of the content, without quotes
}

// kinds is what an app is made of. A file of another kind is a fault of the
// build.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".json": "application/json", ".webmanifest": "application/manifest+json",
	".svg": "image/svg+xml", ".png": "image/png", ".woff2": "font/woff2", ".txt": "text/plain; charset=utf-8",
}

// readApp reads every file of app.
func readApp(app fs.FS) ([]asset, error) {
	if app == nil {
		return nil, nil
	}
	var all []asset
	err := fs.WalkDir(app, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if kinds[path.Ext(name)] == "" {
			return fmt.Errorf("edge: the web app has a file of an unknown kind, %s", name)
		}
		data, err := fs.ReadFile(app, name)
		all = append(all, newAsset(name, data))
		return err
	})
	return all, err
}

func newAsset(name string, data []byte) asset {
	sum := sha256.Sum256(data)
	a := asset{name: name, kind: kinds[path.Ext(name)], plain: data, tag: base64.RawURLEncoding.EncodeToString(sum[:12])}
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is a good one
	_, _ = z.Write(data)                                  // memory does not fail
	_ = z.Close()
	if b.Len() < len(data)*9/10 {
		a.gz = b.Bytes()
	}
	return a
}

// pattern is where the mux finds it: index.html is the root.
func (a asset) pattern() string {
	if a.name == "index.html" {
		return "/{$}"
	}
	return "/" + a.name
}

func (a asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, body, tag := w.Header(), a.plain, a.tag
	if a.gz != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			h.Set("Content-Encoding", "gzip")
			body, tag = a.gz, a.tag+".gz"
		}
	}
	h.Set("Cache-Control", "no-cache") // keep it, but ask
	h.Set("ETag", `"`+tag+`"`)
	if known(r.Header.Values("If-None-Match"), tag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", a.kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// known reports whether one of the entity tags in values is tag. They are
// compared weakly (RFC 9110 section 13.1.2).
func known(values []string, tag string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if t = strings.TrimPrefix(strings.TrimSpace(t), "W/"); t == "*" || t == `"`+tag+`"` {
				return true
			}
		}
	}
	return false
}

// acceptsGzip reports whether the answer to r may be compressed (RFC 9110
// section 12.5.3).
func acceptsGzip(r *http.Request) bool {
	for _, v := range r.Header.Values("Accept-Encoding") {
		for part := range strings.SplitSeq(v, ",") {
			name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
			if strings.EqualFold(strings.TrimSpace(name), "gzip") {
				q, given := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
				n, err := strconv.ParseFloat(q, 64)
				return !given || err == nil && n > 0
			}
		}
	}
	return false
}
