// Command gen writes what is made of package wire: the TypeScript that the web
// app speaks the protocol with (web/src/wire/wire.gen.ts), the list of all that
// may never change again (wire/testdata/v1.txt), and the table of codes in
// docs/PROTOCOL.md. Run it by go generate ./wire; a test fails while any of
// them is stale.
//
// Shapes and constants are read from the source of wire, because their
// comments go along; ops, frames and codes are wire's own tables.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Where things are, from the root of the repository.
const (
	sourceDir  = "wire"
	scriptPath = "web/src/wire/wire.gen.ts"
	recordPath = "wire/testdata/v1.txt"
	pagePath   = "docs/PROTOCOL.md"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen ROOT, the root of the repository")
		os.Exit(2)
	}
	if err := generate(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// generate writes every file that is stale. A file that cannot be made leaves
// the others alone.
func generate(root string) error {
	var errs []error
	for _, p := range products {
		name := filepath.Join(root, filepath.FromSlash(p.path))
		if err := p.refresh(root, name); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.path, err))
		}
	}
	return errors.Join(errs...)
}

// product is one file that is made of wire.
type product struct {
	path string
	// make returns what the file must hold; old is what it holds now, nil if
	// there is none.
	make func(p *protocol, old []byte) ([]byte, error)
}

var products = [...]product{
	{scriptPath, func(p *protocol, _ []byte) ([]byte, error) { return p.script(), nil }},
	{recordPath, (*protocol).record},
	{pagePath, func(_ *protocol, old []byte) ([]byte, error) { return withCodes(old) }},
}

// refresh writes the product to name if it is stale.
func (p *product) refresh(root, name string) error {
	old, fresh, err := p.compare(root, name)
	if err != nil || string(old) == string(fresh) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, fresh, 0o644)
}

// compare returns what stands in the file name and what should.
func (p *product) compare(root, name string) (old, fresh []byte, err error) {
	protocol, err := read(filepath.Join(root, sourceDir))
	if err != nil {
		return nil, nil, err
	}
	old, err = os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	fresh, err = p.make(protocol, old)
	return old, fresh, err
}
