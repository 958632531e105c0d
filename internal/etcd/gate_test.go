// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"net"
	"sync"
	"testing"
)

// gate forwards TCP connections and can be told to stop doing so.
type gate struct {
	address string

	mu        sync.Mutex
	open      chan struct{} // closed while bytes pass
	swallowed map[*bool]struct{}
	all       []net.Conn
}

func startGate(t *testing.T, to string) *gate {
	t.Helper()
	listener := listen(t, "127.0.0.1:0")
	g := &gate{address: listener.Addr().String(), open: make(chan struct{}), swallowed: map[*bool]struct{}{}}
	close(g.open)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := new(net.Dialer).DialContext(t.Context(), "tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			dead := new(bool)
			g.mu.Lock()
			g.swallowed[dead] = struct{}{}
			g.all = append(g.all, in, out)
			g.mu.Unlock()
			running.Go(func() { g.pass(in, out, dead) })
			running.Go(func() { g.pass(out, in, dead) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		g.thaw()
		g.mu.Lock()
		for _, conn := range g.all {
			conn.Close()
		}
		g.mu.Unlock()
		running.Wait()
	})
	return g
}

func (g *gate) pass(from, to net.Conn, dead *bool) {
	defer to.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		g.mu.Lock()
		open, swallow := g.open, *dead
		g.mu.Unlock()
		<-open
		if err != nil {
			return
		}
		if swallow {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// swallow makes the present connections lead nowhere, for good and unnoticed.
func (g *gate) swallow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for dead := range g.swallowed {
		*dead = true
	}
}

// freeze holds everything up until thaw, as a stopped process does.
func (g *gate) freeze() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *gate) thaw() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
	default:
		close(g.open)
	}
}

// startHostile hands each connection to serve, which may do anything with it, and
// gives the address.
func startHostile(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener := listen(t, "127.0.0.1:0")
	var mu sync.Mutex
	var all []net.Conn
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, conn := range all {
			conn.Close()
		}
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			all = append(all, conn)
			mu.Unlock()
			go serve(conn)
		}
	}()
	return listener.Addr().String()
}
