// SPDX-License-Identifier: Apache-2.0

// Package kubernetestest makes stored values as an API server writes them, for
// the tests of those who read them.
package kubernetestest

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/etcdops/etcdops/internal/keyspace/kubernetes"
)

// Event is the stored value of an event as client-go's recorder makes it.
func Event(e kubernetes.Event) ([]byte, error) {
	raw, err := (&corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: e.Name, CreationTimestamp: metav1.NewTime(e.Created)},
		InvolvedObject: corev1.ObjectReference{
			Kind: e.InvolvedObject.Kind, Namespace: e.InvolvedObject.Namespace, Name: e.InvolvedObject.Name, APIVersion: "v1",
		},
		Reason: e.Reason, Message: "made for a test", Type: e.Type, Count: e.Count,
		Source:         corev1.EventSource{Component: e.Component, Host: e.Host},
		FirstTimestamp: metav1.NewTime(e.FirstSeen), LastTimestamp: metav1.NewTime(e.LastSeen),
	}).Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	return Envelope("v1", "Event", raw)
}

// Envelope wraps an encoded object as it is stored.
func Envelope(apiVersion, kind string, raw []byte) ([]byte, error) {
	envelope := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: apiVersion, Kind: kind}, Raw: raw}
	data, err := envelope.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode envelope: %w", err)
	}
	return append([]byte("k8s\x00"), data...), nil
}
