// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"

	"github.com/etcdops/etcdops/internal/app/listen"
	"github.com/etcdops/etcdops/internal/app/setup"
	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/remediate"
)

// Check reads the configuration file and says what is wrong with it.
func Check(file string) (*config.Validated, error) {
	if file == "" {
		return nil, errors.New("--config.file is needed")
	}
	v, err := config.Load(file, config.CheckRemediationSecrets())
	if err != nil {
		return nil, err
	}
	if v.Remediation == nil { // by hand nothing of it is needed
		v.Remediation = &config.Remediation{
			Journal: config.DefaultJournal, AlertClusterLabel: config.DefaultAlertClusterLabel,
			MaxConcurrentClusters: 1, Election: config.Election{Prefix: config.DefaultElectionPrefix},
		}
	}
	_, _, err = policies(v.Remediation, remediate.ModeEnforce)
	_, windowsErr := windows(v.Remediation)
	errs := []error{err, windowsErr}
	for _, c := range v.Clusters {
		for _, b := range c.Backups {
			opened, err := setup.Store(b, slog.New(slog.DiscardHandler))
			if err != nil {
				errs = append(errs, fmt.Errorf("cluster %s: backup store %s: %w", c.Name, b.Name, err))
				continue
			}
			_ = opened.Close()
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return v, nil
}

// checkServe says why the options must not be served with.
func checkServe(o Options, v *config.Validated) error {
	if len(v.Remediation.Policies) == 0 {
		return fmt.Errorf("%s: remediation.policies is empty: serve needs at least one policy, which says what an alert may start", o.ConfigFile)
	}
	if err := listen.Check(o.Web); err != nil {
		return err
	}
	c, err := readWeb(*o.Web.WebConfigFile)
	if err != nil {
		return err
	}
	known, err := knowsCallers(c, v.Remediation.BearerTokenFile != "", v.Remediation.AdminTokenFile != "")
	if err != nil || known || o.AllowUnauthenticated {
		return err
	}
	how := "let callers prove who they are (remediation.bearer_token_file, or basic_auth_users or client certificates in --web.config.file), or give --web.allow-unauthenticated"
	if *o.Web.WebSystemdSocket {
		return errors.New("a socket from systemd may be reached by anybody: " + how)
	}
	for _, address := range *o.Web.WebListenAddresses {
		if !isLoopback(address) {
			return fmt.Errorf("--web.listen-address=%s can be reached from elsewhere, and whoever reaches it can start a run: %s", address, how)
		}
	}
	if o.Mode == remediate.ModeEnforce {
		return errors.New("--mode=enforce lets every local process start a run: " + how)
	}
	return nil
}

// knowsCallers says whether callers have to prove who they are: by a client
// certificate that is required and verified, by basic auth, or by a bearer token.
func knowsCallers(c web.Config, bearer, admin bool) (bool, error) {
	basic, certificates := len(c.Users) > 0, c.TLSConfig.ClientAuth == "RequireAndVerifyClientCert"
	if certificates && c.TLSConfig.ClientCAs == "" && c.TLSConfig.ClientCAsText == "" {
		return false, errors.New("client_auth_type in --web.config.file needs client_ca_file: without it a certificate of any CA that this host trusts would do")
	}
	if basic && (bearer || admin) {
		return false, errors.New("basic_auth_users in --web.config.file and the token files of remediation cannot go together: a request has one Authorization header")
	}
	return basic || bearer || certificates, nil
}

// readWeb reads what the server is told of TLS and users; no file is nothing.
func readWeb(file string) (c web.Config, err error) {
	if file == "" {
		return c, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return c, fmt.Errorf("--web.config.file: %w", err)
	}
	if err := yaml.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("--web.config.file: %s: %w", file, err)
	}
	return c, nil
}

// isLoopback says whether only this host can reach a listen address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
