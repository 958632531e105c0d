// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxNodes bounds the values of one configuration once aliases are followed:
// a few hundred bytes of aliases to aliases expand to billions.
const maxNodes = 1 << 18

// decoder fills a Config from YAML nodes and reports every fault with its
// line. yaml.v3's own decoder stops at types it cannot fill, names Go types,
// and forgets to be strict inside custom unmarshalers.
type decoder struct {
	src     *source
	faults  Faults
	dropped int
	active  map[*yaml.Node]bool // aliases being followed

	budget    int
	exhausted bool
}

func (d *decoder) decode(root *yaml.Node, c *Config) {
	d.value(root, reflect.ValueOf(c).Elem(), "")
}

func (d *decoder) fault(line int, path, format string, args ...any) {
	d.src.bad[path] = true
	d.faults.add(Fault{File: d.src.file, Line: line, Field: path, Message: fmt.Sprintf(format, args...)}, &d.dropped)
}

// enter follows an alias and pays for a node; nil means that the node must be
// left alone. The function it gives back is called when the node is done.
func (d *decoder) enter(n *yaml.Node, path string) (*yaml.Node, func()) {
	if d.spend(1); d.budget < 0 {
		if !d.exhausted {
			d.fault(n.Line, path, "more than %d values once aliases are followed: use fewer aliases", maxNodes)
		}
		d.exhausted = true
		return nil, nil
	}
	if n.Kind != yaml.AliasNode {
		return n, func() {}
	}
	target := n.Alias
	if d.active[target] {
		d.fault(n.Line, path, "the alias %s contains itself", quote("*"+n.Value))
		return nil, nil
	}
	d.active[target] = true
	return target, func() { delete(d.active, target) }
}

// spend pays for looking at n nodes.
func (d *decoder) spend(n int) { d.budget = max(d.budget-n, -1) }

var (
	durationType        = reflect.TypeFor[time.Duration]()
	sizeType            = reflect.TypeFor[Size]()
	prefixType          = reflect.TypeFor[netip.Prefix]()
	rawType             = reflect.TypeFor[Raw]()
	requireSnapshotType = reflect.TypeFor[RequireSnapshot]()
)

// value fills v from n. A null leaves v as it is, as if it were absent.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	n, leave := d.enter(n, path)
	if n == nil {
		return
	}
	defer leave()
	if !d.coreTag(n, path) || isNull(n) {
		return
	}
	switch v.Type() {
	case rawType:
		v.Set(reflect.ValueOf(Raw{node: d.raw(n, path)}))
		return
	case durationType:
		scalar(d, n, v, path, "a duration, such as 30s", ParseDuration)
		return
	case sizeType:
		scalar(d, n, v, path, "a size, such as 100MiB", ParseSize)
		return
	case prefixType:
		scalar(d, n, v, path, "a network, such as 10.0.0.0/8", parsePrefix)
		return
	case requireSnapshotType:
		scalar(d, n, v, path, "an age, such as 24h, or the word off", parseRequireSnapshot)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), path)
	case reflect.Struct:
		d.structure(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.Map:
		d.stringMap(n, v, path)
	default:
		d.plain(n, v, path)
	}
}

// plain fills text, switches and numbers.
func (d *decoder) plain(n *yaml.Node, v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.String:
		scalar(d, n, v, path, "text", func(text string) (string, error) { return text, nil })
	case reflect.Bool:
		scalar(d, n, v, path, "true or false", func(text string) (bool, error) {
			yes, no := strings.EqualFold(text, "true"), strings.EqualFold(text, "false")
			if n.Tag != "!!bool" || yes == no {
				return false, fmt.Errorf("must be true or false, not %s", quote(text))
			}
			return yes, nil
		})
	case reflect.Int:
		scalar(d, n, v, path, "a whole number", func(text string) (int, error) {
			i, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 0, strconv.IntSize)
			if err != nil || n.Tag != "!!int" {
				return 0, fmt.Errorf("must be a whole number, not %s", quote(text))
			}
			return int(i), nil
		})
	case reflect.Float64:
		scalar(d, n, v, path, "a number", func(text string) (float64, error) {
			f, err := strconv.ParseFloat(text, 64)
			if err != nil || (n.Tag != "!!int" && n.Tag != "!!float") || math.IsInf(f, 0) || math.IsNaN(f) {
				return 0, fmt.Errorf("must be a number, not %s", quote(text))
			}
			return f, nil
		})
	default:
		panic("config: no rule to read a " + v.Kind().String()) // a mistake in types.go, found by any test
	}
}

// scalar fills v with what parse makes of the node's text.
func scalar[T any](d *decoder, n *yaml.Node, v reflect.Value, path, want string, parse func(string) (T, error)) {
	if n.Kind != yaml.ScalarNode {
		d.fault(n.Line, path, "must be %s, not %s", want, kindName(n))
		return
	}
	parsed, err := parse(n.Value)
	if err != nil {
		d.fault(n.Line, path, "%v", err)
		return
	}
	v.Set(reflect.ValueOf(parsed))
}

// structure fills the fields of v. Fields merged in (<<) never win over those
// written out.
func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.fault(n.Line, path, "must be a mapping (fields with values), not %s", kindName(n))
		return
	}
	if s, ok := reflect.TypeAssert[interface{ setDefaults() }](v.Addr()); ok {
		s.setDefaults()
	}
	d.fields(n, v, path, map[string]bool{})
}

func (d *decoder) fields(n *yaml.Node, v reflect.Value, path string, done map[string]bool) {
	var meant []string
	for _, e := range d.uniqueKeys(n, path) {
		if done[e.key.Value] {
			continue
		}
		done[e.key.Value] = true
		field, ok := fieldByKey(v, e.key.Value)
		where := join(path, e.key.Value)
		if !ok {
			meant = append(meant, d.unknown(e.key, v.Type(), path))
			continue
		}
		d.src.lines[where] = e.key.Line
		d.value(e.value, field, where)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag == "!!merge" {
			d.merge(n.Content[i+1], v, path, done)
		}
	}
	for _, name := range meant {
		if name != "" && !done[name] {
			d.src.bad[join(path, name)] = true // misspelt, so not missing as well
		}
	}
}

// merge takes the fields of an aliased mapping, or of a list of them.
func (d *decoder) merge(n *yaml.Node, v reflect.Value, path string, done map[string]bool) {
	line := n.Line
	n, leave := d.enter(n, path)
	if n == nil {
		return
	}
	defer leave()
	switch n.Kind {
	case yaml.MappingNode:
		d.fields(n, v, path, done)
	case yaml.SequenceNode:
		for _, child := range n.Content {
			d.merge(child, v, path, done)
		}
	default:
		d.fault(line, path, "<< must be followed by an alias of a mapping")
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.fault(n.Line, path, "must be a list, not %s: write [a, b], or - and one entry a line", kindName(n))
		return
	}
	d.spend(len(n.Content))
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, child := range n.Content {
		where := path + "[" + strconv.Itoa(i) + "]"
		d.src.lines[where] = child.Line
		if isNull(child) {
			d.fault(child.Line, where, "is empty: remove the entry, or fill it in")
			continue
		}
		d.value(child, out.Index(i), where)
	}
	v.Set(out)
}

func (d *decoder) stringMap(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.fault(n.Line, path, "must be a mapping (client URL: value), not %s", kindName(n))
		return
	}
	out := reflect.MakeMap(v.Type())
	for _, e := range d.uniqueKeys(n, path) {
		where := join(path, e.key.Value)
		d.src.lines[where] = e.key.Line
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(e.value, element, where)
		out.SetMapIndex(reflect.ValueOf(e.key.Value), element)
	}
	v.Set(out)
}

type entry struct{ key, value *yaml.Node }

// uniqueKeys gives the fields of a mapping, merge keys left out, and reports
// those that are no text or are given twice.
func (d *decoder) uniqueKeys(n *yaml.Node, path string) []entry {
	d.spend(len(n.Content))
	var out []entry
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		switch line, twice := first[key.Value]; {
		case key.Kind != yaml.ScalarNode || isNull(key):
			d.fault(n.Content[i].Line, path, "a field's name must be text, not %s", kindName(key))
		case key.Tag == "!!merge":
		case twice:
			d.fault(n.Content[i].Line, join(path, key.Value), "is given twice, first on line %d: keep one", line)
		default:
			first[key.Value] = n.Content[i].Line
			out = append(out, entry{key, n.Content[i+1]})
		}
	}
	return out
}

// coreTag refuses explicit tags that change what a value means.
func (d *decoder) coreTag(n *yaml.Node, path string) bool {
	switch n.Tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!map", "!!seq", "!!merge", "":
		return true
	}
	d.fault(n.Line, path, "the YAML tag %s is not supported: remove it", quote(n.Tag))
	return false
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// kindName describes a node in words; it never repeats a value, which might be
// a secret in the wrong place.
func kindName(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias"
	case isNull(n):
		return "nothing"
	}
	return "a single value"
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// join adds a field's name to a path; names that are not plain are quoted.
func join(path, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return path + "[" + quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

func parsePrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err == nil {
		return p.Masked(), nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.Prefix{}, fmt.Errorf("%s has no length: write %s/%d", quote(text), a.WithZone(""), a.BitLen())
	}
	return netip.Prefix{}, fmt.Errorf("%s is no network: write one such as 10.0.0.0/8", quote(text))
}
