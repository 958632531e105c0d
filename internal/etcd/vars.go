// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/etcdops/etcdops/internal/memberflags"
)

const (
	varsPath = "/debug/vars"
	// maxVars bounds one answer; real ones are some 10 KiB.
	maxVars = 1 << 20
)

var errNoCommandLine = errors.New(varsPath + " does not have a command line in the form that etcd gives it")

// Flags reads the member's command line out of /debug/vars, at the client port or, where
// that speaks no HTTP, at the configured metrics URL. What is not of the list leaves this
// function in no form, an error's neither.
func (c *Client) Flags(ctx context.Context) (map[string]string, error) {
	sides := []*httpSide{c.http}
	if c.http.port != nil {
		sides = []*httpSide{c.http.port, c.http}
	}
	var errs []error
	for i, side := range sides {
		told, err := side.flags(ctx, len(sides)-i)
		if err == nil {
			return told, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("read flags of %s: %w", c.url, errors.Join(errs...))
}

// flags takes at most one n-th of the time that is left.
func (s *httpSide) flags(ctx context.Context, n int) (map[string]string, error) {
	ctx, cancel := share(ctx, n)
	defer cancel()
	resp, err := s.get(ctx, http.MethodGet, varsPath, "")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s%s answers %d", s.base, varsPath, resp.StatusCode)
	}
	var vars struct {
		Cmdline []string `json:"cmdline"`
	}
	// The decoder's own errors may quote what it read.
	if json.NewDecoder(io.LimitReader(resp.Body, maxVars)).Decode(&vars) != nil || len(vars.Cmdline) == 0 {
		return nil, errNoCommandLine
	}
	return memberflags.Settings(vars.Cmdline), nil
}
