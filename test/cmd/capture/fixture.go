// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// fixture is one file of collector/testdata. The tests there read it with types
// of their own, strictly: a field that only one side knows is an error.
type fixture struct {
	Etcd      string            `json:"etcd"`
	State     string            `json:"state"`
	Endpoints []endpoint        `json:"endpoints"`
	Peers     map[string]string `json:"peers,omitempty"`  // peer URL: PEM chain, leaf first
	CAs       string            `json:"cas,omitempty"`    // PEM, of the CA file
	Client    string            `json:"client,omitempty"` // PEM, the exporter's own
}

// endpoint is what one client URL answered; what was not asked is left out.
type endpoint struct {
	URL          string            `json:"url"`
	Status       *etcd.Status      `json:"status,omitempty"`
	MemberList   *etcd.MemberList  `json:"member_list,omitempty"`
	Reads        []read            `json:"reads,omitempty"`
	Quota        int64             `json:"quota,omitempty"` // of its own /metrics
	Flags        map[string]string `json:"flags,omitempty"`
	Times        []serverTime      `json:"times,omitempty"`
	Certificates string            `json:"certificates,omitempty"` // PEM chain, leaf first
	Errors       map[string]fault  `json:"errors,omitempty"`       // by question
}

type read struct {
	Linearizable bool          `json:"linearizable,omitempty"`
	Revision     int64         `json:"revision,omitempty"`
	Took         time.Duration `json:"took,omitempty"` // nanoseconds
	Error        *fault        `json:"error,omitempty"`
}

type serverTime struct {
	Sent     time.Time `json:"sent"`
	Received time.Time `json:"received"`
	Date     string    `json:"date"`
	Source   string    `json:"source"`
}

// fault is a failed question: Reason is how etcd.Classify names it, Kind the
// sentinel it wraps.
type fault struct {
	Method   string `json:"method"`
	Code     string `json:"code"`
	Answered bool   `json:"answered,omitempty"`
	Reason   string `json:"reason"`
	Kind     string `json:"kind,omitempty"`
	Text     string `json:"text"`
}

func faultOf(err error) *fault {
	if err == nil {
		return nil
	}
	f := &fault{Reason: string(etcd.Classify(err)), Text: err.Error()}
	for kind, sentinel := range map[string]error{
		"compacted": etcd.ErrCompacted, "future": etcd.ErrFutureRevision,
		"denied": etcd.ErrPermissionDenied, "learner": etcd.ErrLearner,
	} {
		if errors.Is(err, sentinel) {
			f.Kind = kind
		}
	}
	if e, ok := errors.AsType[*etcd.Error](err); ok {
		f.Method, f.Code, f.Answered, f.Text = e.Method, e.Code, e.Answered, e.Err.Error()
	}
	return f
}

func chainPEM(chain []*x509.Certificate) string {
	var text bytes.Buffer
	for _, cert := range chain {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}) // a Buffer takes all
	}
	return text.String()
}

// write writes dir/COLLECTOR/VERSION[-STATE].json.
func (f fixture) write(dir, collector string) error {
	name := f.Etcd
	if f.State != healthy {
		name += "-" + f.State
	}
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, collector, name+".json")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
