// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"math"
	"net/url"
	"strings"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// maxLinked bounds the URLs that are put into links: a member may advertise one
// of any length.
const maxLinked = 1024

// endpointView is one row of a cluster's table.
type endpointView struct {
	URL        string // to be shown
	Native     string // the path of its own metrics; empty: the URL is too long for one
	Discovered bool
	State      cell
	Member, ID string
	Role       cell
	Version    string
	Issues     []issueView
	Critical   int // of the issues
	Reads      []read
	Database   database
	Clock      cell
	Disk       cell
	Cert       certificate

	up     bool
	reason string // why it is not
	skew   interval
}

// read is one way of reading through the endpoint.
type read struct {
	Name string
	cell
}

// place names the endpoint in a finding.
func (v *endpointView) place(detail string) string {
	text := v.URL
	if v.Member != "" {
		text += " (" + v.Member + ")"
	}
	if detail != "" {
		text += ": " + detail
	}
	return text
}

// blind are the reasons that lie between us and the endpoint: etcd may be well.
func (v *endpointView) blind() bool {
	switch etcd.Reason(v.reason) {
	case etcd.ReasonTLS, etcd.ReasonAuth, etcd.ReasonDNS:
		return true
	default:
		return false
	}
}

func newEndpointView(cluster string, e etcd.Endpoint, r readings, now time.Time) endpointView {
	v := endpointView{URL: clean(e.URL), Discovered: e.Discovered}
	if len(e.URL) <= maxLinked {
		v.Native = "/native?cluster=" + url.QueryEscape(cluster) + "&url=" + url.QueryEscape(e.URL)
	}
	label := strings.ToValidUTF8(e.URL, "\uFFFD") // as the label has it
	v.state(r, label)
	v.identity(r, label)
	v.role(r, label)
	v.reads(r, label)
	v.Database = newDatabase(r, label)
	v.Disk = diskCell(r, label)
	v.clock(r, label)
	v.Cert = newCertificate(r, now, "server", label)
	if v.Cert.Text == "" && strings.HasPrefix(label, "http://") {
		v.Cert.Text = "no TLS"
	}
	return v
}

func (v *endpointView) state(r readings, url string) {
	up, known := r.value("endpoint_up", "url", url)
	switch {
	case !known && r.has("endpoint_up"), !known && len(r) == 0:
		v.State = cell{unknown, "not asked yet", ""}
	case !known:
		v.State = cell{unknown, "not known", "no answer from collector status"}
	case up == 1:
		v.up, v.State = true, cell{good, "up", ""}
	default:
		v.reason = "other"
		for m := range r.each("endpoint_failure", "url", url) {
			v.reason = labelOf(m, "reason")
		}
		v.State = cell{bad, "down", reasonText(v.reason)}
		if v.reason == string(etcd.ReasonDefragmenting) {
			v.State = cell{warning, "defragmenting", "its reads and writes wait"}
		}
	}
}

func reasonText(reason string) string {
	switch etcd.Reason(reason) {
	case etcd.ReasonRefused:
		return "connection refused"
	case etcd.ReasonTimeout:
		return "no answer in time"
	case etcd.ReasonTLS:
		return "TLS: no trust or no agreement"
	case etcd.ReasonAuth:
		return "user, password or token refused"
	case etcd.ReasonDNS:
		return "host name has no address"
	case etcd.ReasonOther:
		return "the exporter's log says why"
	default:
		return clean(reason)
	}
}

// identity tells who answers; of an endpoint that is down, who advertises it.
func (v *endpointView) identity(r readings, url string) {
	for m := range r.each("endpoint_info", "url", url) {
		v.Member, v.ID, v.Version = clean(labelOf(m, "member")), clean(labelOf(m, "member_id")), clean(labelOf(m, "version"))
	}
	for m := range r.each("member_info") {
		for advertised := range strings.SplitSeq(labelOf(m, "client_urls"), ",") {
			if v.ID == "" && strings.TrimSuffix(advertised, "/") == url {
				v.Member, v.ID = clean(labelOf(m, "member")), clean(labelOf(m, "member_id"))
			}
		}
	}
	for m := range r.each("endpoint_known_issue", "url", url) {
		v.Issues = append(v.Issues, newIssueView(labelOf(m, "issue"), labelOf(m, "severity")))
	}
	v.Critical = sortIssues(v.Issues)
}

func (v *endpointView) role(r readings, url string) {
	switch {
	case r.is(1, "endpoint_is_leader", "url", url):
		v.Role = cell{good, "leader", ""}
	case r.is(1, "endpoint_is_learner", "url", url):
		v.Role = cell{good, "learner", ""}
	case r.is(0, "endpoint_has_leader", "url", url):
		v.Role = cell{bad, "knows no leader", ""}
	case r.is(0, "endpoint_is_leader", "url", url):
		v.Role = cell{good, "follower", ""}
	}
}

func (v *endpointView) reads(r readings, url string) {
	if v.State.Level == bad || v.reason != "" { // the state has said it
		return
	}
	for _, name := range []string{"linearizable", "serializable"} {
		healthy, known := r.value("endpoint_healthy", "url", url, "check", name+"_read")
		took, timed := r.value("endpoint_check_duration_seconds", "url", url, "check", name+"_read")
		one := read{Name: name}
		switch {
		case !known:
			continue
		case healthy == 1 && timed:
			one.Text = lapse(seconds(took))
		case healthy == 1:
			one.Text = "works"
		case timed:
			one.cell = cell{bad, "fails after " + lapse(seconds(took)), ""}
		default:
			one.cell = cell{bad, "fails", ""}
		}
		v.Reads = append(v.Reads, one)
	}
}

// interval is what a clock's skew surely lies in.
type interval struct {
	low, high time.Duration
	known     bool
}

// surely gives the least that the skew can be, without its sign.
func (i interval) surely() time.Duration { return max(i.low, -i.high, 0) }

func (v *endpointView) clock(r readings, url string) {
	skew, known := r.value("endpoint_clock_skew_seconds", "url", url)
	if !known {
		return
	}
	width, bounded := r.value("endpoint_clock_skew_error_seconds", "url", url)
	v.skew = interval{seconds(skew - width), seconds(skew + width), bounded}
	v.Clock.Text = offset(seconds(skew))
	if bounded {
		v.Clock.Text += " ±\u00a0" + lapse(seconds(math.Abs(width)))
	}
	if v.skew.surely() > maxSkew {
		v.Clock.Level, v.Clock.Note = warning, "ahead of the exporter"
		if skew < 0 {
			v.Clock.Note = "behind the exporter"
		}
	}
}
