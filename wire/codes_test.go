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

// The page that people read must say what Codes says.
func TestProtocolPageHasTheCodes(t *testing.T) {
	page, err := os.ReadFile("../docs/PROTOCOL.md")
	if os.IsNotExist(err) {
		t.Skip("docs/PROTOCOL.md is not written yet")
	}
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), CodesMarkdown()) {
		t.Errorf("docs/PROTOCOL.md must hold this table as it stands:\n%s", CodesMarkdown())
	}
}
