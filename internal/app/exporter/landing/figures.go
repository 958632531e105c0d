// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"math"
	"strconv"
	"time"
)

// The bounds are those that the alerts will have, so that the page and the pager
// agree.
const (
	quotaWarning, quotaBad = 0.75, 0.9
	certWarning, certBad   = 30 * day, 7 * day
	caWarning              = 180 * day
	maxSkew                = time.Second
	staleAfter             = 2 * time.Minute
	// diskSpare is what a defragmentation needs beside the copy it writes.
	diskSpare = 1 << 30
)

// database is a member's database against its quota. The bar is drawn 100 wide.
type database struct {
	cell
	InUse, Free string // widths of the bar's parts; empty: no bar
	Bar         string // the bar in words
	used        float64
}

func newDatabase(r readings, url string) database {
	var d database
	total, known := r.value("endpoint_db_size_bytes", "url", url)
	if !known || total < 0 {
		return d
	}
	quota, limited := r.value("endpoint_db_quota_bytes", "url", url)
	inUse, split := r.value("endpoint_db_in_use_bytes", "url", url)
	inUse = min(max(inUse, 0), total)
	limited = limited && quota > 0
	whole := max(total, 1)
	d.Text = size(total) + ", quota not known"
	if limited {
		whole, d.used = quota, total/quota
		d.Text = sizeOf(total, quota) + ", " + percent(total, quota)
	}
	switch {
	case d.used > quotaBad:
		d.Level = bad
	case d.used > quotaWarning:
		d.Level = warning
	}
	if !split {
		inUse = total
	} else {
		d.Note = size(inUse) + " in use, " + size(total-inUse) + " free"
		if total > 0 {
			d.Note += " (" + percent(total-inUse, total) + ")"
		}
	}
	used := min(100*inUse/whole, 100)
	d.InUse, d.Free = width(used), width(min(100*(total-inUse)/whole, 100-used))
	d.Bar = "database: " + d.Text
	return d
}

func width(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }

// diskCell is the room beside the database, where the exporter can see it.
func diskCell(r readings, url string) cell {
	free, known := r.value("endpoint_disk_free_bytes", "url", url)
	if !known {
		return cell{}
	}
	c := cell{good, "disk: " + size(free) + " free", ""}
	if inUse, ok := r.value("endpoint_db_in_use_bytes", "url", url); ok && free < 1.2*inUse+diskSpare {
		c.Level, c.Note = warning, "too little to defragment"
	}
	return c
}

// certificate is when one expires.
type certificate struct {
	cell
	notAfter float64 // Unix time; 0: there is none
	expired  bool
}

// newCertificate takes the earliest expiry among the certificates with the role,
// of one URL or, without one, of all.
func newCertificate(r readings, now time.Time, role string, url ...string) certificate {
	labels := []string{"role", role}
	if len(url) > 0 {
		labels = append(labels, "url", url[0])
	}
	earliest, subject := math.Inf(1), ""
	for m, notAfter := range r.each("certificate_not_after_timestamp_seconds", labels...) {
		if notAfter < earliest {
			earliest, subject = notAfter, labelOf(m, "subject")
		}
	}
	if math.IsInf(earliest, 1) {
		return certificate{}
	}
	left := seconds(earliest - float64(now.Unix()))
	c := certificate{cell{good, "in " + lapse(left), clean(subject)}, earliest, left <= 0}
	switch {
	case c.expired:
		c.Level, c.Text = bad, "expired "+lapse(-left)+" ago"
	case role == "issuer":
		if left < caWarning {
			c.Level = warning
		}
	case left < certBad:
		c.Level = bad
	case left < certWarning:
		c.Level = warning
	}
	return c
}

// problem says what a bad level means for the certificate of that name.
func (c certificate) problem(name string) string {
	if c.expired {
		return name + " has expired"
	}
	return name + " expires soon"
}
