// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Free ports are sought below the range that outgoing connections get theirs
// from: a killed member's port must still be free when it comes back.
const (
	lowestPort  = 10240
	highestPort = 32000
)

// memberPorts returns the client, peer and HTTP port of member i.
func memberPorts(base, i int) ([3]int, error) {
	if base != 0 {
		first := base + 10*i
		return [3]int{first, first + 1, first + 2}, nil
	}
	var ports [3]int
	for n := range ports {
		port, held, err := freePort()
		if err != nil {
			return ports, err
		}
		defer held.Close() // until all three are found
		ports[n] = port
	}
	return ports, nil
}

// freePort finds a port on which nobody listens and returns its listener.
func freePort() (int, net.Listener, error) {
	var last error
	for range 100 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		held, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err == nil {
			return port, held, nil
		}
		last = err
	}
	return 0, nil, errors.Join(errors.New("no free port"), last)
}

// url is the address of a port of this lab.
func (l *Lab) url(port int) string {
	scheme := "https"
	if l.options.TLS == Plain {
		scheme = "http"
	}
	return fmt.Sprintf("%s://127.0.0.1:%d", scheme, port)
}
