// SPDX-License-Identifier: Apache-2.0

package mutate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/etcdops/etcdops/internal/etcd/internal/grant"
)

// stallTime is how long a member may send nothing in the middle of a snapshot. It
// sends as fast as it is read, so the time that w takes is not part of it.
const stallTime = time.Minute

var (
	errStalled = fmt.Errorf("the member sent nothing for %s", stallTime)
	// errBegun keeps a stream that broke off from being asked for again: what came of
	// it is in w.
	errBegun = errors.New("the snapshot broke off")
)

// Snapshot writes the member's database to w, followed by its sha256 (32 bytes), as
// the member streams it. Nothing is verified; after an error what is in w is no
// snapshot. It changes nothing, but holds a transaction of the member open, and is
// here because with etcd's auth on it needs the same rights.
func (m *Client) Snapshot(ctx context.Context, url string, w io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var failed error // of w
	err := m.cluster.Do(ctx, grant.New(), url, "Snapshot", func(conn *grpc.ClientConn) error {
		stream, err := pb.NewMaintenanceClient(conn).Snapshot(ctx, &pb.SnapshotRequest{})
		if err != nil {
			return err
		}
		failed, err = pour(w, stream, func() *time.Timer {
			return time.AfterFunc(stallTime, func() { cancel(errStalled) })
		})
		return err
	})
	switch {
	case failed != nil:
		return fmt.Errorf("write snapshot of %s: %w", url, failed)
	case err != nil && errors.Is(context.Cause(ctx), errStalled):
		return fmt.Errorf("read snapshot of %s: %w", url, errStalled)
	}
	return err
}

// pour copies the stream. failed is an error of w, err one of the stream.
func pour(w io.Writer, stream grpc.ServerStreamingClient[pb.SnapshotResponse], watch func() *time.Timer) (failed, err error) {
	for begun := false; ; begun = true {
		stalled := watch()
		r, err := stream.Recv()
		stalled.Stop()
		switch {
		case errors.Is(err, io.EOF) && begun:
			return nil, nil
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		case err != nil && begun:
			return nil, fmt.Errorf("%w: %w", errBegun, err)
		case err != nil:
			return nil, err
		}
		if _, failed := w.Write(r.GetBlob()); failed != nil {
			return failed, nil
		}
	}
}
