// SPDX-License-Identifier: Apache-2.0

package mutate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/etcdops/etcdops/internal/etcd"
)

// maxMirror bounds the value of the mirror in bytes.
const maxMirror = 64 << 10

// checkPrefix refuses a prefix that could be another program's.
func checkPrefix(prefix string) error {
	if len(prefix) < 2 || !strings.HasSuffix(prefix, "/") || strings.HasPrefix(prefix, "/registry/") {
		return fmt.Errorf("prefix %q: it must end in a slash, name something, and lie outside /registry/", prefix)
	}
	return nil
}

// PutMirror writes the one value that replicas share, below prefix. Under the alarm
// NOSPACE that fails (etcd.ErrNoSpace).
func (m *Client) PutMirror(ctx context.Context, prefix string, data []byte) error {
	if err := checkPrefix(prefix); err != nil {
		return err
	}
	if len(data) > maxMirror {
		return fmt.Errorf("write mirror: %d bytes are more than %d", len(data), maxMirror)
	}
	_, err := anywhere(ctx, m, "", func(ctx context.Context, url string) (*pb.PutResponse, error) {
		return short(ctx, m, url, "Put", func(ctx context.Context, conn *grpc.ClientConn) (*pb.PutResponse, error) {
			return pb.NewKVClient(conn).Put(ctx, &pb.PutRequest{Key: mirrorKey(prefix), Value: data})
		})
	})
	if err != nil {
		return fmt.Errorf("write mirror: %w", err)
	}
	return nil
}

// Mirror reads what PutMirror wrote last (linearizable); nil: nothing yet.
func (m *Client) Mirror(ctx context.Context, prefix string) ([]byte, error) {
	if err := checkPrefix(prefix); err != nil {
		return nil, err
	}
	r, err := anywhere(ctx, m, "", func(ctx context.Context, url string) (*pb.RangeResponse, error) {
		return short(ctx, m, url, "Range", func(ctx context.Context, conn *grpc.ClientConn) (*pb.RangeResponse, error) {
			return pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: mirrorKey(prefix)})
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read mirror: %w", err)
	}
	if len(r.GetKvs()) == 0 {
		return nil, nil
	}
	return r.GetKvs()[0].GetValue(), nil
}

func mirrorKey(prefix string) []byte { return []byte(prefix + "mirror") }

// anywhere puts a request that does no harm when it is put twice to one endpoint
// after the other, first before the rest, until one does it. Each gets a share of
// the time, so that one which hangs leaves some for the others.
func anywhere[T any](ctx context.Context, m *Client, first string, f func(ctx context.Context, url string) (T, error)) (answer T, err error) {
	var urls []string
	for _, e := range m.cluster.Endpoints() {
		if e.URL == first {
			urls = slices.Insert(urls, 0, e.URL)
		} else {
			urls = append(urls, e.URL)
		}
	}
	errs := []error{errors.New("no endpoint does it")}
	for i, url := range urls {
		some, cancel := context.WithTimeout(ctx, part(ctx, len(urls)-i))
		answer, err = f(some, url)
		cancel()
		if err == nil || ctx.Err() != nil || isVerdict(err) {
			return answer, err
		}
		errs = append(errs, fmt.Errorf("%s: %w", url, err))
	}
	return answer, errors.Join(errs...)
}

// part is a fair part of the time that is left, for one of n endpoints; half of it
// where others follow.
func part(ctx context.Context, n int) time.Duration {
	deadline, ok := ctx.Deadline()
	switch left := time.Until(deadline); {
	case !ok:
		return shortTime
	case n > 1:
		return left / 2
	default:
		return left
	}
}

// isVerdict says whether another member would answer the same.
func isVerdict(err error) bool {
	return errors.Is(err, etcd.ErrNoSpace) || errors.Is(err, etcd.ErrPermissionDenied) || errors.Is(err, etcd.ErrLeaseNotFound)
}
