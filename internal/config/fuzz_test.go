// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever the bytes: no panic, and faults that fit a terminal.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"full.yml", "contract.yml", "kubeadm.yml"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Parse("f.yml", data)
		if err == nil {
			if v == nil || len(v.Clusters) == 0 {
				t.Fatal("neither clusters nor faults")
			}
			return
		}
		faults := checkFaults(t, err)
		last := 1
		for _, lineBreak := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} { // as YAML counts them
			last += strings.Count(string(data), lineBreak)
		}
		for _, fault := range faults {
			if fault.File != "f.yml" || fault.Line < 0 || fault.Line > last || fault.Message == "" {
				t.Errorf("fault %+v in %d lines", fault, last)
			}
		}
	})
}

func FuzzKubeadm(f *testing.F) {
	f.Add([]byte(manifest(f)))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := ParseKubeadmManifest(data)
		if err != nil {
			if text := err.Error(); len(text) > 400 || strings.Contains(text, "\n") {
				t.Errorf("%d bytes: %q", len(text), text)
			}
			return
		}
		if _, err := clientURL(k.Endpoint); err != nil || !filepath.IsAbs(k.CAFile) || strings.Contains(k.Flags(), "\n") {
			t.Errorf("%+v, %v", k, err)
		}
	})
}
