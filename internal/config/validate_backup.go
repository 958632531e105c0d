// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

const globCharacters = `*?[\`

func (c *checker) backups(path string, in []Backup) []Backup {
	if len(in) == 0 {
		return nil
	}
	out, seen := slices.Clone(in), c.unique()
	for i := range out {
		where := fmt.Sprintf("%s[%d]", path, i)
		seen.check(where+".name", out[i].Name)
		c.backup(where, &out[i])
	}
	return out
}

func (c *checker) backup(path string, b *Backup) {
	switch {
	case b.Name == "":
		c.fault(path+".name", "is needed: it becomes the label store")
	case len(b.Name) > 4096 || strings.ContainsFunc(b.Name, unicode.IsControl):
		// The name may be a path (from --backup.path), so its length is bounded as one.
		c.fault(path+".name", "%s is too long, or holds a control character", quote(b.Name))
	}
	every := DefaultFileCheckInterval
	switch hasPath, hasStore := b.Path != "", b.ObjStore != nil; {
	case hasPath && hasStore:
		c.fault(path+".objstore", "path is given as well: a store is either files or an object store")
	case !hasPath && !hasStore && !c.src.bad[path+".objstore"]:
		c.fault(path+".path", "path or objstore is needed: say where the snapshots are")
	case hasPath:
		c.backupPath(path+".path", b)
	case hasStore:
		every = DefaultObjectCheckInterval
		b.ObjStore = c.objStore(path+".objstore", *b.ObjStore)
	}
	c.text(path+".pattern", &b.Pattern, DefaultBackupPattern)
	if err := checkPattern(b.Pattern); err != nil {
		c.fault(path+".pattern", "%v", err)
	}
	c.positive(path+".interval", &b.Interval, DefaultBackupInterval)
	c.positive(path+".check_interval", &b.CheckInterval, every)
	if b.TimeFromName != "" && !isTimeLayout(b.TimeFromName) {
		c.fault(path+".time_from_name", "%s is no Go time layout: write the time 2006-01-02 15:04:05 as the names have it", quote(b.TimeFromName))
	}
	if b.MaxBytesPerSecond < 0 {
		c.fault(path+".max_bytes_per_second", "must be zero (no bound) or more")
	}
	b.ScratchDirectory = c.directory(path+".scratch_directory", b.ScratchDirectory)
	if b.DrillResultFile != "" {
		b.DrillResultFile = c.abs(b.DrillResultFile)
	}
}

// backupPath makes the path absolute and says whether it is a glob. The store
// need not exist yet: the exporter reports that as backup_store_up.
func (c *checker) backupPath(path string, b *Backup) {
	b.Glob = strings.ContainsAny(b.Path, globCharacters)
	if !b.Glob {
		b.Path = c.abs(b.Path)
		return
	}
	if _, err := filepath.Match(b.Path, ""); err != nil {
		c.fault(path, "%s is no valid pattern: a [ is not closed", quotePath(b.Path))
		return
	}
	if !filepath.IsAbs(b.Path) {
		b.Path = filepath.Join(escapeGlob(c.abs(".")), b.Path)
	}
}

// escapeGlob keeps the characters of a directory from being read as a pattern.
func escapeGlob(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(globCharacters, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func checkPattern(pattern string) error {
	if strings.Contains(pattern, "/") {
		return fmt.Errorf("%s holds a slash: it is matched against file names, so directories belong in path or prefix", quote(pattern))
	}
	if _, err := filepath.Match(pattern, ""); err != nil {
		return fmt.Errorf("%s is no valid pattern: a [ is not closed", quote(pattern))
	}
	return nil
}

// isTimeLayout says whether two different times look different in the layout,
// and can be read back.
func isTimeLayout(layout string) bool {
	a := time.Date(2019, 3, 14, 17, 41, 52, 0, time.UTC)
	b := time.Date(2021, 11, 28, 9, 26, 37, 0, time.UTC)
	if a.Format(layout) == b.Format(layout) {
		return false
	}
	_, err := time.Parse(layout, a.Format(layout))
	return err == nil
}

var storeType = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// objStore checks the shape of an object store's configuration, never its
// values: they may be keys, and only the store's own library knows them.
func (c *checker) objStore(path string, o ObjStore) *ObjStore {
	switch {
	case o.ConfigFile != "" && (o.Type != "" || !o.Config.IsZero()):
		c.fault(path+".config_file", "type and config belong in the file it names: remove them here, or remove config_file")
	case o.ConfigFile != "":
		c.objStoreFile(path+".config_file", o.ConfigFile)
		o.ConfigFile = c.abs(o.ConfigFile)
	case o.Type == "":
		c.fault(path+".type", "is needed, such as S3 (or name a config_file with type and config)")
	case !storeType.MatchString(o.Type):
		c.fault(path+".type", "%s is no type of store: write one such as S3, GCS or AZURE", quote(o.Type))
	case o.Config.IsZero():
		c.fault(path+".config", "is needed: the settings of the store as Thanos has them")
	case !o.Config.IsMapping():
		c.fault(path+".config", "must be a mapping (fields with values)")
	}
	if strings.ContainsFunc(o.Prefix, unicode.IsControl) {
		c.fault(path+".prefix", "%s holds a control character", quote(o.Prefix))
	}
	return &o
}

// objStoreFile checks that the file is a mapping with a type in it.
func (c *checker) objStoreFile(path, name string) {
	data := c.secretFile(path, name)
	if data == nil {
		return
	}
	root, fault := parseYAML(data)
	switch {
	case fault != nil:
		c.fault(path, "the file it names is not valid YAML, or empty (its line %d)", max(fault.Line, 1))
	case textField(root, "type") == "":
		c.fault(path, "the file it names holds no type: write type and config as Thanos has them")
	}
}

// textField gives a field of a mapping; empty when there is none.
func textField(n *yaml.Node, key string) string {
	if n.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1].Value
		}
	}
	return ""
}
