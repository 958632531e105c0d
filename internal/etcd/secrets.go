// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// secretError is a certificate, key, CA or password file that cannot be used.
// It names the file and never its content.
type secretError struct {
	reason Reason // what an endpoint fails for without it: tls, or auth for a password
	err    error
}

func (e *secretError) Error() string { return e.err.Error() }
func (e *secretError) Unwrap() error { return e.err }

// secrets holds what a cluster's connections are made with, read from files.
// refresh reads them again: a rotated file takes effect without a restart, and
// a file caught half-written leaves the last good set in force.
type secrets struct {
	cfg *Config

	mu       sync.Mutex
	sum      [sha256.Size]byte // of the files the present set was made from
	tls      *tls.Config       // nil before the first good set
	password string
	cas      []*x509.Certificate
	version  int          // counts the good sets: a connection made with an older one is renewed
	failed   *secretError // nil while the files are good
}

// refresh reads the files. It reports changed when a new set came into force,
// and an error once for each new way of failing.
func (s *secrets) refresh() (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var files [passwordFile + 1][]byte
	hash := sha256.New()
	for i, name := range [...]string{s.cfg.CAFile, s.cfg.CertFile, s.cfg.KeyFile, s.cfg.PasswordFile} {
		if name == "" {
			continue
		}
		if files[i], err = os.ReadFile(name); err != nil {
			return false, s.fail(i == passwordFile, err)
		}
		fmt.Fprintf(hash, "%d:%d:", i, len(files[i]))
		hash.Write(files[i])
	}
	var sum [sha256.Size]byte
	hash.Sum(sum[:0])
	if s.tls != nil && sum == s.sum {
		s.failed = nil
		return false, nil
	}
	password, err := parsePassword(s.cfg.PasswordFile, files[passwordFile])
	if err != nil {
		return false, s.fail(true, err)
	}
	if err := s.adopt(files); err != nil {
		return false, s.fail(false, err)
	}
	s.failed, s.sum, s.password = nil, sum, password
	s.version++
	return s.version > 1, nil
}

// The files of a set, in the order they are read.
const (
	caFile = iota
	certFile
	keyFile
	passwordFile
)

// adopt makes a TLS configuration of the files' contents.
func (s *secrets) adopt(files [passwordFile + 1][]byte) error {
	conf := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         s.cfg.ServerName,
		InsecureSkipVerify: s.cfg.InsecureSkipVerify, //nolint:gosec // the user's explicit choice, off by default
	}
	var cas []*x509.Certificate
	if s.cfg.CAFile != "" {
		var err error
		if cas, err = parseCertificates(files[caFile]); err != nil {
			return fmt.Errorf("%s: %w", s.cfg.CAFile, err)
		}
		conf.RootCAs = x509.NewCertPool()
		for _, ca := range cas {
			conf.RootCAs.AddCert(ca)
		}
	}
	if s.cfg.CertFile != "" {
		pair, err := tls.X509KeyPair(files[certFile], files[keyFile])
		if err != nil {
			return fmt.Errorf("%s and %s: %w", s.cfg.CertFile, s.cfg.KeyFile, err)
		}
		conf.Certificates = []tls.Certificate{pair}
		// Sent whatever CAs the server names, so that it says what is wrong with
		// it and not that there is none.
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	s.tls, s.cas = conf, cas
	return nil
}

func parsePassword(name string, data []byte) (string, error) {
	password := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if name != "" && password == "" {
		return "", fmt.Errorf("%s: the password is empty", name)
	}
	return password, nil
}

// fail keeps why the files cannot be used, and gives it where that is news.
func (s *secrets) fail(password bool, err error) error {
	if s.failed != nil && err.Error() == s.failed.Error() {
		return nil
	}
	s.failed = &secretError{ReasonTLS, err}
	if password {
		s.failed.reason = ReasonAuth
	}
	return s.failed
}

// current gives the set in force, or why there is none.
func (s *secrets) current() (conf *tls.Config, password string, version int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.tls != nil:
		return s.tls, s.password, s.version, nil
	case s.failed != nil:
		return nil, "", 0, s.failed
	default:
		return nil, "", 0, errors.New("the secret files were not read yet")
	}
}

// certificates gives the exporter's own leaf (nil without one) and the CA file's.
func (s *secrets) certificates() (leaf *x509.Certificate, cas []*x509.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tls != nil && len(s.tls.Certificates) > 0 {
		leaf = s.tls.Certificates[0].Leaf
	}
	return leaf, s.cas
}

// parseCertificates reads every certificate of a PEM file. One that cannot be read
// is left out, as crypto/x509 does with bundles; only a file without any good one is
// an error.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	failed := errors.New("no PEM certificate in the file")
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			failed = err
			continue
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, failed
	}
	return certs, nil
}
