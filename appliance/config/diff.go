package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Change is one difference between two documents.
type Change struct {
	Path   string `json:"path"`             // such as firewall.services.imaps.from
	Label  string `json:"label,omitempty"`  // what that is, in words
	Before string `json:"before,omitempty"` // as JSON; "" where there was nothing
	After  string `json:"after,omitempty"`  // as JSON; "" where there is nothing any more
}

// String says it in words.
func (c Change) String() string {
	what, where := c.Path, ""
	if c.Label != "" {
		what, where = c.Label, " ("+c.Path+")"
	}
	before, after := value(c.Path, c.Before), value(c.Path, c.After)
	switch {
	case c.Before == "":
		return fmt.Sprintf("+ %s: %s%s", what, after, where)
	case c.After == "":
		return fmt.Sprintf("- %s: %s%s", what, before, where)
	}

	return fmt.Sprintf("~ %s: %s becomes %s%s", what, before, after, where)
}

// Diff lists what makes one document of another, by path.
func Diff(before, after *Document) []Change {
	var all []Change
	compare("", tree(before), tree(after), &all)
	names := namer{before, after}
	for i := range all {
		all[i].Label = names.label(all[i].Path)
	}

	return all
}

// tree returns a document as maps, lists and values.
func tree(d *Document) any {
	text, err := json.Marshal(d)
	if err != nil {
		return nil // a document is always JSON
	}
	var v any
	if json.Unmarshal(text, &v) != nil {
		return nil
	}

	return v
}

func compare(path string, a, b any, all *[]Change) {
	am, aok := a.(map[string]any)
	bm, bok := b.(map[string]any)
	if aok && bok {
		keys := maps.Clone(am)
		maps.Copy(keys, bm)
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			compare(strings.TrimPrefix(path+"."+k, "."), am[k], bm[k], all)
		}
		return
	}
	al, aok := a.([]any)
	bl, bok := b.([]any)
	if aok && bok {
		for i := range max(len(al), len(bl)) {
			compare(fmt.Sprintf("%s[%d]", path, i), at(al, i), at(bl, i), all)
		}
		return
	}
	before, after := text(a), text(b)
	if before != after {
		*all = append(*all, Change{Path: path, Before: before, After: after})
	}
}

func at(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}

	return nil
}

func text(v any) string {
	if v == nil {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}

	return string(b)
}
