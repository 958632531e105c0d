// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func load(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestParseReal reads what Alertmanager 0.31.1 posted, and comes to the
// fingerprints that it named.
func TestParseReal(t *testing.T) {
	text := load(t, "alertmanager-0.31.1.json")
	m, err := Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var named struct {
		Alerts []struct{ Status, Fingerprint string }
	}
	if err := json.Unmarshal([]byte(text), &named); err != nil {
		t.Fatal(err)
	}
	if len(m.Alerts) != len(named.Alerts) || len(m.Alerts) < 2 || m.Truncated != 1 || m.Receiver != "remediator" {
		t.Fatalf("got %+v", m)
	}
	for i, a := range m.Alerts {
		if got := a.Labels.Fingerprint().String(); got != named.Alerts[i].Fingerprint || a.Status != named.Alerts[i].Status {
			t.Errorf("alert %d: fingerprint %s, %s; Alertmanager says %+v", i, got, a.Status, named.Alerts[i])
		}
		if a.Labels["alertname"] == "" || a.StartsAt.IsZero() {
			t.Errorf("alert %d is %+v", i, a)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	alert := func(fields string) string { return `{"version":"4","alerts":[` + fields + `]}` }
	good := `{"status":"firing","labels":{"alertname":"A"}}`
	for name, tc := range map[string]struct{ body, want string }{
		"empty":                {``, "the body is no JSON"},
		"not JSON":             {`alert!`, "the body is no JSON, at byte 1"},
		"cut":                  {`{"version":"4","alerts":[`, "the body is no JSON"},
		"two documents":        {alert(good) + alert(good), "the body is no JSON"},
		"a list":               {`[]`, "the body: a JSON array does not fit here"},
		"null":                 {`null`, "version is missing"},
		"no version":           {`{"alerts":[]}`, "version is missing"},
		"old version":          {`{"version":"3","alerts":[]}`, `version is "3": only "4" is known`},
		"version as number":    {`{"version":4,"alerts":[]}`, "version: a JSON number does not fit here"},
		"group status":         {`{"version":"4","status":"on","alerts":[]}`, `status is "on"`},
		"no alerts":            {`{"version":"4"}`, "alerts must be a list"},
		"alerts null":          {`{"version":"4","alerts":null}`, "alerts must be a list"},
		"alerts an object":     {`{"version":"4","alerts":{}}`, "alerts must be a list"},
		"alert a text":         {alert(`"x"`), "alerts[0]: a JSON string does not fit here"},
		"no status":            {alert(good + `,{"labels":{"a":"b"}}`), `alerts[1].status is ""`},
		"status":               {alert(`{"status":"FIRING","labels":{"a":"b"}}`), `alerts[0].status is "FIRING"`},
		"status a list":        {alert(`{"status":[],"labels":{"a":"b"}}`), "alerts[0].status: a JSON array does not fit here"},
		"no labels":            {alert(`{"status":"firing"}`), "alerts[0].labels is empty"},
		"empty labels":         {alert(`{"status":"firing","labels":{"a":""}}`), "alerts[0].labels is empty"},
		"labels a list":        {alert(`{"status":"firing","labels":[]}`), "alerts[0].labels must be an object of texts"},
		"label a number":       {alert(`{"status":"firing","labels":{"a":1}}`), `alerts[0].labels: the value of "a" must be a text`},
		"label null":           {alert(`{"status":"firing","labels":{"a":null}}`), `alerts[0].labels: the value of "a" must be a text`},
		"label an object":      {alert(`{"status":"firing","labels":{"a":{"b":"c"}}}`), `alerts[0].labels: the value of "a" must be a text`},
		"label without a name": {alert(`{"status":"firing","labels":{"":"x"}}`), `alerts[0].labels: "" is no label name`},
		"label twice":          {alert(`{"status":"firing","labels":{"a":"b","a":"c"}}`), `alerts[0].labels: "a" stands there twice`},
		"annotation a number":  {alert(`{"status":"firing","labels":{"a":"b"},"annotations":{"x":1}}`), "alerts[0].annotations"},
		"startsAt":             {alert(`{"status":"firing","labels":{"a":"b"},"startsAt":"yesterday"}`), `alerts[0].startsAt is "yesterday"`},
		"endsAt":               {alert(`{"status":"firing","labels":{"a":"b"},"endsAt":"25:00"}`), `alerts[0].endsAt is "25:00"`},
		"common labels":        {`{"version":"4","alerts":[],"commonLabels":{"a":[]}}`, "commonLabels: the value of"},
		"negative truncation":  {`{"version":"4","alerts":[],"truncatedAlerts":-1}`, "truncatedAlerts: a JSON number does not fit here"},
		"huge number":          {`{"version":"4","alerts":[],"truncatedAlerts":1` + strings.Repeat("0", 10_000) + `}`, "truncatedAlerts: a JSON number does not fit here"},
		"not UTF-8":            {alert("{\"status\":\"firing\",\"labels\":{\"a\":\"\xff\"}}"), "the body is not UTF-8"},
		"long status":          {alert(`{"status":"` + strings.Repeat("x", 500_000) + `","labels":{"a":"b"}}`), "alerts[0].status is"},
		"deep":                 {strings.Repeat("[", 500_000), "the body is no JSON"},
		"deep inside":          {`{"version":"4","x":` + strings.Repeat("[", 300_000) + strings.Repeat("]", 300_000) + `,"alerts":[]}`, "the body is no JSON"},
		"line break":           {alert(`{"status":"a\nb","labels":{"a":"b"}}`), `alerts[0].status is "a\nb"`},
		"too many":             {alert(strings.Repeat(good+",", MaxAlerts) + good), "more than 10000 alerts"},
		"too many of nothing":  {`{"version":"4","alerts":[` + strings.Repeat("0,", 400_000) + `0]}`, "alerts[0]: a JSON number does not fit here"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(strings.NewReader(tc.body))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q in it", err, tc.want)
			}
			oneLine(t, err)
		})
	}
}

// oneLine fails for an error that is not fit to be one short line.
func oneLine(t *testing.T, err error) {
	t.Helper()
	if text := err.Error(); strings.ContainsAny(text, "\n\r\x00\x1b") || len(text) > 400 {
		t.Errorf("no short line: %.500q", text)
	}
}

func TestParseAllows(t *testing.T) {
	for name, tc := range map[string]struct {
		body   string
		alerts int
	}{
		"no alert":        {`{"version":"4","alerts":[]}`, 0},
		"unknown fields":  {`{"version":"4","notification_reason":{"new":1},"alerts":[{"status":"resolved","labels":{"a":"b"},"new":[1]}]}`, 1},
		"UTF-8 label":     {`{"version":"4","alerts":[{"status":"firing","labels":{"région.名":"日本"}}]}`, 1},
		"no ends":         {`{"version":"4","alerts":[{"status":"firing","labels":{"a":"b"},"endsAt":"0001-01-01T00:00:00Z"}]}`, 1},
		"as many as may":  {`{"version":"4","alerts":[` + strings.TrimSuffix(strings.Repeat(`{"status":"firing","labels":{"a":"b"}},`, MaxAlerts), ",") + `]}`, MaxAlerts},
		"trailing spaces": {`{"version":"4","alerts":[]}` + "\n\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Parse(strings.NewReader(tc.body))
			if err != nil || len(m.Alerts) != tc.alerts {
				t.Fatalf("got %d alerts and %v", len(m.Alerts), err)
			}
		})
	}
}

func TestParseBound(t *testing.T) {
	fits := `{"version":"4","alerts":[]}`
	fits += strings.Repeat(" ", MaxBody-len(fits))
	if _, err := Parse(strings.NewReader(fits)); err != nil {
		t.Errorf("a body of exactly 1 MiB: %v", err)
	}
	if _, err := Parse(strings.NewReader(fits + " ")); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a body of one byte more: %v", err)
	}
}

// FuzzParse: whatever comes is refused in one line, or can be matched.
func FuzzParse(f *testing.F) {
	f.Add(load(f, "alertmanager-0.31.1.json"))
	f.Add(`{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"A","cluster":"prod"},"startsAt":"2026-11-24T02:00:00Z"}]}`)
	f.Add(`{"version":"4","alerts":[{"status":"resolved","labels":{"a":"b","a":"c"}}],"truncatedAlerts":18446744073709551615}`)
	f.Add(`{"version":"4","alerts":[{},{"labels":{"\u0000":"x"}},null]}`)
	f.Add("{\"version\":\"4\",\"alerts\":[\xff]}")
	router := testRouter(f)
	f.Fuzz(func(t *testing.T, body string) {
		m, err := Parse(strings.NewReader(body))
		if err != nil {
			oneLine(t, err)
			return
		}
		alerts := 0
		for _, n := range router.Match(m).Counts {
			alerts += n
		}
		if alerts != len(m.Alerts) {
			t.Errorf("%d of %d alerts are counted", alerts, len(m.Alerts))
		}
		for _, a := range m.Alerts {
			if err := a.Labels.Validate(); err != nil || !knownStatus(a.Status) {
				t.Errorf("accepted %q with %v", a.Status, err)
			}
		}
	})
}
