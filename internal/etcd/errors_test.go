// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestClassify(t *testing.T) {
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	for _, test := range []struct {
		err  error
		want Reason
		code codes.Code
	}{
		{dial(syscall.ECONNREFUSED), ReasonRefused, codes.Unavailable},
		{dial(syscall.ETIMEDOUT), ReasonTimeout, codes.DeadlineExceeded},
		{dial(syscall.EHOSTUNREACH), ReasonOther, codes.Unavailable},
		{dial(errForbidden), ReasonOther, codes.Unavailable},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}, ReasonDNS, codes.Unavailable},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "i/o timeout", IsTimeout: true}}, ReasonDNS, codes.DeadlineExceeded},
		{context.DeadlineExceeded, ReasonTimeout, codes.DeadlineExceeded},
		{os.ErrDeadlineExceeded, ReasonTimeout, codes.DeadlineExceeded},
		{context.Canceled, ReasonOther, codes.Canceled},
		{&tlsError{x509.UnknownAuthorityError{}}, ReasonTLS, codes.Unavailable},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}, ReasonTLS, codes.Unavailable},
		{errSpeaksTLS, ReasonTLS, codes.Unavailable},
		{errSpeaksPlain, ReasonTLS, codes.Unavailable},
		{&secretError{ReasonTLS, os.ErrNotExist}, ReasonTLS, codes.Unavailable},
		{&secretError{ReasonAuth, os.ErrNotExist}, ReasonAuth, codes.Unavailable},
		{io.EOF, ReasonOther, codes.Unavailable},
		{status.Error(codes.DeadlineExceeded, "x"), ReasonTimeout, codes.DeadlineExceeded},
		{status.Error(codes.Unauthenticated, "x"), ReasonAuth, codes.Unauthenticated},
		{status.Error(codes.PermissionDenied, "x"), ReasonAuth, codes.PermissionDenied},
		{status.Error(codes.Unimplemented, "x"), ReasonOther, codes.Unimplemented},
		{status.Error(4711, "x"), ReasonOther, codes.Unknown},
		{rpctypes.ErrGRPCAuthFailed, ReasonAuth, codes.InvalidArgument},
		{rpctypes.ErrGRPCUserEmpty, ReasonAuth, codes.InvalidArgument},
		{rpctypes.ErrGRPCInvalidAuthToken, ReasonAuth, codes.Unauthenticated},
		{rpctypes.ErrGRPCAuthOldRevision, ReasonAuth, codes.InvalidArgument},
		{rpctypes.ErrGRPCPermissionDenied, ReasonAuth, codes.PermissionDenied},
		{rpctypes.ErrGRPCNoLeader, ReasonOther, codes.Unavailable},
		{rpctypes.ErrGRPCTimeout, ReasonOther, codes.Unavailable},
	} {
		wrapped := wrap("Status", test.err)
		if got := Classify(wrapped); got != test.want {
			t.Errorf("Classify(%v) = %s, want %s", test.err, got, test.want)
		}
		var e *Error
		if !errors.As(wrapped, &e) || e.Method != "Status" || e.Code != test.code.String() {
			t.Errorf("wrap(%v) = %+v, want code %s", test.err, e, test.code)
		}
	}
}

func TestWrap(t *testing.T) {
	if wrap("Status", nil) != nil {
		t.Error("no error is one")
	}
	first := wrap("Authenticate", context.DeadlineExceeded)
	if again := wrap("Status", fmt.Errorf("around: %w", first)); !errors.Is(again, first) || strings.HasPrefix(again.Error(), "Status") {
		t.Errorf("wrapped twice: %v", again)
	}
	if long := wrap("Status", status.Error(codes.Unknown, strings.Repeat("x", 1<<20))); len(long.Error()) > 400 {
		t.Errorf("a message of %d bytes", len(long.Error()))
	}
	for err, want := range map[error]bool{
		rpctypes.ErrGRPCNoLeader: true, rpctypes.ErrGRPCPermissionDenied: true,
		status.Error(codes.Unavailable, "x"): false, status.Error(codes.Unknown, "x"): false, io.EOF: false,
	} {
		var e *Error
		if errors.As(wrap("Status", err), &e); e.Answered != want {
			t.Errorf("%v: answered %v", err, e.Answered)
		}
	}
}

func TestCause(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	lost := status.Error(codes.Unavailable, "the connection is closing")
	if err := cause(t.Context(), lost); !errors.Is(err, lost) {
		t.Errorf("cause = %v", err)
	}
	if err := cause(ended, lost); !errors.Is(err, context.Canceled) {
		t.Errorf("cause = %v", err)
	}
	if err := cause(ended, rpctypes.ErrGRPCNoLeader); errors.Is(err, context.Canceled) {
		t.Error("an answer is taken for the end of the context")
	}
}
