// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// NoToolError says that make tools was not run.
type NoToolError struct{ Name, File string }

func (e *NoToolError) Error() string {
	return fmt.Sprintf("no %s at %s: run make tools", e.Name, e.File)
}

// Tool is the file name of a tool that `make tools` builds, in the version that
// tools/NAME/go.mod pins.
func Tool(root, name string) (string, error) {
	mod, err := os.ReadFile(filepath.Join(root, "tools", name, "go.mod"))
	if err != nil {
		return "", err
	}
	pinned, dir := "", os.Getenv("ETCDOPS_TOOLS")
	if dir == "" {
		dir = filepath.Join(root, ".tools")
	}
	var tool string
	for line := range strings.Lines(string(mod)) {
		words := strings.Fields(strings.TrimPrefix(line, "require "))
		switch {
		case len(words) == 2 && words[0] == "tool":
			tool = words[1] + "/"
		case len(words) >= 2 && tool != "" && strings.HasPrefix(tool, words[0]+"/") && pinned == "":
			pinned = words[1]
		}
	}
	file, err := filepath.Abs(filepath.Join(dir, "bin", name+"-"+pinned))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(file); err != nil {
		return "", &NoToolError{name, file}
	}
	return file, nil
}

// Render renders the mixin into dir, its times divided by scale and with knobs of
// config.libsonnet set otherwise.
func Render(ctx context.Context, root, dir string, scale float64, knobs map[string]string) error {
	binary, err := Tool(root, "jsonnet")
	if err != nil {
		return err
	}
	var fields strings.Builder
	for _, name := range slices.Sorted(maps.Keys(knobs)) {
		fmt.Fprintf(&fields, "%s: %s, ", name, knobs[name])
	}
	cmd := exec.CommandContext(ctx, binary, "-c", "-S", "-m", dir,
		"--tla-code", fmt.Sprintf("timeScale=%g", scale), "--tla-code", "config={"+fields.String()+"}",
		filepath.Join(root, "mixin", "render.jsonnet"))
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("render the mixin: %w\n%s", err, text)
	}
	return nil
}

// scanAge is that of mixin/config.libsonnet. The exporter paces its counts by their cost,
// whatever the scale.
const scanAge = 30 * time.Minute

// render renders the stack's own alerts. What the heartbeat's repeat is and how old a
// count may be, the alerts must know before it is divided.
func (s *Stack) render(ctx context.Context) error {
	multiplied := func(d time.Duration) string { return fmt.Sprintf("'%.0fms'", d.Seconds()*1000*s.options.Scale) }
	knobs := map[string]string{"triggerRepeat": multiplied(s.options.Repeat), "scanAge": multiplied(scanAge)}
	maps.Copy(knobs, s.options.Knobs)
	return Render(ctx, s.options.Root, s.dir, s.options.Scale, knobs)
}
