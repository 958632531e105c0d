// SPDX-License-Identifier: Apache-2.0

package exporter

import (
	"log/slog"
	"sync"

	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/internal/etcd"
)

// hint tells a newcomer on a kubeadm host, whose default endpoint cannot work,
// the flags that will: once.
type hint struct {
	options  Options
	manifest string
	log      *slog.Logger
	once     sync.Once
}

// down is called when an endpoint has gone down.
func (h *hint) down(reason etcd.Reason) {
	defaults := h.options.ConfigFile == "" && !h.options.Flags.EndpointsSet && h.options.Flags.KubeadmManifest == ""
	if !defaults || (reason != etcd.ReasonTLS && reason != etcd.ReasonRefused) {
		return
	}
	h.once.Do(func() {
		kubeadm, err := config.LoadKubeadmManifest(h.manifest)
		if err != nil {
			return // no manifest, or none that helps: nothing to say
		}
		h.log.Info("this host runs kubeadm's etcd; start the exporter with the flag in try, which is short for the flags in flags",
			"try", "--etcd.kubeadm-manifest="+h.manifest, "flags", kubeadm.Flags())
	})
}
