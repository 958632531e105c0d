// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/minio/minio-go/v7"
	"google.golang.org/api/googleapi"
)

// failure is what an object store failed with, in one line without secrets. The
// library's own error is not kept: it may show a signed URL or a key.
type failure struct {
	text  string
	cause error // context.Canceled, context.DeadlineExceeded, errStalled; or none
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.cause }

// fail names what was done and why it failed.
func (o *objects) fail(ctx context.Context, what string, err error) error {
	f := &failure{}
	for _, known := range []error{errStalled, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, known) || errors.Is(ctx.Err(), known) || errors.Is(context.Cause(ctx), known) {
			f.cause = known
			break
		}
	}
	text := describe(err)
	if f.cause != nil && !strings.Contains(text, f.cause.Error()) {
		text = f.cause.Error() + ": " + text
	}
	f.text = fmt.Sprintf("%s %s: %s", what, o, o.secrets.hide(text))
	return f
}

// describe leaves out of the libraries' errors what is no use to a reader: queries,
// headers, whole answers.
func describe(err error) string {
	if e := new(azcore.ResponseError); errors.As(err, &e) {
		return fmt.Sprintf("the server answers %d %s", e.StatusCode, e.ErrorCode)
	}
	if e := new(googleapi.Error); errors.As(err, &e) {
		return fmt.Sprintf("the server answers %d: %s", e.Code, e.Message)
	}
	if e := (minio.ErrorResponse{}); errors.As(err, &e) {
		if e.StatusCode == 0 {
			return e.Code + ": " + e.Message
		}
		return fmt.Sprintf("the server answers %d %s: %s", e.StatusCode, e.Code, e.Message)
	}
	if e := new(url.Error); errors.As(err, &e) {
		where := "the server"
		if u, bad := url.Parse(e.URL); bad == nil {
			where = u.Scheme + "://" + u.Host
		}
		return fmt.Sprintf("%s: %s", where, describe(e.Err))
	}
	return err.Error()
}

// denied says whether the store refuses this one request for want of a right.
func denied(err error) bool {
	if e := new(azcore.ResponseError); errors.As(err, &e) {
		return e.StatusCode == http.StatusForbidden
	}
	if e := new(googleapi.Error); errors.As(err, &e) {
		return e.Code == http.StatusForbidden
	}
	e := minio.ErrorResponse{}
	return errors.As(err, &e) && e.StatusCode == http.StatusForbidden
}
