// SPDX-License-Identifier: Apache-2.0

//go:build slow

package kubernetes

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/etcdops/etcdops/test/pki"
	"github.com/etcdops/etcdops/test/stack"
)

// apiServer is a kube-apiserver on the members of a lab.
type apiServer struct {
	*kubernetes.Clientset
	config *rest.Config
	log    *said
}

const adminToken = "an-administrator-of-a-test"

// newAPIServer starts the API server, and waits until it is ready.
func newAPIServer(t testing.TB, w *world) *apiServer {
	t.Helper()
	binary, err := stack.Tool(root, "kube-apiserver")
	must(t, err)
	dir := t.TempDir()
	pair, err := w.lab.CA().Server(pki.Spec{CommonName: "kube-apiserver", Hosts: pki.Loopback()})
	must(t, err)
	certificate, key, tokens := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "tokens.csv")
	must(t, pair.Write(certificate, key), os.WriteFile(tokens, []byte(adminToken+",admin,admin,system:masters\n"), 0o600))
	port := freePort(t)
	log := run(t, exec.CommandContext(context.WithoutCancel(t.Context()), binary,
		"--etcd-servers="+strings.Join(w.lab.Endpoints(), ","),
		"--etcd-cafile="+w.lab.CAFile(), "--etcd-certfile="+w.lab.ClientCert(), "--etcd-keyfile="+w.lab.ClientKey(),
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port), "--cert-dir="+dir,
		"--tls-cert-file="+certificate, "--tls-private-key-file="+key, "--token-auth-file="+tokens,
		"--authorization-mode=AlwaysAllow", "--disable-admission-plugins=ServiceAccount", "--service-cluster-ip-range=10.96.0.0/16",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+certificate, "--service-account-signing-key-file="+key))
	config := &rest.Config{
		Host: fmt.Sprintf("https://127.0.0.1:%d", port), BearerToken: adminToken, QPS: -1, // no pace of the client's own
		TLSClientConfig: rest.TLSClientConfig{CAData: w.lab.CA().PEM()},
	}
	clients, err := kubernetes.NewForConfig(config)
	must(t, err)
	a := &apiServer{clients, config, log}
	must(t, stack.Await(t.Context(), time.Minute, "the API server is ready", func() error {
		log.alive(t)
		return a.ready(t)
	}))
	return a
}

// ready is `kubectl get --raw=/readyz`.
func (a *apiServer) ready(t testing.TB) error {
	said, err := a.RESTClient().Get().AbsPath("/readyz").DoRaw(t.Context())
	if err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

func freePort(t testing.TB) int {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// troubles are what an API server logs whose etcd was treated badly: history gone that a
// watcher was still to be told, and values that a delete should have come with.
var troubles = regexp.MustCompile(`(?m)^.*(required revision has been compacted|PrevKv=nil|too old resource version|panic).*$`)

// isWell wants an API server that is ready and has logged no trouble.
func (a *apiServer) isWell(t testing.TB) {
	t.Helper()
	if err := a.ready(t); err != nil {
		t.Errorf("the API server: %v", err)
	}
	if found := troubles.FindAllString(a.log.String(), 5); found != nil {
		t.Errorf("the API server logs\n%s", strings.Join(found, "\n"))
	}
}

// makeNamespace makes one.
func (a *apiServer) makeNamespace(t testing.TB, name string) {
	t.Helper()
	_, err := a.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	must(t, err)
}
