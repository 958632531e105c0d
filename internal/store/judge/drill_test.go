// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestDrill(t *testing.T) {
	name := filepath.Join(t.TempDir(), "drill.json")
	if _, err := ReadDrill(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no result yet: %v", err)
	}
	want := Drill{Success: true, Time: time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC), Store: "local", Snapshot: "a.db", Revision: 7, Keys: 5}
	if err := WriteDrill(name, want); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadDrill(name); err != nil || got != want {
		t.Errorf("read %+v, %v", got, err)
	}
	for _, bad := range []string{"", "{}", "null", `{"success": "yes"}`, `{"time": 3}`, "\x00", string(make([]byte, maxDrill+1))} {
		if err := os.WriteFile(name, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if d, err := ReadDrill(name); err == nil {
			t.Errorf("%.20q was read as %+v", bad, d)
		}
	}
}
