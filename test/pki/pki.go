// SPDX-License-Identifier: Apache-2.0

// Package pki is a certificate authority for labs: sound certificates, and
// every kind of unsound one that a test may want. Never use it in earnest.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// backdate keeps fresh certificates valid for members whose clock is behind.
const backdate = 48 * time.Hour

// lifetime is how long a certificate is valid unless its Spec says otherwise.
const lifetime = 10 * 365 * 24 * time.Hour

// CA is a certificate authority whose key lives in memory only.
type CA struct {
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Spec says what a certificate is for. Its zero value makes a certificate
// without a name that is valid for years.
type Spec struct {
	CommonName string
	// Hosts are the names and addresses that a server answers for.
	Hosts []string
	// NotBefore and NotAfter are the validity; zero: two days ago, in ten years.
	NotBefore, NotAfter time.Time
}

// Pair is a certificate and its key, both PEM encoded.
type Pair struct {
	Cert, Key []byte
}

// Loopback lists what a member of a lab answers for.
func Loopback() []string { return []string{"127.0.0.1", "::1", "localhost"} }

// NewCA makes a certificate authority. Two of the same name have different
// keys, so neither trusts what the other issues.
func NewCA(name string) (*CA, error) {
	return NewCAValid(name, time.Time{}, time.Time{})
}

// NewCAValid is NewCA with a validity of the caller's choice.
func NewCAValid(name string, notBefore, notAfter time.Time) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make CA %s: %w", name, err)
	}
	template, err := template(Spec{CommonName: name, NotBefore: notBefore, NotAfter: notAfter})
	if err != nil {
		return nil, fmt.Errorf("make CA %s: %w", name, err)
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make CA %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make CA %s: %w", name, err)
	}
	return &CA{Cert: cert, key: key}, nil
}

// Server issues a certificate for spec.Hosts and nothing else. It serves as a
// client certificate too: members dial one another, and their own gateway.
func (ca *CA) Server(spec Spec) (Pair, error) {
	return ca.issue(spec, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
}

// Client issues a client certificate. It has no hosts: etcd would compare them
// with the address that the client comes from.
func (ca *CA) Client(spec Spec) (Pair, error) {
	spec.Hosts = nil
	return ca.issue(spec, x509.ExtKeyUsageClientAuth)
}

// PEM is the authority's own certificate.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Cert.Raw})
}

// Pool is a pool that trusts this authority alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	return pool
}

func (ca *CA) issue(spec Spec, usages ...x509.ExtKeyUsage) (Pair, error) {
	fail := func(err error) (Pair, error) {
		return Pair{}, fmt.Errorf("issue certificate %s: %w", spec.CommonName, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	template, err := template(spec)
	if err != nil {
		return fail(err)
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = usages
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Cert, key.Public(), ca.key)
	if err != nil {
		return fail(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fail(err)
	}
	return Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}, nil
}

// template turns a Spec into what x509 wants.
func template(spec Spec) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	cert := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: spec.CommonName, Organization: []string{"etcdops lab"}},
		NotBefore:    spec.NotBefore,
		NotAfter:     spec.NotAfter,
	}
	if cert.NotBefore.IsZero() {
		cert.NotBefore = time.Now().Add(-backdate)
	}
	if cert.NotAfter.IsZero() {
		cert.NotAfter = time.Now().Add(lifetime)
	}
	for _, host := range spec.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, host)
		}
	}
	return cert, nil
}

// TLS is the pair in the form that crypto/tls wants.
func (p Pair) TLS() (tls.Certificate, error) {
	return tls.X509KeyPair(p.Cert, p.Key)
}
