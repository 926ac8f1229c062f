package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.podman.io/storage/pkg/lockfile"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless"
)

// secretDriver keeps the values of secrets. A program gets a value on its standard input and gives it on its standard
// output: never as an argument, which all users of the machine can read.
type secretDriver interface {
	Store(ctx context.Context, id string, value []byte) error
	Lookup(ctx context.Context, id string) ([]byte, error)
	Delete(ctx context.Context, id string) error // nil when there is none
}

// SecretDrivers are the drivers that there are.
var SecretDrivers = []string{"file", "pass", "shell", "systemd-creds"}

func (s Secrets) driver(secret Secret) (secretDriver, error) {
	dir, err := s.dir()
	if err != nil {
		return nil, err
	}
	option := func(name, otherwise string) string {
		if v := secret.DriverOptions[name]; v != "" {
			return v
		}
		return otherwise
	}
	switch secret.Driver {
	case "", "file":
		return fileDriver{option("path", filepath.Join(dir, "filedriver"))}, nil
	case "pass":
		return passDriver{
			root: option("root", filepath.Join(os.Getenv("HOME"), ".password-store")), key: option("key", ""), home: option("gpghomedir", ""), run: s.Run,
		}, nil
	case "shell":
		for _, name := range []string{"store", "lookup", "delete", "list"} {
			if secret.DriverOptions[name] == "" {
				return nil, fmt.Errorf("driver shell needs the option %s=COMMAND", name)
			}
		}
		return shellDriver{secret.DriverOptions, s.Run}, nil
	case "systemd-creds":
		return credsDriver{dir: option("path", filepath.Join(dir, "systemd-creds")), key: option("key", ""), user: s.User, run: s.Run}, nil
	}
	return nil, fmt.Errorf("secret driver %q is not known; known are %s", secret.Driver, strings.Join(SecretDrivers, ", "))
}

// fileDriver is Podman's default: one file with all values in base64, which protects from nothing but a glance.
type fileDriver struct{ dir string }

func (d fileDriver) path() string { return filepath.Join(d.dir, "secretsdata.json") }

func (d fileDriver) read() (map[string][]byte, error) {
	values := map[string][]byte{}
	data, err := os.ReadFile(d.path())
	if errors.Is(err, fs.ErrNotExist) {
		return values, nil
	}
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(data, &values) != nil { // the error would show what is in the file
		return nil, fmt.Errorf("%s is damaged", d.path())
	}
	if values == nil { // it says null
		values = map[string][]byte{}
	}
	return values, nil
}

// change lets work change the values while nobody else does.
func (d fileDriver) change(work func(map[string][]byte)) error {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	lock, err := lockfile.GetLockFile(filepath.Join(d.dir, "secretsdata.lock"))
	if err != nil {
		return err
	}
	lock.Lock()
	defer lock.Unlock()
	values, err := d.read()
	if err != nil {
		return err
	}
	work(values)
	data, err := json.MarshalIndent(values, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(d.path(), data, 0o600)
}

func (d fileDriver) Store(_ context.Context, id string, value []byte) error {
	return d.change(func(values map[string][]byte) { values[id] = value })
}

func (d fileDriver) Lookup(_ context.Context, id string) ([]byte, error) {
	values, err := d.read()
	if err != nil {
		return nil, err
	}
	value, ok := values[id]
	if !ok {
		return nil, fmt.Errorf("%s has no value for the ID %s", d.path(), id)
	}
	return value, nil
}

func (d fileDriver) Delete(_ context.Context, id string) error {
	return d.change(func(values map[string][]byte) { delete(values, id) })
}

// passDriver keeps values as pass(1) does: ROOT/ID.gpg.
type passDriver struct {
	root, key, home string
	run             proc.Runner
}

func (d passDriver) file(id string) string { return filepath.Join(d.root, id+".gpg") }

func (d passDriver) gpg(ctx context.Context, value []byte, args ...string) ([]byte, error) {
	if d.home != "" {
		args = append([]string{"--homedir", d.home}, args...)
	}
	return d.run(ctx, proc.Command{Path: "gpg", Args: append([]string{"--batch", "--yes", "--quiet"}, args...), Stdin: bytes.NewReader(value)})
}

func (d passDriver) Store(ctx context.Context, id string, value []byte) error {
	key := d.key
	if key == "" {
		text, err := os.ReadFile(filepath.Join(d.root, ".gpg-id"))
		if err != nil {
			return fmt.Errorf("no option key=, and no key of pass: %w", err)
		}
		key, _, _ = strings.Cut(string(text), "\n")
	}
	if err := os.MkdirAll(d.root, 0o700); err != nil {
		return err
	}
	sealed, err := d.gpg(ctx, value, "--encrypt", "--trust-model", "always", "--recipient", strings.TrimSpace(key))
	if err != nil {
		return err
	}
	return atomicfile.Write(d.file(id), sealed, 0o600)
}

func (d passDriver) Lookup(ctx context.Context, id string) ([]byte, error) {
	return d.gpg(ctx, nil, "--decrypt", d.file(id))
}

func (d passDriver) Delete(_ context.Context, id string) error { return removeFile(d.file(id)) }

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// shellDriver calls the commands that its options say, with the ID in $SECRET_ID.
type shellDriver struct {
	commands map[string]string
	run      proc.Runner
}

func (d shellDriver) call(ctx context.Context, command, id string, value []byte) ([]byte, error) {
	return d.run(ctx, proc.Command{
		Path: "/bin/sh", Args: []string{"-c", d.commands[command]},
		Env: append(os.Environ(), "SECRET_ID="+id), Stdin: bytes.NewReader(value),
	})
}

func (d shellDriver) Store(ctx context.Context, id string, value []byte) error {
	_, err := d.call(ctx, "store", id, value)
	return err
}

func (d shellDriver) Lookup(ctx context.Context, id string) ([]byte, error) {
	return d.call(ctx, "lookup", id, nil)
}

func (d shellDriver) Delete(ctx context.Context, id string) error {
	_, err := d.call(ctx, "delete", id, nil)
	return err
}

// credsDriver lets systemd-creds(1) encrypt the values, with the machine's TPM where there is one: a copy of the disk
// does not give them away. The ID is part of what is sealed, so that no value can stand in for another.
type credsDriver struct {
	dir, key string
	user     bool
	run      proc.Runner
}

func (d credsDriver) file(id string) string { return filepath.Join(d.dir, id+".cred") }

func (d credsDriver) call(ctx context.Context, verb, id string, in []byte) ([]byte, error) {
	args := []string{verb, "--name=" + id}
	if d.user { // as root of the user's namespace this process seems to be another
		args = append(args, "--uid="+strconv.Itoa(rootless.UID()))
	}
	if verb == "encrypt" && d.key != "" {
		args = append(args, "--with-key="+d.key)
	}
	out, err := d.run(ctx, proc.Command{Path: "systemd-creds", Args: append(args, "-", "-"), Stdin: bytes.NewReader(in)})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; systemd-creds(1) has been part of systemd since version 250", err)
	}
	return out, err
}

func (d credsDriver) Store(ctx context.Context, id string, value []byte) error {
	sealed, err := d.call(ctx, "encrypt", id, value)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	return atomicfile.Write(d.file(id), sealed, 0o600)
}

func (d credsDriver) Lookup(ctx context.Context, id string) ([]byte, error) {
	sealed, err := os.ReadFile(d.file(id))
	if err != nil {
		return nil, err
	}
	return d.call(ctx, "decrypt", id, sealed)
}

func (d credsDriver) Delete(_ context.Context, id string) error { return removeFile(d.file(id)) }
