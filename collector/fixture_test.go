// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// fixture is one file of testdata, recorded from real etcd by test/cmd/capture.
type fixture struct {
	Etcd      string             `json:"etcd"`
	State     string             `json:"state"`
	Endpoints []capturedEndpoint `json:"endpoints"`
	Peers     map[string]string  `json:"peers"`  // peer URL: PEM chain, leaf first
	CAs       string             `json:"cas"`    // PEM, of the CA file
	Client    string             `json:"client"` // PEM, the exporter's own
}

type capturedEndpoint struct {
	URL          string                   `json:"url"`
	Status       *etcd.Status             `json:"status"`
	MemberList   *etcd.MemberList         `json:"member_list"`
	Reads        []capturedRead           `json:"reads"`
	Quota        int64                    `json:"quota"`
	Flags        map[string]string        `json:"flags"`
	Times        []capturedTime           `json:"times"`
	Certificates string                   `json:"certificates"`
	Errors       map[string]capturedError `json:"errors"` // by question
}

type capturedRead struct {
	Linearizable bool           `json:"linearizable"`
	Revision     int64          `json:"revision"`
	Took         time.Duration  `json:"took"`
	Error        *capturedError `json:"error"`
}

type capturedTime struct {
	Sent     time.Time `json:"sent"`
	Received time.Time `json:"received"`
	Date     string    `json:"date"`
	Source   string    `json:"source"`
}

type capturedError struct {
	Method   string `json:"method"`
	Code     string `json:"code"`
	Answered bool   `json:"answered"`
	Reason   string `json:"reason"`
	Kind     string `json:"kind"`
	Text     string `json:"text"`
}

// load reads a fixture strictly, so that a field that capture writes and nobody
// reads shows.
func load(t *testing.T, file string) fixture {
	t.Helper()
	r, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	var f fixture
	if err := decoder.Decode(&f); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return f
}

// world replays a fixture. Call it in the bubble in which the scrape runs.
func (f fixture) world(t *testing.T) *world {
	t.Helper()
	w := &world{memory: etcd.NewMemory()}
	for _, c := range f.Endpoints {
		fake := w.add(c.URL)
		fake.quota, fake.flags = c.Quota, c.Flags
		fake.chain = parseChain(t, c.Certificates)
		for question, e := range c.Errors {
			fake.fail[question] = e.error(t)
		}
		if c.Status != nil {
			fake.status = *c.Status
		}
		if c.MemberList != nil {
			fake.list = *c.MemberList
		}
		for _, r := range c.Reads {
			fake.replayRead(t, r)
		}
		fake.date = replayTimes(t, c.Times)
	}
	w.deps = f.deps(t)
	return w
}

func (f fixture) deps(t *testing.T) Deps {
	t.Helper()
	background := NewBackground(t.Context())
	t.Cleanup(background.Close)
	return Deps{
		Background: background, Log: slog.New(slog.DiscardHandler),
		Certificates: func() (*x509.Certificate, []*x509.Certificate) {
			return parseChain(t, f.Client)[0], parseChain(t, f.CAs)
		},
		PeerCertificates: func(_ context.Context, _ etcd.Member, peerURL string) ([]*x509.Certificate, error) {
			return parseChain(t, f.Peers[peerURL]), nil
		},
	}
}

// replayRead takes over one recorded read. The reads at revisions are the ends of
// each stretch of equal answers, so that the lowest readable one says it all.
func (f *fakeAPI) replayRead(t *testing.T, r capturedRead) {
	t.Helper()
	question := qSerializable
	if r.Linearizable {
		question = qLinearizable
	}
	switch {
	case r.Revision == 0:
		f.took[question] = r.Took
		if r.Error != nil {
			f.fail[question] = r.Error.error(t)
		}
	case r.Error != nil && r.Error.Kind == "compacted":
		f.compacted = r.Revision + 1
	case r.Error != nil && r.Revision <= f.status.Revision:
		t.Errorf("recorded read at revision %d of %d: %s", r.Revision, f.status.Revision, r.Error.Text)
	}
}

// replayTimes moves recorded instants to the bubble's time, by whole seconds: the
// phase of each within its second is what the estimate lives on.
func replayTimes(t *testing.T, times []capturedTime) func(context.Context) (etcd.ServerTime, error) {
	t.Helper()
	if len(times) == 0 {
		return nil
	}
	start := time.Now()
	base := times[0].Sent.Truncate(time.Second)
	next := 0
	return func(ctx context.Context) (etcd.ServerTime, error) {
		if next == len(times) {
			return etcd.ServerTime{}, errors.New("no more times were recorded")
		}
		at := times[next]
		next++
		date, err := time.Parse(time.RFC1123, at.Date)
		if err != nil {
			return etcd.ServerTime{}, err
		}
		sent, received := start.Add(at.Sent.Sub(base)), start.Add(at.Received.Sub(base))
		wait(ctx, time.Until(received))
		moved := start.Add(date.Sub(base)).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
		return etcd.ServerTime{Sent: sent, Received: received, Date: moved, Source: at.Source}, nil
	}
}

func (e capturedError) error(t *testing.T) error {
	t.Helper()
	var cause error
	switch {
	case e.Kind != "":
		cause = map[string]error{
			"compacted": etcd.ErrCompacted, "future": etcd.ErrFutureRevision,
			"denied": etcd.ErrPermissionDenied, "learner": etcd.ErrLearner,
		}[e.Kind]
	case e.Reason == string(etcd.ReasonRefused):
		cause = errRefused
	case e.Reason == string(etcd.ReasonTimeout):
		cause = context.DeadlineExceeded
	case e.Reason == string(etcd.ReasonOther):
		cause = errors.New(e.Text)
	}
	if cause == nil {
		t.Fatalf("recorded error %+v cannot be replayed", e)
	}
	if e.Method == "" { // an HTTP request
		return fmt.Errorf("%s: %w", e.Text, cause)
	}
	err := &etcd.Error{Method: e.Method, Code: e.Code, Answered: e.Answered, Err: cause}
	if got := string(etcd.Classify(err)); got != e.Reason {
		t.Fatalf("recorded error %+v classifies as %s", e, got)
	}
	return err
}

// errRefused is what dialing a port gives that nobody listens on.
var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

func parseChain(t *testing.T, text string) []*x509.Certificate {
	t.Helper()
	var chain []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return chain
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, cert)
	}
}
