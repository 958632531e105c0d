// SPDX-License-Identifier: Apache-2.0

package etcdbin

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// Programs built by Go read the clock without libc, so no preloaded library
// can bend it; an overlay over the standard library's own time.go can. Only
// the wall clock moves: timers, deadlines and Since use the monotonic one.
const (
	clockCall  = "sec, nsec, mono := runtimeNow()"
	clockPatch = clockCall + "\n\tsec, nsec = skewWall(sec, nsec)"
	clockCode  = `

var wallSkew = func() int64 {
	text, _ := syscall.Getenv("` + SkewEnv + `")
	skew, err := ParseDuration(text + "s")
	if text == "" || err != nil {
		return 0
	}
	return int64(skew)
}()

func skewWall(sec int64, nsec int32) (int64, int32) {
	sum := int64(nsec) + wallSkew%1e9
	sec += wallSkew / 1e9
	if sum < 0 {
		sum, sec = sum+1e9, sec-1
	} else if sum >= 1e9 {
		sum, sec = sum-1e9, sec+1
	}
	return sec, int32(sum)
}
`
)

// writeOverlay writes a patched copy of the standard library's time.go and
// the overlay file that puts it in the original's place.
func writeOverlay(ctx context.Context, dir string) (string, error) {
	root, err := output(ctx, dir, "go", "env", "GOROOT")
	if err != nil {
		return "", err
	}
	original := filepath.Join(strings.TrimSpace(root), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	patched, err := patchClock(string(source))
	if err != nil {
		return "", err
	}
	// Outside the throwaway module's package pattern: no .go ending.
	copied := filepath.Join(dir, "time.go.patched")
	if err := os.WriteFile(copied, []byte(patched), 0o644); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: copied}})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, overlay, 0o644)
}

// patchClock adds the skew to every reading of the wall clock in time.go.
func patchClock(source string) (string, error) {
	const imports = "import (\n"
	if !strings.Contains(source, clockCall) || !strings.Contains(source, imports) {
		return "", errors.New("this Go version's time.go reads the clock in an unknown way")
	}
	source = strings.ReplaceAll(source, clockCall, clockPatch)
	return strings.Replace(source, imports, imports+"\t\"syscall\"\n", 1) + clockCode, nil
}
