// SPDX-License-Identifier: Apache-2.0

package config

import (
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// fieldByKey finds the field of v that a YAML key names.
func fieldByKey(v reflect.Value, key string) (reflect.Value, bool) {
	for i, name := range fieldNames(v.Type()) {
		if name != "" && name == key {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// fieldNames gives the YAML key of every field; empty where there is none.
func fieldNames(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		if tag := t.Field(i).Tag.Get("yaml"); tag != "-" {
			names[i] = tag
		}
	}
	return names
}

// unknown reports a field that does not exist, with the one that was likely
// meant (which it gives back), or with all there are.
func (d *decoder) unknown(key *yaml.Node, t reflect.Type, path string) string {
	if len(d.faults) >= maxFaults {
		d.dropped++ // nobody will read a suggestion
		return ""
	}
	where := join(path, key.Value)
	if near := nearest(key.Value, t); near != "" {
		d.fault(key.Line, where, "unknown field; did you mean %s?", near)
		return near
	}
	if inner := nested(key.Value, t); inner != "" {
		d.fault(key.Line, where, "unknown field here; did you mean %s?", inner)
		return ""
	}
	var known []string
	for _, name := range fieldNames(t) {
		if name != "" {
			known = append(known, name)
		}
	}
	d.fault(key.Line, where, "unknown field; known here: %s", strings.Join(known, ", "))
	return ""
}

// nearest gives the field whose name is close to key: up to a third of its
// letters differ, or one is the beginning of the other.
func nearest(key string, t reflect.Type) string {
	best, bestDistance := "", len(key)/3+1
	if len(key) < 2 || len(key) > 64 {
		return ""
	}
	folded := strings.ReplaceAll(strings.ToLower(key), "-", "_")
	for _, name := range fieldNames(t) {
		if name == "" {
			continue
		}
		d := distance(folded, name)
		if len(key) >= 4 && (strings.HasPrefix(name, folded) || strings.HasPrefix(folded, name)) {
			d = min(d, 1)
		}
		if strings.ReplaceAll(folded, "_", "") == strings.ReplaceAll(name, "_", "") {
			d = 0
		}
		if d < bestDistance {
			best, bestDistance = name, d
		}
	}
	return best
}

// nested finds key among the fields one level down, such as ca_file in tls.
func nested(key string, t reflect.Type) string {
	names := fieldNames(t)
	for i, name := range names {
		inner := t.Field(i).Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if name == "" || inner.Kind() != reflect.Struct {
			continue
		}
		for _, candidate := range fieldNames(inner) {
			if candidate == key && key != "" {
				return name + "." + key
			}
		}
	}
	return ""
}

// distance counts the letters to insert, remove or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := diagonal
			if a[i-1] != b[j-1] {
				replace++
			}
			diagonal = row[j]
			row[j] = min(replace, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
