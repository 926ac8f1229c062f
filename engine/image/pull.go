//go:build containers_image_openpgp

package image

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	encconfig "github.com/containers/ocicrypt/config"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"

	"github.com/berth-pods/berth/engine/image/name"
)

// Policy says when a pull asks the registry.
type Policy string

// The policies of --policy, of Pull= and of pull_policy in containers.conf.
const (
	Always  Policy = "always"  // ask, and fail when the registry does not answer
	Missing Policy = "missing" // ask only for what is not in the store
	Newer   Policy = "newer"   // ask; what is in the store will do when the registry does not answer
	Never   Policy = "never"   // do not ask
)

// PullOptions say how to talk to the registry and which of several images to take. The zero value takes this machine's
// own platform, always asks, and tries once.
type PullOptions struct {
	Policy            Policy
	OS, Arch, Variant string // empty: this machine's
	AllTags           bool
	AuthFile          string
	CertDir           string
	User, Password    string
	TLSVerify         *bool // nil: registries.conf decides
	Retry             int   // further tries after the first
	RetryDelay        time.Duration
	DecryptionKeys    []string // FILE or FILE:PASSWORD

	keys  *encconfig.DecryptConfig // what was read from them
	stall time.Duration            // how long a link may be quiet; 0 is stallAfter
}

// Pull stores the images that s means and returns their IDs: a name on a registry, a short name, or
// docker-archive:PATH, oci-archive:PATH, oci:DIR, dir:DIR with :NAME or :@NUMBER to pick one image, or
// containers-storage:NAME for what is in the store.
func (im *Images) Pull(ctx context.Context, s string, o PullOptions) (ids []string, err error) {
	sys := im.pullContext(o)
	if o.keys, err = readKeys(o.DecryptionKeys); err != nil {
		return nil, fmt.Errorf("pull %s: %w", s, err)
	}
	transport, rest := splitTransport(s)
	switch transport {
	case "containers-storage":
		return im.pullLocal(rest)
	case "docker-archive", "oci-archive", "oci", "dir":
		return im.pullFile(ctx, s, sys, o.keys)
	}
	if o.AllTags {
		return im.pullTags(ctx, rest, sys, o)
	}
	id, err := im.pullName(ctx, rest, sys, o)
	if err != nil {
		return nil, err
	}
	return []string{id}, nil
}

// splitTransport knows the prefixes that name a place other than a registry; everything else is a registry's.
func splitTransport(s string) (transport, rest string) {
	if rest, ok := strings.CutPrefix(s, "docker://"); ok {
		return "docker", rest
	}
	before, after, found := strings.Cut(s, ":")
	switch before {
	case "containers-storage", "docker-archive", "oci-archive", "oci", "dir":
		if found {
			return before, after
		}
	}
	return "docker", s
}

func (im *Images) pullContext(o PullOptions) *types.SystemContext {
	sys := im.sys
	sys.OSChoice, sys.ArchitectureChoice, sys.VariantChoice = o.OS, o.Arch, o.Variant
	sys.AuthFilePath, sys.DockerCertPath = orElse(o.AuthFile, os.Getenv("REGISTRY_AUTH_FILE")), o.CertDir
	if o.TLSVerify != nil {
		sys.DockerInsecureSkipTLSVerify = types.NewOptionalBool(!*o.TLSVerify)
	}
	if o.User != "" {
		sys.DockerAuthConfig = &types.DockerAuthConfig{Username: o.User, Password: o.Password}
	}
	guardCredentials(&sys)
	return &sys
}

func (im *Images) pullLocal(s string) ([]string, error) {
	img, _, err := im.lookup(s)
	if err != nil {
		return nil, err
	}
	return []string{img.ID}, nil
}

func (im *Images) pullFile(ctx context.Context, asked string, sys *types.SystemContext, keys *encconfig.DecryptConfig) ([]string, error) {
	_, rest := splitTransport(asked)
	file, which, _ := strings.Cut(rest, ":")
	b, err := im.open(ctx, file)
	if err == nil {
		b.sources, err = pick(b.sources, which)
	}
	if err == nil && strings.HasPrefix(asked, "dir:") {
		b.sources[0].names = dirNames(file)
	}
	if err != nil {
		return nil, fmt.Errorf("pull %s: %w", asked, explain(im.space(errors.Join(err, b.Close()))))
	}
	var ids []string
	for _, s := range b.sources {
		l, err := im.loadOne(ctx, s, sys, keys)
		if err != nil {
			return ids, fmt.Errorf("pull %s: %w", asked, explain(errors.Join(err, b.Close())))
		}
		ids = append(ids, l.ID)
	}
	return ids, b.Close()
}

// dirNames gives an image from a plain directory the name of its path, when that can be an image name.
func dirNames(dir string) []string {
	n := directoryName(dir)
	if _, err := name.Parse(name.Local + "/" + n); err != nil {
		return nil
	}
	return []string{name.Local + "/" + n}
}

// pullName pulls one image from the first registry that has it.
func (im *Images) pullName(ctx context.Context, s string, sys *types.SystemContext, o PullOptions) (string, error) {
	local, err := im.present(s, o)
	if err != nil {
		return "", err
	}
	if o.Policy == Never && local == nil {
		return "", fmt.Errorf("image %q%s: %w, and the pull policy is never: load or pull it first", s, o.forPlatform(), ErrMissing)
	}
	if local != nil && (o.Policy == Never || o.Policy == Missing) {
		return local.ID, nil
	}
	known, err := registries(sys, s)
	if err != nil {
		return "", err
	}
	candidates, err := name.Candidates(s, known)
	if err != nil {
		return "", err
	}
	release, err := im.alone(ctx, candidates[0].String())
	if err != nil {
		return "", fmt.Errorf("pull %s: %w", s, explain(err))
	}
	defer release()
	partials{im.partialDir()}.sweep(time.Now())
	if o.Policy == Missing { // another process may have brought it meanwhile
		if local, err := im.present(s, o); err != nil || local != nil {
			return idOrNone(local), err
		}
	}
	id, err := im.pullFirst(ctx, s, candidates, local, sys, o)
	if err != nil && local != nil && o.Policy == Newer && ctx.Err() == nil {
		im.say(fmt.Sprintf("Keeping the %s that is here: %v", s, err))
		return local.ID, nil
	}
	return id, err
}

func idOrNone(img *storage.Image) string {
	if img == nil {
		return ""
	}
	return img.ID
}

// present looks the image up, and does not count one for another platform than the one asked for.
func (im *Images) present(s string, o PullOptions) (*storage.Image, error) {
	img, _, err := im.lookup(s)
	if errors.Is(err, ErrMissing) {
		return nil, nil
	}
	if err != nil || (o.OS == "" && o.Arch == "" && o.Variant == "") {
		return img, err
	}
	config, err := im.config(img)
	if err != nil {
		return nil, err
	}
	if !fits(config.Platform, o) {
		return nil, nil
	}
	return img, nil
}

// forPlatform says which platform the image is to be for, when that was asked for.
func (o PullOptions) forPlatform() string {
	if o.OS+o.Arch+o.Variant == "" {
		return ""
	}
	return " for " + strings.Trim(o.OS+"/"+o.Arch+"/"+o.Variant, "/")
}

func (im *Images) pullFirst(ctx context.Context, asked string, candidates []name.Name, local *storage.Image, sys *types.SystemContext, o PullOptions) (string, error) {
	var tried []error
	for _, n := range candidates {
		ref, err := registryReference(n)
		if err != nil {
			return "", err
		}
		if local != nil && o.Policy == Newer && im.same(ctx, ref, sys, local) {
			return local.ID, nil
		}
		im.say("Pulling " + n.String())
		id, err := im.fetch(ctx, ref, n, sys, o)
		if err == nil {
			return id, nil
		}
		tried = append(tried, explainPull(err, n.Registry))
		if ctx.Err() != nil {
			break
		}
	}
	return "", pullFailure(asked, tried)
}

func registryReference(n name.Name) (types.ImageReference, error) {
	named, err := reference.ParseNormalizedNamed(n.String())
	if err != nil {
		return nil, fmt.Errorf("image name %q: %w", n, err)
	}
	return docker.NewReference(named)
}

// same tells whether the registry's image is the one in the store. When it cannot be told the image is fetched, which
// gives the better message.
func (im *Images) same(ctx context.Context, ref types.ImageReference, sys *types.SystemContext, local *storage.Image) bool {
	d, err := docker.GetDigest(ctx, sys, ref)
	return err == nil && hasDigest(*local, d.String())
}

// fetch copies an image, again and again while the failure is one that may pass.
func (im *Images) fetch(ctx context.Context, ref types.ImageReference, n name.Name, sys *types.SystemContext, o PullOptions) (string, error) {
	if n.Registry == name.Local {
		o.Retry = 0 // these names are for what was built or loaded here: there is hardly ever such a registry
	}
	for try := 0; ; try++ {
		id, err := im.copyRemote(ctx, ref, n, sys, o)
		if err == nil || try >= o.Retry || !transient(err) || ctx.Err() != nil {
			return id, err
		}
		wait := delay(try, o.RetryDelay, rand.Float64())
		im.say(fmt.Sprintf("Trying again in %s (%d of %d): %v", wait.Round(100*time.Millisecond), try+1, o.Retry, explainPull(err, n.Registry)))
		if err := pause(ctx, wait); err != nil {
			return "", err
		}
	}
}

// delay is how long to wait after the try with this number, counted from 0: what the user said, or 1 s doubled each
// time up to a minute. Up to a quarter is added by jitter, a number from 0 to 1, so that machines that lost the same
// registry do not come back in the same moment.
func delay(try int, fixed time.Duration, jitter float64) time.Duration {
	d := fixed
	if d == 0 {
		d = min(time.Second<<min(try, 6), time.Minute)
	}
	return d + time.Duration(float64(d)*jitter/4)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// pullTags pulls every tag of a repository.
func (im *Images) pullTags(ctx context.Context, s string, sys *types.SystemContext, o PullOptions) ([]string, error) {
	known, err := registries(sys, s)
	if err != nil {
		return nil, err
	}
	candidates, err := name.Candidates(s, known)
	if err != nil {
		return nil, err
	}
	n := candidates[0]
	if asked, _ := name.Parse(s); asked.Tag != "" || asked.Digest != "" {
		return nil, fmt.Errorf("pull --all-tags %s: give the name without a tag", s)
	}
	ref, err := registryReference(n)
	if err != nil {
		return nil, err
	}
	tags, err := docker.GetRepositoryTags(ctx, sys, ref)
	if err != nil {
		return nil, fmt.Errorf("list the tags of %s: %w", n.Repository(), explainPull(err, n.Registry))
	}
	var ids []string
	for _, t := range tags {
		n.Tag = t
		id, err := im.pullName(ctx, n.String(), sys, o)
		if err != nil {
			return ids, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}
