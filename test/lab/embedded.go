// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"sync"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc"
)

// embedded is a member inside this process.
type embedded struct {
	etcd  *embed.Etcd
	log   *os.File
	ended chan struct{}
	once  sync.Once

	mu      sync.Mutex
	servers []*grpc.Server // to end their streams at once, which etcd does not
}

func startEmbedded(s settings) (runner, error) {
	log, err := os.OpenFile(s.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	e := &embedded{log: log, ended: make(chan struct{})}
	config, err := s.embedConfig(log)
	if err != nil {
		log.Close()
		return nil, err
	}
	config.ServiceRegister = func(server *grpc.Server) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.servers = append(e.servers, server)
	}
	if e.etcd, err = embed.StartEtcd(config); err != nil {
		log.Close()
		return nil, err
	}
	return e, nil
}

// embedConfig says what settings.flags says to a binary.
func (s settings) embedConfig(log io.Writer) (*embed.Config, error) {
	c := embed.NewConfig()
	c.Name, c.Dir = s.name, s.dataDir
	c.InitialCluster, c.ClusterState, c.InitialClusterToken = s.initialCluster, s.state, s.token
	c.TickMs, c.ElectionMs = uint(s.heartbeat.Milliseconds()), uint(s.election.Milliseconds())
	c.StrictReconfigCheck, c.BcryptCost = false, 4
	c.QuotaBackendBytes = s.quota
	c.UnsafeNoFsync = s.noFsync
	var err error
	for _, set := range []struct {
		target *[]url.URL
		urls   []string
	}{
		{&c.ListenClientUrls, []string{s.clientURL}},
		{&c.AdvertiseClientUrls, s.advertise},
		{&c.ListenPeerUrls, []string{s.peerURL}},
		{&c.AdvertisePeerUrls, []string{s.peerURL}},
	} {
		if *set.target, err = parseURLs(set.urls); err != nil {
			return nil, err
		}
	}
	if s.httpURL != s.clientURL {
		if c.ListenClientHttpUrls, err = parseURLs([]string{s.httpURL}); err != nil {
			return nil, err
		}
	}
	if s.tls != Plain {
		c.ClientTLSInfo = transport.TLSInfo{CertFile: s.serverCert, KeyFile: s.serverKey}
		c.PeerTLSInfo = transport.TLSInfo{CertFile: s.peerCert, KeyFile: s.peerKey, TrustedCAFile: s.caFile, ClientCertAuth: true}
	}
	if s.tls == MTLS {
		c.ClientTLSInfo.TrustedCAFile, c.ClientTLSInfo.ClientCertAuth = s.caFile, true
	}
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(quietLogger(log))
	return c, nil
}

// quietLogger writes to a file alone: not even its own failures reach stderr.
func quietLogger(log io.Writer) *zap.Logger {
	encoding := zap.NewProductionEncoderConfig()
	encoding.EncodeTime = zapcore.ISO8601TimeEncoder
	core := zapcore.NewCore(zapcore.NewJSONEncoder(encoding), zapcore.Lock(zapcore.AddSync(log)), zap.InfoLevel)
	return zap.New(core, zap.ErrorOutput(zapcore.AddSync(io.Discard)))
}

func parseURLs(texts []string) ([]url.URL, error) {
	var urls []url.URL
	for _, text := range texts {
		parsed, err := url.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("client URL: %w", err)
		}
		urls = append(urls, *parsed)
	}
	return urls, nil
}

func (e *embedded) done() <-chan struct{} { return e.ended }

func (e *embedded) pid() int { return 0 }

// kill comes as near to a kill as servers within a process can: connections
// break, leadership is not handed over.
func (e *embedded) kill() error {
	e.once.Do(func() {
		e.mu.Lock()
		servers := e.servers
		e.mu.Unlock()
		for _, server := range servers {
			server.Stop()
		}
		e.etcd.Server.HardStop()
		e.end()
	})
	<-e.ended
	return nil
}

func (e *embedded) stop(context.Context) error {
	e.once.Do(e.end) // bounded by etcd's own request timeout
	<-e.ended
	return nil
}

func (e *embedded) end() {
	e.etcd.Close()
	e.log.Close()
	close(e.ended)
}

func (e *embedded) pause() error  { return ErrEmbedded }
func (e *embedded) resume() error { return ErrEmbedded }
