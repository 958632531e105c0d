// SPDX-License-Identifier: Apache-2.0

// Command etcd_demo shows the loop to a person: a lab of etcd members, the exporter,
// Prometheus, Alertmanager and the remediator, something that goes wrong, and what each
// of them does about it, told in the terminal.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/etcdops/etcdops/test/lab"
	"github.com/etcdops/etcdops/test/stack"
)

const help = `Starts etcd, etcd_exporter, Prometheus, Alertmanager and etcd_remediator, breaks etcd
on Enter or by itself, tells who does what about it, and stops all on Ctrl-C.`

// flags are the command line.
type flags struct {
	root   string
	after  time.Duration
	events int
	once   bool
	scale  float64
}

func main() {
	f := &flags{}
	app := kingpin.New("etcd_demo", help)
	app.HelpFlag.Short('h')
	app.Flag("root", "Of the repository, with bin/ and .tools/ made.").Default("..").StringVar(&f.root)
	app.Flag("after", "Flood etcd by itself after that time.").Default("1m").DurationVar(&f.after)
	app.Flag("events", "How many events a flood writes.").Default("20000").IntVar(&f.events)
	app.Flag("once", "End after the first cure.").BoolVar(&f.once)
	app.Flag("scale", "By what the times of the alerts are divided, at most 60.").Default("60").Float64Var(&f.scale)
	kingpin.MustParse(app.Parse(os.Args[1:]))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
	if err := run(ctx, f, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "etcd_demo:", err)
		os.Exit(1)
	}
}

// keys is how many keys, events not counted, the lab has.
const keys = 2000

// run is the life of the demonstration.
func run(ctx context.Context, f *flags, in io.Reader, out io.Writer) (err error) {
	root, err := filepath.Abs(f.root)
	if err != nil {
		return err
	}
	say := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	s, err := stack.Start(ctx, stack.Options{
		Root: root, Scale: f.scale, Every: time.Second, Repeat: 10 * time.Second, Log: say,
		Knobs: map[string]string{"floodKeys": "5000", "floodKeysYoung": "5000"},
	})
	if err != nil {
		return interrupted(ctx, err)
	}
	defer func() {
		say("\nStopping.")
		if failed := s.Close(); failed != nil {
			err = errors.Join(err, failed)
			return
		}
		say("All is stopped, and nothing is left behind.")
	}()
	if err := s.Lab.Load(ctx, lab.LoadOptions{Keys: keys}); err != nil {
		return interrupted(ctx, err)
	}
	// The one of before holds no keys, and is called too small.
	if err := s.TakeBackup(ctx); err != nil {
		return interrupted(ctx, err)
	}
	introduce(say, f, s)
	n := &narrator{stack: s, say: say, began: time.Now(), alerts: map[string]string{}, runs: map[string]*told{}}
	return interrupted(ctx, n.watch(ctx, f, lines(ctx, in)))
}

// interrupted judges an error: what a Ctrl-C broke off did not fail.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

func introduce(say func(string, ...any), f *flags, s *stack.Stack) {
	say("")
	for _, p := range s.Programs() {
		say("  %-15s  %s", p.Name, p.URL)
	}
	say("")
	say("Three etcd members over mutual TLS hold %d keys. The alerts' times are divided by %g: an", keys, f.scale)
	say("hour is %s. The remediator may act (--mode=enforce).", (time.Hour / time.Duration(f.scale)).Round(time.Second))
	say("")
	for _, c := range causes {
		say("  %-9s  %s", c.key, c.what)
	}
	say("  %-9s  end", "Ctrl-C")
	say("")
	say("Without a word from you the first happens in %s.", f.after)
	say("")
}

// lines are those that a person types. They end with the input, and nobody minds.
func lines(ctx context.Context, in io.Reader) <-chan string {
	typed := make(chan string)
	go func() {
		scanner := bufio.NewScanner(in)
		for scanner.Scan() {
			select {
			case typed <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return typed
}
