// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/etcdops/etcdops/internal/display"
)

const (
	minToken     = 16      // bytes; a shorter one could be guessed
	maxTokenFile = 1 << 20 // bytes
	maxCaller    = 120     // characters of a caller's name
)

// Auth knows the two tokens: the callers', which opens the webhook and what is for
// reading, and the admin's, which opens everything. Certificates and basic auth are
// the server's to check, before a request comes here.
type Auth struct {
	// Basic says that the server checks basic auth, so that the names in it are true.
	Basic bool

	bearer, admin *tokenFile // nil: none is configured
	log           *slog.Logger
}

// NewAuth reads the token files; an empty name is none. The files are read again
// with each request, and one that cannot be read leaves the last token in force.
func NewAuth(bearerFile, adminFile string, log *slog.Logger) (*Auth, error) {
	a := &Auth{log: log}
	var err error
	if a.bearer, err = openToken("bearer_token_file", bearerFile); err != nil {
		return nil, err
	}
	if a.admin, err = openToken("admin_token_file", adminFile); err != nil {
		return nil, err
	}
	return a, nil
}

// rank is what a request's token entitles to.
type rank int

const (
	stranger rank = iota // none, or one that nobody knows
	caller
	admin
)

// rank compares in constant time, and always both. A token that is both is the
// callers' only: it may have been rotated into the wrong file.
func (a *Auth) rank(r *http.Request) rank {
	given, ok := bearerToken(r)
	if !ok {
		return stranger
	}
	sum := sha256.Sum256([]byte(given))
	isCaller, isAdmin := a.bearer.is(sum, a.log), a.admin.is(sum, a.log)
	switch {
	case isCaller:
		return caller
	case isAdmin:
		return admin
	default:
		return stranger
	}
}

func bearerToken(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

// caller lets through who has a token, where one is configured for callers.
func (a *Auth) caller(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.bearer != nil && a.rank(r) == stranger {
			unauthorized(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// administrator lets through who has the admin's token; where none is configured,
// whom caller lets through.
func (a *Auth) administrator(next http.Handler) http.Handler {
	if a.admin == nil {
		return a.caller(next)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch a.rank(r) {
		case admin:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), adminKey{}, true)))
		case caller:
			http.Error(w, "this needs the admin token: the webhook's does not open it", http.StatusForbidden)
		default:
			unauthorized(w, r)
		}
	})
}

type adminKey struct{}

func unauthorized(w http.ResponseWriter, r *http.Request) {
	challenge, line := `Bearer realm="etcd_remediator"`, "a bearer token is needed"
	if r.Header.Get("Authorization") != "" {
		challenge, line = challenge+`, error="invalid_token"`, "the token is not known"
	}
	w.Header().Set("WWW-Authenticate", challenge)
	http.Error(w, line, http.StatusUnauthorized)
}

// notByBrowser refuses what a browser sends for a page: browsers name the page's
// origin with every POST, other clients do not. A page of a host name that was made
// to point here could otherwise act where the network is all that keeps others out.
func notByBrowser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
			http.Error(w, "requests of a browser's page are refused: use curl or etcd_remediator", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// onlyJSON asks for a content type that a browser's form cannot send.
func onlyJSON(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			http.Error(w, "send Content-Type: application/json", http.StatusUnsupportedMediaType)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// who names the caller for the record, in one line.
func (a *Auth) who(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	name := "somebody"
	user, _, basic := r.BasicAuth()
	switch {
	case r.TLS != nil && len(r.TLS.VerifiedChains) > 0:
		name = "certificate " + r.TLS.VerifiedChains[0][0].Subject.String()
	case r.Context().Value(adminKey{}) != nil:
		name = "admin token"
	case basic && a.Basic:
		name = "user " + user
	}
	return display.Clean(name, maxCaller) + " from " + display.Clean(host, maxCaller)
}

// tokenFile is a token that may be rotated by writing its file anew.
type tokenFile struct {
	field, name string

	mu     sync.Mutex
	sum    [sha256.Size]byte // of the last good token
	failed string            // why the file cannot be used, told once
}

func openToken(field, name string) (*tokenFile, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // no file is no token, and no fault
	}
	t := &tokenFile{field: field, name: name}
	sum, err := t.read()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	t.sum = sum
	return t, nil
}

// read gives the digest of the file's token. Errors do not repeat the file's name:
// it may be the token itself, written where a name belongs.
func (t *tokenFile) read() (sum [sha256.Size]byte, err error) {
	f, err := os.Open(t.name)
	if err != nil {
		if cause, ok := errors.AsType[*fs.PathError](err); ok {
			err = cause.Err
		}
		return sum, fmt.Errorf("cannot read the file it names: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
	if err != nil {
		return sum, errors.New("cannot read the file it names")
	}
	token := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if len(token) < minToken {
		return sum, fmt.Errorf("the file it names holds less than %d bytes", minToken)
	}
	return sha256.Sum256([]byte(token)), nil
}

// is says whether sum is the token's. A nil file knows no token.
func (t *tokenFile) is(sum [sha256.Size]byte, log *slog.Logger) bool {
	if t == nil {
		return false
	}
	now, err := t.read()
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.sum, t.failed = now, ""
	case err.Error() != t.failed:
		t.failed = err.Error()
		log.Warn("a token file cannot be used: the last good token stays in force", "field", t.field, "err", err)
	}
	return subtle.ConstantTimeCompare(sum[:], t.sum[:]) == 1
}
