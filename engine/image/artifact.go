//go:build containers_image_openpgp

package image

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	imgspecv1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.podman.io/image/v5/copy"
	"go.podman.io/image/v5/oci/layout"
	"go.podman.io/image/v5/types"
	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/image/name"
)

// ErrNoArtifact says that an artifact is not in the store.
var ErrNoArtifact = errors.New("no such artifact")

// Artifact is one artifact of the store: files with a manifest that says what they are.
type Artifact struct {
	Name     string             `json:"Name"`
	Digest   string             `json:"Digest"`
	Manifest imgspecv1.Manifest `json:"Manifest"`
	place    int                // in the index
}

// Size is the number of bytes in its files.
func (a Artifact) Size() int64 {
	var n int64
	for _, l := range a.Manifest.Layers {
		n += l.Size
	}
	return n
}

// artifactDir is an OCI layout in the place where Podman has its artifacts.
func (im *Images) artifactDir() string { return filepath.Join(im.store.GraphRoot(), "artifacts") }

// artifacts locks the layout, as each change rewrites its index. Nobody has the lock while bytes come from elsewhere.
func (im *Images) artifacts(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(im.artifactDir(), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(im.artifactDir(), "index.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	announce := sync.OnceFunc(func() { im.say("Waiting for another change of the artifacts") })
	if err := im.waitFor(ctx, f, "artifacts", announce); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}

// artifactName completes a name; artifacts have no short names.
func artifactName(s string) (name.Name, error) {
	n, err := name.Parse(s)
	if err != nil {
		return n, err
	}
	if n.Short() {
		return n, fmt.Errorf("artifact %q names no registry: write it as HOST/%s", s, s)
	}
	if n.Tag == "" && n.Digest == "" {
		n.Tag = "latest"
	}
	return n, nil
}

// PullArtifact fetches an artifact and returns the digest of its manifest.
func (im *Images) PullArtifact(ctx context.Context, s string, o PullOptions) (string, error) {
	n, err := artifactName(s)
	if err != nil {
		return "", err
	}
	if o.keys, err = readKeys(o.DecryptionKeys); err != nil {
		return "", fmt.Errorf("pull artifact %s: %w", s, err)
	}
	release, err := im.alone(ctx, "artifact "+n.String())
	if err != nil {
		return "", err
	}
	defer release()
	sys := im.pullContext(o)
	sys.OCIAcceptUncompressedLayers = true
	ref, err := registryReference(n)
	if err != nil {
		return "", err
	}
	im.say("Pulling " + n.String())
	d, err := im.fetchArtifact(ctx, ref, n, sys, o)
	if err != nil {
		return "", fmt.Errorf("pull artifact %s: %w", s, explainPull(err, n.Registry))
	}
	return d, nil
}

func (im *Images) fetchArtifact(ctx context.Context, ref types.ImageReference, n name.Name, sys *types.SystemContext, o PullOptions) (d string, err error) {
	src, err := im.remote(ctx, ref, sys, o)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	m := &meter{}
	src.arrived = m.add
	beside, err := im.besideArtifacts(src.layers)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, beside.Close()) }()
	to, err := layout.NewReference(beside.dir.Name(), n.String())
	if err != nil {
		return "", err
	}
	trust, err := job{checked: true}.policy()
	if err != nil {
		return "", err
	}
	defer trust.Destroy()
	events, stop := im.count(n.String(), m)
	raw, err := copy.Image(ctx, trust, to, verified{ref, src}, &copy.Options{
		SourceCtx: sys, DestinationCtx: sys, PreserveDigests: src.keys == nil, RemoveSignatures: true, Progress: events, ProgressInterval: reportEvery,
		OciDecryptConfig: src.keys,
	})
	stop()
	if err != nil {
		if damaged(err) {
			src.forget()
		}
		return "", im.space(err)
	}
	if err := im.adoptArtifact(ctx, beside.dir.Name(), n, raw); err != nil {
		return "", im.space(err)
	}
	src.forget()
	return digest.FromBytes(raw).String(), nil
}

// besideArtifacts makes a layout beside that of the artifacts for a download, in which are the files that other artifacts have.
// They are links, so that the files stay when those artifacts go.
func (im *Images) besideArtifacts(layers []types.BlobInfo) (temporary, error) {
	if err := os.MkdirAll(im.artifactDir(), 0o700); err != nil {
		return temporary{}, err
	}
	beside, err := newTemporary(im.artifactDir())
	if err != nil {
		return temporary{}, err
	}
	for _, l := range layers {
		blob := filepath.Join("blobs", l.Digest.Algorithm().String(), l.Digest.Encoded())
		to := filepath.Join(beside.dir.Name(), blob)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return temporary{}, errors.Join(err, beside.Close())
		}
		_ = os.Link(filepath.Join(im.artifactDir(), blob), to) // what is not there, or cannot be linked, is fetched
	}
	return beside, nil
}

// adoptArtifact moves what was fetched into the store, and lists it there last.
func (im *Images) adoptArtifact(ctx context.Context, dir string, n name.Name, raw []byte) error {
	unlock, err := im.artifacts(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs/*/*"))
	if err != nil {
		return err
	}
	for _, b := range blobs {
		to := filepath.Join(im.artifactDir(), strings.TrimPrefix(b, dir))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := os.Rename(b, to); err != nil {
			return err
		}
	}
	ref, err := layout.NewReference(im.artifactDir(), n.String())
	if err != nil {
		return err
	}
	dest, err := ref.NewImageDestination(ctx, &im.sys)
	if err != nil {
		return err
	}
	if err := dest.PutManifest(ctx, raw, nil); err != nil {
		return errors.Join(err, dest.Close())
	}
	if err := errors.Join(dest.Commit(ctx, nil), dest.Close()); err != nil {
		return err
	}
	return cmp.Or(syncTree(im.artifactDir()), im.dropArtifacts(replaced))
}

// syncTree flushes the file system that holds a directory.
func syncTree(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// PushArtifact writes an artifact of the store to the registry that its name, or dest, says.
func (im *Images) PushArtifact(ctx context.Context, s, dest string, o PushOptions) (digest.Digest, error) {
	a, err := im.Artifact(s)
	if err != nil {
		return "", err
	}
	n, err := artifactName(orElse(dest, a.Name))
	if err != nil {
		return "", err
	}
	to, err := registryReference(n)
	if err != nil {
		return "", err
	}
	from, err := layout.NewReference(im.artifactDir(), a.Name)
	if err != nil {
		return "", err
	}
	sys := im.registryContext(o.Registry)
	sys.OCIAcceptUncompressedLayers = true
	signed, err := o.signed(sys, to)
	if err != nil {
		return "", fmt.Errorf("push artifact %s: %w", s, err)
	}
	raw, err := im.copyOut(ctx, from, to, &copy.Options{
		SourceCtx: sys, DestinationCtx: sys, PreserveDigests: true, ProgressInterval: reportEvery,
		SignBySigstorePrivateKeyFile: o.SigstoreKey, SignSigstorePrivateKeyPassphrase: o.Passphrase,
	}, o)
	if err == nil && o.SignBy != "" {
		err = signed.sign(raw, gpg{ctx, o.Passphrase}, o.SignBy)
	}
	if err != nil {
		return "", fmt.Errorf("push artifact %s: %w", s, explainPull(err, n.Registry))
	}
	return digest.FromBytes(raw), nil
}

// Artifacts lists the artifacts of the store by name.
func (im *Images) Artifacts() ([]Artifact, error) {
	root, err := os.OpenRoot(im.artifactDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	index, err := readIndex(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("artifacts: %w", err)
	}
	var all []Artifact
	for i, d := range index.Manifests {
		a := Artifact{place: i, Name: d.Annotations[imgspecv1.AnnotationRefName], Digest: d.Digest.String()}
		data, err := readBlob(root, d.Digest)
		if err == nil {
			err = json.Unmarshal(data, &a.Manifest)
		}
		if err != nil {
			return nil, fmt.Errorf("artifact %s: %w", a.Name, err)
		}
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b Artifact) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Artifact finds one by its name, its digest or the beginning of that.
func (im *Images) Artifact(s string) (Artifact, error) {
	all, err := im.Artifacts()
	if err != nil {
		return Artifact{}, err
	}
	n, nameErr := artifactName(s)
	hex := strings.TrimPrefix(s, "sha256:")
	for _, a := range all {
		if nameErr == nil && (a.Name == n.String() || n.Digest == a.Digest && strings.HasPrefix(a.Name, n.Repository()+":")) {
			return a, nil
		}
		if hexID.MatchString(hex) && strings.HasPrefix(a.Digest, "sha256:"+hex) {
			return a, nil
		}
	}
	return Artifact{}, fmt.Errorf("%w: %s", ErrNoArtifact, s)
}

// RemoveArtifact removes an artifact with the files that no other one has, and returns its digest.
func (im *Images) RemoveArtifact(ctx context.Context, s string) (string, error) {
	unlock, err := im.artifacts(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	a, err := im.Artifact(s)
	if err != nil {
		return "", err
	}
	if err := im.dropArtifacts(func(b Artifact) bool { return b.place == a.place }); err != nil {
		return "", fmt.Errorf("remove artifact %s: %w", s, err)
	}
	return a.Digest, nil
}

// dropArtifacts takes artifacts off the list, and removes the files that no other one has then: who is killed in between leaves files,
// and no artifact without some.
func (im *Images) dropArtifacts(gone func(Artifact) bool) error {
	all, err := im.Artifacts()
	if err != nil || !slices.ContainsFunc(all, gone) {
		return err
	}
	root, err := os.OpenRoot(im.artifactDir())
	if err != nil {
		return err
	}
	defer root.Close()
	index, err := readIndex(root)
	if err != nil {
		return err
	}
	entries := index.Manifests
	index.Manifests = []imgspecv1.Descriptor{}
	kept, unused := map[string]bool{}, map[string]bool{}
	for _, a := range all {
		files := unused
		if !gone(a) {
			files = kept
			index.Manifests = append(index.Manifests, entries[a.place])
		}
		files[a.Digest], files[a.Manifest.Config.Digest.String()] = true, true
		for _, l := range a.Manifest.Layers {
			files[l.Digest.String()] = true
		}
	}
	data, err := json.Marshal(index)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(im.artifactDir(), imgspecv1.ImageIndexFile), data, 0o644); err != nil {
		return err
	}
	for d := range unused {
		if kept[d] {
			continue
		}
		algorithm, hex, _ := strings.Cut(d, ":")
		if e := root.Remove(filepath.Join(imgspecv1.ImageBlobsDir, algorithm, hex)); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// replaced tells an artifact whose name a newer one has got. Podman reads no store with one that has none.
func replaced(a Artifact) bool { return a.Name == "" }

// AddOptions say what an artifact is.
type AddOptions struct {
	Type        string // media type of the artifact
	FileType    string // media type of the files; found out when empty
	Annotations map[string]string
	Append      bool // to the artifact that is there
}

// AddArtifact makes an artifact of files.
func (im *Images) AddArtifact(ctx context.Context, s string, files []string, o AddOptions) (d string, err error) {
	n, err := artifactName(s)
	if err != nil {
		return "", err
	}
	unlock, err := im.artifacts(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	m, err := im.baseArtifact(n, o)
	if err != nil {
		return "", err
	}
	ref, err := layout.NewReference(im.artifactDir(), n.String())
	if err != nil {
		return "", err
	}
	sys := im.sys
	sys.OCIAcceptUncompressedLayers = true
	dest, err := ref.NewImageDestination(ctx, &sys)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, dest.Close()) }()
	for _, f := range files {
		layer, err := putFile(ctx, dest, f, o)
		if err != nil {
			return "", fmt.Errorf("add %s to artifact %s: %w", f, s, explain(im.space(err)))
		}
		m.Layers = append(m.Layers, layer)
	}
	return im.finishArtifact(ctx, dest, m)
}

func (im *Images) baseArtifact(n name.Name, o AddOptions) (imgspecv1.Manifest, error) {
	m := imgspecv1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: imgspecv1.MediaTypeImageManifest, ArtifactType: o.Type, Config: imgspecv1.DescriptorEmptyJSON}
	old, err := im.Artifact(n.String())
	switch {
	case err == nil && !o.Append:
		return m, fmt.Errorf("artifact %s is there already: give --append to add to it, or remove it first", n)
	case err == nil:
		if o.Type != "" {
			return m, errors.New("the type of an artifact that is there cannot be changed")
		}
		return old.Manifest, nil
	case o.Append || !errors.Is(err, ErrNoArtifact):
		return m, err
	}
	if o.Type == "" {
		m.ArtifactType = "application/vnd.unknown.artifact.v1"
	}
	m.Annotations = map[string]string{imgspecv1.AnnotationCreated: time.Now().UTC().Format(time.RFC3339Nano)}
	return m, nil
}

func putFile(ctx context.Context, dest types.ImageDestination, file string, o AddOptions) (imgspecv1.Descriptor, error) {
	f, err := os.Open(file)
	if err != nil {
		return imgspecv1.Descriptor{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return imgspecv1.Descriptor{}, err
	}
	if !info.Mode().IsRegular() {
		return imgspecv1.Descriptor{}, errors.New("it is not a regular file")
	}
	d := imgspecv1.Descriptor{MediaType: o.FileType, Annotations: map[string]string{imgspecv1.AnnotationTitle: filepath.Base(file)}}
	maps.Copy(d.Annotations, o.Annotations)
	if d.MediaType == "" {
		head := make([]byte, 512)
		n, _ := io.ReadFull(f, head)
		d.MediaType = http.DetectContentType(head[:n])
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return d, err
		}
	}
	put, err := dest.PutBlob(ctx, f, types.BlobInfo{Size: info.Size()}, noCache{}, false)
	d.Digest, d.Size = put.Digest, put.Size
	return d, err
}

func (im *Images) finishArtifact(ctx context.Context, dest types.ImageDestination, m imgspecv1.Manifest) (string, error) {
	empty := imgspecv1.DescriptorEmptyJSON
	if _, err := dest.PutBlob(ctx, bytes.NewReader(empty.Data), types.BlobInfo{Digest: empty.Digest, Size: empty.Size}, noCache{}, true); err != nil {
		return "", err
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	if err := dest.PutManifest(ctx, raw, nil); err != nil {
		return "", err
	}
	if err := dest.Commit(ctx, nil); err != nil {
		return "", err
	}
	return digest.FromBytes(raw).String(), cmp.Or(syncTree(im.artifactDir()), im.dropArtifacts(replaced))
}

// ExtractOptions say which file of an artifact is wanted; all when both are empty.
type ExtractOptions struct{ Digest, Title string }

// ExtractArtifact writes files of an artifact to path: into a directory under their titles, or the only one as a file.
func (im *Images) ExtractArtifact(s, path string, o ExtractOptions) error {
	a, err := im.Artifact(s)
	if err != nil {
		return err
	}
	layers := slices.DeleteFunc(slices.Clone(a.Manifest.Layers), func(l imgspecv1.Descriptor) bool {
		return o.Digest != "" && l.Digest.String() != o.Digest || o.Title != "" && l.Annotations[imgspecv1.AnnotationTitle] != o.Title
	})
	if len(layers) == 0 {
		return fmt.Errorf("artifact %s has no such file", s)
	}
	info, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if isDir := err == nil && info.IsDir(); !isDir {
		if len(layers) > 1 {
			return fmt.Errorf("artifact %s has %d files and %s is no directory", s, len(layers), path)
		}
		return im.extract(layers[0], path)
	}
	for _, l := range layers {
		title := l.Annotations[imgspecv1.AnnotationTitle]
		if title == "" {
			title = strings.ReplaceAll(l.Digest.String(), ":", "-")
		}
		if !filepath.IsLocal(title) || filepath.Base(title) != title {
			return fmt.Errorf("artifact %s: the title %q is no name of a file", s, title)
		}
		to := filepath.Join(path, title)
		if info, err := os.Lstat(to); err == nil && info.Mode().Type() == fs.ModeSymlink { // a title leads nowhere else
			if err := os.Remove(to); err != nil {
				return err
			}
		}
		if err := im.extract(l, to); err != nil {
			return err
		}
	}
	return nil
}

// extract writes a file of an artifact, and compares the digest.
func (im *Images) extract(l imgspecv1.Descriptor, path string) error {
	if err := l.Digest.Validate(); err != nil {
		return err
	}
	in, err := os.Open(filepath.Join(im.artifactDir(), "blobs", l.Digest.Algorithm().String(), l.Digest.Encoded()))
	if err != nil {
		return err
	}
	defer in.Close()
	return atomicfile.Stream(path, 0o666, func(out *os.File) error {
		sum := l.Digest.Verifier()
		_, err := io.Copy(io.MultiWriter(out, sum), in)
		if err == nil && !sum.Verified() {
			err = fmt.Errorf("file %s: %w", l.Digest, errDamaged)
		}
		return err
	})
}

// noCache remembers nothing of where blobs are.
type noCache struct{}

// UncompressedDigest knows none.
func (noCache) UncompressedDigest(digest.Digest) digest.Digest { return "" }

// RecordDigestUncompressedPair forgets it.
func (noCache) RecordDigestUncompressedPair(_, _ digest.Digest) {}

// RecordKnownLocation forgets it.
func (noCache) RecordKnownLocation(types.ImageTransport, types.BICTransportScope, digest.Digest, types.BICLocationReference) {
}

// CandidateLocations knows none.
func (noCache) CandidateLocations(types.ImageTransport, types.BICTransportScope, digest.Digest, bool) []types.BICReplacementCandidate {
	return nil
}
