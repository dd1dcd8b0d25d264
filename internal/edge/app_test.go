package edge_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/parley-im/parley/internal/edge"
)

// TestAppFiles kills a file that a browser keeps after it changed, one whose
// compressed form is taken for the plain one, and a wrong type.
func TestAppFiles(t *testing.T) {
	script := strings.Repeat("say('hello');\n", 100)
	f := startFake(t, false, func(_ *fake, c *edge.Config) {
		c.App = fstest.MapFS{
			"index.html":           {Data: []byte("<!doctype html>")},
			"assets/app.js":        {Data: []byte(script)},
			"icon.png":             {Data: []byte("\x89PNG")},
			"manifest.webmanifest": {Data: []byte("{}")},
		}
	})
	get := func(path string, headers ...string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+f.addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "identity")
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body := io.Reader(res.Body)
		if res.Header.Get("Content-Encoding") == "gzip" && res.StatusCode == 200 {
			if body, err = gzip.NewReader(body); err != nil {
				t.Fatal(err)
			}
		}
		raw, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(raw)
	}
	for path, kind := range map[string]string{
		"/": "text/html; charset=utf-8", "/assets/app.js": "text/javascript; charset=utf-8",
		"/icon.png": "image/png", "/manifest.webmanifest": "application/manifest+json",
	} {
		if res, _ := get(path); res.StatusCode != 200 || res.Header.Get("Content-Type") != kind || res.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %s, %v", path, res.Status, res.Header)
		}
	}
	plain, body := get("/assets/app.js")
	small, same := get("/assets/app.js", "Accept-Encoding", "br, gzip;q=0.5")
	if body != script || same != script || plain.Header.Get("Content-Encoding") != "" || small.Header.Get("Content-Encoding") != "gzip" || small.ContentLength >= plain.ContentLength {
		t.Errorf("%v\n%v", plain.Header, small.Header)
	}
	if plain.Header.Get("ETag") == small.Header.Get("ETag") || plain.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("caches cannot tell the two forms apart: %v, %v", plain.Header, small.Header)
	}
	for _, c := range []struct {
		match, encoding string
		status          int
	}{
		{plain.Header.Get("ETag"), "identity", 304},
		{"W/" + small.Header.Get("ETag"), "gzip", 304},
		{`"x", ` + small.Header.Get("ETag"), "gzip", 304},
		{"*", "identity", 304},
		{`"x"`, "identity", 200},
		{small.Header.Get("ETag"), "identity", 200},
	} {
		res, left := get("/assets/app.js", "If-None-Match", c.match, "Accept-Encoding", c.encoding)
		if res.StatusCode != c.status || c.status == 304 && left != "" || res.Header.Get("ETag") == "" {
			t.Errorf("If-None-Match %s with %s: %s", c.match, c.encoding, res.Status)
		}
	}
	for _, refused := range []string{"gzip;q=0", "identity", "br", ""} {
		if res, _ := get("/assets/app.js", "Accept-Encoding", refused); res.Header.Get("Content-Encoding") != "" {
			t.Errorf("compressed for who takes %q", refused)
		}
	}
	for _, wrong := range []string{"/index.html", "/assets/", "/assets/app.js/", "/nothing.js"} {
		if res, _ := get(wrong); res.StatusCode != 404 {
			t.Errorf("%s: %s", wrong, res.Status)
		}
	}
}

// A file whose type nobody knows would be refused by browsers. It kills a
// build that adds one.
func TestAppOfUnknownKind(t *testing.T) {
	err := edge.CheckApp(fstest.MapFS{"index.html": {}, "app.exe": {}})
	if err == nil || !strings.Contains(err.Error(), "app.exe") {
		t.Error(err)
	}
}
