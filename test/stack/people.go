// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// People stand for those whom Alertmanager tells: a webhook that keeps what it hears.
type People struct {
	URL string

	server *http.Server
	mu     sync.Mutex
	heard  []Notice
}

// Notice is one alert in one message to people.
type Notice struct {
	At     time.Time
	To     string            // critical, warning or info
	Status string            `json:"status"` // firing or resolved
	Labels map[string]string `json:"labels"`
}

// Name is the alert's name.
func (n Notice) Name() string { return n.Labels["alertname"] }

func startPeople(ctx context.Context) (*People, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &People{URL: "http://" + listener.Addr().String()}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: askTime}
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

func (p *People) close() { _ = p.server.Close() }

// ServeHTTP takes one message.
func (p *People) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var message struct {
		Alerts []Notice `json:"alerts"`
	}
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range message.Alerts {
		n.At, n.To = time.Now(), strings.Trim(r.URL.Path, "/")
		p.heard = append(p.heard, n)
	}
}

// Heard is what people were told since then.
func (p *People) Heard(since time.Time) []Notice {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.heard), func(n Notice) bool { return n.At.Before(since) })
}
