package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/parley-im/parley/wire"
)

// protocol is what package wire says of itself.
type protocol struct {
	constants []constantOf
	shapes    []shape // without the two below
	client    shape   // the fields of any client's frame
	server    shape   // the fields of any server's frame
	ops       []wire.Op
	frames    []wire.Frame
	codes     []wire.CodeInfo
}

// constantOf is one limit, close code or version.
type constantOf struct{ name, value, comment string }

// shape is one JSON object.
type shape struct {
	name    string
	param   string // of a generic shape: the name of its type parameter
	comment string
	fields  []field
}

// field is one member of a shape.
type field struct {
	name     string
	typ      string // in TypeScript
	optional bool   // may be absent
	comment  string
}

// field returns the field called name.
func (s *shape) field(name string) field {
	for _, f := range s.fields {
		if f.name == name {
			return f
		}
	}
	panic(fmt.Sprintf("a table of wire names %s, and %s has no such field", name, s.name)) // a test of wire comes first
}

// read reads the shapes and constants of the files shapes*.go in dir.
func read(dir string) (*protocol, error) {
	files, err := filepath.Glob(filepath.Join(dir, "shapes*.go"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no shapes in %s", dir)
	}
	slices.Sort(files)
	p := &protocol{ops: wire.Ops(), frames: wire.Frames(), codes: wire.Codes}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok {
				if err := p.declaration(g); err != nil {
					return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
				}
			}
		}
	}
	return p, nil
}

// declaration adds what g declares.
func (p *protocol) declaration(g *ast.GenDecl) error {
	for _, spec := range g.Specs {
		switch s := spec.(type) {
		case *ast.ValueSpec:
			if err := p.constant(s, g); err != nil {
				return err
			}
		case *ast.TypeSpec:
			if err := p.typ(s, g); err != nil {
				return err
			}
		}
	}
	return nil
}

// constant adds the constants of s. The names of ops and frames are left out:
// they are in the tables.
func (p *protocol) constant(s *ast.ValueSpec, g *ast.GenDecl) error {
	for i, name := range s.Names {
		if strings.HasPrefix(name.Name, "Op") || strings.HasPrefix(name.Name, "Frame") {
			continue
		}
		v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, types.ExprString(s.Values[i]))
		if err != nil {
			return fmt.Errorf("%s: %w", name.Name, err)
		}
		if k := v.Value.Kind(); k != constant.Int && k != constant.String {
			return fmt.Errorf("%s is neither a whole number nor a string", name.Name)
		}
		comment := s.Comment
		if !g.Lparen.IsValid() {
			comment = g.Doc
		}
		p.constants = append(p.constants, constantOf{name.Name, v.Value.ExactString(), text(comment)})
	}
	return nil
}

// typ adds the shape that s declares. Ref, the one type that is not a struct,
// is written by script.
func (p *protocol) typ(s *ast.TypeSpec, g *ast.GenDecl) error {
	st, ok := s.Type.(*ast.StructType)
	if !ok {
		return nil
	}
	out := shape{name: s.Name.Name, comment: text(s.Doc)}
	if !g.Lparen.IsValid() {
		out.comment = text(g.Doc)
	}
	if s.TypeParams != nil {
		out.param = s.TypeParams.List[0].Names[0].Name
	}
	for _, f := range st.Fields.List {
		made, err := fieldOf(f)
		if err != nil {
			return fmt.Errorf("%s: %w", out.name, err)
		}
		out.fields = append(out.fields, made)
	}
	switch out.name {
	case "ClientFrame":
		p.client = out
	case "ServerFrame":
		p.server = out
	default:
		p.shapes = append(p.shapes, out)
	}
	return nil
}

func fieldOf(f *ast.Field) (field, error) {
	if f.Tag == nil || len(f.Names) != 1 {
		return field{}, fmt.Errorf("a field without a name in JSON")
	}
	name, options, _ := strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json"), ",")
	typ, err := script(f.Type)
	if err != nil {
		return field{}, fmt.Errorf("%s: %w", name, err)
	}
	out := field{name: name, typ: typ, optional: options == "omitzero", comment: text(f.Comment)}
	if _, pointer := f.Type.(*ast.StarExpr); pointer && !out.optional {
		out.typ += " | null"
	}
	return out, nil
}

// script returns the type e in TypeScript.
func script(e ast.Expr) (string, error) {
	switch e := e.(type) {
	case *ast.StarExpr:
		return script(e.X)
	case *ast.ArrayType:
		if id, ok := e.Elt.(*ast.Ident); ok && id.Name == "byte" {
			return "string", nil // base64
		}
		item, err := script(e.Elt)
		return item + "[]", err
	case *ast.Ident:
		switch e.Name {
		case "string":
			return "string", nil
		case "bool":
			return "boolean", nil
		case "int", "int64", "uint64":
			return "number", nil
		}
		if e.IsExported() {
			return e.Name, nil
		}
	}
	return "", fmt.Errorf("the type %s has no counterpart in TypeScript", types.ExprString(e))
}

// text returns a comment as one paragraph.
func text(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }
