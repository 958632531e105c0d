// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/etcdops/etcdops/test/pki"
)

// stand are programs that the instructions call and a machine of ours does not have:
// the test's own binary under their name. Kubernetes is a directory, $CLUSTER.
var stand = map[string]func(args []string) error{"kubectl": kubectl, "htpasswd": htpasswd}

// kubectl knows `apply -f FILE` and `-n NAMESPACE create secret generic NAME ...`.
func kubectl(args []string) error {
	if len(args) == 3 && args[0] == "apply" && args[1] == "-f" {
		_, err := os.Stat(filepath.Join(os.Getenv("ROOT"), args[2]))
		return err
	}
	if len(args) < 6 || args[0] != "-n" || !slices.Equal(args[2:5], []string{"create", "secret", "generic"}) {
		return fmt.Errorf("kubectl: nobody expects %q", args)
	}
	dir := filepath.Join(os.Getenv("CLUSTER"), args[1], args[5])
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, arg := range args[6:] {
		if literal, is := strings.CutPrefix(arg, "--from-literal="); is {
			key, value, _ := strings.Cut(literal, "=")
			if err := os.WriteFile(filepath.Join(dir, key), []byte(value), 0o600); err != nil {
				return err
			}
			continue
		}
		from, is := strings.CutPrefix(arg, "--from-file=")
		if !is {
			return fmt.Errorf("kubectl: nobody expects %q", arg)
		}
		key, file, named := strings.Cut(from, "=")
		if !named {
			key, file = filepath.Base(from), from
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, key), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// htpasswd is `htpasswd -inB -C 10 USER`.
func htpasswd(args []string) error {
	if len(args) != 4 || !slices.Equal(args[:3], []string{"-inB", "-C", "10"}) {
		return fmt.Errorf("htpasswd: nobody expects %q", args)
	}
	password, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(strings.TrimSuffix(password, "\n")), 10)
	fmt.Printf("%s:%s\n\n", args[3], hash)
	return err
}

// instructions runs the first block of commands below a heading of
// docs/install-kubernetes.md that holds a text, and gives the Secrets that are there then,
// by namespace and name.
func instructions(t testing.TB, heading, holding string, replace ...string) map[string]map[string][]byte {
	t.Helper()
	_, section, there := strings.Cut(string(read(t, filepath.Join(root, "docs", "install-kubernetes.md"))), "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for there {
		var block string
		if _, section, there = strings.Cut(section, "```sh\n"); !there {
			break
		}
		if block, section, _ = strings.Cut(section, "```"); strings.Contains(block, holding) {
			return follow(t, strings.NewReplacer(replace...).Replace(block))
		}
	}
	t.Fatalf("no commands with %q under %q", holding, heading)
	return nil
}

func follow(t testing.TB, commands string) map[string]map[string][]byte {
	t.Helper()
	cluster, bin := t.TempDir(), t.TempDir()
	self, err := os.Executable()
	must(t, err)
	top, err := filepath.Abs(root)
	must(t, err)
	for name := range stand {
		must(t, os.Symlink(self, filepath.Join(bin, name)))
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", commands)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "CLUSTER=" + cluster, "ROOT=" + top}
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\nof\n%s", err, output, commands)
	}
	secrets := map[string]map[string][]byte{}
	files, err := filepath.Glob(filepath.Join(cluster, "*", "*", "*"))
	must(t, err)
	for _, file := range files {
		dir := filepath.Dir(file)
		name := filepath.Base(filepath.Dir(dir)) + "/" + filepath.Base(dir)
		if secrets[name] == nil {
			secrets[name] = map[string][]byte{}
		}
		secrets[name][filepath.Base(file)] = read(t, file)
	}
	return secrets
}

// TestOwnCertificate: the instructions make a client certificate that etcd's CA signed.
func TestOwnCertificate(t *testing.T) {
	dir := t.TempDir()
	authority := exec.CommandContext(t.Context(), "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=etcd-ca", "-keyout", dir+"/ca.key", "-out", dir+"/ca.crt")
	if output, err := authority.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	secret := instructions(t, "A certificate of its own", "etcd-exporter-etcd", "/etc/kubernetes/pki/etcd", dir)["etcdops/etcd-exporter-etcd"]
	_, err := pki.Pair{Cert: secret["tls.crt"], Key: secret["tls.key"]}.TLS()
	must(t, err)
	block, _ := pem.Decode(secret["tls.crt"])
	certificate, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(secret["ca.crt"])
	_, err = certificate.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	must(t, err)
	if certificate.Subject.CommonName != "etcdops" {
		t.Errorf("its user is %s", certificate.Subject)
	}
}
