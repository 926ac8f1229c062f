package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/spec"
)

// Secrets is the store of secrets.
type Secrets interface {
	// Value returns the value of the secret with this name or ID; ErrNoSecret when there is none.
	Value(ctx context.Context, nameOrID string) ([]byte, error)
}

// ErrNoSecret says that the store has no secret of that name.
var ErrNoSecret = errors.New("no such secret")

// credentialLimit bounds a credential, in bytes, as systemd does (systemd.exec(5), LoadCredential=).
const credentialLimit = 1 << 20

// staging makes a directory in which mounts for this container may be made. It is a tmpfs that only the thread's mount
// namespace sees: what is written there is in memory only, never has a name on the host, and ends with the container. All may pass through the directory that it is
// mounted on: the runtime works as a user of the container's namespace, whom a user's own directories keep out.
func (e *Engine) staging(s *State) (string, error) {
	if s.staging != "" {
		return s.staging, nil
	}
	dir := e.StagingDir
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		dir = filepath.Join(e.Dirs.Run, "staging")
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return "", err
		}
	}
	// Only root of the machine may keep a tmpfs out of the swap space, and only from Linux 6.4 on (tmpfs(5)).
	err := unix.Mount("berth", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, withContext("mode=0711,noswap", s.Label.File))
	if err != nil {
		err = unix.Mount("berth", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, withContext("mode=0711", s.Label.File))
	}
	if err != nil {
		return "", fmt.Errorf("mount a tmpfs on %s: %w", dir, err)
	}
	s.staging = dir
	return dir, nil
}

// secrets gives the container its secrets and the credentials of its unit: as files of a tmpfs, or as variables.
func (e *Engine) secrets(ctx context.Context, s *State, in *spec.Input) error {
	credentials := e.Host.Environment["CREDENTIALS_DIRECTORY"]
	if credentials != "" {
		if err := e.showCredentials(s, in, credentials); err != nil {
			return fmt.Errorf("credentials of the unit: %w", err)
		}
	}
	named := false
	for i, word := range s.Container.Secrets {
		secret, err := spec.ParseSecret(word)
		if err != nil {
			return err
		}
		value, err := e.secretValue(ctx, credentials, secret.Name)
		if err != nil {
			return fmt.Errorf("secret %q: %w", secret.Name, err)
		}
		if secret.Env {
			if bytes.IndexByte(value, 0) >= 0 {
				return fmt.Errorf("secret %q has a NUL byte in it, and cannot be a variable; give it as a file", secret.Name)
			}
			in.Container.Environment = append(in.Container.Environment, secret.Target+"="+string(value))
			continue
		}
		dir, err := e.staging(s)
		if err != nil {
			return err
		}
		// Those below /run/secrets are shown together, the others one by one.
		file := filepath.Join(dir, fmt.Sprintf("secret-%d", i))
		if name, ok := strings.CutPrefix(secret.Target, spec.SecretsPlace+"/"); ok {
			file, named = filepath.Join(dir, "secrets", name), true
		} else {
			in.Files = append(in.Files, secretMount(file, secret.Target))
		}
		who, err := s.outside(secret.UID, secret.GID)
		if err == nil {
			err = writeSecret(file, value, who, secret.Mode)
		}
		if err != nil {
			return fmt.Errorf("secret %q: %w", secret.Name, err)
		}
	}
	if named {
		in.Files = append(in.Files, secretMount(filepath.Join(s.staging, "secrets"), spec.SecretsPlace))
	}
	return nil
}

func secretMount(source, place string) spec.Mount {
	return spec.Mount{Source: source, Destination: place, Options: []string{"bind", "rprivate", "ro", "nosuid", "noexec", "nodev"}}
}

func writeSecret(file string, value []byte, o owner, mode uint32) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return errors.New("another secret has the target of this one")
	}
	if err != nil {
		return err
	}
	_, err = f.Write(value)
	return errors.Join(err, f.Chown(o.uid, o.gid), f.Chmod(os.FileMode(mode)), f.Close())
}

// secretValue looks among the credentials of the unit first, then in the store.
func (e *Engine) secretValue(ctx context.Context, credentials, name string) ([]byte, error) {
	if credentials != "" {
		value, err := readCredential(filepath.Join(credentials, name))
		if !errors.Is(err, fs.ErrNotExist) {
			return value, err
		}
	}
	if e.Secrets == nil {
		return nil, ErrNoSecret
	}
	value, err := e.Secrets.Value(ctx, name)
	if errors.Is(err, ErrNoSecret) {
		return nil, fmt.Errorf("neither has the unit a credential of that name (LoadCredential= in [Service]), nor the store a secret (`berth secret create %s FILE`)", name)
	}
	return value, err
}

func readCredential(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > credentialLimit {
		return nil, fmt.Errorf("%s is no regular file of at most %d bytes", path, credentialLimit)
	}
	return os.ReadFile(path)
}

// showCredentials copies the unit's credentials for the container's user: systemd's own files belong to the unit's, and
// nobody else may read them.
func (e *Engine) showCredentials(s *State, in *spec.Input, from string) error {
	entries, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a variable that was inherited; the unit that it speaks of has ended
	}
	if err != nil {
		return err
	}
	dir, err := e.staging(s)
	if err != nil {
		return err
	}
	to := filepath.Join(dir, "credentials")
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	who, err := s.owner(in.Process)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue
		}
		value, err := readCredential(filepath.Join(from, entry.Name()))
		if err != nil {
			return err
		}
		if err := writeSecret(filepath.Join(to, entry.Name()), value, who, 0o400); err != nil {
			return err
		}
	}
	if err := errors.Join(os.Chown(to, who.uid, who.gid), os.Chmod(to, 0o500)); err != nil {
		return err
	}
	in.Files = append(in.Files, secretMount(to, spec.CredentialsPlace))
	in.Container.Environment = append(in.Container.Environment, "CREDENTIALS_DIRECTORY="+spec.CredentialsPlace)
	return nil
}
