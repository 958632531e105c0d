// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// maxConfigFile bounds the file that ConfigFile names, in bytes.
const maxConfigFile = 1 << 20

// ObjStoreConfig names an object store in the words of Thanos: either Type and Config
// in place, or ConfigFile with both, which is read again when it changes.
//
// Whatever the configuration says: nothing is ever written (storage_create_container
// and trace count for nothing), and no proxy variable is read by the requests for
// objects. The libraries' own requests for tokens (instance metadata, Azure and Google
// sign-in) are theirs, and may.
type ObjStoreConfig struct {
	Type       string // S3, GCS, AZURE or FILESYSTEM, in any case
	Config     []byte `json:"-"` // YAML, may hold secrets: never shown
	ConfigFile string
	// Prefix is a directory in the store, with or without a slash at its end. Objects
	// right in it are looked at, those in deeper directories are not.
	Prefix string
}

func (c ObjStoreConfig) String() string {
	return fmt.Sprintf("{type:%s config:<hidden> config_file:%s prefix:%s}", c.Type, c.ConfigFile, c.Prefix)
}

// GoString hides the configuration from %#v.
func (c ObjStoreConfig) GoString() string { return c.String() }

// LogValue hides the configuration from slog.
func (c ObjStoreConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// wrapTransport puts something between the client and the network; nil: nothing.
type wrapTransport func(http.RoundTripper) http.RoundTripper

func newObjStore(cfg ObjStoreConfig, r rules, log *slog.Logger, wrap wrapTransport) (Store, error) {
	if cfg.ConfigFile == "" {
		s, err := connect(cfg, r, log, wrap)
		if err != nil {
			return nil, fmt.Errorf("objstore.%w", err)
		}
		return s, nil
	}
	if cfg.Type != "" || len(cfg.Config) > 0 {
		return nil, errors.New("objstore.config_file: type and config belong in the file it names")
	}
	f := &fromFile{cfg: cfg, rules: r, log: log, wrap: wrap}
	if _, err := f.store(); err != nil {
		return nil, fmt.Errorf("objstore.config_file: %w", err)
	}
	return f, nil
}

// fromFile is an object store whose configuration stands in a file of its own. A file
// that became unreadable or wrong leaves the last good one in force, with one warning:
// it may be caught half-written.
type fromFile struct {
	cfg   ObjStoreConfig
	rules rules
	log   *slog.Logger
	wrap  wrapTransport

	mu      sync.Mutex
	current Store
	content string // what current was made from
	failed  string // what was last warned of
}

func (f *fromFile) String() string   { return "object store of " + f.cfg.ConfigFile }
func (f *fromFile) GoString() string { return f.String() }

// store gives the present store; an error only as long as there was none.
func (f *fromFile) store() (Store, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.refresh()
	switch {
	case err == nil:
		f.failed = ""
	case f.current == nil:
		return nil, err
	case f.failed != err.Error():
		f.failed = err.Error()
		f.log.Warn("cannot use the object store's configuration file: the last good one stays in force", "file", f.cfg.ConfigFile, "err", err)
	}
	return f.current, nil
}

func (f *fromFile) refresh() error {
	data, err := readBounded(f.cfg.ConfigFile)
	if err != nil {
		return err
	}
	if f.current != nil && string(data) == f.content {
		return nil
	}
	cfg, err := parseFile(data)
	if err != nil {
		return fmt.Errorf("%s: %w", f.cfg.ConfigFile, err)
	}
	if f.cfg.Prefix != "" {
		cfg.Prefix = f.cfg.Prefix
	}
	s, err := connect(cfg, f.rules, f.log, f.wrap)
	if err != nil {
		return fmt.Errorf("%s: %w", f.cfg.ConfigFile, err)
	}
	if f.current != nil {
		_ = f.current.Close() // what is being read goes on
	}
	f.current, f.content = s, string(data)
	return nil
}

func (f *fromFile) List(ctx context.Context) ([]Object, error) {
	s, err := f.store()
	if err != nil {
		return nil, err
	}
	return s.List(ctx)
}

// Open does not look at the file: List does before every check.
func (f *fromFile) Open(ctx context.Context, o Object) (io.ReadCloser, error) {
	f.mu.Lock()
	s := f.current
	f.mu.Unlock()
	return s.Open(ctx, o)
}

func (f *fromFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current.Close()
}

func readBounded(name string) ([]byte, error) {
	file, err := os.OpenFile(name, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is no regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxConfigFile+1))
	if err == nil && len(data) > maxConfigFile {
		err = fmt.Errorf("%s: is larger than %d bytes", name, maxConfigFile)
	}
	return data, err
}

// parseFile reads type, config and prefix, as Thanos has them in a file.
func parseFile(data []byte) (ObjStoreConfig, error) {
	var file struct {
		Type   string    `yaml:"type"`
		Config yaml.Node `yaml:"config"`
		Prefix string    `yaml:"prefix"`
	}
	if err := decodeStrict(data, &file); err != nil {
		return ObjStoreConfig{}, errors.New(strings.TrimLeft(err.Error(), ".: "))
	}
	config, err := yaml.Marshal(&file.Config)
	if err != nil || file.Config.IsZero() {
		return ObjStoreConfig{}, errors.New("config: is needed")
	}
	return ObjStoreConfig{Type: strings.TrimSpace(file.Type), Config: config, Prefix: file.Prefix}, nil
}
