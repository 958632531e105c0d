// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// clientURL checks and normalises a member's client URL: http or https, a
// host, a port and nothing else.
func clientURL(raw string) (string, error) {
	u, err := httpURL(raw)
	switch {
	case err != nil:
		return "", err
	case strings.Trim(u.Path, "/") != "":
		return "", fmt.Errorf("%s has a path: remove what follows the port", showURL(raw))
	case u.Port() == "":
		return "", fmt.Errorf("%s has no port: write one, such as :2379", showURL(raw))
	}
	return u.Scheme + "://" + u.Host, nil
}

// serviceURL checks and normalises another service's URL: a port may be
// missing and a path may follow; a trailing slash goes.
func serviceURL(raw string) (string, error) {
	u, err := httpURL(raw)
	if err != nil {
		return "", err
	}
	return u.Scheme + "://" + u.Host + strings.TrimRight(u.EscapedPath(), "/"), nil
}

// showURL repeats a URL in a message unless it could hold a password.
func showURL(raw string) string {
	if strings.Contains(raw, "@") {
		return "the URL"
	}
	return quote(raw)
}

// httpURL is what all URLs have in common. Its errors never hold what
// net/url says, which repeats parts of the URL.
func httpURL(raw string) (*url.URL, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if err := checkScheme(raw, scheme, ok); err != nil {
		return nil, err
	}
	authority := rest
	if i := strings.IndexAny(rest, `/?#\`); i >= 0 {
		authority = rest[:i]
	}
	switch {
	case strings.Contains(authority, "@"):
		return nil, errors.New("a URL must not hold a user or password: keep those in their own fields and files")
	case strings.ContainsAny(rest, "?#"):
		return nil, fmt.Errorf("%s has a query or fragment: remove it", showURL(raw))
	case strings.Contains(raw, ","):
		return nil, fmt.Errorf("%s holds a comma: write each URL as an entry of its own", showURL(raw))
	case strings.HasSuffix(authority, ":"):
		return nil, fmt.Errorf("%s has no port after the colon: write one, such as :2379", showURL(raw))
	}
	u, err := url.Parse(raw)
	if err != nil || strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return nil, fmt.Errorf("%s is no valid URL: write one such as https://10.0.0.1:2379", showURL(raw))
	}
	u.Scheme = strings.ToLower(u.Scheme)
	if u.Host, err = cleanHostPort(u.Hostname(), u.Port()); err != nil {
		return nil, fmt.Errorf("%s %w", showURL(raw), err)
	}
	return u, nil
}

func checkScheme(raw, scheme string, ok bool) error {
	switch {
	case raw == "":
		return errors.New("is empty: write a URL such as https://10.0.0.1:2379")
	case !ok && strings.Contains(raw, "@"):
		return errors.New("has no scheme and holds an @: write https://HOST:PORT, and keep passwords in files")
	case !ok:
		return fmt.Errorf("%s has no scheme: write http:// or https:// before it", quote(raw))
	case !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https"):
		return fmt.Errorf("%s must begin with http:// or https://", showURL(raw))
	}
	return nil
}

// cleanHostPort puts a host and a port, which may be missing, in their one form.
func cleanHostPort(host, port string) (string, error) {
	host, err := cleanHost(host)
	if err != nil {
		return "", err
	}
	if port == "" {
		if strings.Contains(host, ":") {
			return "[" + host + "]", nil
		}
		return host, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", errors.New("has a port outside 1 to 65535")
	}
	return net.JoinHostPort(host, strconv.FormatUint(n, 10)), nil
}

var dnsName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?$`)

// cleanHost normalises a host: addresses in their short form, names in lower case.
func cleanHost(host string) (string, error) {
	if host == "" {
		return "", errors.New("has no host")
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a.String(), nil
	}
	host = strings.ToLower(host)
	if len(host) > 253 || !dnsName.MatchString(host) {
		return "", errors.New("has a host that is neither a name nor an address")
	}
	return host, nil
}
