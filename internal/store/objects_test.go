// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// roundTrip answers in the place of a server.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(r *http.Request, status int, body string, header ...string) *http.Response {
	resp := &http.Response{
		StatusCode: status, Status: fmt.Sprint(status, " ", http.StatusText(status)), Request: r, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
	for i := 0; i < len(header); i += 2 {
		resp.Header.Set(header[i], header[i+1])
	}
	return resp
}

func openFake(t *testing.T, cfg ObjStoreConfig, server roundTrip) Store {
	t.Helper()
	r, err := newRules(Config{Pattern: "*.db"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := newObjStore(cfg, r, quiet(), func(http.RoundTripper) http.RoundTripper { return server })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const azureConfig = `
storage_account: acct
storage_account_key: bXlTdXBlclNlY3JldEtleTEyMyFAIw==
container: snaps
storage_create_container: true
`

func TestAzure(t *testing.T) {
	etag := `"0x1"`
	modified := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	server := func(r *http.Request) (*http.Response, error) {
		object := []string{"ETag", etag, "Last-Modified", modified, "Content-Length", "5"}
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			t.Errorf("%s %s: nothing may be written", r.Method, r.URL)
			return answer(r, 403, ""), nil
		case r.URL.Host != "acct.blob.core.windows.net":
			t.Errorf("asks %s", r.URL.Host)
		case r.URL.Query().Get("comp") == "list":
			return answer(r, 200, `<?xml version="1.0"?><EnumerationResults ContainerName="snaps"><Prefix>prod/</Prefix><Delimiter>/</Delimiter><Blobs>`+
				`<Blob><Name>prod/a.db</Name><Properties><Last-Modified>`+modified+`</Last-Modified><Etag>0x1</Etag><Content-Length>5</Content-Length></Properties></Blob>`+
				`<BlobPrefix><Name>prod/deep.db/</Name></BlobPrefix></Blobs><NextMarker/></EnumerationResults>`, "Content-Type", "application/xml"), nil
		case r.Method == http.MethodHead:
			return answer(r, 200, "", object...), nil
		}
		return answer(r, 200, "hello", object...), nil
	}
	s := openFake(t, ObjStoreConfig{Type: "azure", Config: []byte(azureConfig), Prefix: "prod"}, server)
	objects := list(t, s)
	wantFound(t, objects, "a.db")
	if objects[0].Size != 5 || objects[0].Version != "etag 0x1" {
		t.Errorf("listed %+v", objects[0])
	}
	if got := content(t, s, objects[0]); got != "hello" {
		t.Errorf("read %q", got)
	}
	etag = `"0x2"`
	if _, err := s.Open(t.Context(), objects[0]); !errors.Is(err, ErrChanged) {
		t.Errorf("another ETag: %v", err)
	}
}

func TestAzureRefused(t *testing.T) {
	s := openFake(t, ObjStoreConfig{Type: "AZURE", Config: []byte(azureConfig)}, func(r *http.Request) (*http.Response, error) {
		return answer(r, 403, "<Error><Code>AuthenticationFailed</Code><Message>sig bXlTdXBlclNlY3JldEtleTEyMyFAIw==\nstring to sign</Message></Error>",
			"x-ms-error-code", "AuthenticationFailed"), nil
	})
	_, err := s.List(t.Context())
	if want := "list Azure container snaps: the server answers 403 AuthenticationFailed"; err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func TestGCS(t *testing.T) {
	modified, tokens := "2026-11-23T02:00:00.123Z", 0
	server := func(r *http.Request) (*http.Response, error) {
		switch {
		case r.URL.Host == "token.invalid":
			tokens++
			return answer(r, 200, `{"access_token":"tok","token_type":"Bearer","expires_in":3600}`, "Content-Type", "application/json"), nil
		case r.Header.Get("Authorization") != "Bearer tok":
			t.Errorf("%s without a token", r.URL)
		case r.Method != http.MethodGet:
			t.Errorf("%s %s", r.Method, r.URL)
		case strings.HasSuffix(r.URL.Path, "/b/snaps/o"):
			return answer(r, 200, `{"items":[{"name":"prod/a.db","updated":"`+modified+`"}],"prefixes":["prod/deep/"]}`, "Content-Type", "application/json"), nil
		case strings.Contains(r.URL.Path, "/b/snaps/o/"):
			return answer(r, 200, `{"name":"prod/a.db","size":"5","updated":"`+modified+`"}`, "Content-Type", "application/json", "ETag", "CAE="), nil
		}
		return answer(r, 200, "hello", "ETag", `"md5"`, "Content-Type", "application/octet-stream", "X-Goog-Generation", "1"), nil
	}
	key, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "a@b.c", "private_key_id": "1", "token_uri": "https://token.invalid/t", "private_key": testKey(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := openFake(t, ObjStoreConfig{Type: "gcs", Config: fmt.Appendf(nil, "bucket: snaps\nservice_account: '%s'\n", key), Prefix: "/prod/"}, server)
	if tokens != 0 {
		t.Error("asked for a token before the first listing")
	}
	objects := list(t, s)
	wantFound(t, objects, "a.db")
	if o := objects[0]; o.Size != 5 || !strings.HasPrefix(o.Version, "time ") {
		t.Errorf("listed %+v", o)
	}
	if got := content(t, s, objects[0]); got != "hello" {
		t.Errorf("read %q", got)
	}
	modified = "2026-11-23T02:00:09Z"
	if _, err := s.Open(t.Context(), objects[0]); !errors.Is(err, ErrChanged) {
		t.Errorf("another time: %v", err)
	}
}

func TestFilesystem(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/prod/a.db", "hello", time.Hour)
	write(t, dir+"/b.db", "x", time.Hour)
	s := open(t, Config{ObjStore: &ObjStoreConfig{Type: "filesystem", Config: []byte("directory: " + dir), Prefix: "prod/"}})
	objects := list(t, s)
	wantFound(t, objects, "a.db")
	if got := content(t, s, objects[0]); got != "hello" {
		t.Errorf("read %q", got)
	}
}

const canary = "hunter2-canary"

func TestBadObjStore(t *testing.T) {
	for _, c := range []struct{ kind, config, want string }{
		{"S4", "bucket: b", `objstore.type: "S4" is unknown: write S3, GCS, AZURE or FILESYSTEM`},
		{"", "", `objstore.type: ""`},
		{"S3", "endpoint: e.example", "objstore.config.bucket: is needed"},
		{"S3", "bucket: b", "objstore.config: no s3 endpoint"},
		{"S3", "bucket: b\nendpoint: https://" + canary + ".example/x\nsecret_key: " + canary, "objstore.config: "},
		{"S3", "bucket: b\nendpoint: e\naccess_key: " + canary, "objstore.config: no s3 secret_key"},
		{"S3", "bucket: b\nendpoint: e\nsecret: " + canary, "objstore.config.secret: is unknown"},
		{"S3", "bucket: b\nendpoint: e\ninsecure: " + canary, "objstore.config.insecure: "},
		{"S3", "bucket: b\nendpoint: e\nhttp_config: {idle_conn_timeout: " + canary + "}", "objstore.config.http_config.idle_conn_timeout: "},
		{"S3", "bucket: b\nhttp_config: {tls_config: {ca_file: /none}}\nendpoint: e", "objstore.config.http_config: "},
		{"S3", "{secret_key:" + canary + "}", "objstore.config: a field in line 1 is unknown"},
		{"S3", canary, "objstore.config: must be a mapping"},
		{"S3", "a: [" + canary, "objstore.config: is not valid YAML"},
		{"GCS", "service_account: " + canary, "objstore.config.bucket: is needed"},
		{"GCS", "bucket: b\nservice_account: " + canary, "objstore.config.service_account: is not"},
		{"GCS", "bucket: b\nuse_grpc: true", "objstore.config.use_grpc: is not"},
		{"AZURE", "storage_account: a", "objstore.config.container: is needed"},
		{"AZURE", "container: c\nstorage_account_key: " + canary, "objstore.config: storage_account_name"},
		{"AZURE", "container: c\nstorage_account: a\nstorage_account_key: '" + canary + "!'", "objstore.config: "},
		{"FILESYSTEM", "directory: relative", `objstore.config.directory: "relative" is not`},
		{"FILESYSTEM", "dir: /x", "objstore.config.dir: is unknown"},
	} {
		_, err := New(Config{Pattern: "*.db", ObjStore: &ObjStoreConfig{Type: c.kind, Config: []byte(c.config)}}, quiet())
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.ContainsAny(err.Error(), "\n") {
			t.Errorf("%s %q:\n%v, want\n%s", c.kind, c.config, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%s %q shows the secret: %v", c.kind, c.config, err)
		}
	}
}

func TestNothingShowsSecrets(t *testing.T) {
	cfg := Config{Pattern: "*.db", ObjStore: &ObjStoreConfig{Type: "S3", Config: []byte("bucket: b\nendpoint: e.example\naccess_key: " + canary + "\nsecret_key: " + canary)}}
	s, err := New(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	logger.Info("made", "config", cfg, "objstore", *cfg.ObjStore, "store", s)
	if err := (kitLogger{logger, findSecrets(cfg.ObjStore.Config)}).Log("level", "warn", "msg", "key is "+canary); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	bytesOf := strings.Trim(fmt.Sprint(any([]byte(canary))), "[]")
	for what, text := range map[string]string{
		"log": log.String(), "json": string(asJSON),
		"config": fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg), "objstore": fmt.Sprintf("%v %+v %#v %s", *cfg.ObjStore, cfg.ObjStore, cfg.ObjStore, cfg.ObjStore),
		"store": fmt.Sprintf("%v %+v %#v", s, s, s),
	} {
		if strings.Contains(text, canary) || strings.Contains(text, bytesOf) {
			t.Errorf("%s shows the secret: %s", what, text)
		}
	}
	if !strings.Contains(log.String(), "key is <hidden>") {
		t.Errorf("the library's line is missing: %s", log.String())
	}
}

func TestConfigFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/one/a.db", "x", time.Hour)
	write(t, dir+"/two/b.db", "x", time.Hour)
	file := dir + "/objstore.yml"
	use := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := Config{Pattern: "*.db", ObjStore: &ObjStoreConfig{ConfigFile: file}}
	for text, want := range map[string]string{
		"type: FILESYSTEM":                              "config: is needed",
		"type: S9\nconfig: {a: b}":                      "type: \"S9\" is unknown",
		"type: FILESYSTEM\nkonfig: {a: " + canary + "}": "konfig: is unknown",
		"type: FILESYSTEM\nconfig: {a: " + canary + "}": "config.a: is unknown",
	} {
		use(text)
		if _, err := New(cfg, quiet()); err == nil || !strings.HasPrefix(err.Error(), "objstore.config_file: "+file+": "+want) || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := New(Config{Pattern: "*", ObjStore: &ObjStoreConfig{ConfigFile: dir}}, quiet()); err == nil {
		t.Error("a directory was taken for a configuration file")
	}
	use("type: FILESYSTEM\nconfig: {directory: " + dir + "/one}")
	var log bytes.Buffer
	s, err := New(cfg, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	wantFound(t, list(t, s), "a.db")
	use("type: FILESYSTEM\nconfig: {directory: " + dir + "}\nprefix: two")
	wantFound(t, list(t, s), "b.db")
	use("type: FILESYSTEM\nconfig: {dir") // half-written
	wantFound(t, list(t, s), "b.db")
	wantFound(t, list(t, s), "b.db")
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings of one bad file: %s", n, log.String())
	}
	use("type: FILESYSTEM\nconfig: {directory: " + dir + "/one}")
	wantFound(t, list(t, s), "a.db")
}

func TestStalledDownload(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	server := func(r *http.Request) (*http.Response, error) {
		if r.URL.Query().Has("location") {
			return answer(r, 200, `<LocationConstraint></LocationConstraint>`), nil
		}
		resp := answer(r, 200, "", "ETag", `"1"`, "Last-Modified", time.Now().Format(http.TimeFormat), "Content-Length", "1000")
		read, send := io.Pipe()
		go func() {
			_, _ = send.Write(make([]byte, 100))
			select {
			case <-release:
			case <-r.Context().Done():
				_ = send.CloseWithError(r.Context().Err())
			}
		}()
		resp.Body, resp.ContentLength = read, 1000
		return resp, nil
	}
	s := openFake(t, ObjStoreConfig{Type: "S3", Config: []byte("bucket: bbb\nendpoint: e.example\naccess_key: aaaa\nsecret_key: ssss")}, server)
	s.(*objects).rules.stall = 50 * time.Millisecond
	r, err := s.Open(t.Context(), Object{Name: "a.db", Version: "etag 1"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n, err := io.Copy(io.Discard, r)
	if n != 100 || !errors.Is(err, errStalled) {
		t.Errorf("read %d bytes: %v", n, err)
	}
}
