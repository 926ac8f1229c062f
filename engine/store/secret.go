package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"go.podman.io/storage/pkg/lockfile"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// Secrets keeps secrets where Podman does, GRAPHROOT/secrets, in the same files and under the same locks. secrets.json
// tells of them; a driver keeps the values.
type Secrets struct {
	Store *Store
	Run   proc.Runner
	User  bool   // the store is a user's
	Dir   string // instead of the store's
}

// Secret is what is known of a secret: all but its value. The names are those of Podman's file.
type Secret struct {
	Name          string            `json:"name"`
	ID            string            `json:"id"`
	Labels        map[string]string `json:"labels"`
	Metadata      map[string]string `json:"metadata,omitempty"`
	CreatedAt     time.Time         `json:"createdAt"`
	UpdatedAt     time.Time         `json:"updatedAt"`
	Driver        string            `json:"driver"`
	DriverOptions map[string]string `json:"driverOptions"`
}

// secretDB is secrets.json. Podman gives it no version.
type secretDB struct {
	Secrets  map[string]Secret `json:"secrets"`
	NameToID map[string]string `json:"nameToID"`
	IDToName map[string]string `json:"idToName"`
}

// maxSecret is the size of a value that Podman still takes, in bytes.
const maxSecret = 512000 - 1

// ErrSecretExists says that a secret of that name is there.
var ErrSecretExists = errors.New("secret exists")

func (s Secrets) dir() (string, error) {
	if s.Dir != "" {
		return s.Dir, nil
	}
	root, err := s.Store.Root()
	return filepath.Join(root, "secrets"), err
}

// locked runs work while nobody else changes the secrets.
func locked(dir string, work func() error) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock, err := lockfile.GetLockFile(filepath.Join(dir, "secrets.lock"))
	if err != nil {
		return err
	}
	lock.Lock()
	defer lock.Unlock()
	return work()
}

func readSecrets(dir string) (secretDB, error) {
	db := secretDB{Secrets: map[string]Secret{}, NameToID: map[string]string{}, IDToName: map[string]string{}}
	path := filepath.Join(dir, "secrets.json")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return db, nil
	}
	if err != nil {
		return db, err
	}
	if err := json.Unmarshal(data, &db); err != nil {
		return db, fmt.Errorf("%s is damaged: %w", path, err)
	}
	// JSON's null takes the map away.
	if db.Secrets == nil {
		db.Secrets = map[string]Secret{}
	}
	if db.NameToID == nil {
		db.NameToID = map[string]string{}
	}
	if db.IDToName == nil {
		db.IDToName = map[string]string{}
	}
	return db, nil
}

func (db secretDB) write(dir string) error {
	data, err := json.MarshalIndent(db, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, "secrets.json"), data, 0o600)
}

// find looks a secret up by name, ID, or the beginning of an ID that no other has.
func (db secretDB) find(nameOrID string) (Secret, error) {
	if s, ok := db.Secrets[db.NameToID[nameOrID]]; ok {
		return s, nil
	}
	if s, ok := db.Secrets[nameOrID]; ok {
		return s, nil
	}
	var found []Secret
	for id, s := range db.Secrets {
		if nameOrID != "" && strings.HasPrefix(id, nameOrID) {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 0:
		return Secret{}, fmt.Errorf("%w: %q", engine.ErrNoSecret, nameOrID)
	case 1:
		return found[0], nil
	}
	return Secret{}, fmt.Errorf("%q is the beginning of %d secret IDs; give more digits", nameOrID, len(found))
}

// Find returns what is known of a secret.
func (s Secrets) Find(nameOrID string) (Secret, error) {
	dir, err := s.dir()
	if err != nil {
		return Secret{}, err
	}
	db, err := readSecrets(dir)
	if err != nil {
		return Secret{}, err
	}
	return db.find(nameOrID)
}

// List returns all secrets, sorted by name.
func (s Secrets) List() ([]Secret, error) {
	dir, err := s.dir()
	if err != nil {
		return nil, err
	}
	db, err := readSecrets(dir)
	list := make([]Secret, 0, len(db.Secrets))
	for _, secret := range db.Secrets {
		list = append(list, secret)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list, err
}

// Value returns the value of a secret.
func (s Secrets) Value(ctx context.Context, nameOrID string) ([]byte, error) {
	secret, err := s.Find(nameOrID)
	if err != nil {
		return nil, err
	}
	driver, err := s.driver(secret)
	if err != nil {
		return nil, err
	}
	value, err := driver.Lookup(ctx, secret.ID)
	if err != nil {
		return nil, fmt.Errorf("ask driver %s for it: %w", secret.Driver, err)
	}
	return value, nil
}

// Create stores a new secret, or with replace a new value of one that is there. The value is stored first: a secret that
// is seen has one.
func (s Secrets) Create(ctx context.Context, secret Secret, value []byte, replace bool) (Secret, error) {
	if err := spec.CheckSecretName(secret.Name); err != nil {
		return secret, fmt.Errorf("secret: %w", err)
	}
	if len(value) == 0 || len(value) > maxSecret {
		return secret, fmt.Errorf("secret %q: the value has %d bytes; 1 to %d are allowed", secret.Name, len(value), maxSecret)
	}
	dir, err := s.dir()
	if err != nil {
		return secret, err
	}
	err = locked(dir, func() error {
		db, err := readSecrets(dir)
		if err != nil {
			return err
		}
		old, there := db.Secrets[db.NameToID[secret.Name]]
		if there && !replace {
			secret = old
			return fmt.Errorf("%w: %q; --replace gives it a new value", ErrSecretExists, secret.Name)
		}
		secret.ID, secret.CreatedAt = old.ID, old.CreatedAt
		if !there {
			secret.CreatedAt = secret.UpdatedAt
			if secret.ID, err = newSecretID(); err != nil {
				return err
			}
		}
		return s.store(ctx, dir, db, secret, value, old)
	})
	return secret, err
}

func (s Secrets) store(ctx context.Context, dir string, db secretDB, secret Secret, value []byte, old Secret) error {
	if secret.Driver == "file" && secret.DriverOptions["path"] == "" {
		options := map[string]string{"path": filepath.Join(dir, "filedriver")}
		secret.DriverOptions = options
	}
	driver, err := s.driver(secret)
	if err != nil {
		return err
	}
	if err := driver.Store(ctx, secret.ID, value); err != nil {
		return fmt.Errorf("let driver %s store secret %q: %w", secret.Driver, secret.Name, err)
	}
	db.Secrets[secret.ID], db.NameToID[secret.Name], db.IDToName[secret.ID] = secret, secret.ID, secret.Name
	if err := db.write(dir); err != nil {
		if old.ID == "" {
			err = errors.Join(err, driver.Delete(ctx, secret.ID))
		}
		return err
	}
	if old.ID != "" && old.Driver != secret.Driver {
		if before, err := s.driver(old); err == nil {
			return before.Delete(ctx, old.ID)
		}
	}
	return nil
}

// Remove forgets a secret. The value goes first: what cannot be seen any more is not there any more.
func (s Secrets) Remove(ctx context.Context, nameOrID string) (Secret, error) {
	var secret Secret
	dir, err := s.dir()
	if err != nil {
		return secret, err
	}
	err = locked(dir, func() error {
		db, err := readSecrets(dir)
		if err != nil {
			return err
		}
		if secret, err = db.find(nameOrID); err != nil {
			return err
		}
		driver, err := s.driver(secret)
		if err != nil {
			return err
		}
		if err := driver.Delete(ctx, secret.ID); err != nil {
			return fmt.Errorf("let driver %s delete secret %q: %w", secret.Driver, secret.Name, err)
		}
		delete(db.Secrets, secret.ID)
		delete(db.NameToID, secret.Name)
		delete(db.IDToName, secret.ID)
		return db.write(dir)
	})
	return secret, err
}

// newSecretID makes the 25 hexadecimal digits that Podman names a secret by.
func newSecretID() (string, error) {
	b := make([]byte, 13)
	_, err := rand.Read(b)
	return hex.EncodeToString(b)[:25], err
}
