// SPDX-License-Identifier: Apache-2.0

// Package webhook takes what Alertmanager posts: it checks the payload, finds the
// policies that an alert starts, and answers once these are accepted.
//
// An alert is a hint. Its labels choose among the configured policies and
// clusters, and whether it fires or is resolved is taken over; nothing else in a
// payload chooses anything.
package webhook

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"
)

// Bounds of a payload.
const (
	MaxBody   = 1 << 20 // bytes
	MaxAlerts = 10_000

	maxQuoted = 64 // bytes of a payload's text that an error or a log line repeats
)

// What an alert's status may be.
const (
	Firing   = string(model.AlertFiring)
	Resolved = string(model.AlertResolved)
)

// version is the only one there is since Alertmanager 0.6.
const version = "4"

// ErrTooLarge is a body beyond MaxBody.
var ErrTooLarge = fmt.Errorf("the body is larger than %d bytes: set max_alerts in Alertmanager's webhook_configs", MaxBody)

// Message is one notification of Alertmanager, so far as it means anything here.
type Message struct {
	Receiver  string
	Alerts    []Alert
	Truncated uint64 // alerts that max_alerts left out
}

// Alert is one alert of a message.
type Alert struct {
	Status   string // Firing or Resolved
	Labels   model.LabelSet
	StartsAt time.Time // zero: not given
}

// envelope is the payload as Alertmanager writes it. Fields that are not here are
// allowed, since new versions of it add some.
type envelope struct {
	Version           string          `json:"version"`
	GroupKey          string          `json:"groupKey"`
	TruncatedAlerts   uint64          `json:"truncatedAlerts"`
	Receiver          string          `json:"receiver"`
	Status            string          `json:"status"`
	ExternalURL       string          `json:"externalURL"`
	Alerts            json.RawMessage `json:"alerts"`
	GroupLabels       json.RawMessage `json:"groupLabels"`
	CommonLabels      json.RawMessage `json:"commonLabels"`
	CommonAnnotations json.RawMessage `json:"commonAnnotations"`
}

type rawAlert struct {
	Status       string          `json:"status"`
	Labels       json.RawMessage `json:"labels"`
	Annotations  json.RawMessage `json:"annotations"`
	StartsAt     string          `json:"startsAt"`
	EndsAt       string          `json:"endsAt"`
	GeneratorURL string          `json:"generatorURL"`
	Fingerprint  string          `json:"fingerprint"`
}

// Parse reads a payload of version 4. Its errors are one short line each.
func Parse(r io.Reader) (Message, error) {
	body, err := io.ReadAll(io.LimitReader(r, MaxBody+1))
	switch {
	case err != nil:
		return Message{}, fmt.Errorf("read the body: %w", err)
	case len(body) > MaxBody:
		return Message{}, ErrTooLarge
	case !utf8.Valid(body):
		return Message{}, errors.New("the body is not UTF-8")
	}
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		return Message{}, plain("the body", err)
	}
	switch {
	case e.Version == "":
		return Message{}, errors.New("version is missing: this is no payload of Alertmanager's webhook")
	case e.Version != version:
		return Message{}, fmt.Errorf("version is %s: only %q is known", quote(e.Version), version)
	case e.Status != "" && !knownStatus(e.Status):
		return Message{}, fmt.Errorf("status is %s: it must be firing or resolved", quote(e.Status))
	}
	for _, f := range []struct {
		name string
		raw  json.RawMessage
	}{{"groupLabels", e.GroupLabels}, {"commonLabels", e.CommonLabels}, {"commonAnnotations", e.CommonAnnotations}} {
		if _, err := parseLabels(f.name, f.raw); err != nil {
			return Message{}, err
		}
	}
	m := Message{Receiver: e.Receiver, Truncated: e.TruncatedAlerts}
	m.Alerts, err = parseAlerts(e.Alerts)
	return m, err
}

func knownStatus(s string) bool { return s == Firing || s == Resolved }

// parseAlerts reads one alert at a time, so that a body of empty alerts costs no
// more memory than the bound on their number allows.
func parseAlerts(raw json.RawMessage) ([]Alert, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if open, err := d.Token(); err != nil || open != json.Delim('[') {
		return nil, errors.New("alerts must be a list")
	}
	var alerts []Alert
	for d.More() {
		where := fmt.Sprintf("alerts[%d]", len(alerts))
		if len(alerts) == MaxAlerts {
			return nil, fmt.Errorf("more than %d alerts: set max_alerts in Alertmanager's webhook_configs", MaxAlerts)
		}
		var in rawAlert
		if err := d.Decode(&in); err != nil {
			return nil, plain(where, err)
		}
		a, err := in.parse()
		if err != nil {
			return nil, fmt.Errorf("%s.%w", where, err)
		}
		alerts = append(alerts, a)
	}
	return alerts, nil
}

func (in *rawAlert) parse() (Alert, error) {
	a := Alert{Status: in.Status}
	if !knownStatus(in.Status) {
		return a, fmt.Errorf("status is %s: it must be firing or resolved", quote(in.Status))
	}
	var err error
	if a.Labels, err = parseLabels("labels", in.Labels); err != nil {
		return a, err
	}
	if _, err := parseLabels("annotations", in.Annotations); err != nil {
		return a, err
	}
	if len(a.Labels) == 0 {
		return a, errors.New("labels is empty: an alert is nothing but its labels")
	}
	if a.StartsAt, err = parseTime("startsAt", in.StartsAt); err != nil {
		return a, err
	}
	_, err = parseTime("endsAt", in.EndsAt)
	return a, err
}

// parseLabels reads an object of texts. A name that stands there twice is refused:
// two readers might take a different one of the two. Labels without a value are
// left out, as Alertmanager does.
func parseLabels(field string, raw json.RawMessage) (model.LabelSet, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("%s must be an object of texts", field)
	}
	set, seen := model.LabelSet{}, map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("%s cannot be read", field)
		}
		name, _ := key.(string)
		value, err := d.Token()
		text, ok := value.(string)
		switch {
		case err != nil || !ok:
			return nil, fmt.Errorf("%s: the value of %s must be a text", field, quote(name))
		case !model.UTF8Validation.IsValidLabelName(name):
			return nil, fmt.Errorf("%s: %s is no label name", field, quote(name))
		case seen[name]:
			return nil, fmt.Errorf("%s: %s stands there twice", field, quote(name))
		}
		seen[name] = true
		if text != "" {
			set[model.LabelName(name)] = model.LabelValue(text)
		}
	}
	return set, nil
}

// parseTime reads a time of the payload; none is the zero time.
func parseTime(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s is %s: it must be a time as in RFC 3339", field, quote(text))
	}
	return t, nil
}

// plain says in one line what encoding/json found, without Go's types.
func plain(where string, err error) error {
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		found, _, _ := strings.Cut(kind.Value, " ") // a number is repeated behind the word
		if kind.Field != "" && strings.HasPrefix(where, "alerts[") {
			where += "." + kind.Field
		} else {
			where = cmp.Or(kind.Field, where)
		}
		return fmt.Errorf("%s: a JSON %s does not fit here", where, found)
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("%s is no JSON, at byte %d: %w", where, syntax.Offset, err)
	}
	return fmt.Errorf("%s is no JSON: %w", where, err)
}

// quote shows a payload's text in one line, cut where it is long.
func quote(text string) string {
	if len(text) > maxQuoted {
		return strconv.Quote(strings.ToValidUTF8(text[:maxQuoted], "")) + "…"
	}
	return strconv.Quote(text)
}
