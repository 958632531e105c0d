// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/etcdops/etcdops/test/lab"
)

// listen serves raw connections with a handler until the test ends, and returns
// the address.
func listen(t *testing.T, handle func(ctx context.Context, conn net.Conn)) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	ctx := t.Context() // ends before the clean-up
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { conn.Close() })()
				handle(ctx, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// silent reads and never answers.
func silent(_ context.Context, conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// hangsUp closes at once.
func hangsUp(context.Context, net.Conn) {}

// garbage writes random bytes until the other side has enough.
func garbage(ctx context.Context, conn net.Conn) {
	noise := make([]byte, 16<<10)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	flood(ctx, conn, noise)
}

// flood writes without end; the pauses leave the processor to those who are
// under test.
func flood(ctx context.Context, conn net.Conn, block []byte) {
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for {
		if _, err := conn.Write(block); err != nil {
			return
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}

// prefixed hears the client out, writes a beginning and then the same line
// without end.
func prefixed(beginning, line string) func(context.Context, net.Conn) {
	return func(ctx context.Context, conn net.Conn) {
		if _, err := conn.Read(make([]byte, 4096)); err != nil {
			return
		}
		go io.Copy(io.Discard, conn)
		if _, err := io.WriteString(conn, beginning); err != nil {
			return
		}
		flood(ctx, conn, bytes.Repeat([]byte(line), 64<<10/len(line)+1))
	}
}

const okHead = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n"

// verdict is what is right to say of a hostile endpoint.
type verdict struct {
	reason string
	native int // status of /native
}

// hostileEndpoints are what may stand behind a URL by mistake or by malice.
func hostileEndpoints(t *testing.T) map[string]verdict {
	t.Helper()
	quiet := log.New(io.Discard, "", 0)
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html><h1>It works!</h1></html>") })
	away := http.RedirectHandler("http://169.254.169.254/latest", http.StatusFound)
	web, secure, redirect := httptest.NewServer(page), httptest.NewUnstartedServer(page), httptest.NewServer(away)
	secure.Config.ErrorLog = quiet
	secure.StartTLS()
	t.Cleanup(func() { web.Close(); secure.Close(); redirect.Close() })
	// SETTINGS, then PING for ever: HTTP/2 as it should be, and never an answer.
	const settings, ping = "\x00\x00\x00\x04\x00\x00\x00\x00\x00", "\x00\x00\x08\x06\x00\x00\x00\x00\x00ping...."
	return map[string]verdict{
		web.URL:      {"other", 502},
		redirect.URL: {"other", 502},
		secure.URL:   {"tls", 502},
		"http://" + serveGRPC(t, func(*grpc.Server) {}):                                 {"other", 502}, // has none of etcd's services
		"http://" + listen(t, silent):                                                   {"timeout", 504},
		"https://" + listen(t, silent):                                                  {"timeout", 504},
		"http://" + listen(t, hangsUp):                                                  {"other", 502},
		"http://" + listen(t, garbage):                                                  {"other", 502},
		"https://" + listen(t, garbage):                                                 {"tls", 502},
		"http://" + listen(t, prefixed(settings, ping)):                                 {"timeout", 502},
		"http://" + listen(t, prefixed("HTTP/1.1 200 OK\r\n", "X-Endless: header\r\n")): {"other", 502},
		"http://" + listen(t, prefixed(okHead, "etcd_server_quota_backend 1\n")):        {"other", 200},
	}
}

// TestHostileEndpoints puts one good member beside all of them.
func TestHostileEndpoints(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 1, TLS: lab.Plain})
	good := l.Endpoints()[0]
	lone := startExporter(t, "--etcd.endpoints="+good)
	want := lone.Scrape("/metrics").Of(good)

	hostile := hostileEndpoints(t)
	flag := "--etcd.endpoints=" + good
	for u := range hostile {
		flag += "," + u
	}
	e := startExporter(t, flag, "--scrape.timeout=2s")
	var goroutines []float64
	for range 4 {
		s := e.Scrape("/metrics")
		if s.Took > 3*time.Second {
			t.Errorf("the scrape took %s", s.Took)
		}
		if got := s.Of(good); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the good member has %v, want %v", got, want)
		}
		check(t, s.Up(good), healthy(s, 1, good), s.Want(1, "cluster_members", "role", "voter"), s.Want(1, "cluster_voters_healthy"), collectors(s))
		for u, v := range hostile {
			check(t, s.Down(u, v.reason))
		}
		if rss := s.Value("process_resident_memory_bytes"); rss > 120<<20 && !raced {
			t.Errorf("%.0f MiB resident", rss/(1<<20))
		}
		goroutines = append(goroutines, s.Value("go_goroutines"))
	}
	if first, last := goroutines[1], goroutines[3]; last > first+20 {
		t.Errorf("goroutines grow: %v", goroutines)
	}
	for u, v := range hostile {
		check(t, logsOnce(e, "endpoint is down", "url="+u+" ", "reason="+v.reason))
	}
	for line := range strings.Lines(e.Log()) {
		if len(line) > 2000 {
			t.Errorf("a log line of %d bytes: %.300s", len(line), line)
		}
	}
	t.Run("native", func(t *testing.T) { hostileNative(t, e, hostile) })
}

// hostileNative streams nothing that is not metrics, and nothing without end.
func hostileNative(t *testing.T, e *Exporter, hostile map[string]verdict) {
	var wg sync.WaitGroup
	for u, v := range hostile {
		wg.Go(func() { check(t, nativeOf(t, e, u, v)) })
	}
	wg.Wait()
	if rss := e.Scrape("/metrics").Value("process_resident_memory_bytes"); rss > 120<<20 && !raced {
		t.Errorf("%.0f MiB resident after streaming", rss/(1<<20))
	}
}

func nativeOf(t *testing.T, e *Exporter, u string, v verdict) error {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.URL+"/native?cluster=default&url="+u, nil)
	if err != nil {
		return err
	}
	response, err := e.Client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	switch {
	case response.StatusCode != v.native:
		return fmt.Errorf("/native of %s (%s) answers %d, want %d", u, v.reason, response.StatusCode, v.native)
	case v.native == http.StatusOK && (err == nil || n > 40<<20): // cut, so that a scraper takes it for a failure
		return fmt.Errorf("/native of %s streams %d bytes and ends with %w", u, n, err)
	}
	return nil
}

// liar speaks etcd's own protocol and says whatever may hurt.
type liar struct {
	pb.UnimplementedMaintenanceServer
	pb.UnimplementedClusterServer
	pb.UnimplementedKVServer
	members []*pb.Member
}

const nasty = "<script>alert(1)</script>\"\n\\ \u202e"

func (liar) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	return &pb.StatusResponse{
		Header:  &pb.ResponseHeader{ClusterId: 1, MemberId: 2, Revision: -5, RaftTerm: 1 << 63},
		Version: nasty + strings.Repeat("9", 10000), DbSize: -1, DbSizeInUse: 1 << 62, Leader: 2, RaftIndex: 1<<64 - 1, RaftAppliedIndex: 1<<64 - 1,
		Errors: []string{"memberID:1 alarm:NOSPACE ", nasty, "memberID:99999999999999999999999 alarm:CORRUPT", strings.Repeat("memberID:3 alarm:NOSPACE ", 1000)},
	}, nil
}

func (l liar) MemberList(context.Context, *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	return &pb.MemberListResponse{Header: &pb.ResponseHeader{ClusterId: 1, MemberId: 2}, Members: l.members}, nil
}

func (liar) Range(context.Context, *pb.RangeRequest) (*pb.RangeResponse, error) {
	return &pb.RangeResponse{}, nil
}

// startLiar starts one whose member list has so many rows, and returns its URL.
func startLiar(t *testing.T, rows int) string {
	t.Helper()
	lying := liar{}
	for i := range rows {
		lying.members = append(lying.members, &pb.Member{
			ID: uint64(i + 1), Name: fmt.Sprint(nasty, i), PeerURLs: []string{"https://127.0.0.1:1"}, ClientURLs: []string{fmt.Sprintf("http://127.0.0.1:%d", i+1)},
		})
	}
	return "http://" + serveGRPC(t, func(server *grpc.Server) {
		pb.RegisterMaintenanceServer(server, lying)
		pb.RegisterClusterServer(server, lying)
		pb.RegisterKVServer(server, lying)
	})
}

func serveGRPC(t *testing.T, register func(*grpc.Server)) string {
	t.Helper()
	server := grpc.NewServer()
	register(server)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

// harmless is an error where the landing page shows hostile text as it is.
func harmless(e *Exporter) error {
	e.t.Helper()
	a := e.Get("/")
	if strings.Contains(a.Body, "<script") || strings.Contains(a.Body, "\u202e") {
		return errors.New("the landing page shows what a member says as it is")
	}
	return answers(a, 200)
}

// TestHostileLiar shows a member that lies to cost its own series alone, beside
// two that tell the truth.
func TestHostileLiar(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 2, TLS: lab.Plain})
	u, urls := startLiar(t, 300), l.Endpoints()
	e := startExporter(t, "--etcd.endpoints="+strings.Join(urls, ",")+","+u, "--etcd.discover")
	for range 3 {
		s := e.Scrape("/metrics")
		check(t, knows(s, urls[0], urls[1], u), s.Up(u), s.Want(2, "cluster_members", "role", "voter"), s.Want(2, "cluster_voters_healthy"),
			s.Want(2, "cluster_views", "of", "membership"), s.Want(1, "cluster_endpoints_unlisted"))
		for _, good := range urls {
			check(t, s.Up(good), healthy(s, 1, good))
		}
		if len(s.Text) > 200<<10 {
			t.Errorf("the scrape has %d bytes", len(s.Text))
		}
	}
	check(t, harmless(e))
}

// TestHostileLiarAlone believes a liar as far as is harmless.
func TestHostileLiarAlone(t *testing.T) {
	t.Parallel()
	for name, rows := range map[string]int{"many members": 300, "impossibly many": 20000} {
		t.Run(name, func(t *testing.T) {
			u := startLiar(t, rows)
			e := startExporter(t, "--etcd.endpoints="+u, "--etcd.discover", "--scrape.timeout=2s")
			for range 2 {
				s := e.Scrape("/metrics")
				check(t, s.Up(u))
				if n := s.Count("endpoint_up"); n > 65 {
					t.Errorf("%d endpoints", n)
				}
				if n := len(s.Text); n > 4<<20 {
					t.Errorf("the scrape has %d bytes", n)
				}
				if rss := s.Value("process_resident_memory_bytes"); rss > 150<<20 && !raced {
					t.Errorf("%.0f MiB resident", rss/(1<<20))
				}
			}
			check(t, harmless(e))
		})
	}
}
