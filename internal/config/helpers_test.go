// SPDX-License-Identifier: Apache-2.0

package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// write puts a file into dir; its mode is exact, whatever the umask.
func write(t *testing.T, dir, name, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// writePair writes NAME.crt and NAME.key, self-signed.
func writePair(t *testing.T, dir, name string, keyMode os.FileMode) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o644)
	write(t, dir, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})), keyMode)
}

// secretDir holds every file that the tests' configurations name.
func secretDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	writePair(t, dir, "ca", 0o600)
	writePair(t, dir, "client", 0o600)
	write(t, dir, "password", "hunter2\n", 0o600)
	write(t, dir, "empty", "\n", 0o600)
	write(t, dir, "short", "swordfish\n", 0o600)
	write(t, dir, "token", "0123456789abcdef0123\n", 0o600)
	write(t, dir, "token2", "fedcba98765432100123\n", 0o600)
	write(t, dir, "garbage", "swordfish is not a certificate\n", 0o600)
	write(t, dir, "broken.yml", "type: S3\nconfig: [swordfish\n", 0o600)
	write(t, dir, "store.yml", "type: S3\nconfig: {secret_key: swordfish}\n", 0o600)
	return dir
}

// goNames finds what only a Go programmer would understand.
var goNames = regexp.MustCompile(`\b(u?int(8|16|32|64)?|float(32|64)|struct|interface|reflect|nil)\b|map\[|\[\]|\*?(config|yaml|time|netip)\.[A-Z]|!!(str|int|map|seq)|unmarshal|0x[0-9a-f]{6,}`)

// secrets are the texts that no message may hold.
var secrets = []string{"hunter2", "swordfish", "0123456789abcdef", "PRIVATE KEY"}

// checkFaults asserts what holds for every error of this package.
func checkFaults(t *testing.T, err error) Faults {
	t.Helper()
	var faults Faults
	if !errors.As(err, &faults) || len(faults) == 0 {
		t.Fatalf("not Faults, or none: %#v", err)
	}
	for _, f := range faults {
		text := f.Error()
		if strings.Count(text, "\n") > 1 {
			t.Errorf("more than two lines: %q", text)
		}
		if len(text)-len(f.File) > 400 {
			t.Errorf("%d bytes are too long: %q", len(text), text)
		}
	}
	return faults
}

// wantFaults compares with "LINE FIELD: a part of the message", one a line.
func wantFaults(t *testing.T, err error, want string) {
	t.Helper()
	if want = strings.TrimSpace(want); want == "" {
		if err != nil {
			t.Errorf("unexpected faults:\n%v", err)
		}
		return
	}
	if err == nil {
		t.Fatalf("no error, want:\n%s", want)
	}
	faults := checkFaults(t, err)
	if name := goNames.FindString(messages(faults)); name != "" {
		t.Errorf("a message holds %q:\n%v", name, err)
	}
	for _, secret := range secrets {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("a message holds the secret %q:\n%v", secret, err)
		}
	}
	lines := strings.Split(want, "\n")
	if len(lines) != len(faults) {
		t.Errorf("%d faults, want %d:\n%v\nwant:\n%s", len(faults), len(lines), err, want)
		return
	}
	for i, line := range lines {
		place, part, _ := strings.Cut(strings.TrimSpace(line), ": ")
		got := strings.TrimSpace(fmt.Sprintf("%d %s", faults[i].Line, faults[i].Field))
		if got != place || !strings.Contains(faults[i].Message, part) {
			t.Errorf("got  %s: %s\nwant %s: %s", got, faults[i].Message, place, part)
		}
	}
}

func messages(faults Faults) string {
	var b strings.Builder
	for _, f := range faults {
		b.WriteString(f.Message + "\n")
	}
	return b.String()
}

// mustParse validates a configuration that is meant to be right.
func mustParse(t *testing.T, dir, text string, opts ...Option) *Validated {
	t.Helper()
	v, err := Parse(filepath.Join(dir, "etcdops.yml"), []byte(text), opts...)
	if err != nil {
		t.Fatalf("unexpected faults:\n%v", err)
	}
	return v
}
