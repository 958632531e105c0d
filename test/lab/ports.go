// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// Free ports are sought below the range that outgoing connections get theirs
// from: a killed member's port must still be free when it comes back.
const (
	lowestPort  = 10240
	highestPort = 32000
)

// claims are the ports that a lab has for its life: a member that was killed must
// find its own again, and labs of other processes seek ports at the same time. Each
// is a locked file, which the kernel lets go with the process.
type claims struct {
	mu    sync.Mutex
	files []*os.File
}

// memberPorts returns the client, peer and HTTP port of member i.
func (c *claims) memberPorts(base, i int) ([3]int, error) {
	if base != 0 {
		first := base + 10*i
		return [3]int{first, first + 1, first + 2}, nil
	}
	var ports [3]int
	for n := range ports {
		port, err := c.freePort()
		if err != nil {
			return ports, err
		}
		ports[n] = port
	}
	return ports, nil
}

// freePort claims a port on which nobody listens.
func (c *claims) freePort() (int, error) {
	var last error
	for range 100 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		claim, err := claimPort(port)
		if err != nil {
			last = err
			continue
		}
		listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			last = err
			claim.Close()
			continue
		}
		listener.Close()
		c.mu.Lock()
		c.files = append(c.files, claim)
		c.mu.Unlock()
		return port, nil
	}
	return 0, errors.Join(errors.New("no free port"), last)
}

// claimPort locks the file that stands for a port.
func claimPort(port int) (*os.File, error) {
	dir := filepath.Join(os.TempDir(), "etcd-lab-ports")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("port %d is another lab's: %w", port, err)
	}
	return file, nil
}

func (c *claims) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, file := range c.files {
		file.Close()
	}
	c.files = nil
}

// url is the address of a port of this lab.
func (l *Lab) url(port int) string {
	scheme := "https"
	if l.options.TLS == Plain {
		scheme = "http"
	}
	return fmt.Sprintf("%s://127.0.0.1:%d", scheme, port)
}
