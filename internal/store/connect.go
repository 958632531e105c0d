// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/providers/azure"
	"github.com/thanos-io/objstore/providers/filesystem"
	"github.com/thanos-io/objstore/providers/gcs"
	"github.com/thanos-io/objstore/providers/s3"
	"golang.org/x/oauth2"
)

const (
	component = "etcdops" // in the User-Agent
	// retries is how often a request is tried again where the configuration does not
	// say: a check comes again anyway, and minio's ten or Google's endless tries would
	// use up its time.
	retries = 3
)

// connect makes a store of a type that is known, without a request to any server.
func connect(cfg ObjStoreConfig, r rules, log *slog.Logger, wrap wrapTransport) (Store, error) {
	prefix := strings.Trim(cfg.Prefix, "/")
	if slices.Contains(strings.Split(prefix, "/"), "..") {
		return nil, fmt.Errorf("prefix: %q goes up (..)", shorten(cfg.Prefix))
	}
	if r.pattern == "" {
		return nil, errors.New("pattern: is needed")
	}
	o := &objects{prefix: prefix, rules: r, slots: newSlots(), log: log, secrets: findSecrets(cfg.Config), known: map[string]attributes{}}
	o.transport = &transport{wrap: wrap}
	kit := kitLogger{log, o.secrets}
	var err error
	switch objstore.ObjProvider(strings.ToUpper(strings.TrimSpace(cfg.Type))) {
	case objstore.S3:
		err = o.s3(cfg.Config, kit)
	case objstore.AZURE:
		err = o.azure(cfg.Config, kit)
	case objstore.GCS:
		err = o.gcs(cfg.Config, kit)
	case objstore.FILESYSTEM:
		return connectFilesystem(cfg.Config, prefix, r, log)
	default:
		return nil, fmt.Errorf("type: %q is unknown: write S3, GCS, AZURE or FILESYSTEM", o.secrets.hide(cfg.Type))
	}
	if err != nil {
		return nil, fmt.Errorf("config%s", o.secrets.hide(err.Error()))
	}
	return o, nil
}

// Errors of the functions below go on from the word config: ".bucket: is needed".

func (o *objects) s3(data []byte, log kitLogger) error {
	cfg := s3.DefaultConfig
	if err := decodeStrict(data, &cfg); err != nil {
		return err
	}
	if cfg.Bucket == "" {
		return errors.New(".bucket: is needed")
	}
	if cfg.MaxRetries <= 0 {
		cfg.MaxRetries = retries
	}
	cfg.TraceConfig.Enable = false // it writes whole requests to the log
	rt, err := o.transport.open(cfg.HTTPConfig)
	if err != nil {
		return fmt.Errorf(".http_config: %w", err)
	}
	cfg.HTTPConfig.Transport = rt
	b, err := s3.NewBucketWithConfig(log, cfg, component, nil)
	if err != nil {
		return fmt.Errorf(": %w", err)
	}
	o.label, o.etags = "S3 bucket "+cfg.Bucket, true
	o.connect = func(context.Context) (objstore.BucketReader, error) { return b, nil }
	return nil
}

func (o *objects) azure(data []byte, log kitLogger) error {
	cfg := azure.DefaultConfig
	if err := decodeStrict(data, &cfg); err != nil {
		return err
	}
	if cfg.ContainerName == "" {
		return errors.New(".container: is needed")
	}
	if cfg.PipelineConfig.MaxTries == 0 {
		cfg.PipelineConfig.MaxTries = int32(min(max(cfg.MaxRetries, 0), 100))
	}
	if cfg.PipelineConfig.MaxTries == 0 {
		cfg.PipelineConfig.MaxTries = retries
	}
	if cfg.PipelineConfig.RetryDelay == 0 {
		cfg.PipelineConfig.RetryDelay = model.Duration(500 * time.Millisecond)
	}
	if cfg.ReaderConfig.MaxRetryRequests == 0 {
		cfg.ReaderConfig.MaxRetryRequests = max(cfg.MaxRetries, 0)
	}
	cfg.StorageCreateContainer = false // on by default there; this program writes nothing
	rt, err := o.transport.open(cfg.HTTPConfig)
	if err != nil {
		return fmt.Errorf(".http_config: %w", err)
	}
	cfg.HTTPConfig.Transport = rt
	b, err := azure.NewBucketWithConfig(log, cfg, component, nil)
	if err != nil {
		return fmt.Errorf(": %w", err)
	}
	o.label, o.etags = "Azure container "+cfg.ContainerName, true
	o.connect = func(context.Context) (objstore.BucketReader, error) { return b, nil }
	return nil
}

// gcs connects at the first request: to find credentials, Google's library may ask
// the instance's metadata server.
func (o *objects) gcs(data []byte, log kitLogger) error {
	cfg := gcs.DefaultConfig
	if err := decodeStrict(data, &cfg); err != nil {
		return err
	}
	switch {
	case cfg.Bucket == "":
		return errors.New(".bucket: is needed")
	case cfg.ServiceAccount != "" && !json.Valid([]byte(cfg.ServiceAccount)):
		return errors.New(".service_account: is not the JSON of a service account's key")
	case cfg.UseGRPC:
		return errors.New(".use_grpc: is not supported here, leave it out")
	}
	if cfg.MaxRetries <= 0 {
		cfg.MaxRetries = retries
	}
	rt, err := o.transport.open(cfg.HTTPConfig)
	if err != nil {
		return fmt.Errorf(".http_config: %w", err)
	}
	cfg.HTTPConfig.Transport = rt
	// The library bounds each request, body and all, by this time: a large snapshot
	// under a bound on the rate takes longer. Stalls are found by their own timer.
	cfg.HTTPConfig.IdleConnTimeout = 0
	o.label = "GCS bucket " + cfg.Bucket
	o.connect = func(ctx context.Context) (objstore.BucketReader, error) {
		// Tokens are renewed with this context long after the first request.
		ctx = context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, &http.Client{Transport: rt, Timeout: time.Minute})
		b, err := gcs.NewBucketWithConfig(ctx, log, cfg, component, nil)
		if err != nil {
			return nil, err
		}
		return b, nil
	}
	return nil
}

// connectFilesystem reads the directory as any other one: the library's own provider
// waits for ever on a FIFO, follows links anywhere, and fails on a dangling one.
func connectFilesystem(data []byte, prefix string, r rules, log *slog.Logger) (Store, error) {
	var cfg filesystem.Config
	if err := decodeStrict(data, &cfg); err != nil {
		return nil, fmt.Errorf("config%w", err)
	}
	switch {
	case cfg.Directory == "":
		return nil, errors.New("config.directory: is needed")
	case !filepath.IsAbs(cfg.Directory):
		return nil, fmt.Errorf("config.directory: %q is not an absolute path", cfg.Directory)
	}
	return newFiles(filepath.Join(cfg.Directory, filepath.FromSlash(prefix)), false, r, log)
}
