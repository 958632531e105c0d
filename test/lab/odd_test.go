// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/test/lab"
	"github.com/etcdops/etcdops/test/pki"
)

func TestLearner(t *testing.T) {
	t.Parallel()
	for _, version := range []string{lab.Embedded, "3.4.23", "3.6.16"} {
		t.Run(version, func(t *testing.T) {
			l := start(t, lab.Options{Version: version})
			m, err := l.AddLearner(patient(t))
			must(t, err)
			status, err := outsider(t, l, nil).Status(patient(t), m.ClientURL())
			must(t, err)
			if !status.IsLearner || status.Header.MemberId != m.ID() {
				t.Errorf("status of the learner: %v", status)
			}
		})
	}
}

func TestUnstarted(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Version: "3.5.35"})
	ctx := patient(t)
	id, peerURL, err := l.AddUnstarted(ctx)
	must(t, err)
	client, err := l.Client()
	must(t, err)
	members, err := client.MemberList(ctx)
	must(t, err)
	found := false
	for _, m := range members.Members {
		found = found || m.ID == id && m.Name == "" && slices.Equal(m.PeerURLs, []string{peerURL})
	}
	if !found {
		t.Errorf("no unstarted member in %v", members.Members)
	}
	_, err = l.AddLearner(ctx) // joins although one never came
	must(t, err)
}

func TestAuth(t *testing.T) {
	t.Parallel()
	for _, version := range []string{lab.Embedded, "3.4.23", "3.5.35", "3.6.16"} {
		t.Run(version, func(t *testing.T) {
			l := start(t, lab.Options{Version: version})
			ctx := patient(t)
			user := lab.User{Name: "reader", Password: "secret", Prefix: "/registry/"}
			must(t, l.EnableAuth(ctx, "rootsecret", user))
			client := outsider(t, l, func(c *clientv3.Config) { c.Username, c.Password = user.Name, user.Password })
			_, err := client.Get(ctx, "/registry/health")
			must(t, err)
			if _, err := client.Get(ctx, "health"); !errors.Is(err, rpctypes.ErrPermissionDenied) {
				t.Errorf("reading outside the prefix: %v", err)
			}
			must(t, l.Load(ctx, lab.LoadOptions{Keys: 20}))
			leader, err := l.Leader(ctx)
			must(t, err)
			must(t, l.Member(leader).Kill(), l.WaitReady(ctx), l.Member(leader).Restart(ctx), l.WaitReady(ctx))
		})
	}
}

func TestLearnerWithAuth(t *testing.T) {
	t.Parallel()
	for _, mode := range []lab.TLSMode{lab.MTLS, lab.ServerTLS, lab.Plain} {
		for _, version := range []string{lab.Embedded, "3.4.23", "3.5.35"} {
			l := start(t, lab.Options{Version: version, Members: 1, TLS: mode})
			ctx := patient(t)
			m, err := l.AddLearner(ctx)
			must(t, err)
			must(t, l.EnableAuth(ctx, "rootsecret"), m.Restart(ctx), l.WaitReady(ctx), l.Close())
		}
	}
}

func TestCertificateNamesTheUser(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Members: 1})
	ctx := patient(t)
	must(t, l.EnableAuth(ctx, "rootsecret", lab.User{Name: "reader", Prefix: "/registry/"}))
	cert, key, err := l.IssueClient(pki.Spec{CommonName: "reader"})
	must(t, err)
	pair, err := tls.LoadX509KeyPair(cert, key)
	must(t, err)
	client := outsider(t, l, func(c *clientv3.Config) { c.TLS.Certificates = []tls.Certificate{pair} })
	_, err = client.Get(ctx, "/registry/health")
	must(t, err)
}

func TestNoSpace(t *testing.T) {
	t.Parallel()
	for _, version := range []string{lab.Embedded, "3.4.23", "3.5.35", "3.6.16", "3.7.3"} {
		t.Run(version, func(t *testing.T) {
			options := lab.Options{Version: version, QuotaBytes: 16 << 20, Members: 1}
			if version == "3.6.16" {
				options.Members = 3
			}
			l := start(t, options)
			ctx := patient(t)
			must(t, l.FillToNoSpace(ctx))
			client, err := l.Client()
			must(t, err)
			if _, err := client.Put(ctx, "one", "more"); !errors.Is(err, rpctypes.ErrNoSpace) {
				t.Errorf("put into a full database: %v", err)
			}
			must(t, l.RecoverSpace(ctx))
			_, err = client.Put(ctx, "one", "more")
			must(t, err)
		})
	}
}

func TestClockSkew(t *testing.T) {
	t.Parallel()
	skews := map[int]time.Duration{0: 0, 1: 90 * time.Second, 2: -2500 * time.Millisecond}
	options := lab.Options{Version: "3.6.16", Member: map[int]lab.MemberOptions{}}
	for i, skew := range skews {
		options.Member[i] = lab.MemberOptions{ClockSkew: skew}
	}
	l := start(t, options)
	for i, skew := range skews {
		before := time.Now()
		date := dateOf(t, l, l.Member(i).HTTPURL())
		after := time.Now()
		// The header has whole seconds, cut off.
		if low, high := before.Add(skew-time.Second), after.Add(skew); date.Before(low) || date.After(high) {
			t.Errorf("member %d, skew %s: Date %s is not within %s and %s", i, skew, date, low, high)
		}
	}
}

// dateOf reads the Date header of a member's HTTP port.
func dateOf(t *testing.T, l *lab.Lab, base string) time.Time {
	t.Helper()
	secure, err := l.TLSConfig()
	must(t, err)
	transport := &http.Transport{TLSClientConfig: secure}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(patient(t), http.MethodGet, base+"/version", nil)
	must(t, err)
	response, err := transport.RoundTrip(request)
	must(t, err)
	response.Body.Close()
	date, err := http.ParseTime(response.Header.Get("Date"))
	must(t, err)
	return date
}

func TestGRPCOnlyClientPort(t *testing.T) {
	t.Parallel()
	for _, version := range []string{lab.Embedded, "3.5.35", "3.6.16", "3.7.3"} {
		t.Run(version, func(t *testing.T) {
			l := start(t, lab.Options{Version: version, Members: 1, Member: map[int]lab.MemberOptions{0: {GRPCOnly: true}}})
			m := l.Member(0)
			_, err := outsider(t, l, nil).Get(patient(t), "health")
			must(t, err)
			dateOf(t, l, m.HTTPURL())
			secure, err := l.TLSConfig()
			must(t, err)
			transport := &http.Transport{TLSClientConfig: secure}
			defer transport.CloseIdleConnections()
			request, err := http.NewRequestWithContext(patient(t), http.MethodGet, m.ClientURL()+"/version", nil)
			must(t, err)
			if response, err := transport.RoundTrip(request); err == nil {
				response.Body.Close()
				t.Errorf("the gRPC port answers HTTP with %s", response.Status)
			}
		})
	}
}

func TestHostileAdvertisedURL(t *testing.T) {
	t.Parallel()
	hostile := "http://169.254.169.254:80"
	l := start(t, lab.Options{Member: map[int]lab.MemberOptions{1: {Advertise: []string{hostile}}}})
	members, err := outsider(t, l, nil).MemberList(patient(t))
	must(t, err)
	for _, m := range members.Members {
		if m.ID == l.Member(1).ID() && !slices.Equal(m.ClientURLs, []string{hostile}) {
			t.Errorf("advertised %q", m.ClientURLs)
		}
	}
}

func TestOddServerCertificates(t *testing.T) {
	t.Parallel()
	odd := map[int]lab.ServerCert{
		0: {Spec: pki.Spec{NotAfter: time.Now().Add(-time.Hour)}},
		1: {Foreign: true},
		2: {Spec: pki.Spec{Hosts: []string{"etcd.example.org"}}},
	}
	for _, version := range []string{lab.Embedded, "3.6.16"} {
		options := lab.Options{Version: version, Member: map[int]lab.MemberOptions{}}
		for i, cert := range odd {
			options.Member[i] = lab.MemberOptions{ServerCert: &cert}
		}
		l := start(t, options)
		if err := handshake(t, l, 0, ""); !isInvalid(err, x509.Expired) {
			t.Errorf("expired certificate: %v", err)
		}
		if err := handshake(t, l, 1, ""); !errors.As(err, new(x509.UnknownAuthorityError)) {
			t.Errorf("foreign CA: %v", err)
		}
		if err := handshake(t, l, 2, ""); !errors.As(err, new(x509.HostnameError)) {
			t.Errorf("other server name: %v", err)
		}
		must(t, handshake(t, l, 2, "etcd.example.org"))

		// etcd reads the files again at every handshake.
		m := l.Member(0)
		sound, err := l.CA().Server(pki.Spec{CommonName: "renewed", Hosts: pki.Loopback()})
		must(t, err)
		must(t, sound.Write(m.ServerCert(), m.ServerKey()), handshake(t, l, 0, ""))
		must(t, l.Close())
	}
}

func isInvalid(err error, reason x509.InvalidReason) bool {
	var invalid x509.CertificateInvalidError
	return errors.As(err, &invalid) && invalid.Reason == reason
}

func handshake(t *testing.T, l *lab.Lab, i int, serverName string) error {
	t.Helper()
	secure, err := l.TLSConfig()
	must(t, err)
	secure.ServerName = serverName
	ctx, cancel := context.WithTimeout(patient(t), 10*time.Second)
	defer cancel()
	conn, err := (&tls.Dialer{Config: secure}).DialContext(ctx, "tcp", hostOf(t, l.Member(i).ClientURL()))
	if err == nil {
		conn.Close()
	}
	return err
}

func TestMixedVersions(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Version: "3.6.16", Member: map[int]lab.MemberOptions{0: {Version: "3.5.35"}}})
	status, err := outsider(t, l, nil).Status(patient(t), l.Member(0).ClientURL())
	must(t, err)
	if !strings.HasPrefix(status.Version, "3.5.") {
		t.Errorf("member 0 runs %s", status.Version)
	}
}
