// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cpu gives the CPU seconds that a process has used, from /proc.
func cpu(pid int) (float64, error) {
	fields, err := stat(pid)
	if err != nil {
		return 0, err
	}
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100, nil
}

// stat gives the fields of /proc/PID/stat behind the program's name.
func stat(pid int) ([]string, error) {
	text, err := os.ReadFile(proc(pid, "stat"))
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.Fields(rest), nil
}

func proc(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }

// held is the memory of a process in bytes: all that is resident, and the part of
// it that is backed by no file.
type held struct{ resident, anonymous float64 }

func memoryOf(pid int) (held, error) {
	text, err := os.ReadFile(proc(pid, "status"))
	if err != nil {
		return held{}, err
	}
	var h held
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		kilobytes, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		switch name {
		case "VmRSS":
			h.resident = kilobytes * 1024
		case "RssAnon":
			h.anonymous = kilobytes * 1024
		}
	}
	return h, nil
}

// family is the memory of a process and of its children. One that has not become
// a program of its own yet still shares all of its parent's memory.
func family(pid int) (held, error) {
	sum, err := memoryOf(pid)
	if err != nil {
		return held{}, err
	}
	own, _ := os.ReadFile(proc(pid, "cmdline"))
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return held{}, err
	}
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		fields, err := stat(child)
		if err != nil || fields[1] != strconv.Itoa(pid) {
			continue
		}
		if line, err := os.ReadFile(proc(child, "cmdline")); err != nil || string(line) == string(own) {
			continue
		}
		if h, err := memoryOf(child); err == nil {
			sum.resident, sum.anonymous = sum.resident+h.resident, sum.anonymous+h.anonymous
		}
	}
	return sum, nil
}

// sampled is the memory of a process and its children over some time.
type sampled struct{ resident, anonymous []float64 }

func (s sampled) most() held {
	return held{slices.Max(s.resident), slices.Max(s.anonymous)}
}

// sample looks every 5 ms while something is done.
func sample(pid int, while func() error) (sampled, error) {
	var s sampled
	done := make(chan error, 1)
	go func() { done <- while() }()
	every := time.NewTicker(5 * time.Millisecond)
	defer every.Stop()
	for {
		h, err := family(pid)
		if err != nil {
			return s, err
		}
		s.resident, s.anonymous = append(s.resident, h.resident), append(s.anonymous, h.anonymous)
		select {
		case err := <-done:
			return s, err
		case <-every.C:
		}
	}
}

// ended is a program that ran to its end.
type ended struct {
	wall   time.Duration
	cpu    time.Duration // of its children, too
	memory float64       // bytes that it, or the largest of its children, held at most
	exit   int
	output string
}

// tool runs a program; that it fails is for the caller to judge.
func tool(ctx context.Context, name string, args ...string) (ended, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	e := ended{wall: time.Since(begin), output: string(out)}
	if cmd.ProcessState == nil {
		return e, fmt.Errorf("%s: %w", name, err)
	}
	e.exit, e.cpu = cmd.ProcessState.ExitCode(), cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		e.memory = float64(usage.Maxrss) * 1024
	}
	return e, ctx.Err()
}

// succeed is tool for what must not fail.
func succeed(ctx context.Context, name string, args ...string) (ended, error) {
	e, err := tool(ctx, name, args...)
	if err == nil && e.exit != 0 {
		err = fmt.Errorf("%s: exit %d: %s", name, e.exit, e.output)
	}
	return e, err
}
