// SPDX-License-Identifier: Apache-2.0

//go:build linux

package operations

import (
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// standinEnv makes this test program a stand-in: systemctl.
const standinEnv = "LAB_STANDIN"

// What systemd grants a unit by default.
const unitTime = 90 * time.Second

// units stands in for systemd on all hosts of a page.
type units struct {
	place   *place
	nursery *nursery
	socket  string

	mu      sync.Mutex
	running map[string]*service
}

// service is a unit that was started.
type service struct {
	cmd          *exec.Cmd
	ready, ended chan struct{}
}

// Request is a call of systemctl, Reply its answer.
type (
	Request struct {
		Host string
		Args []string
	}
	Reply struct {
		Output string
		Status int
	}
)

func newUnits(t *testing.T, l *place) *units {
	t.Helper()
	u := &units{place: l, nursery: newNursery(), socket: filepath.Join(l.dir, "systemd"), running: map[string]*service{}}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: u.socket, Net: "unix"})
	must(t, err)
	server := rpc.NewServer()
	must(t, server.RegisterName("Systemd", &manager{u}))
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return // the page is over
			}
			go server.ServeConn(connection)
		}
	}()
	t.Cleanup(func() {
		must(t, listener.Close())
		for _, s := range u.running {
			_ = s.signal(syscall.SIGKILL)
			<-s.ended
		}
		close(u.nursery.commands)
	})
	return u
}

// manager is what of the units may be called from outside.
type manager struct{ units *units }

// Call does what one systemctl command says.
func (m *manager) Call(r Request, reply *Reply) error {
	var names []string
	noBlock, signal := false, syscall.SIGTERM
	for i, arg := range r.Args {
		switch {
		case arg == "--no-block":
			noBlock = true
		case strings.HasSuffix(arg, "KILL"): // -s KILL, --signal=SIGKILL
			signal = syscall.SIGKILL
		case !strings.HasPrefix(arg, "-") || i == 0:
			names = append(names, strings.TrimSuffix(arg, ".service"))
		}
	}
	if len(names) == 1 && names[0] == "daemon-reload" {
		return nil
	}
	if len(names) < 2 {
		return fmt.Errorf("systemctl %q is not known here", r.Args)
	}
	for _, name := range names[1:] {
		if err := m.units.do(names[0], r.Host, name, noBlock, signal, reply); err != nil {
			reply.Output, reply.Status = reply.Output+err.Error()+"\n", 1
		}
	}
	return nil
}

func (u *units) do(verb, host, name string, noBlock bool, signal syscall.Signal, reply *Reply) error {
	switch verb {
	case "enable", "disable":
		return nil
	case "start":
		return u.start(host, name, !noBlock)
	case "stop":
		return u.stop(host, name)
	case "restart":
		return errors.Join(u.stop(host, name), u.start(host, name, !noBlock))
	case "kill":
		s := u.find(host, name)
		if s == nil {
			return fmt.Errorf("Unit %s.service not loaded.", name) //nolint:revive // systemctl's words
		}
		err := s.signal(signal)
		<-s.ended
		return err
	case "is-active":
		state := u.state(host, name)
		reply.Output += state + "\n"
		if state != "active" {
			reply.Status = 3
		}
		return nil
	}
	return fmt.Errorf("systemctl %s is not known here", verb)
}

func (u *units) find(host, name string) *service {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.running[host+"."+name]
}

func (u *units) state(host, name string) string {
	s := u.find(host, name)
	if s == nil {
		return "inactive"
	}
	select {
	case <-s.ended:
		if s.cmd.ProcessState.Success() || s.stopped() {
			return "inactive"
		}
		return "failed"
	default:
	}
	select {
	case <-s.ready:
		return "active"
	default:
		return "activating"
	}
}

// stopped tells whether SIGTERM ended it.
func (s *service) stopped() bool {
	status, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGTERM
}

// start starts a unit that does not run, and waits until it says that it is ready.
func (u *units) start(host, name string, wait bool) error {
	s := u.find(host, name)
	if state := u.state(host, name); state != "active" && state != "activating" {
		var err error
		if s, err = u.launch(host, name); err != nil {
			return err
		}
	}
	if !wait {
		return nil
	}
	select {
	case <-s.ready:
		return nil
	case <-s.ended:
		//nolint:revive // systemctl's words
		return fmt.Errorf("Job for %s.service failed because the control process exited with error code.", name)
	case <-time.After(unitTime):
		//nolint:revive // systemctl's words
		return errors.Join(s.signal(syscall.SIGKILL), fmt.Errorf("Job for %s.service failed because a timeout was exceeded.", name))
	}
}

// launch runs a unit's program with what is in its environment file.
func (u *units) launch(host, name string) (*service, error) {
	home := u.place.home(host)
	text, err := os.ReadFile(filepath.Join(home, "etc", "default", name))
	if err != nil {
		return nil, err
	}
	notify := filepath.Join(u.place.dir, host+"."+name+".notify")
	if err := os.RemoveAll(notify); err != nil {
		return nil, err
	}
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(u.log(host, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	program := filepath.Join(home, "usr", "local", "bin", name)
	s := &service{ready: make(chan struct{}), ended: make(chan struct{})}
	environment := append(variables(string(text)), "NOTIFY_SOCKET="+notify, "ETCD_UNSUPPORTED_ARCH="+runtime.GOARCH)
	s.cmd = &exec.Cmd{Path: program, Args: []string{program}, Dir: home, Stdout: log, Stderr: log, Env: environment}
	if err := u.nursery.start(s.cmd); err != nil {
		return nil, err
	}
	go s.listen(socket)
	go func() {
		_ = s.cmd.Wait() // its state tells
		close(s.ended)
		socket.Close()
	}()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.running[host+"."+name] = s
	return s, nil
}

// variables reads an environment file.
func variables(text string) []string {
	var found []string
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(name, "#") {
			found = append(found, name+"="+strings.Trim(value, `"'`))
		}
	}
	return found
}

// listen waits for the program's word that it is ready.
func (s *service) listen(socket *net.UnixConn) {
	buffer := make([]byte, 4096)
	for {
		n, err := socket.Read(buffer)
		if err != nil {
			return // it has ended
		}
		if slices.Contains(strings.Split(string(buffer[:n]), "\n"), "READY=1") {
			close(s.ready)
			return
		}
	}
}

func (u *units) stop(host, name string) error {
	s := u.find(host, name)
	if s == nil {
		return nil
	}
	err := s.signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(unitTime):
		err = errors.Join(err, s.signal(syscall.SIGKILL))
		<-s.ended
	}
	return err
}

// signal reaches the whole process group. That it is gone already is no error.
func (s *service) signal(signal syscall.Signal) error {
	select {
	case <-s.ended:
		return nil
	default:
	}
	if err := syscall.Kill(-s.cmd.Process.Pid, signal); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

func (u *units) log(host, name string) string {
	return filepath.Join(u.place.dir, host+"."+name+".log")
}

// logs are the last lines of each unit, for a page that fails.
func (u *units) logs() string {
	var all strings.Builder
	files, _ := filepath.Glob(filepath.Join(u.place.dir, "*.log"))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		fmt.Fprintf(&all, "%s:\n%s\n", filepath.Base(file), strings.Join(lines[max(0, len(lines)-6):], "\n"))
	}
	return all.String()
}

// askUnits is systemctl: it asks the units of the test that started the page.
func askUnits(args []string) int {
	client, err := rpc.Dial("unix", os.Getenv("LAB_SOCKET"))
	if err == nil {
		defer client.Close()
		var reply Reply
		if err = client.Call("Systemd.Call", Request{Host: os.Getenv("LAB_HOST"), Args: args}, &reply); err == nil {
			fmt.Print(reply.Output)
			return reply.Status
		}
	}
	fmt.Fprintln(os.Stderr, "systemctl:", err)
	return 1
}
