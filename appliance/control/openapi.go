package control

import (
	"cmp"
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// Roles of those who may ask by the network; see package webui. Whoever is on the
// socket may do everything.
const (
	roleAuditor       = "auditor"       // reads
	roleOperator      = "operator"      // keeps people, bans and certificates
	roleAdministrator = "administrator" // what can lock others out or lose mail
)

// operation describes a request to programs. Each pattern has one.
type operation struct {
	summary string
	role    string
	query   []string // names of what stands behind the question mark
	in, out any      // values of the types of request and answer; nil for none
	kind    string   // of an answer that is not JSON
	takes   string   // the kind of a request that is not JSON
}

// operationOf describes a request; one that is not described yet is the
// administrator's.
func operationOf(pattern string) operation {
	op, ok := operations()[pattern]
	if !ok {
		op.summary, op.role = pattern, roleAdministrator
	}

	return op
}

// Roles returns the role that each request wants of those who ask by the network.
func (h *Handler) Roles() map[string]string {
	all := map[string]string{}
	for _, pattern := range h.patterns {
		all[pattern] = operationOf(pattern).role
	}

	return all
}

// Undescribed returns the patterns without a description, and the descriptions
// without a request.
func (h *Handler) Undescribed() (patterns, descriptions []string) {
	known := operations()
	for _, pattern := range h.patterns {
		if _, ok := known[pattern]; !ok {
			patterns = append(patterns, pattern)
		}
		delete(known, pattern)
	}
	for pattern := range known {
		descriptions = append(descriptions, pattern)
	}

	return patterns, descriptions
}

type object = map[string]any

// OpenAPI describes all requests (OpenAPI 3.1), as they are reached through the
// web page.
func (h *Handler) OpenAPI() []byte {
	s := &schemas{named: object{}}
	paths := map[string]object{}
	for _, pattern := range h.patterns {
		method, path, _ := strings.Cut(pattern, " ")
		if paths[path] == nil {
			paths[path] = object{}
		}
		paths[path][strings.ToLower(method)] = s.operation(path, operationOf(pattern))
	}
	failed := s.of(reflect.TypeFor[Error]())
	b, err := json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Pillarbox", "version": h.status.Version,
			"description": "Everything that the box's pages and commands do. A token is made on the page Access tokens; x-role is the role that a request wants at least.",
		},
		"servers":  []object{{"url": "/api"}},
		"security": []object{{"token": []string{}}},
		"paths":    paths,
		"components": object{
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
			"responses": object{"Failed": object{
				"description": "What is wrong, in words for a person and with a code that stays the same",
				"content":     object{"application/json": object{"schema": failed}},
			}},
			"schemas": s.named,
		},
	}, "", "  ")
	if err != nil {
		return []byte("{}") // of what was made here it is always JSON
	}

	return b
}

func (s *schemas) operation(path string, op operation) object {
	answer := object{"description": "Done"}
	switch {
	case op.out != nil:
		answer["content"] = object{"application/json": object{"schema": s.of(reflect.TypeOf(op.out))}}
	case op.kind != "":
		answer["content"] = object{op.kind: object{}}
	}
	o := object{
		"summary": op.summary, "x-role": op.role,
		"responses": object{"2XX": answer, "default": object{"$ref": "#/components/responses/Failed"}},
	}
	var params []object
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			params = append(params, object{"name": strings.TrimSuffix(name, "}"), "in": "path", "required": true, "schema": object{"type": "string"}})
		}
	}
	for _, name := range op.query {
		params = append(params, object{"name": name, "in": "query", "schema": object{"type": "string"}})
	}
	if params != nil {
		o["parameters"] = params
	}
	if op.takes != "" {
		o["requestBody"] = object{"required": true, "content": object{op.takes: object{}}}
	}
	if op.in != nil {
		o["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": s.of(reflect.TypeOf(op.in))}}}
	}

	return o
}

// schemas describes Go types as they are in JSON.
type schemas struct{ named object }

func (s *schemas) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage](), t.Implements(reflect.TypeFor[json.Marshaler]()):
		return object{}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "contentEncoding": "base64"}
		}
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		return s.structure(t)
	}

	return object{}
}

func (s *schemas) structure(t reflect.Type) object {
	room := t.PkgPath()[strings.LastIndex(t.PkgPath(), "/")+1:]
	name := room + "." + t.Name()
	ref := object{"$ref": "#/components/schemas/" + name}
	if t.Name() == "" {
		ref = nil
	} else if s.named[name] != nil {
		return ref
	}
	o, properties := object{"type": "object"}, object{}
	if ref != nil {
		s.named[name] = o // it may hold itself
	}
	for f := range fields(t) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag != "-" {
			properties[cmp.Or(tag, f.Name)] = s.of(f.Type)
		}
	}
	o["properties"] = properties
	if ref == nil {
		return o
	}

	return ref
}

// fields yields those of a struct as JSON has them: what is embedded without a
// name counts as its own.
func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			f := t.Field(i)
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			switch {
			case f.Anonymous && inner.Kind() == reflect.Struct && f.Tag.Get("json") == "":
				for g := range fields(inner) {
					if !yield(g) {
						return
					}
				}
			case f.IsExported():
				if !yield(f) {
					return
				}
			}
		}
	}
}
