// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"context"
	"log/slog"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

// logStep tells of a step's beginning and end.
func logStep(log *slog.Logger, s *remediate.Step) {
	log = log.With("step", s.Action, "url", s.URL)
	switch {
	case s.Error != "" && s.FinishedAt.IsZero():
		log.Warn("step is refused", "reason", s.Error)
	case s.Error != "":
		log.Error("step failed", "err", s.Error)
	case s.FinishedAt.IsZero():
		log.Info("step begins", "why", s.Reason)
	default:
		log.Info("step is done", "took", s.FinishedAt.Sub(s.StartedAt).Round(time.Millisecond),
			"before_bytes", s.BeforeBytes, "after_bytes", s.AfterBytes, "keys", s.Keys, "revision", s.Revision)
	}
}

// logRun tells how a run ended, as loud as it went badly.
func logRun(ctx context.Context, log *slog.Logger, r *remediate.Run) {
	level := slog.LevelInfo
	switch r.Outcome {
	case remediate.Failed, remediate.Interrupted:
		level = slog.LevelError
	case remediate.Refused, remediate.AwaitingApproval, remediate.Expired:
		level = slog.LevelWarn
	}
	log.Log(ctx, level, "run ended", "action", r.Action, "mode", r.Mode, "outcome", string(r.Outcome), "reason", r.Reason)
}
