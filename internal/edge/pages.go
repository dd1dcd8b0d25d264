package edge

import (
	_ "embed"
	"net/http"
)

// The page that a browser gets: what this is, and how to sign up from a link.
var (
	//go:embed page/index.html
	indexHTML []byte
	//go:embed page/page.css
	pageCSS []byte
	//go:embed page/page.js
	pageJS []byte
)

func (e *Edge) pages(mux *http.ServeMux) {
	mux.Handle("GET /{$}", static("text/html; charset=utf-8", indexHTML))
	mux.Handle("GET /page.css", static("text/css; charset=utf-8", pageCSS))
	mux.Handle("GET /page.js", static("text/javascript; charset=utf-8", pageJS))
}
