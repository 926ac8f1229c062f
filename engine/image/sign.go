//go:build containers_image_openpgp

package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/signature"
	"go.podman.io/image/v5/types"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/proc"
)

// SignOptions say with which key images are signed, and where the signatures go.
type SignOptions struct {
	Registry
	Key       string // as gpg knows it
	Directory string // empty: where registries.d says for the image
	All       bool   // of a list, all images and not only this machine's
}

// Sign writes signatures for an image that a registry has; of a list, for the list and the image for this machine, or all.
func (a *Accounts) Sign(ctx context.Context, s string, o SignOptions) error {
	if o.Key == "" {
		return errors.New("say with which GPG key: --sign-by KEY")
	}
	ref, err := pushDestination(s, "", nil)
	if err != nil {
		return fmt.Errorf("sign %s: %w", s, err)
	}
	if ref.Transport().Name() != docker.Transport.Name() {
		return fmt.Errorf("sign %s: only images on registries are signed", s)
	}
	sys := a.im.registryContext(o.Registry)
	to, err := signatureDir(sys, ref, o.Directory)
	if err != nil {
		return fmt.Errorf("sign %s: %w", s, err)
	}
	src, err := ref.NewImageSource(ctx, sys)
	if err != nil {
		return fmt.Errorf("sign %s: %w", s, explainPull(err, domain(ref)))
	}
	defer src.Close()
	all, err := toSign(ctx, src, sys, o.All)
	if err != nil {
		return fmt.Errorf("sign %s: %w", s, explainPull(err, domain(ref)))
	}
	for _, raw := range all {
		if err := to.sign(raw, gpg{ctx: ctx}, o.Key); err != nil {
			return fmt.Errorf("sign %s: %w", s, err)
		}
	}
	return nil
}

// toSign are the manifests that somebody who pulls is going to check.
func toSign(ctx context.Context, src types.ImageSource, sys *types.SystemContext, every bool) ([][]byte, error) {
	raw, mime, err := src.GetManifest(ctx, nil)
	if err != nil || !manifest.MIMETypeIsMultiImage(mime) {
		return [][]byte{raw}, err
	}
	list, err := manifest.ListFromBlob(raw, mime)
	if err != nil {
		return nil, err
	}
	wanted := list.Instances()
	if !every {
		one, err := list.ChooseInstance(sys)
		if err != nil {
			return nil, err
		}
		wanted = []digest.Digest{one}
	}
	all, err := instances(ctx, src, wanted)
	return append([][]byte{raw}, all...), err
}

// instances are the manifests of images in a list.
func instances(ctx context.Context, src types.ImageSource, wanted []digest.Digest) ([][]byte, error) {
	var all [][]byte
	for _, d := range wanted {
		raw, _, err := src.GetManifest(ctx, &d)
		if err != nil {
			return nil, err
		}
		if is, _ := manifest.MatchesDigest(raw, d); !is {
			return nil, fmt.Errorf("the registry gives another image than %s", d)
		}
		all = append(all, raw)
	}
	return all, nil
}

// A signatures is the directory of the signatures for a repository, which one signs under a name.
type signatures struct{ dir, name string }

func signatureDir(sys *types.SystemContext, ref types.ImageReference, dir string) (signatures, error) {
	named := ref.DockerReference()
	s := signatures{name: named.String()}
	if dir != "" {
		if st, err := os.Stat(dir); err != nil || !st.IsDir() {
			return s, fmt.Errorf("--directory %s: there is no such directory", dir)
		}
		s.dir = filepath.Join(dir, reference.Path(named))
		return s, nil
	}
	u, err := docker.SignatureStorageBaseURL(sys, ref, true)
	if err != nil {
		return s, fmt.Errorf("read registries.d: %w", err)
	}
	if u.Scheme != "file" {
		return s, fmt.Errorf("registries.d says %s for the signatures, which cannot be written to: give --directory, or set lookaside-staging to a file:// there", u.Redacted())
	}
	s.dir = u.Path
	return s, nil
}

// sign adds a signature to those that are there.
func (s signatures) sign(raw []byte, by gpg, key string) error {
	d, err := manifest.Digest(raw)
	if err != nil {
		return err
	}
	signed, err := signature.SignDockerManifest(raw, s.name, by, key)
	if err != nil {
		return err
	}
	dir := fmt.Sprintf("%s@%s=%s", s.dir, d.Algorithm(), d.Encoded())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for n := 1; ; n++ {
		path := filepath.Join(dir, fmt.Sprintf("signature-%d", n))
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return atomicfile.Write(path, signed, 0o644)
		} else if err != nil {
			return err
		}
	}
}

// gpg signs by the program of that name, which has the keys and asks for passphrases. What is signed is checked without it.
type gpg struct {
	ctx        context.Context
	passphrase []byte // nil: gpg's agent asks
}

// Close does nothing.
func (gpg) Close() error { return nil }

// SupportsSigning says that it can.
func (gpg) SupportsSigning() error { return nil }

// Sign makes a signature that has the text in it.
func (g gpg) Sign(input []byte, key string) ([]byte, error) {
	path, err := exec.LookPath("gpg")
	if err != nil {
		return nil, errors.New("gpg is not there, which signs; install the package gnupg")
	}
	c := proc.Command{Path: path, Args: []string{"--batch", "--no-tty", "--local-user", key, "--output", "-", "--sign"}, Stdin: bytes.NewReader(input)}
	if g.passphrase != nil {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		_, err = w.Write(append(g.passphrase, '\n'))
		if err = errors.Join(err, w.Close()); err != nil {
			return nil, err
		}
		c.Extra, c.Args = []*os.File{r}, append([]string{"--pinentry-mode", "loopback", "--passphrase-fd", "3"}, c.Args...)
	}
	out, err := proc.Run(g.ctx, c)
	if err != nil {
		return nil, fmt.Errorf("with the key %q: %w", key, err)
	}
	return out, nil
}

// Verify is not what this is for.
func (gpg) Verify([]byte) ([]byte, string, error) {
	return nil, "", errors.New("gpg only signs here")
}

// UntrustedSignatureContents is not what this is for.
func (gpg) UntrustedSignatureContents([]byte) ([]byte, string, error) {
	return nil, "", errors.New("gpg only signs here")
}
