// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What an endpoint may answer besides what was asked.
var (
	ErrCompacted        = errors.New("revision has been compacted")
	ErrFutureRevision   = errors.New("revision is in the member's future")
	ErrPermissionDenied = errors.New("permission denied")
	ErrLearner          = errors.New("a learner refuses this request")
	ErrNoSpace          = errors.New("the database is full: etcd refuses what needs space")
	ErrLeaseNotFound    = errors.New("the lease has run out")
	ErrNotLeader        = errors.New("the member does not lead")

	errUnauthenticated = errors.New("not authenticated")
	errUnverified      = errors.New("a password goes only over verified TLS: insecure_skip_verify is set")
	errSpeaksTLS       = errors.New("the endpoint speaks TLS: use https:// in its URL")
	errSpeaksPlain     = errors.New("the endpoint does not speak TLS: use http:// in its URL")
	errTooLong         = fmt.Errorf("more than %d rows: this is no member list", maxRows)
	errSpeaksFirst     = errors.New("the endpoint speaks before it is asked: it does not serve HTTP/1")
	errForbidden       = errors.New("address is not allowed for a discovered URL")
)

// sentinels translates etcd's own errors into ours.
var sentinels = []struct{ from, to error }{
	{rpctypes.ErrCompacted, ErrCompacted},
	{rpctypes.ErrFutureRev, ErrFutureRevision},
	{rpctypes.ErrPermissionDenied, ErrPermissionDenied},
	{rpctypes.Error(rpctypes.ErrGRPCNotSupportedForLearner), ErrLearner},
	{rpctypes.ErrNoSpace, ErrNoSpace},
	{rpctypes.ErrLeaseNotFound, ErrLeaseNotFound},
	{rpctypes.ErrNotLeader, ErrNotLeader},
	{rpctypes.ErrUserEmpty, errUnauthenticated},
	{rpctypes.ErrAuthFailed, errUnauthenticated},
	{rpctypes.ErrInvalidAuthToken, errUnauthenticated},
	{rpctypes.ErrAuthOldRevision, errUnauthenticated},
}

// Error is a failed request to one endpoint.
type Error struct {
	Method   string // Status, MemberList, Range, Authenticate, ...
	Code     string // gRPC code; Unavailable where no connection could be made
	Answered bool   // the member itself refused: it is alive
	Err      error
	kind     error
}

func (e *Error) Error() string { return e.Method + ": " + e.Err.Error() }

// Unwrap gives the sentinel (ErrCompacted, ...) and the cause.
func (e *Error) Unwrap() []error {
	if e.kind == nil {
		return []error{e.Err}
	}
	return []error{e.kind, e.Err}
}

// wrap turns an error of a request or a connection into an *Error.
func wrap(method string, err error) error {
	if err == nil {
		return nil
	}
	if _, known := errors.AsType[*Error](err); known {
		return err
	}
	e := &Error{Method: method, Err: err, Code: codeOf(err).String()}
	named := rpctypes.Error(err)
	for _, s := range sentinels {
		if errors.Is(named, s.from) {
			e.kind = s.to
		}
	}
	var etcdErr rpctypes.EtcdError
	e.Answered = errors.As(named, &etcdErr) || answeredCode(err)
	if s, ok := status.FromError(err); ok && s.Code() != codes.OK {
		e.Err = fmt.Errorf("%.300s", s.Message())
		if s.Code() == codes.DeadlineExceeded {
			e.Err = context.DeadlineExceeded
		}
	}
	return e
}

// answeredCode says whether a status can only have come from the server:
// gRPC's client makes Unavailable, DeadlineExceeded and Canceled up itself,
// and Unknown, Internal and ResourceExhausted of what it cannot read.
func answeredCode(err error) bool {
	s, ok := status.FromError(err)
	if !ok {
		return false
	}
	switch s.Code() {
	case codes.PermissionDenied, codes.Unauthenticated, codes.InvalidArgument,
		codes.FailedPrecondition, codes.OutOfRange, codes.NotFound:
		return true
	default:
		return false
	}
}

func codeOf(err error) codes.Code {
	if s, ok := status.FromError(err); ok {
		if s.Code() > codes.Unauthenticated { // the last there is; a server can send any number, and each would be a series
			return codes.Unknown
		}
		return s.Code()
	}
	switch {
	case isTimeout(err):
		return codes.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return codes.Canceled
	default:
		return codes.Unavailable
	}
}

// cause gives the end of ctx as the cause of a request that it cut short. gRPC
// tells that in words of its own, and not always as the end of a context.
func cause(ctx context.Context, err error) error {
	var etcdErr rpctypes.EtcdError
	if ctx.Err() == nil || answeredCode(err) || errors.As(rpctypes.Error(err), &etcdErr) {
		return err
	}
	return ctx.Err()
}

// isEnded says whether a request was cut short by the end of a context.
func isEnded(err error) bool { return isTimeout(err) || errors.Is(err, context.Canceled) }

// lostConnection says whether a request failed below gRPC, so that asking again
// on a new connection makes sense. Canceled it is where we closed the connection
// ourselves, for another question's sake.
func lostConnection(err error) bool {
	s, ok := status.FromError(err)
	if !ok || s.Code() != codes.Unavailable && s.Code() != codes.Canceled {
		return false
	}
	var etcdErr rpctypes.EtcdError
	return !errors.As(rpctypes.Error(err), &etcdErr)
}

// Reason is why an endpoint does not answer, as endpoint_failure names it.
type Reason string

// The reasons an endpoint can fail for.
const (
	ReasonRefused       Reason = "refused"       // nothing listens on the port
	ReasonTimeout       Reason = "timeout"       // no answer before the deadline
	ReasonDefragmenting Reason = "defragmenting" // answers its member list or HTTP, not Status
	ReasonTLS           Reason = "tls"           // the two ends do not agree on TLS or trust
	ReasonAuth          Reason = "auth"          // user, password or token refused
	ReasonDNS           Reason = "dns"           // the host name has no address
	ReasonOther         Reason = "other"
)

// Classify gives the reason of a failed request.
func Classify(err error) Reason {
	var dns *net.DNSError
	var secret *secretError
	switch {
	case errors.As(err, &secret):
		return secret.reason
	case errors.As(err, &dns):
		return ReasonDNS
	case errors.Is(err, syscall.ECONNREFUSED):
		return ReasonRefused
	case isTLS(err):
		return ReasonTLS
	case errors.Is(err, errUnauthenticated), errors.Is(err, ErrPermissionDenied), errors.Is(err, errUnverified),
		codeIs(err, codes.Unauthenticated), codeIs(err, codes.PermissionDenied):
		return ReasonAuth
	case isTimeout(err), codeIs(err, codes.DeadlineExceeded):
		return ReasonTimeout
	default:
		return ReasonOther
	}
}

func codeIs(err error, code codes.Code) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code.String()
}

// isTimeout is true as well for the kernel's own (ETIMEDOUT), after its last
// retransmission.
func isTimeout(err error) bool {
	var timed net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timed) && timed.Timeout()
}

// tlsError is a handshake that failed for another reason than the network.
type tlsError struct{ err error }

func (e *tlsError) Error() string { return e.err.Error() }
func (e *tlsError) Unwrap() error { return e.err }

func isTLS(err error) bool {
	var (
		handshake *tlsError
		op        *net.OpError
	)
	switch {
	case errors.Is(err, errSpeaksTLS), errors.Is(err, errSpeaksPlain), errors.As(err, &handshake):
		return true
	case errors.As(err, &op):
		// crypto/tls reports an alert as an OpError of one of these two names.
		return op.Op == "remote error" || op.Op == "local error"
	default:
		return false
	}
}

// isCut says whether the other end hung up.
func isCut(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
