//go:build containers_image_openpgp

package image

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/signature"
	"go.podman.io/storage/pkg/configfile"
	"go.podman.io/storage/pkg/unshare"

	"github.com/berth-pods/berth/engine/atomicfile"
)

// A policyFile is policy.json, of which nothing is lost that this program does not know.
type policyFile struct {
	Default    []map[string]any                       `json:"default"`
	Transports map[string]map[string][]map[string]any `json:"transports,omitempty"`
}

// openPolicy is what is in force where no file is: see policy.
const openPolicy = `{"default":[{"type":"insecureAcceptAnything"}]}`

// readPolicy returns the policy that is in force, and the file that it is in, empty for none.
func (a *Accounts) readPolicy() (data []byte, path string, err error) {
	file := &configfile.File{Name: "policy", Extension: "json", DoNotLoadDropInFiles: true, EnvironmentName: "CONTAINERS_POLICY_JSON",
		CustomConfigFilePath: a.im.sys.SignaturePolicyPath, UserId: unshare.GetRootlessUID()}
	for item, err := range configfile.Read(file) {
		if err != nil {
			return nil, "", fmt.Errorf("read the signature policy: %w", err)
		}
		data, err = io.ReadAll(item.Reader)
		return data, item.Name, err
	}
	return []byte(openPolicy), "", nil
}

// policyTarget is the file that a change is written to: the one in force, unless that belongs to the distribution, or for a
// user to the machine.
func (a *Accounts) policyTarget(inForce string) (string, error) {
	user, err := configfile.UserConfigPath()
	if err != nil {
		return "", err
	}
	switch {
	case a.im.sys.SignaturePolicyPath != "" || os.Getenv("CONTAINERS_POLICY_JSON") != "", inForce == filepath.Join(user, "policy.json"):
		return orElse(inForce, orElse(a.im.sys.SignaturePolicyPath, os.Getenv("CONTAINERS_POLICY_JSON"))), nil
	case unshare.GetRootlessUID() != 0:
		return filepath.Join(user, "policy.json"), nil
	}
	return "/etc/containers/policy.json", nil
}

// RawPolicy is the text of the policy in force.
func (a *Accounts) RawPolicy() (string, error) {
	data, _, err := a.readPolicy()
	return string(data), err
}

// trustTypes are the types of requirements by the names that people give them.
var trustTypes = map[string]string{"accept": "insecureAcceptAnything", "reject": "reject", "signedBy": "signedBy", "sigstoreSigned": "sigstoreSigned"}

// SetTrust says what is required of the images below scope, or by default. With several keys a signature by each is.
func (a *Accounts) SetTrust(scope, kind string, keys []string) error {
	if scope == "" || strings.Contains(scope, "//") || strings.ContainsAny(scope, " \t\n") {
		return fmt.Errorf("%q is no registry: write it as HOST, HOST:PORT or HOST/REPOSITORY", scope)
	}
	requirements, err := requirements(kind, keys)
	if err != nil {
		return err
	}
	data, inForce, err := a.readPolicy()
	if err != nil {
		return err
	}
	target, err := a.policyTarget(inForce)
	if err != nil {
		return err
	}
	var p policyFile
	if err := json.Unmarshal(data, &p); err != nil {
		return fmt.Errorf("read %s: %w", inForce, err)
	}
	if scope == "default" {
		p.Default = requirements
	} else {
		if p.Transports == nil {
			p.Transports = map[string]map[string][]map[string]any{}
		}
		if p.Transports["docker"] == nil {
			p.Transports["docker"] = map[string][]map[string]any{}
		}
		p.Transports["docker"][scope] = requirements
	}
	if data, err = json.MarshalIndent(p, "", "    "); err != nil {
		return err
	}
	if _, err := signature.NewPolicyFromBytes(data); err != nil { // no image could be pulled any more
		return fmt.Errorf("trust %s: %w", scope, err)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return atomicfile.Write(target, append(data, '\n'), 0o644)
}

func requirements(kind string, keys []string) ([]map[string]any, error) {
	name := trustTypes[kind]
	switch {
	case name == "":
		return nil, fmt.Errorf("--type %s: use accept, reject, signedBy or sigstoreSigned", kind)
	case !strings.Contains(name, "igned") && len(keys) > 0:
		return nil, fmt.Errorf("--type %s takes no keys: leave --pubkeysfile out", kind)
	case !strings.Contains(name, "igned"):
		return []map[string]any{{"type": name}}, nil
	case len(keys) == 0:
		return nil, fmt.Errorf("--type %s needs the key: give it with --pubkeysfile", kind)
	}
	var all []map[string]any
	for _, k := range keys {
		path, err := filepath.Abs(k)
		if err != nil {
			return nil, err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("--pubkeysfile: %w", explain(err))
		}
		one := map[string]any{"type": name, "keyPath": path}
		if name == "signedBy" {
			one["keyType"] = "GPGKeys"
			if ids, err := keyIDs(data); err != nil || len(ids) == 0 {
				return nil, fmt.Errorf("--pubkeysfile %s: there is no GPG key in it: write it with gpg --export", path)
			}
		}
		all = append(all, one)
	}
	return all, nil
}

// keyIDs are the fingerprints of the GPG keys in a file.
func keyIDs(data []byte) ([]string, error) {
	m, ids, err := signature.NewEphemeralGPGSigningMechanism(data)
	if err != nil {
		return nil, err
	}
	return ids, m.Close()
}

// Trust is a line of the policy: what is required of the images below a scope.
type Trust struct {
	Transport string   `json:"transport"`
	Name      string   `json:"name"`
	Repo      string   `json:"repo_name,omitempty"`
	Keys      []string `json:"keys,omitempty"`
	Store     string   `json:"sigstore,omitempty"`
	Type      string   `json:"type"`
	ID        string   `json:"gpg_id,omitempty"`
}

// shownTypes are the types of requirements as Podman shows them.
var shownTypes = map[string]string{"insecureAcceptAnything": "accept", "signedBy": "signed"}

// TrustList lists the policy, the default first. With a name it is what decides about the images below this one.
func (a *Accounts) TrustList(name string) ([]Trust, error) {
	data, path, err := a.readPolicy()
	if err != nil {
		return nil, err
	}
	if _, err := signature.NewPolicyFromBytes(data); err != nil {
		return nil, fmt.Errorf("read the signature policy %s: %w", path, err)
	}
	var p policyFile
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("read the signature policy %s: %w", path, err)
	}
	list := a.trusts(Trust{Transport: "all", Name: "* (default)", Repo: "default"}, p.Default)
	for _, transport := range slices.Sorted(maps.Keys(p.Transports)) {
		shown := map[string]string{"docker": "repository"}[transport]
		for _, scope := range slices.Sorted(maps.Keys(p.Transports[transport])) {
			list = append(list, a.trusts(Trust{Transport: orElse(shown, transport), Name: scope, Repo: scope}, p.Transports[transport][scope])...)
		}
	}
	if name == "" {
		return list, nil
	}
	return deciding(list, name), nil
}

// deciding leaves the lines of the narrowest scope that a name is in: of a repository, then those above it, then of all.
func deciding(list []Trust, name string) []Trust {
	for scope := name; scope != ""; scope = above(scope) {
		found := slices.DeleteFunc(slices.Clone(list), func(t Trust) bool { return t.Transport != "repository" || t.Name != scope })
		if len(found) > 0 {
			return found
		}
	}
	return slices.DeleteFunc(slices.Clone(list), func(t Trust) bool { return t.Transport != "all" })
}

// above is the next wider scope: without the tag, the last part of the path, or the first of the host's name; a port stays.
func above(scope string) string {
	slash := strings.LastIndexByte(scope, '/')
	if colon := strings.LastIndexByte(scope, ':'); colon > slash && slash >= 0 {
		return scope[:colon]
	}
	if slash >= 0 {
		return scope[:slash]
	}
	_, domain, found := strings.Cut(strings.TrimPrefix(scope, "*."), ".")
	if !found {
		return ""
	}
	return "*." + domain
}

func (a *Accounts) trusts(of Trust, requirements []map[string]any) []Trust {
	var all []Trust
	for _, r := range requirements {
		t := of
		t.Type, _ = r["type"].(string)
		t.Type = orElse(shownTypes[t.Type], t.Type)
		t.Keys = keyPaths(r)
		var ids []string
		for _, k := range t.Keys {
			if data, err := os.ReadFile(k); err != nil {
				ids = append(ids, "cannot be read: "+k)
			} else if found, err := keyIDs(data); err == nil && t.Type == "signed" {
				ids = append(ids, found...)
			}
		}
		t.ID = strings.Join(ids, ", ")
		if strings.Contains(t.Type, "igned") && t.Transport == "repository" {
			t.Store = a.signatureStore(t.Name)
		}
		all = append(all, t)
	}
	return all
}

func keyPaths(r map[string]any) []string {
	var all []string
	if one, ok := r["keyPath"].(string); ok {
		all = append(all, one)
	}
	several, _ := r["keyPaths"].([]any)
	for _, k := range several {
		all = append(all, fmt.Sprint(k))
	}
	return all
}

// signatureStore is where registries.d says that signatures for a scope are; empty when that cannot be told.
func (a *Accounts) signatureStore(scope string) string {
	scope, wild := strings.CutPrefix(scope, "*.")
	if !strings.Contains(scope, "/") {
		scope += "/any"
	}
	named, err := reference.ParseNormalizedNamed(scope)
	if err != nil || wild {
		return ""
	}
	ref, err := docker.NewReference(reference.TagNameOnly(named))
	if err != nil {
		return ""
	}
	u, err := docker.SignatureStorageBaseURL(&a.im.sys, ref, false)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.String(), "/"+reference.Path(named))
}
