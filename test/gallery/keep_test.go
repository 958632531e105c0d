// SPDX-License-Identifier: Apache-2.0

//go:build slow

package gallery

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
)

// kept is a fault as mixin/gallery.json has it; docs/alerts.md is made of that.
type kept struct {
	Fault  string      `json:"fault"`
	Alerts []keptAlert `json:"alerts"`
}

type keptAlert struct {
	Alert    string `json:"alert"`
	Severity string `json:"severity"`
	Minutes  int    `json:"minutes"` // after the cause, times not divided
}

func keep(shown []seen) error {
	var all []kept
	for _, s := range shown {
		k := kept{Fault: s.name}
		for alert, after := range s.fired {
			k.Alerts = append(k.Alerts, keptAlert{alert.name, alert.severity, int((after * scale).Minutes())})
		}
		slices.SortFunc(k.Alerts, func(a, b keptAlert) int {
			return cmp.Or(cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Alert, b.Alert))
		})
		all = append(all, k)
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "mixin", "gallery.json"), append(text, '\n'), 0o644)
}
