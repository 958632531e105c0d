// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// minTokenBytes keeps guessable tokens out.
const minTokenBytes = 16

// publicFile reads a file that holds no secret; nil when it was not to be read.
func (c *checker) publicFile(path, name string) []byte {
	data, _, err := readRegular(c.abs(name), maxSecretBytes)
	switch {
	case looksPasted(name):
		c.fault(path, "must name a file, not hold its content")
	case err != nil && !filepath.IsAbs(name):
		c.fault(path, "cannot read %s: %s (looked in %s)", quotePath(name), reason(err), quoteUpTo(c.abs("."), maxQuoted))
	case err != nil:
		c.fault(path, "cannot read %s: %s", quotePath(name), reason(err))
	default:
		return data
	}
	return nil
}

// secretFile reads a file that holds a secret. Its name is not repeated: it may
// be the secret itself, written where a file name belongs.
func (c *checker) secretFile(path, name string) []byte {
	abs := c.abs(name)
	data, mode, err := readRegular(abs, maxSecretBytes)
	switch {
	case looksPasted(name):
		c.fault(path, "must name a file, not hold its content")
		return nil
	case err != nil && errors.Is(err, fs.ErrNotExist):
		c.fault(path, "cannot read the file it names: no such file or directory (give the name of a file, not its content)")
		return nil
	case err != nil:
		c.fault(path, "cannot read the file it names: %s", reason(err))
		return nil
	}
	if mode&0o004 != 0 && !c.warned[abs] {
		c.warned[abs] = true
		c.warn(path, "everyone on this host can read the file (mode %04o): chmod o-r it", mode.Perm())
	}
	return data
}

// looksPasted finds a key or password in the place of a file's name.
func looksPasted(name string) bool {
	return strings.ContainsAny(name, "\n\r") || strings.Contains(name, "-----BEGIN")
}

// secretText reads a password or token: one trailing newline is not part of it.
func (c *checker) secretText(path, name string, atLeast int) []byte {
	data := c.secretFile(path, name)
	if data == nil {
		return nil
	}
	data = bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))
	switch {
	case len(data) == 0:
		c.fault(path, "the file it names is empty")
	case len(data) < atLeast:
		c.fault(path, "the file it names holds less than %d bytes: write a longer random token", atLeast)
	}
	return data
}

// caFile checks that a file holds certificates.
func (c *checker) caFile(path, name string) {
	data := c.publicFile(path, name)
	if data == nil {
		return
	}
	good, bad := 0, 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			bad++
			continue
		}
		good++
	}
	switch {
	case good == 0:
		c.fault(path, "%s holds no PEM certificate that can be read", quotePath(name))
	case bad > 0:
		c.warn(path, "%d of the %d certificates cannot be read and are left out", bad, good+bad)
	}
}

// keyPair checks that a certificate and its key belong together.
func (c *checker) keyPair(certPath, certName, keyPath, keyName string) {
	cert, key := c.publicFile(certPath, certName), c.secretFile(keyPath, keyName)
	if cert == nil || key == nil {
		return
	}
	if _, err := tls.X509KeyPair(cert, key); err == nil {
		return
	}
	hasCert := hasBlock(cert, func(kind string) bool { return kind == "CERTIFICATE" })
	hasKey := hasBlock(key, func(kind string) bool { return strings.HasSuffix(kind, "PRIVATE KEY") })
	locked := hasBlock(key, func(kind string) bool { return kind == "ENCRYPTED PRIVATE KEY" })
	switch {
	case !hasCert:
		c.fault(certPath, "%s holds no PEM certificate", quotePath(certName))
	case locked:
		c.fault(keyPath, "the key is encrypted: give a file with the key itself")
	case !hasKey:
		c.fault(keyPath, "the file it names holds no PEM private key")
	default:
		c.fault(keyPath, "the key cannot be read, or does not belong to the certificate of %s", c.ref(certPath))
	}
}

func hasBlock(data []byte, kind func(string) bool) bool {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if kind(block.Type) {
			return true
		}
	}
	return false
}

// directory makes a directory's name absolute. It need not exist, but must not
// be something else.
func (c *checker) directory(path, name string) string {
	if name == "" {
		return ""
	}
	abs := c.abs(name)
	if err := notADirectory(abs); err != nil {
		c.fault(path, "%s %v", quotePath(name), err)
	}
	return abs
}

func notADirectory(abs string) error {
	if info, err := os.Stat(abs); err == nil && !info.IsDir() {
		return fmt.Errorf("is a %s, not a directory", fileKind(info.Mode()))
	}
	return nil
}

func fileKind(mode fs.FileMode) string {
	if mode.IsRegular() {
		return "file"
	}
	return "device or pipe"
}
