package store

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
)

func secretsAt(t *testing.T) (Secrets, string) {
	t.Helper()
	dir := t.TempDir()
	return Secrets{Dir: dir, Run: proc.Run}, dir
}

func TestSecrets(t *testing.T) {
	s, dir := secretsAt(t)
	ctx := context.Background()
	made, err := s.Create(ctx, Secret{Name: "db", Driver: "file", UpdatedAt: time.Unix(1, 0)}, []byte("value"), false)
	if err != nil || len(made.ID) != 25 {
		t.Fatal(made, err)
	}
	for _, key := range []string{"db", made.ID, made.ID[:5]} {
		if got, err := s.Value(ctx, key); err != nil || string(got) != "value" {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
	if _, err := s.Create(ctx, Secret{Name: "db", Driver: "file"}, []byte("other"), false); !errors.Is(err, ErrSecretExists) {
		t.Errorf("again: %v", err)
	}
	again, err := s.Create(ctx, Secret{Name: "db", Driver: "file", UpdatedAt: time.Unix(2, 0)}, []byte("new"), true)
	if err != nil || again.ID != made.ID || !again.CreatedAt.Equal(made.CreatedAt) || again.UpdatedAt.Equal(made.UpdatedAt) {
		t.Errorf("replaced: %+v, %v", again, err)
	}
	if got, err := s.Value(ctx, "db"); err != nil || string(got) != "new" {
		t.Errorf("%q, %v", got, err)
	}
	for _, f := range []string{"secrets.json", "filedriver/secretsdata.json"} {
		if info, err := os.Stat(filepath.Join(dir, f)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, info, err)
		}
	}
	if _, err := s.Remove(ctx, "db"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Value(ctx, "db"); !errors.Is(err, engine.ErrNoSecret) {
		t.Errorf("removed: %v", err)
	}
	if data, _ := os.ReadFile(filepath.Join(dir, "filedriver/secretsdata.json")); strings.TrimSpace(string(data)) != "{}" {
		t.Errorf("left: %s", data)
	}
}

// A file as Podman 5.4.2 writes it.
const podmanSecrets = `{"secrets":{"bf77bff6c3e070403bf1e9786":{"name":"one","id":"bf77bff6c3e070403bf1e9786","labels":{"a":"b"},
"createdAt":"2026-11-25T19:44:20.160342541Z","updatedAt":"2026-11-25T19:44:20.160342541Z","driver":"file","driverOptions":{"path":"DIR/filedriver"}}},
"nameToID":{"one":"bf77bff6c3e070403bf1e9786"},"idToName":{"bf77bff6c3e070403bf1e9786":"one"}}`

func TestPodmanSecret(t *testing.T) {
	s, dir := secretsAt(t)
	err := errors.Join(os.MkdirAll(filepath.Join(dir, "filedriver"), 0o700),
		os.WriteFile(filepath.Join(dir, "secrets.json"), []byte(strings.ReplaceAll(podmanSecrets, "DIR", dir)), 0o600),
		os.WriteFile(filepath.Join(dir, "filedriver/secretsdata.json"), []byte(`{"bf77bff6c3e070403bf1e9786":"dmFsMQ=="}`), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Value(context.Background(), "one"); err != nil || string(got) != "val1" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := s.Create(context.Background(), Secret{Name: "two", Driver: "file"}, []byte("x"), false); err != nil {
		t.Fatal(err)
	}
	var db secretDB
	data, err := os.ReadFile(filepath.Join(dir, "secrets.json"))
	if err := errors.Join(err, json.Unmarshal(data, &db)); err != nil || len(db.Secrets) != 2 || db.Secrets[db.NameToID["one"]].Labels["a"] != "b" {
		t.Errorf("%s, %v", data, err)
	}
}

func TestSecretRefused(t *testing.T) {
	s, dir := secretsAt(t)
	for _, tt := range []struct {
		secret Secret
		value  string
		want   string
	}{
		{Secret{Name: "a/b", Driver: "file"}, "x", "name"},
		{Secret{Name: "a", Driver: "file"}, "", "0 bytes"},
		{Secret{Name: "a", Driver: "file"}, strings.Repeat("x", 512000), "512000 bytes"},
		{Secret{Name: "a", Driver: "vault"}, "x", "not known"},
		{Secret{Name: "a", Driver: "shell"}, "x", "store=COMMAND"},
		{Secret{Name: "a", Driver: "pass", DriverOptions: map[string]string{"root": dir}}, "x", "key="},
		{Secret{Name: "a", Driver: "shell", DriverOptions: map[string]string{"store": "exit 3", "lookup": "x", "delete": "x", "list": "x"}}, "x", "status 3"},
	} {
		if _, err := s.Create(context.Background(), tt.secret, []byte(tt.value), false); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v", tt.secret, err)
		}
	}
	if list, err := s.List(); err != nil || len(list) != 0 {
		t.Errorf("left: %v, %v", list, err)
	}
}

// The programs of drivers get values by pipes, and never as arguments or variables.
func TestDriversKeepQuiet(t *testing.T) {
	const canary = "canary-c0ffee"
	s, dir := secretsAt(t)
	shell := map[string]string{"store": "cat >" + dir + "/kept-$SECRET_ID", "lookup": "cat " + dir + "/kept-$SECRET_ID", "delete": "rm " + dir + "/kept-$SECRET_ID", "list": "true"}
	for _, secret := range []Secret{
		{Name: "shell", Driver: "shell", DriverOptions: shell},
		{Name: "pass", Driver: "pass", DriverOptions: map[string]string{"root": dir, "key": "me"}},
		{Name: "creds", Driver: "systemd-creds"},
	} {
		calls := 0
		s.Run = func(ctx context.Context, c proc.Command) ([]byte, error) {
			calls++
			if said := strings.Join(append(append([]string{c.Path}, c.Args...), c.Env...), " "); strings.Contains(said, canary) {
				t.Errorf("%s: the value is in %q", secret.Name, said)
			}
			if secret.Driver == "shell" {
				return proc.Run(ctx, c)
			}
			return proc.Run(ctx, proc.Command{Path: "/bin/cat", Stdin: c.Stdin}) // a cipher that changes nothing
		}
		if _, err := s.Create(context.Background(), secret, []byte(canary), false); err != nil {
			t.Errorf("%s: %v", secret.Name, err)
			continue
		}
		got, err := s.Value(context.Background(), secret.Name)
		if secret.Driver != "pass" && (err != nil || string(got) != canary) { // gpg reads the file by itself
			t.Errorf("%s: %q, %v", secret.Name, got, err)
		}
		if _, err := s.Remove(context.Background(), secret.Name); err != nil || calls < 2 {
			t.Errorf("%s: %d calls, %v", secret.Name, calls, err)
		}
	}
	if left, _ := filepath.Glob(dir + "/*-*/*"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// FuzzSecrets: a secrets.json, or the file of the values, that somebody has edited is read or refused. A secret that is found is
// one of those in the file, and a new one can be added.
func FuzzSecrets(f *testing.F) {
	const id = `"0123456789012345678901234"`
	for _, text := range []string{
		`{"secrets":{` + id + `:{"name":"db","id":` + id + `,"driver":"file"}},"nameToID":{"db":` + id + `},"idToName":{` + id + `:"db"}}`,
		`{"secrets":{},"nameToID":{"db":"gone"}}`, `{"secrets":null,"nameToID":null,"idToName":null}`, `null`, `{}`, ``, `[]`,
	} {
		f.Add([]byte(text), []byte(`{`+id+`:"dmFsdWU="}`))
	}
	f.Add([]byte(`{}`), []byte(`null`))
	f.Fuzz(func(t *testing.T, secrets, values []byte) {
		s, dir := secretsAt(t)
		for name, data := range map[string][]byte{"secrets.json": secrets, "filedriver/secretsdata.json": values} {
			path := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		list, err := s.List()
		if err != nil {
			return
		}
		if found, err := s.Find("db"); err == nil && len(list) == 0 {
			t.Errorf("%s: %+v is found, and there is none", secrets, found)
		}
		if _, err := s.Create(context.Background(), Secret{Name: "new", Driver: "file"}, []byte("value"), true); err != nil {
			return // what is there by that name is another driver's
		}
		if got, err := s.Value(context.Background(), "new"); err != nil || string(got) != "value" {
			t.Errorf("%s: the new secret is %q, %v", secrets, got, err)
		}
	})
}
