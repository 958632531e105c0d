// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"testing"
)

func TestDecodeRevision(t *testing.T) {
	for _, test := range []struct {
		name string
		want revision
		bad  bool
	}{
		{name: string(revisionBytes(7, 3, false)), want: revision{main: 7, sub: 3}},
		{name: string(revisionBytes(7, 3, true)), want: revision{main: 7, sub: 3, tombstone: true}},
		{name: string(revisionBytes(7, 3, false)) + "x", want: revision{main: 7, sub: 3}}, // etcd takes it, too
		{name: string(revisionBytes(-1, 0, false)), bad: true},
		{name: string(revisionBytes(1, -1, false)), bad: true},
		{name: string(revisionBytes(7, 3, true)) + "t", bad: true},
		{name: "12345678-12345678", bad: true},
		{name: "", bad: true},
	} {
		got, err := decodeRevision([]byte(test.name))
		if got != test.want || (err != nil) != test.bad {
			t.Errorf("%q: %+v, %v", test.name, got, err)
		}
	}
}

func TestDecodeRecordRefusesWhatEtcdCannotRead(t *testing.T) {
	for name, bytes := range map[string]string{
		"tag cut":                "\x80",
		"tag without end":        "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80",
		"field 0":                "\x02\x01a",
		"key longer than record": "\x0a\x05abc",
		"key of 2^63 bytes":      "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
		"number cut":             "\x0a\x01k\x20",
		"fixed64 cut":            "\x09abc",
		"fixed32 cut":            "\x0dab",
		"group":                  "\x0b",
	} {
		if r, err := decodeRecord([]byte(bytes)); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(encodeRecord("/registry/pods/a", 5, 9, 3, []byte("value")), "k", int64(1), []byte("v"))
	f.Add([]byte("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), "", int64(0), []byte(nil))
	f.Add([]byte("\x31\x30\x30\x30\x30\x30\x30\x30\x30"), "\xff", int64(-1), []byte{0})
	f.Fuzz(func(t *testing.T, hostile []byte, key string, version int64, value []byte) {
		if r, err := decodeRecord(hostile); err == nil && len(r.key) > 0 && !bytes.Contains(hostile, r.key) {
			t.Errorf("key %q is not in the record", r.key)
		}
		_, _ = decodeRevision(hostile)
		r, err := decodeRecord(encodeRecord(key, 1<<40, 1<<41, version, value))
		if err != nil || string(r.key) != key || r.version != version {
			t.Errorf("key %q version %d came back as %q, %d, %v", key, version, r.key, r.version, err)
		}
	})
}
