// SPDX-License-Identifier: Apache-2.0

// Package kubernetes reads what an API server stores in etcd: its keys, and its
// Event objects. It trusts neither: a value may come from anybody who can write
// to etcd, and whoever deletes events relies on it to tell what is one.
package kubernetes

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
)

const (
	protobufMagic   = "k8s\x00"
	encryptionMagic = "k8s:enc:" // then the provider, as in "k8s:enc:aescbc:v1:key1:"

	// maxEventBytes bounds what is decoded. A real event has a few kilobytes; a
	// made-up one takes up to 40 times its size in memory once it is decoded.
	maxEventBytes = 512 << 10
)

// What a value may be instead of an event.
var (
	ErrEncrypted = errors.New("the value is encrypted at rest")
	ErrNotEvent  = errors.New("the value is not a Kubernetes Event")
)

// Event is what is known of a stored Event. Texts are as they were stored:
// possibly long, possibly no UTF-8. A time is zero where it is missing, or no
// time that a cluster can have seen.
type Event struct {
	Namespace, Name string
	Type            string // Normal or Warning
	Reason          string
	Component, Host string // who reported it
	InvolvedObject  Object
	Count           int32 // how often it was seen, at least once
	FirstSeen       time.Time
	LastSeen        time.Time
	Created         time.Time // of the object in the API
}

// Object is the object that an event is about.
type Object struct{ Kind, Namespace, Name string }

// DecodeEvent decodes a stored value: Kubernetes' protobuf envelope, or JSON as
// older clusters have it. Events of events.k8s.io are stored as core v1 as well.
//
// It is strict: anything but an Event of v1 with a name and a namespace gives an
// error that is ErrNotEvent, or ErrEncrypted. The bytes may be hostile.
func DecodeEvent(value []byte) (event Event, err error) {
	defer func() { // the decoder is generated code, and not ours
		if r := recover(); r != nil {
			event, err = Event{}, fmt.Errorf("%w: decoding it panics: %v", ErrNotEvent, r)
		}
	}()
	var stored *corev1.Event
	switch {
	case bytes.HasPrefix(value, []byte(encryptionMagic)):
		return Event{}, ErrEncrypted
	case len(value) > maxEventBytes:
		return Event{}, fmt.Errorf("%w: %d bytes are too many", ErrNotEvent, len(value))
	case bytes.HasPrefix(value, []byte(protobufMagic)):
		stored, err = fromProtobuf(value[len(protobufMagic):])
	case bytes.HasPrefix(value, []byte("{")):
		stored, err = fromJSON(value)
	default:
		return Event{}, fmt.Errorf("%w: neither Kubernetes' protobuf nor JSON", ErrNotEvent)
	}
	if err != nil {
		return Event{}, err
	}
	if stored.Name == "" || stored.Namespace == "" {
		return Event{}, fmt.Errorf("%w: without a name or a namespace", ErrNotEvent)
	}
	return plain(stored), nil
}

// isEvent checks what a value says of itself, before it is decoded.
func isEvent(apiVersion, kind string) error {
	if apiVersion != "v1" || kind != "Event" {
		return fmt.Errorf("%w: it is %.60q of %.60q", ErrNotEvent, kind, apiVersion)
	}
	return nil
}

func fromProtobuf(data []byte) (*corev1.Event, error) {
	var envelope runtime.Unknown
	if err := envelope.Unmarshal(data); err != nil {
		return nil, fmt.Errorf("%w: its envelope does not decode: %w", ErrNotEvent, err)
	}
	if err := isEvent(envelope.APIVersion, envelope.Kind); err != nil {
		return nil, err
	}
	if envelope.ContentEncoding != "" || envelope.ContentType != "" { // an API server stores neither
		return nil, fmt.Errorf("%w: its content is %.60q in %.60q", ErrNotEvent, envelope.ContentType, envelope.ContentEncoding)
	}
	var event corev1.Event
	if err := event.Unmarshal(envelope.Raw); err != nil {
		return nil, fmt.Errorf("%w: it does not decode: %w", ErrNotEvent, err)
	}
	return &event, nil
}

// fromJSON decodes with apimachinery's own, to which "KIND" is not "kind".
func fromJSON(data []byte) (*corev1.Event, error) {
	var says metav1.TypeMeta
	if err := json.Unmarshal(data, &says); err != nil {
		return nil, fmt.Errorf("%w: it does not decode: %.200w", ErrNotEvent, err)
	}
	if err := isEvent(says.APIVersion, says.Kind); err != nil {
		return nil, err
	}
	var event corev1.Event
	if err := json.Unmarshal(data, &event); err != nil {
		return nil, fmt.Errorf("%w: it does not decode: %.200w", ErrNotEvent, err)
	}
	return &event, nil
}

// plain takes both ways of telling source, count and times: client-go's older
// recorder fills source and count, the newer one reportingComponent and series.
func plain(e *corev1.Event) Event {
	event := Event{
		Namespace: e.Namespace, Name: e.Name, Type: e.Type, Reason: e.Reason,
		Component: e.Source.Component, Host: e.Source.Host,
		InvolvedObject: Object{e.InvolvedObject.Kind, e.InvolvedObject.Namespace, e.InvolvedObject.Name},
		Count:          max(e.Count, 1),
		FirstSeen:      credible(e.FirstTimestamp.Time),
		LastSeen:       credible(e.LastTimestamp.Time),
		Created:        credible(e.CreationTimestamp.Time),
	}
	if event.Component == "" {
		event.Component, event.Host = e.ReportingController, e.ReportingInstance
	}
	seen := credible(e.EventTime.Time)
	if event.FirstSeen.IsZero() {
		event.FirstSeen = seen
	}
	event.LastSeen = later(event.LastSeen, seen)
	if e.Series != nil {
		event.Count = max(event.Count, e.Series.Count)
		event.LastSeen = later(event.LastSeen, credible(e.Series.LastObservedTime.Time))
	}
	return event
}

// credible leaves out what is before Unix time or beyond the year 9999, which
// further arithmetic and every format stumble over.
func credible(t time.Time) time.Time {
	if t.Unix() <= 0 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.UTC()
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
