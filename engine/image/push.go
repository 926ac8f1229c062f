//go:build containers_image_openpgp

package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	imgspecv1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.podman.io/image/v5/copy"
	"go.podman.io/image/v5/directory"
	"go.podman.io/image/v5/docker/archive"
	"go.podman.io/image/v5/manifest"
	ociarchive "go.podman.io/image/v5/oci/archive"
	"go.podman.io/image/v5/oci/layout"
	"go.podman.io/image/v5/pkg/compression"
	istorage "go.podman.io/image/v5/storage"
	"go.podman.io/image/v5/transports"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"

	"github.com/berth-pods/berth/engine/image/name"
)

// PushOptions say how an image is to be written. The zero value keeps the image as it is, for a registry whose credentials
// are those of auth.json.
type PushOptions struct {
	Registry
	Format           string // oci, v2s2 or v2s1; empty: as the image is
	Compression      string // gzip, zstd or zstd:chunked; empty: as the layers are, gzip for those that are not
	Level            *int
	CompressDir      bool // dir: compress what is not
	ForceCompression bool // compress anew what is compressed otherwise
	RemoveSignatures bool
	SigstoreKey      string // private key with which to sign
	SignBy           string // GPG key with which to sign
	Passphrase       []byte // of either key
	All              bool   // of a list, all images and not only this machine's
	Retry            int
	RetryDelay       time.Duration
	EncryptionKeys   []string // jwe:FILE and the like: whose keys open what is written
	EncryptLayers    []int    // which; all when it is empty
}

// Registry says how to talk to a registry.
type Registry struct {
	AuthFile       string
	CompatAuthFile string // of Docker's form, for logins
	CertDir        string
	User, Password string
	TLSVerify      *bool // nil: registries.conf decides
}

func (im *Images) registryContext(r Registry) *types.SystemContext {
	sys := im.pullContext(PullOptions{AuthFile: r.AuthFile, CertDir: r.CertDir, User: r.User, Password: r.Password, TLSVerify: r.TLSVerify})
	if r.CompatAuthFile != "" { // which the library takes in the place of the other one
		sys.DockerCompatAuthFilePath, sys.AuthFilePath = r.CompatAuthFile, r.AuthFile
	}
	return sys
}

// formats are the manifest types by the names that people give them.
var formats = map[string]string{"": "", "oci": imgspecv1.MediaTypeImageManifest, "v2s2": manifest.DockerV2Schema2MediaType, "docker": manifest.DockerV2Schema2MediaType, "v2s1": manifest.DockerV2Schema1SignedMediaType}

// Push writes the image s to a destination: a name on a registry, or a transport with what belongs to it. An empty
// destination is the registry's that is in the image's name. It returns the digest of the manifest as it was written.
func (im *Images) Push(ctx context.Context, s, dest string, o PushOptions) (digest.Digest, error) {
	img, full, err := im.lookup(s)
	if err != nil {
		return "", err
	}
	if _, err := im.readList(img.ID); !errors.Is(err, ErrNotList) {
		if len(o.EncryptionKeys) > 0 {
			return "", fmt.Errorf("push %s: it is a list: --encryption-key is for single images", s)
		}
		return im.PushList(ctx, s, dest, ListPushOptions{PushOptions: o})
	}
	to, err := pushDestination(dest, full, img)
	if err != nil {
		return "", fmt.Errorf("push %s: %w", s, err)
	}
	sys := im.registryContext(o.Registry)
	options, err := o.copyOptions(sys)
	if err != nil {
		return "", fmt.Errorf("push %s: %w", s, err)
	}
	src, err := istorage.Transport.NewStoreReference(im.store, nil, img.ID)
	if err != nil {
		return "", fmt.Errorf("push %s: %w", s, err)
	}
	signed, err := o.signed(sys, to)
	if err != nil {
		return "", fmt.Errorf("push %s: %w", s, err)
	}
	im.say("Pushing " + transports.ImageName(to))
	raw, err := im.copyOut(ctx, src, to, options, o)
	if err == nil && o.SignBy != "" {
		err = signed.sign(raw, gpg{ctx, o.Passphrase}, o.SignBy)
	}
	if err != nil {
		return "", fmt.Errorf("push %s to %s: %w", s, transports.ImageName(to), explainPull(err, domain(to)))
	}
	return manifest.Digest(raw)
}

// writable are the transports other than a registry's.
var writable = map[string]func(string) (types.ImageReference, error){
	"docker-archive": archive.ParseReference, "oci-archive": ociarchive.ParseReference, "oci": layout.ParseReference, "dir": directory.NewReference,
}

// pushDestination knows all transports. A name without one is a registry's.
func pushDestination(dest, full string, img *storage.Image) (types.ImageReference, error) {
	if dest == "" {
		if dest = full; dest == "" && len(img.Names) > 0 {
			dest = img.Names[0]
		}
		if dest == "" {
			return nil, errors.New("the image has no name: say where to push it")
		}
	}
	transport, rest, found := strings.Cut(dest, ":")
	if found && transport == "docker" {
		dest = strings.TrimPrefix(rest, "//")
	} else if parse := writable[transport]; found && parse != nil {
		return parse(rest)
	} else if found && (transport == "docker-daemon" || transport == "ostree" || transport == "sif" || transport == "containers-storage") {
		return nil, fmt.Errorf("%s: nothing is written there: use docker://, docker-archive:, oci-archive:, oci: or dir:", transport)
	}
	n, err := name.Parse(dest)
	if err != nil {
		return nil, err
	}
	if n.Short() {
		return nil, fmt.Errorf("%q names no registry: write it as HOST/%s", dest, dest)
	}
	if n.Digest == "" && n.Tag == "" {
		n.Tag = "latest"
	}
	return registryReference(n)
}

func (o PushOptions) copyOptions(sys *types.SystemContext) (*copy.Options, error) {
	mime, known := formats[o.Format]
	if !known {
		return nil, fmt.Errorf("--format %s: use oci, v2s2 or v2s1", o.Format)
	}
	if o.Compression != "" {
		algorithm, err := compression.AlgorithmByName(o.Compression)
		if err != nil || !slices.Contains([]string{"gzip", "zstd", "zstd:chunked"}, o.Compression) {
			return nil, fmt.Errorf("--compression-format %s: use gzip, zstd or zstd:chunked", o.Compression)
		}
		if strings.HasPrefix(o.Compression, "zstd") && (o.Format == "v2s2" || o.Format == "v2s1" || o.Format == "docker") {
			return nil, fmt.Errorf("--compression-format %s: Docker's format %s has no zstd: give --format oci", o.Compression, o.Format)
		}
		if strings.HasPrefix(o.Compression, "zstd") {
			mime = imgspecv1.MediaTypeImageManifest
		}
		sys.CompressionFormat = &algorithm
	}
	sys.CompressionLevel, sys.DirForceCompress = o.Level, o.CompressDir
	options := &copy.Options{
		SourceCtx: sys, DestinationCtx: sys, ForceManifestMIMEType: mime, RemoveSignatures: o.RemoveSignatures, ForceCompressionFormat: o.ForceCompression,
		SignBySigstorePrivateKeyFile: o.SigstoreKey, SignSigstorePrivateKeyPassphrase: o.Passphrase,
		ProgressInterval: reportEvery,
	}
	return options, o.encrypt(options)
}

// copyOut writes an image of the store, again while the failure is one that may pass, and returns its manifest.
func (im *Images) copyOut(ctx context.Context, src, to types.ImageReference, options *copy.Options, o PushOptions) ([]byte, error) {
	trust, err := job{checked: true}.policy() // what is in the store was checked when it came in
	if err != nil {
		return nil, err
	}
	defer trust.Destroy()
	if o.All {
		options.ImageListSelection = copy.CopyAllImages
	}
	for try := 0; ; try++ {
		events, stop := im.count(to.StringWithinTransport(), nil)
		options.Progress = events
		raw, err := copy.Image(ctx, trust, to, src, options)
		stop()
		if err == nil || try >= o.Retry || !transient(err) || ctx.Err() != nil {
			return raw, err
		}
		wait := delay(try, o.RetryDelay, rand.Float64())
		im.say(fmt.Sprintf("Trying again in %s (%d of %d): %v", wait.Round(100*time.Millisecond), try+1, o.Retry, explain(err)))
		if err := pause(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// signed is where a signature by a GPG key will be.
func (o PushOptions) signed(sys *types.SystemContext, to types.ImageReference) (signatures, error) {
	if o.SignBy == "" {
		return signatures{}, nil
	}
	if to.DockerReference() == nil || to.Transport().Name() != "docker" {
		return signatures{}, errors.New("--sign-by: only images on registries are signed")
	}
	return signatureDir(sys, to, "")
}

// ReadSecret reads a passphrase from the first line of a file.
func ReadSecret(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	return bytes.TrimRight(line, "\r"), nil
}
