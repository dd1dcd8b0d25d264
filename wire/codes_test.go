package wire

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/parley-im/parley"
)

// Codes must hold every code that package parley has, and agree with it.
func TestCodesAreComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []parley.Code
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := v.Type.(*ast.Ident); ok && name.Name == "Code" {
			s, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, parley.Code(s))
		}
		return true
	})
	if len(declared) == 0 || len(declared) != len(Codes) {
		t.Errorf("%d codes in errors.go, %d in Codes", len(declared), len(Codes))
	}
	for _, c := range declared {
		i := info(c)
		if i.Code != c || i.Retry != c.Retry() || i.Status < 400 || i.Title == "" || i.Advice == "" {
			t.Errorf("%s: %+v", c, i)
		}
	}
}

// The page that people read must say what Codes says, with an anchor for each
// code: problems link to it.
func TestProtocolPageHasTheCodes(t *testing.T) {
	page, err := os.ReadFile("../docs/PROTOCOL.md")
	if err != nil {
		t.Fatalf("every code needs its line in docs/PROTOCOL.md: %v", err)
	}
	for _, c := range Codes {
		if anchor := `<a id="` + string(c.Code) + `"></a>`; !strings.Contains(string(page), anchor) {
			t.Errorf("docs/PROTOCOL.md has no anchor for %s: run go generate ./wire", c.Code)
		}
	}
	if !strings.Contains(string(page), CodesMarkdown()) {
		t.Error("the table of codes in docs/PROTOCOL.md is stale: run go generate ./wire and commit the result")
	}
}
