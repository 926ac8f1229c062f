//go:build containers_image_openpgp

package image

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.podman.io/image/v5/docker"
	auth "go.podman.io/image/v5/pkg/docker/config"
	"go.podman.io/image/v5/pkg/sysregistriesv2"
	"go.podman.io/image/v5/types"

	"github.com/berth-pods/berth/engine/image/name"
)

// Accounts are what this user knows of registries: credentials, and what can be asked without a store.
type Accounts struct{ im Images }

// OpenAccounts needs no store.
func OpenAccounts() *Accounts {
	return &Accounts{Images{sys: types.SystemContext{DockerRegistryUserAgent: "berth"}}}
}

// UsePolicy makes a file the policy.json instead of the system's.
func (a *Accounts) UsePolicy(path string) { a.im.sys.SignaturePolicyPath = path }

// DefaultRegistry is the first one that short names are searched in.
func (a *Accounts) DefaultRegistry() (string, error) {
	all, err := sysregistriesv2.UnqualifiedSearchRegistries(&a.im.sys)
	if err != nil {
		return "", fmt.Errorf("read registries.conf: %w", err)
	}
	if len(all) == 0 {
		return "", errors.New("say which registry: registries.conf has no unqualified-search-registries")
	}
	return all[0], nil
}

// User returns whose credentials are stored for a registry, or a repository on it; empty when nobody's are.
func (a *Accounts) User(key string, r Registry) (string, error) {
	c, err := auth.GetCredentials(a.im.registryContext(r), accountKey(key))
	if err != nil {
		return "", fmt.Errorf("read the credentials for %s: %w", key, err)
	}
	return c.Username, nil
}

// Login asks the registry whether it takes the credentials, and stores them. It returns where they are.
func (a *Accounts) Login(ctx context.Context, key string, r Registry) (string, error) {
	key = accountKey(key)
	host, _, _ := strings.Cut(key, "/")
	sys := a.im.registryContext(r)
	sys.DockerAuthConfig = nil
	if err := docker.CheckAuth(ctx, sys, r.User, r.Password, host); err != nil {
		var refused docker.ErrUnauthorizedForCredentials
		if errors.As(err, &refused) {
			return "", fmt.Errorf("log in to %s: the registry does not take this user and password", host)
		}
		return "", fmt.Errorf("log in to %s: %w", host, explainPull(err, host))
	}
	where, err := auth.SetCredentials(sys, key, r.User, r.Password)
	if err != nil {
		return "", fmt.Errorf("store the credentials for %s: %w", key, err)
	}
	return where, nil
}

// ErrNotLoggedIn says that there are no credentials to remove.
var ErrNotLoggedIn = errors.New("not logged in")

// Logout removes credentials; those of all registries when key is empty.
func (a *Accounts) Logout(key string, r Registry) error {
	sys := a.im.registryContext(r)
	if key == "" {
		if err := auth.RemoveAllAuthentication(sys); err != nil {
			return fmt.Errorf("remove all credentials: %w", err)
		}
		return nil
	}
	err := auth.RemoveAuthentication(sys, accountKey(key))
	if errors.Is(err, auth.ErrNotLoggedIn) {
		return fmt.Errorf("%w to %s", ErrNotLoggedIn, key)
	}
	if err != nil {
		return fmt.Errorf("remove the credentials for %s: %w", key, err)
	}
	return nil
}

// accountKey is what people type, without what belongs to an address of the web.
func accountKey(s string) string {
	s = strings.TrimPrefix(strings.TrimPrefix(s, "https://"), "http://")
	return strings.TrimSuffix(s, "/")
}

// Found is one answer of a search.
type Found struct {
	Index, Name, Description string
	Stars                    int
	Official, Automated      string // "[OK]" or empty
	Tag                      string
}

// Search asks a registry for names with the term in it, or all search registries when the term names none.
func (a *Accounts) Search(ctx context.Context, term string, limit int, r Registry) ([]Found, error) {
	registries, term, err := a.searchIn(term)
	if err != nil {
		return nil, err
	}
	var all []Found
	var errs []error
	for _, host := range registries {
		answers, err := docker.SearchRegistry(ctx, a.im.registryContext(r), host, term, limit)
		if err != nil {
			errs = append(errs, fmt.Errorf("search %s: %w", host, explainPull(err, host)))
			continue
		}
		for _, f := range answers[:min(len(answers), limit)] {
			all = append(all, found(host, f))
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	return nil, errors.Join(errs...)
}

func found(host string, f docker.SearchResult) Found {
	yes := map[bool]string{true: "[OK]"}
	full := f.Name
	if host == "docker.io" && !strings.Contains(full, "/") {
		full = "library/" + full
	}
	return Found{Index: host, Name: host + "/" + full, Description: strings.ReplaceAll(f.Description, "\n", " "), Stars: f.StarCount,
		Official: yes[f.IsOfficial], Automated: yes[f.IsAutomated]}
}

func (a *Accounts) searchIn(term string) (registries []string, rest string, err error) {
	if host, rest, ok := strings.Cut(term, "/"); ok && strings.ContainsAny(host, ".:") || host == "localhost" {
		return []string{host}, rest, nil
	}
	registries, err = sysregistriesv2.UnqualifiedSearchRegistries(&a.im.sys)
	if err == nil && len(registries) == 0 {
		err = fmt.Errorf("%q names no registry, and registries.conf has no unqualified-search-registries: write it as HOST/%s", term, term)
	}
	return registries, term, err
}

// Tags lists the tags of a repository.
func (a *Accounts) Tags(ctx context.Context, s string, limit int, r Registry) ([]Found, error) {
	sys := a.im.registryContext(r)
	known, err := registries(sys, s)
	if err != nil {
		return nil, err
	}
	candidates, err := name.Candidates(s, known)
	if err != nil {
		return nil, err
	}
	n := candidates[0]
	ref, err := registryReference(n)
	if err != nil {
		return nil, err
	}
	tags, err := docker.GetRepositoryTags(ctx, sys, ref)
	if err != nil {
		return nil, fmt.Errorf("list the tags of %s: %w", n.Repository(), explainPull(err, n.Registry))
	}
	var all []Found
	for _, t := range tags[:min(len(tags), limit)] {
		all = append(all, Found{Index: n.Registry, Name: n.Repository(), Tag: t})
	}
	return all, nil
}

// Digest asks the registry what it has under a name: an image, or a list of images for several platforms.
func (a *Accounts) Digest(ctx context.Context, s string, r Registry) (string, error) {
	sys := a.im.registryContext(r)
	known, err := registries(sys, s)
	if err != nil {
		return "", err
	}
	candidates, err := name.Candidates(s, known)
	if err != nil {
		return "", err
	}
	var tried []error
	for _, n := range candidates {
		ref, err := registryReference(n)
		if err != nil {
			return "", err
		}
		d, err := docker.GetDigest(ctx, sys, ref)
		if err == nil {
			return d.String(), nil
		}
		tried = append(tried, explainPull(err, n.Registry))
	}
	return "", fmt.Errorf("digest of %s: %w", s, errors.Join(tried...))
}
