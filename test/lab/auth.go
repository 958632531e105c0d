// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// User is an etcd user that may read the keys below one prefix.
type User struct {
	Name     string
	Password string // "": signs in by a certificate of that name only
	Prefix   string // "": may read nothing
}

// EnableAuth makes the users, each with a role of the same name, and root, and
// turns etcd's auth on. The lab's own calls are root's from then on, and
// clients that Client returned earlier may be closed.
func (l *Lab) EnableAuth(ctx context.Context, rootPassword string, users ...User) error {
	client, err := l.Client()
	if err != nil {
		return fmt.Errorf("enable auth: %w", err)
	}
	for _, user := range append([]User{{Name: "root", Password: rootPassword}}, users...) {
		if err := addUser(ctx, client, user); err != nil {
			return fmt.Errorf("enable auth: user %s: %w", user.Name, err)
		}
	}
	if _, err := client.AuthEnable(ctx); err != nil {
		return fmt.Errorf("enable auth: %w", err)
	}
	if l.options.TLS != MTLS { // else the certificate says who calls
		l.signIn("root", rootPassword)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return l.WaitReady(ctx)
}

// addUser makes a user and a role of the same name. The role root needs no
// permission: it has them all.
func addUser(ctx context.Context, client *clientv3.Client, user User) error {
	if _, err := client.RoleAdd(ctx, user.Name); err != nil && !errors.Is(err, rpctypes.ErrRoleAlreadyExist) {
		return err
	}
	if user.Prefix != "" {
		end := clientv3.GetPrefixRangeEnd(user.Prefix)
		if _, err := client.RoleGrantPermission(ctx, user.Name, user.Prefix, end, clientv3.PermissionType(clientv3.PermRead)); err != nil {
			return err
		}
	}
	options := &clientv3.UserAddOptions{NoPassword: user.Password == ""}
	if _, err := client.UserAddWithOptions(ctx, user.Name, user.Password, options); err != nil {
		return err
	}
	_, err := client.UserGrantRole(ctx, user.Name, user.Name)
	return err
}
