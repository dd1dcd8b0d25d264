// Package web holds the web app as it was built: what `make web` writes to
// dist, so that building the server needs no Node.
package web

import (
	"embed"
	"io/fs"
)

//go:embed dist
var dist embed.FS

// App returns the app's files, index.html at the root.
func App() fs.FS {
	app, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the directory was there when this was compiled
	}
	return app
}
