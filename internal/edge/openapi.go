package edge

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parley-im/parley/wire"
)

// object is a JSON object of the OpenAPI document. Its members are written in
// order of their names, so the document is the same at every start.
type object map[string]any

// openAPI returns the OpenAPI 3.1 document of routes, with the shapes of wire
// as they are in code.
func openAPI() []byte {
	doc := document{schemas: object{}}
	paths := object{}
	for i := range routes {
		rt := &routes[i]
		item, ok := paths[rt.path].(object)
		if !ok {
			item = object{}
			paths[rt.path] = item
		}
		item[strings.ToLower(rt.method)] = doc.operation(rt)
	}
	paths["/v1/connect"] = object{"get": object{
		"operationId": "connect",
		"summary":     "The WebSocket, subprotocol " + wire.Protocol + ": see docs/PROTOCOL.md.",
		"responses":   object{"101": object{"description": "Switching protocols; the first frame is hello."}},
	}}
	doc.schema(reflect.TypeFor[wire.ClientFrame]())
	doc.schema(reflect.TypeFor[wire.ServerFrame]())
	out, err := json.Marshal(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Parley", "version": "1",
			"description": "A messenger that people host themselves. Unknown fields of a request are an error; ignore unknown fields of an answer.",
			"license":     object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"paths": paths,
		"components": object{
			"schemas":         doc.schemas,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
		},
	}, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		panic("edge: the OpenAPI document does not encode: " + err.Error())
	}
	return append(out, '\n')
}

// document collects the schemas that operations refer to.
type document struct{ schemas object }

func (d *document) operation(rt *route) object {
	op := object{"operationId": rt.name, "summary": rt.summary}
	if !rt.open {
		op["security"] = []any{object{"token": []string{}}}
	}
	var params []any
	for _, name := range rt.ids() {
		params = append(params, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string", "minLength": 1, "maxLength": 64}})
	}
	for _, p := range rt.query {
		schema := object{"type": "string"}
		if p.number {
			schema = number()
		}
		params = append(params, object{"name": p.name, "in": "query", "description": p.about, "schema": schema})
	}
	if params != nil {
		op["parameters"] = params
	}
	if rt.in != nil {
		op["requestBody"] = object{"required": !rt.bodyOptional, "content": object{"application/json": object{"schema": d.schema(rt.shape())}}}
	}
	if rt.raw > 0 {
		op["requestBody"] = object{"required": true, "content": object{"image/*": object{}}}
	}
	op["responses"] = d.responses(rt)
	return op
}

func (d *document) responses(rt *route) object {
	good := object{"description": "Done."}
	if rt.out != nil {
		good["content"] = object{"application/json": object{"schema": d.schema(reflect.TypeOf(rt.out))}}
	}
	if rt.kinds != nil {
		kinds := object{}
		for _, kind := range rt.kinds {
			kinds[kind] = object{}
		}
		good["content"] = kinds
	}
	out := object{strconv.Itoa(rt.status): good}
	if rt.also != 0 {
		out[strconv.Itoa(rt.also)] = good
	}
	statuses := append([]int{400, 403, 429, 500, 503}, rt.errors...)
	if !rt.open || rt.name == "sign_in" {
		statuses = append(statuses, 401)
	}
	if rt.in != nil || rt.raw > 0 {
		statuses = append(statuses, 413, 415)
	}
	problem := d.schema(reflect.TypeFor[wire.Problem]())
	for _, status := range statuses {
		out[strconv.Itoa(status)] = object{
			"description": fmt.Sprintf("Refused with %s.", strings.Join(codesOf(status), " or ")),
			"content":     object{"application/problem+json": object{"schema": problem}},
		}
	}
	return out
}

func codesOf(status int) (codes []string) {
	for _, c := range wire.Codes {
		if c.Status == status {
			codes = append(codes, string(c.Code))
		}
	}
	return codes
}

func number() object { return object{"type": "integer", "minimum": 0, "maximum": wire.MaxNumber} }

// schema returns a reference to the schema of t, making it when it is new.
func (d *document) schema(t reflect.Type) object {
	switch t.Kind() {
	case reflect.Pointer:
		return d.schema(t.Elem())
	case reflect.String:
		if t == reflect.TypeFor[wire.Ref]() {
			return object{"type": []string{"string", "integer"}}
		}
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "contentEncoding": "base64"}
		}
		return object{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Array:
		return object{"type": "array", "items": d.schema(t.Elem()), "minItems": t.Len(), "maxItems": t.Len()}
	case reflect.Struct:
	default:
		return number()
	}
	name := schemaName(t)
	if _, known := d.schemas[name]; !known {
		properties, required := object{}, []string{}
		s := object{"type": "object", "properties": properties}
		d.schemas[name] = s // before its fields: shapes may contain themselves
		for f := range t.Fields() {
			field, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			p := d.schema(f.Type)
			optional := strings.Contains(options, "omitzero")
			if !optional {
				required = append(required, field)
				if f.Type.Kind() == reflect.Pointer {
					p = object{"anyOf": []any{p, object{"type": "null"}}}
				}
			}
			properties[field] = p
		}
		if len(required) > 0 {
			s["required"] = required
		}
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// schemaName turns List[…/wire.Row] into RowList.
func schemaName(t reflect.Type) string {
	name, of, generic := strings.Cut(t.Name(), "[")
	if !generic {
		return name
	}
	of = strings.TrimSuffix(of, "]")
	return of[strings.LastIndexByte(of, '.')+1:] + name
}
