// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// proxy passes TCP on to a member, until Lose makes it forget the connections
// of the day without a word to either end, as a network does that was cut, or a
// machine that lost its power. New connections pass.
type proxy struct {
	URL string // of the member, by way of the proxy

	mu    sync.Mutex
	lost  chan struct{} // closed by Lose
	conns []net.Conn
}

func startProxy(t testing.TB, member string) *proxy {
	t.Helper()
	target, err := url.Parse(member)
	must(t, err)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{URL: strings.Replace(member, target.Host, listener.Addr().String(), 1), lost: make(chan struct{})}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", target.Host)
			if err != nil {
				near.Close()
				continue
			}
			lost := p.keep(near, far)
			serving.Go(func() { pass(near, far, lost) })
			serving.Go(func() { pass(far, near, lost) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.mu.Lock()
		for _, conn := range p.conns {
			conn.Close()
		}
		p.mu.Unlock()
		serving.Wait()
	})
	return p
}

// keep notes connections, to be closed with the test, and gives what tells that
// they are lost.
func (p *proxy) keep(conns ...net.Conn) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conns...)
	return p.lost
}

// Lose forgets the present connections: both ends stay open, nothing passes.
func (p *proxy) Lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.lost)
	p.lost = make(chan struct{})
}

// pass copies until either end closes; what comes after the loss is swallowed.
func pass(to, from net.Conn, lost <-chan struct{}) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-lost:
			if err != nil {
				return // and the other end does not learn of it
			}
			continue
		default:
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				from.Close()
				return
			}
		}
		if err != nil {
			from.Close()
			to.Close()
			return
		}
	}
}
