// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"crypto/tls"
	"fmt"
	"path/filepath"

	"github.com/etcdops/etcdops/test/pki"
)

// secrets are a lab's certificates, all in one directory.
type secrets struct {
	dir         string
	ca, foreign *pki.CA
	client      pki.Pair
	admin       pki.Pair // of the lab's own calls
}

// newSecrets makes two authorities, of which clients trust the first, and a
// client pair. Its name is no etcd user's: with auth on, etcd takes a client
// that brings no token for the user that its certificate names.
func newSecrets(dir string) (*secrets, error) {
	s := &secrets{dir: dir}
	var err error
	if s.ca, err = pki.NewCA("etcdops lab CA"); err != nil {
		return nil, err
	}
	if s.foreign, err = pki.NewCA("etcdops foreign CA"); err != nil {
		return nil, err
	}
	if s.client, err = s.ca.Client(pki.Spec{CommonName: "etcdops-lab-client"}); err != nil {
		return nil, err
	}
	// With auth on, the name makes the lab root wherever a client certificate
	// is asked for, on learners too, which refuse to sign anybody in.
	if s.admin, err = s.ca.Client(pki.Spec{CommonName: "root"}); err != nil {
		return nil, err
	}
	for name, ca := range map[string]*pki.CA{"ca.crt": s.ca, "foreign-ca.crt": s.foreign} {
		if err := pki.WriteFile(filepath.Join(dir, name), ca.PEM(), 0o644); err != nil {
			return nil, err
		}
	}
	return s, s.client.Write(s.file("client.crt"), s.file("client.key"))
}

func (s *secrets) file(name string) string { return filepath.Join(s.dir, name) }

// issueMember issues a member's certificates and notes their files.
func (s *secrets) issueMember(m *settings, odd *ServerCert) error {
	server := ServerCert{}
	if odd != nil {
		server = *odd
	}
	if len(server.Hosts) == 0 {
		server.Hosts = pki.Loopback()
	}
	if server.CommonName == "" {
		server.CommonName = m.name
	}
	issuer := s.ca
	if server.Foreign {
		issuer = s.foreign
	}
	pair, err := issuer.Server(server.Spec)
	if err != nil {
		return err
	}
	peer, err := s.ca.Server(pki.Spec{CommonName: m.name + "-peer", Hosts: pki.Loopback()})
	if err != nil {
		return err
	}
	m.caFile = s.file("ca.crt")
	m.serverCert, m.serverKey = s.file(m.name+"-server.crt"), s.file(m.name+"-server.key")
	m.peerCert, m.peerKey = s.file(m.name+"-peer.crt"), s.file(m.name+"-peer.key")
	if err := pair.Write(m.serverCert, m.serverKey); err != nil {
		return err
	}
	return peer.Write(m.peerCert, m.peerKey)
}

// CA is the authority that the lab's clients trust; nil for a plain lab.
func (l *Lab) CA() *pki.CA {
	if l.secrets == nil {
		return nil
	}
	return l.secrets.ca
}

// ForeignCA is an authority that nobody trusts; nil for a plain lab.
func (l *Lab) ForeignCA() *pki.CA {
	if l.secrets == nil {
		return nil
	}
	return l.secrets.foreign
}

// CAFile names the authority that clients must trust. It and the files of
// ClientCert and ClientKey are empty for a client that needs none; replace them
// with pki.WriteFile and pki.Pair.Write.
func (l *Lab) CAFile() string { return l.secretFile("ca.crt") }

// ForeignCAFile is the file of ForeignCA.
func (l *Lab) ForeignCAFile() string { return l.secretFile("foreign-ca.crt") }

// ClientCert is the certificate that the lab issued to its clients.
func (l *Lab) ClientCert() string {
	if l.options.TLS != MTLS {
		return ""
	}
	return l.secretFile("client.crt")
}

// ClientKey is the key of ClientCert.
func (l *Lab) ClientKey() string {
	if l.options.TLS != MTLS {
		return ""
	}
	return l.secretFile("client.key")
}

func (l *Lab) secretFile(name string) string {
	if l.secrets == nil {
		return ""
	}
	return l.secrets.file(name)
}

// IssueClient issues another client pair, expired or named after an etcd user
// for example, and writes it beside the others.
func (l *Lab) IssueClient(spec pki.Spec) (certFile, keyFile string, err error) {
	if l.secrets == nil {
		return "", "", fmt.Errorf("issue client %s: the lab is plain", spec.CommonName)
	}
	pair, err := l.secrets.ca.Client(spec)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = l.secrets.file(spec.CommonName+".crt"), l.secrets.file(spec.CommonName+".key")
	return certFile, keyFile, pair.Write(certFile, keyFile)
}

// TLSConfig is what a well-configured client of the lab uses; nil for a plain
// lab.
func (l *Lab) TLSConfig() (*tls.Config, error) {
	if l.secrets == nil {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: l.secrets.ca.Pool()}
	if l.options.TLS == MTLS {
		pair, err := l.secrets.client.TLS()
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// adminTLS is for the lab's own calls, which must work whatever certificate a
// member presents.
func (l *Lab) adminTLS() (*tls.Config, error) {
	config, err := l.TLSConfig()
	if err != nil || config == nil {
		return config, err
	}
	config.InsecureSkipVerify = true
	if l.options.TLS == MTLS {
		pair, err := l.secrets.admin.TLS()
		if err != nil {
			return nil, fmt.Errorf("administrator's certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
