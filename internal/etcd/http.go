// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// clockPath is a path etcd does not serve: a 404 carries a Date and reads no
	// backend, so that it is answered even in the middle of a defragmentation.
	clockPath = "/etcdops/clock"
	// maxMetrics bounds one /metrics answer; a busy member's is about 200 KiB.
	maxMetrics = 32 << 20
	maxHeader  = 64 << 10

	// dialTimeout bounds the making of an HTTP connection, handshake included.
	dialTimeout = 3 * time.Second

	quotaAge      = 10 * time.Minute // the flag can only change with a restart
	quotaRetryAge = time.Minute
	quotaMetric   = "etcd_server_quota_backend_bytes "
)

// httpSide is the HTTP face of an endpoint: its client port, or the metrics URL
// that is configured for it.
type httpSide struct {
	base   string
	source string
	client *http.Client
	port   *httpSide // the client port, where this is a metrics URL
	shut   atomic.Bool

	mu        sync.Mutex
	quota     int64
	quotaErr  error
	quotaNext time.Time
}

func newHTTPSide(u *url.URL, cfg *Config, d *dialer) (*httpSide, error) {
	port := newSide(u, SourceClient, d)
	configured := cfg.MetricsURLs[u.String()]
	if configured == "" {
		return port, nil
	}
	m, err := url.Parse(strings.TrimSuffix(strings.TrimSuffix(configured, "/"), "/metrics"))
	if err != nil {
		return nil, fmt.Errorf("metrics URL of %s: %w", u, err)
	}
	side := newSide(m, SourceMetrics, newDialer(m, d.secrets, nil))
	side.port = port
	return side, nil
}

func newSide(base *url.URL, source string, d *dialer) *httpSide {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		// The transport goes on with a dial whose request has ended.
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		conn, err := d.connect(ctx)
		if err != nil {
			return nil, err
		}
		return &quietConn{Conn: conn}, nil
	}
	client := &http.Client{
		Transport: &http.Transport{ // Proxy stays nil: no proxy variable is read
			DialContext:            dial,
			DialTLSContext:         dial,
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        5 * time.Minute,
			DisableCompression:     true, // what the scraper accepts is passed on
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &httpSide{base: base.String(), source: source, client: client}
}

// renew lets the next request make a new connection, with the present secrets.
func (s *httpSide) renew() {
	s.client.CloseIdleConnections()
	if s.port != nil {
		s.port.renew()
	}
}

// close ends the connections; one that is in use ends with its request.
func (s *httpSide) close() {
	s.shut.Store(true)
	s.client.CloseIdleConnections()
	if s.port != nil {
		s.port.close()
	}
}

// ServerTime reads the Date header of the endpoint's HTTP answer. The instants
// are taken when the connection was ready and when the first byte came back, so
// that a handshake does not widen the reading.
func (c *Client) ServerTime(ctx context.Context) (ServerTime, error) {
	at := ServerTime{Source: c.http.source}
	trace := &httptrace.ClientTrace{
		GotConn:              func(httptrace.GotConnInfo) { at.Sent = time.Now() },
		GotFirstResponseByte: func() { at.Received = time.Now() },
		// It would come before the answer whose Date is read.
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { return fmt.Errorf("unexpected status %d", code) },
	}
	resp, err := c.http.get(httptrace.WithClientTrace(ctx, trace), http.MethodHead, clockPath, "")
	if err != nil {
		return ServerTime{}, fmt.Errorf("read clock of %s: %w", c.url, err)
	}
	_ = resp.Body.Close()
	if at.Date = resp.Header.Get("Date"); at.Date == "" {
		return ServerTime{}, fmt.Errorf("read clock of %s: %s has no Date header", c.url, c.http.base)
	}
	return at, nil
}

// Metrics asks for the endpoint's own /metrics. The caller closes the body,
// which ends with an error when it grows beyond 32 MiB.
func (c *Client) Metrics(ctx context.Context, encoding string) (*http.Response, error) {
	resp, err := c.http.get(ctx, http.MethodGet, "/metrics", encoding)
	if err != nil {
		return nil, fmt.Errorf("fetch metrics of %s: %w", c.url, err)
	}
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("fetch metrics of %s: %s/metrics answers %q of type %.40q, not metrics",
			c.url, c.http.base, resp.Status, resp.Header.Get("Content-Type"))
	}
	resp.Body = &bounded{ReadCloser: resp.Body, left: maxMetrics}
	return resp, nil
}

// Quota reads etcd_server_quota_backend_bytes (bytes) out of /metrics, for the
// versions whose Status does not say it. The answer is kept for ten minutes.
func (c *Client) Quota(ctx context.Context) (int64, error) {
	s := c.http
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.quotaNext) {
		return s.quota, s.quotaErr
	}
	s.quota, s.quotaErr = c.readQuota(ctx)
	s.quotaNext = time.Now().Add(quotaAge)
	if s.quotaErr != nil {
		s.quotaNext = time.Now().Add(quotaRetryAge)
	}
	return s.quota, s.quotaErr
}

func (c *Client) readQuota(ctx context.Context) (int64, error) {
	resp, err := c.Metrics(ctx, "")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		text, found := strings.CutPrefix(lines.Text(), quotaMetric)
		if !found {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			return 0, fmt.Errorf("read quota of %s: %w", c.url, err)
		}
		if !(value >= 0 && value < math.MaxInt64) { // NaN as well
			return 0, fmt.Errorf("read quota of %s: %.40q is no number of bytes", c.url, text)
		}
		return int64(value), nil
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("read quota of %s: %w", c.url, err)
	}
	return 0, fmt.Errorf("read quota of %s: its metrics do not have it", c.url)
}

func (s *httpSide) get(ctx context.Context, method, path, encoding string) (*http.Response, error) {
	if s.shut.Load() {
		return nil, errClosed
	}
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, nil)
	if err != nil {
		return nil, err
	}
	if encoding != "" {
		req.Header.Set("Accept-Encoding", encoding)
	}
	req.Header.Set("Accept", "text/plain")
	req.Header.Set("User-Agent", "etcdops")
	resp, err := s.client.Do(req)
	if asked, ok := errors.AsType[*url.Error](err); ok { // it would name the URL a second time
		err = asked.Err
	}
	if err != nil {
		return nil, clipped{err}
	}
	return resp, nil
}

// clipped is an error whose text may hold what a server sent: it is cut.
type clipped struct{ error }

func (c clipped) Error() string {
	return fmt.Sprintf("%.200s", strings.ToValidUTF8(c.error.Error(), "\uFFFD"))
}
func (c clipped) Unwrap() error { return c.error }

// bounded ends a body that grows without end.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("more than %d bytes", maxMetrics)
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}

// quietConn refuses what a server says before it was asked anything. A client
// port for gRPC alone begins with its HTTP/2 settings; net/http would write them
// to the standard log, at each sample of the clock.
type quietConn struct {
	net.Conn
	asked atomic.Bool
}

func (c *quietConn) Write(p []byte) (int, error) {
	c.asked.Store(true)
	return c.Conn.Write(p)
}

func (c *quietConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.asked.Load() {
		return 0, errSpeaksFirst
	}
	return n, err
}
