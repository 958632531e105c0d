// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// objects are the manifests of one installation.
type objects struct {
	places      map[string]bool // namespaces that there are objects in
	namespaces  []*corev1.Namespace
	deployments map[string]*appsv1.Deployment // by the name of their container
	services    []*corev1.Service
	configs     map[string]*corev1.ConfigMap
	claims      []*corev1.PersistentVolumeClaim
	scrapes     map[string]*monitoringv1alpha1.ScrapeConfig // by job
	rules       []*monitoringv1.PrometheusRule
	jobs        []*batchv1.CronJob
	policies    []*networkingv1.NetworkPolicy
}

// decode takes every document into the API's own types; a field that they do not have,
// or that is there twice, is an error.
func decode(t testing.TB, manifests []byte) *objects {
	t.Helper()
	decoder := strict(t)
	o := &objects{
		places: map[string]bool{}, deployments: map[string]*appsv1.Deployment{}, configs: map[string]*corev1.ConfigMap{},
		scrapes: map[string]*monitoringv1alpha1.ScrapeConfig{},
	}
	for _, document := range documents(t, manifests) {
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%.2000s", err, document)
		}
		o.add(t, object)
	}
	return o
}

// documents are those of the manifests that hold more than comments.
func documents(t testing.TB, manifests []byte) (all [][]byte) {
	t.Helper()
	for reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(manifests))); ; {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		must(t, err)
		if !isEmpty(document) {
			all = append(all, document)
		}
	}
}

// strict gives a decoder into the API's types.
func strict(t testing.TB) runtime.Decoder {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, networkingv1.AddToScheme,
		monitoringv1.AddToScheme, monitoringv1alpha1.AddToScheme,
	} {
		must(t, add(scheme))
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
}

// decodeOne decodes one document of a kind that no installation has.
func decodeOne[O runtime.Object](t testing.TB, document []byte) O {
	t.Helper()
	object, _, err := strict(t).Decode(document, nil, nil)
	must(t, err)
	return object.(O)
}

// isEmpty says whether a document is comments and blank lines only.
func isEmpty(document []byte) bool {
	for line := range bytes.Lines(document) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) {
			return false
		}
	}
	return true
}

func (o *objects) add(t testing.TB, object runtime.Object) {
	t.Helper()
	named, err := meta.Accessor(object)
	must(t, err)
	if _, is := object.(*corev1.Namespace); !is {
		o.places[named.GetNamespace()] = true
	}
	switch object := object.(type) {
	case *corev1.Namespace:
		o.namespaces = append(o.namespaces, object)
	case *appsv1.Deployment:
		o.deployments[object.Spec.Template.Spec.Containers[0].Name] = object
	case *corev1.Service:
		o.services = append(o.services, object)
	case *corev1.ConfigMap:
		o.configs[object.Name] = object
	case *corev1.PersistentVolumeClaim:
		o.claims = append(o.claims, object)
	case *monitoringv1alpha1.ScrapeConfig:
		o.scrapes[*object.Spec.JobName] = object
	case *monitoringv1.PrometheusRule:
		o.rules = append(o.rules, object)
	case *batchv1.CronJob:
		o.jobs = append(o.jobs, object)
	case *networkingv1.NetworkPolicy:
		o.policies = append(o.policies, object)
	default:
		t.Errorf("nobody expects a %T", object)
	}
}
