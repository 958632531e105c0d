// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

const (
	maxConfigBytes = 4 << 20
	maxSecretBytes = 1 << 20 // CA bundles are the largest of the files named
)

// Option changes what Load, Parse and Validate check.
type Option func(*options)

type options struct{ remediationSecrets bool }

// CheckRemediationSecrets has the token files of the remediation block read as
// well. The remediator asks for it; the exporter's host may not hold them.
func CheckRemediationSecrets() Option {
	return func(o *options) { o.remediationSecrets = true }
}

// source remembers where a configuration came from.
type source struct {
	file  string            // as given by the user; empty for flags
	dir   string            // what relative file names are relative to; empty: the working directory
	lines map[string]int    // field path -> line
	bad   map[string]bool   // field paths that could not be read at all
	flags map[string]string // field path -> flag, for FromFlags
}

// Load reads and validates a configuration file. Its error is a Faults.
func Load(path string, opts ...Option) (*Validated, error) {
	data, _, err := readRegular(path, maxConfigBytes)
	if err != nil {
		return nil, Faults{{File: path, Message: "cannot read the configuration: " + reason(err)}}
	}
	return Parse(path, data, opts...)
}

// Parse validates a configuration that was read already. Files named in it are
// relative to the directory of name. Its error is a Faults.
func Parse(name string, data []byte, opts ...Option) (*Validated, error) {
	root, fault := parseYAML(data)
	if fault == nil && root.Kind != yaml.MappingNode {
		fault = &Fault{Line: root.Line, Message: "is " + kindName(root) + ", not a mapping: begin with clusters:"}
	}
	if fault != nil {
		fault.File = name
		return nil, Faults{*fault}
	}
	src := &source{
		file: name, dir: filepath.Dir(name),
		lines: map[string]int{}, bad: map[string]bool{},
	}
	c := &Config{src: src}
	d := &decoder{src: src, active: map[*yaml.Node]bool{}, budget: maxNodes}
	d.decode(root, c)
	if d.exhausted { // what was cut off would only be missed
		return nil, d.faults.sorted(name, d.dropped)
	}
	return c.validate(d.faults, d.dropped, opts)
}

// parseYAML gives the one document's root, with aliases not yet followed.
func parseYAML(data []byte) (*yaml.Node, *Fault) {
	if fault := checkText(data); fault != nil {
		return nil, fault
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	doc, err := decodeNode(dec)
	switch {
	case errors.Is(err, io.EOF):
		return nil, &Fault{Message: "is empty: name at least one cluster under clusters:"}
	case err != nil:
		return nil, syntaxFault(data, err)
	}
	next, err := decodeNode(dec)
	switch {
	case err == nil:
		return nil, &Fault{Line: next.Line, Message: "holds several YAML documents: keep one, and remove the line ---"}
	case !errors.Is(err, io.EOF):
		return nil, syntaxFault(data, err)
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, &Fault{Message: "is empty: name at least one cluster under clusters:"}
	}
	return root, nil
}

// decodeNode reads the next document. The parser panics on what it takes for
// its own mistakes; a configuration must never end a running program.
func decodeNode(dec *yaml.Decoder) (doc *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			doc, err = nil, errors.New("yaml: this YAML cannot be read")
		}
	}()
	doc = &yaml.Node{}
	if err := dec.Decode(doc); err != nil {
		return nil, err
	}
	if len(doc.Content) == 0 {
		return nil, io.EOF
	}
	return doc, nil
}

// readRegular reads a file of bounded size. Pipes and devices are refused
// before they are opened: they could block for ever, and a reload could not
// read them again.
func readRegular(path string, limit int64) ([]byte, fs.FileMode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	switch {
	case info.IsDir():
		return nil, 0, errors.New("it is a directory, not a file")
	case !info.Mode().IsRegular():
		return nil, 0, errors.New("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, 0, err
	}
	if int64(len(data)) > limit {
		return nil, 0, fmt.Errorf("it is larger than %d MiB", limit>>20)
	}
	return data, info.Mode(), nil
}
