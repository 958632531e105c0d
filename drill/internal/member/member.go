// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	name    = "drill"
	dataDir = "restored" // in the working directory, as all names here
	socket  = "client.sock"

	leastQuota = 8 << 30 // bytes; nothing is written, and etcd must not stop for its size
	page       = 100     // keys read at once: up to 1.5 MB each by etcd's default, 150 MB in all
)

// work runs in the child. The working directory is its own and nobody else's.
func work(ctx context.Context, r Request, stderr io.Writer, begin func(Stage)) (Found, error) {
	log := quietLogger(stderr)
	begin(StageRestore)
	if err := restore(log, r); err != nil {
		return Found{}, err
	}
	begin(StageStart)
	etcd, err := start(ctx, log, r)
	if err != nil {
		return Found{}, err
	}
	defer etcd.Close()
	return look(ctx, etcd, begin)
}

// restore makes a data directory as `etcdutl snapshot restore` does, its check of the
// sha256 included, and removes the snapshot to give its room back.
func restore(log *zap.Logger, r Request) error {
	peer := "unix://peer.sock" // named, and never listened on
	err := snapshot.NewV3(log).Restore(snapshot.RestoreConfig{
		SnapshotPath: r.Snapshot, Name: name, OutputDataDir: dataDir,
		PeerURLs: []string{peer}, InitialCluster: name + "=" + peer, InitialClusterToken: name,
	})
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if err := os.Remove(r.Snapshot); err != nil {
		return fmt.Errorf("remove the copy: %w", err)
	}
	return disableAuth(log)
}

// disableAuth opens the restored copy to a client without a password, which the
// drill does not have. Only the owner of the working directory reaches its socket.
func disableAuth(log *zap.Logger) error {
	be := backend.NewDefaultBackend(log, filepath.Join(dataDir, "member", "snap", "db"))
	tx := schema.NewAuthBackend(log, be).BatchTx()
	tx.Lock()
	if tx.UnsafeReadAuthEnabled() {
		tx.UnsafeSaveAuthEnabled(false)
	}
	tx.Unlock()
	be.ForceCommit()
	if err := be.Close(); err != nil {
		return fmt.Errorf("switch authentication off in the copy: %w", err)
	}
	return nil
}

// start brings the member up: one of one, no port open, a socket for its client.
func start(ctx context.Context, log *zap.Logger, r Request) (*embed.Etcd, error) {
	c := embed.NewConfig()
	c.Name, c.Dir = name, dataDir
	client, peer := url.URL{Scheme: "unix", Host: socket}, url.URL{Scheme: "unix", Host: "peer.sock"}
	c.ListenPeerUrls, c.AdvertisePeerUrls = nil, []url.URL{peer}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	c.InitialCluster, c.InitialClusterToken = name+"="+peer.String(), name
	c.EnableGRPCGateway = false
	c.QuotaBackendBytes = max(leastQuota, 4*r.Size)
	c.UnsafeNoFsync = true // it is thrown away
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(log)
	etcd, err := embed.StartEtcd(c)
	if err != nil {
		return nil, fmt.Errorf("start the member: %w", err)
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, nil
	case err = <-etcd.Err():
	case <-etcd.Server.StopNotify():
		err = errors.New("it stopped")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	return nil, fmt.Errorf("start the member: %w", err)
}

// look asks what the member holds.
func look(ctx context.Context, etcd *embed.Etcd, begin func(Stage)) (Found, error) {
	// Nobody can write but the member itself, by letting leases run out, and that
	// earliest two seconds after it became leader: this is what was restored.
	found := Found{Revision: etcd.Server.KV().Rev()}
	client, err := clientv3.New(clientv3.Config{
		Context: ctx, Endpoints: []string{"unix:" + socket}, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())},
	})
	if err != nil {
		return found, fmt.Errorf("connect to the member: %w", err)
	}
	defer client.Close()
	alarms, err := client.AlarmList(ctx)
	if err != nil {
		return found, fmt.Errorf("ask for alarms: %w", err)
	}
	for _, a := range alarms.Alarms {
		if kind := a.Alarm.String(); !slices.Contains(found.Alarms, kind) {
			found.Alarms = append(found.Alarms, kind)
		}
	}
	if len(found.Alarms) > 0 { // reads may be refused, and the verdict stands
		return found, nil
	}
	begin(StageRead)
	answer, err := client.Get(ctx, "\x00", clientv3.WithFromKey(), clientv3.WithCountOnly(), clientv3.WithRev(found.Revision))
	if err != nil {
		return found, fmt.Errorf("linearizable read: %w", err)
	}
	found.Keys = answer.Count
	found.Read, err = readAll(ctx, etcd.Server.KV(), found.Revision)
	return found, err
}

// readAll reads every live key with its value, a page at a time. It goes past the
// client socket: there each page would count all keys that follow.
func readAll(ctx context.Context, kv mvcc.KV, revision int64) (read int64, err error) {
	for next := []byte{0}; ; {
		result, err := kv.Range(ctx, next, []byte{}, mvcc.RangeOptions{Limit: page, Rev: revision})
		if err != nil {
			return read, fmt.Errorf("read keys after %d: %w", read, err)
		}
		read += int64(len(result.KVs))
		if len(result.KVs) < page {
			return read, nil
		}
		next = append(slices.Clone(result.KVs[page-1].Key), 0)
	}
}

// quietLogger writes what goes wrong to the parent, one JSON a line.
func quietLogger(w io.Writer) *zap.Logger {
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.Lock(zapcore.AddSync(w)), zap.WarnLevel)
	return zap.New(core, zap.ErrorOutput(zapcore.AddSync(io.Discard)))
}
