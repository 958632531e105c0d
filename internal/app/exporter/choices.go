// SPDX-License-Identifier: Apache-2.0

package exporter

import "github.com/etcdops/etcdops/collector"

// Choice is a collector as the command line offers it.
type Choice struct {
	Name    string
	Help    string
	Default bool
}

// Collectors lists what can be switched.
func Collectors() []Choice {
	var choices []Choice
	for _, c := range collector.All() {
		choices = append(choices, Choice{Name: c.Name, Help: c.New(collector.Deps{}).Help(), Default: c.Default})
	}
	return choices
}
