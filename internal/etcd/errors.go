// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
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

	errUnauthenticated = errors.New("not authenticated")
	errSpeaksTLS       = errors.New("the endpoint speaks TLS: use https:// in its URL")
	errForbidden       = errors.New("address is not allowed for a discovered URL")
)

// sentinels translates etcd's own errors into ours.
var sentinels = []struct{ from, to error }{
	{rpctypes.ErrCompacted, ErrCompacted},
	{rpctypes.ErrFutureRev, ErrFutureRevision},
	{rpctypes.ErrPermissionDenied, ErrPermissionDenied},
	{rpctypes.Error(rpctypes.ErrGRPCNotSupportedForLearner), ErrLearner},
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
	var known *Error
	if errors.As(err, &known) {
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
// and Unknown, Internal and ResourceExhausted of what it can not read.
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

// lostConnection says whether a request failed below gRPC, so that asking again
// on a new connection makes sense.
func lostConnection(err error) bool {
	s, ok := status.FromError(err)
	if !ok || s.Code() != codes.Unavailable {
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
	ReasonDefragmenting Reason = "defragmenting" // answers its member list, not Status
	ReasonTLS           Reason = "tls"           // the two ends do not agree on TLS or trust
	ReasonAuth          Reason = "auth"          // user, password or token refused
	ReasonDNS           Reason = "dns"           // the host name has no address
	ReasonOther         Reason = "other"
)

// Classify gives the reason of a failed request.
func Classify(err error) Reason {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return ReasonDNS
	case errors.Is(err, syscall.ECONNREFUSED):
		return ReasonRefused
	case isTLS(err):
		return ReasonTLS
	case errors.Is(err, errUnauthenticated), errors.Is(err, ErrPermissionDenied),
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

func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

func isTLS(err error) bool {
	var (
		verify  *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		unknown x509.UnknownAuthorityError
		secret  *secretError
		op      *net.OpError
	)
	switch {
	case errors.Is(err, errSpeaksTLS), errors.As(err, &verify), errors.As(err, &record),
		errors.As(err, &unknown), errors.As(err, &secret):
		return true
	case errors.As(err, &op):
		// crypto/tls reports an alert as an OpError of one of these two names.
		return op.Op == "remote error" || op.Op == "local error"
	default:
		return false
	}
}
