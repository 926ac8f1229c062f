//go:build containers_image_openpgp

package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	imgspecv1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/types"
	"golang.org/x/sys/unix"
)

const (
	artifactsKey     = "artifacts.json"
	unknownArtifact  = "application/vnd.unknown.artifact.v1"
	maxArtifactConf  = 1 << 20 // it becomes a part of the manifest, of which registries take 4 MiB
	sniffed          = 512     // bytes of a file that tell of what type it is
	untypedArtifact  = "application/octet-stream"
	artifactManifest = imgspecv1.MediaTypeImageManifest
)

// A listArtifacts is what the store keeps of the artifacts in a list, as Podman keeps it: their manifests, and for each blob
// the file that it is in, or the blob itself. Files are not copied: they must be there until the list has been pushed.
type listArtifacts struct {
	Manifests map[digest.Digest]string          `json:"manifests,omitempty"`
	Files     map[digest.Digest][]string        `json:"files,omitempty"`  // of a manifest, to be shown
	Configs   map[digest.Digest]digest.Digest   `json:"config,omitempty"` // of a manifest
	Layers    map[digest.Digest][]digest.Digest `json:"layers,omitempty"` // of a manifest
	Detached  map[digest.Digest]string          `json:"detached,omitempty"`
	Blobs     map[digest.Digest][]byte          `json:"blobs,omitempty"`
}

// put adds the artifact d of others.
func (a *listArtifacts) put(d digest.Digest, others listArtifacts) {
	set(&a.Manifests, d, others.Manifests[d])
	set(&a.Files, d, others.Files[d])
	set(&a.Configs, d, others.Configs[d])
	set(&a.Layers, d, others.Layers[d])
	for _, b := range append(slices.Clone(others.Layers[d]), others.Configs[d]) {
		if file, there := others.Detached[b]; there {
			set(&a.Detached, b, file)
		}
		if data, there := others.Blobs[b]; there {
			set(&a.Blobs, b, data)
		}
	}
}

func set[V any](m *map[digest.Digest]V, d digest.Digest, v V) {
	if *m == nil {
		*m = map[digest.Digest]V{}
	}
	(*m)[d] = v
}

// drop forgets the artifact d, and the blobs that no other one has.
func (a *listArtifacts) drop(d digest.Digest) {
	old := *a
	*a = listArtifacts{}
	for other := range old.Manifests {
		if other != d {
			a.put(other, old)
		}
	}
}

// withFile is the first artifact, by digest, that has a file.
func (a listArtifacts) withFile(path string) (digest.Digest, bool) {
	for _, d := range slices.Sorted(maps.Keys(a.Files)) {
		if slices.Contains(a.Files[d], path) {
			return d, true
		}
	}
	return "", false
}

// readArtifacts reads what a list has of them: mostly nothing.
func (im *Images) readArtifacts(id string) (listArtifacts, error) {
	var a listArtifacts
	data, err := im.store.ImageBigData(id, artifactsKey)
	if errors.Is(err, os.ErrNotExist) {
		return a, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &a)
	}
	if err != nil {
		return a, fmt.Errorf("read the artifacts of the list %s: %w", id[:12], err)
	}
	return a, nil
}

// An ArtifactAddition is an artifact that a list is to have.
type ArtifactAddition struct {
	Files         []string
	Type          *string // media type of the artifact; nil: the unknown one
	FileType      string  // media type of the files; found out when empty
	Config        string  // a file
	ConfigType    string
	Subject       string // image that the artifact refers to
	ExcludeTitles bool   // the files' names are left out
	Platform      Platform
	Registry      Registry
}

// AddArtifactToList adds files to a list as one artifact, and returns the list's ID.
func (im *Images) AddArtifactToList(ctx context.Context, s string, add ArtifactAddition) (string, error) {
	img, _, err := im.lookup(s)
	if err != nil {
		return "", err
	}
	if _, err := im.readList(img.ID); err != nil {
		return "", fmt.Errorf("%s: %w", s, err)
	}
	made, entry, err := im.describeArtifact(ctx, add)
	if err != nil {
		return "", fmt.Errorf("add an artifact to the list %s: %w", s, err)
	}
	return img.ID, im.changeList(img.ID, func(l *list) error {
		l.put(entry)
		l.artifacts.put(entry.Digest, made)
		return nil
	})
}

func (im *Images) describeArtifact(ctx context.Context, add ArtifactAddition) (made listArtifacts, d imgspecv1.Descriptor, err error) {
	m := imgspecv1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: artifactManifest, ArtifactType: unknownArtifact}
	if add.Type != nil {
		m.ArtifactType = *add.Type
	}
	if add.Subject != "" {
		if m.Subject, err = im.subject(ctx, add.Subject, add.Registry); err != nil {
			return made, d, err
		}
	}
	if m.Config, err = artifactConfig(add); err != nil {
		return made, d, err
	}
	var files []string
	var layers []digest.Digest
	for _, f := range add.Files {
		layer, path, err := describeFile(f, add)
		if err != nil {
			return made, d, fmt.Errorf("file %s: %w", f, err)
		}
		m.Layers = append(m.Layers, layer)
		files, layers = append(files, path), append(layers, layer.Digest)
		set(&made.Detached, layer.Digest, path)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return made, d, err
	}
	d = imgspecv1.Descriptor{MediaType: m.MediaType, ArtifactType: m.ArtifactType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	add.Platform.apply(&d)
	set(&made.Manifests, d.Digest, string(raw))
	set(&made.Files, d.Digest, files)
	set(&made.Layers, d.Digest, layers)
	set(&made.Configs, d.Digest, m.Config.Digest)
	set(&made.Blobs, m.Config.Digest, m.Config.Data)
	return made, d, nil
}

// artifactConfig has the configuration in itself, so that no file must be there for it later.
func artifactConfig(add ArtifactAddition) (imgspecv1.Descriptor, error) {
	d := imgspecv1.DescriptorEmptyJSON
	if add.Config != "" {
		f, size, err := openRegular(add.Config)
		if err != nil {
			return d, fmt.Errorf("configuration %s: %w", add.Config, err)
		}
		defer f.Close()
		if size > maxArtifactConf {
			return d, fmt.Errorf("configuration %s: it has %d bytes and may have %s", add.Config, size, HumanSize(maxArtifactConf))
		}
		data, err := io.ReadAll(io.LimitReader(f, maxArtifactConf))
		if err != nil {
			return d, fmt.Errorf("configuration %s: %w", add.Config, err)
		}
		d = imgspecv1.Descriptor{MediaType: imgspecv1.MediaTypeImageConfig, Digest: digest.FromBytes(data), Size: int64(len(data)), Data: data}
	}
	d.MediaType = orElse(add.ConfigType, d.MediaType)
	return d, nil
}

// openRegular opens a file and does not wait for one that is a pipe.
func openRegular(path string) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// describeFile reads a file once for its digest and its type.
func describeFile(file string, add ArtifactAddition) (d imgspecv1.Descriptor, path string, err error) {
	if path, err = filepath.Abs(file); err != nil {
		return d, "", err
	}
	f, _, err := openRegular(path)
	if err != nil {
		return d, "", err
	}
	defer f.Close()
	sum := digest.Canonical.Digester()
	var head bytes.Buffer
	n, err := io.CopyN(io.MultiWriter(sum.Hash(), &head), f, sniffed)
	if err == nil {
		var rest int64
		rest, err = io.Copy(sum.Hash(), f)
		n += rest
	}
	if err != nil && err != io.EOF {
		return d, "", err
	}
	d = imgspecv1.Descriptor{MediaType: add.FileType, Digest: sum.Digest(), Size: n}
	if d.MediaType == "" {
		d.MediaType = fileType(path, head.Bytes())
	}
	if !add.ExcludeTitles {
		d.Annotations = map[string]string{imgspecv1.AnnotationTitle: filepath.Base(path)}
	}
	return d, path, nil
}

// fileType tells the media type of a file by its name, else by how it begins.
func fileType(path string, head []byte) string {
	t := mime.TypeByExtension(filepath.Ext(path))
	if t == "" {
		t = http.DetectContentType(head)
	}
	if t, _, err := mime.ParseMediaType(t); err == nil {
		return t
	}
	return untypedArtifact
}

// subject describes an image of the store, of a registry or with a transport, for who refers to it.
func (im *Images) subject(ctx context.Context, s string, r Registry) (*imgspecv1.Descriptor, error) {
	raw, mime, err := im.subjectManifest(ctx, s, r)
	if err != nil {
		return nil, fmt.Errorf("subject %s: %w", s, explain(err))
	}
	d, err := manifest.Digest(raw)
	if err != nil {
		return nil, fmt.Errorf("subject %s: %w", s, err)
	}
	of := &imgspecv1.Descriptor{MediaType: mime, Digest: d, Size: int64(len(raw))}
	var m imgspecv1.Manifest
	if !IsList(mime) && json.Unmarshal(raw, &m) == nil {
		of.ArtifactType = m.ArtifactType
	}
	return of, nil
}

func (im *Images) subjectManifest(ctx context.Context, s string, r Registry) ([]byte, string, error) {
	transport, rest := splitTransport(s)
	if transport == "containers-storage" || transport == "docker" && rest == s {
		img, _, err := im.lookup(rest)
		if err == nil {
			raw, err := im.store.ImageBigData(img.ID, manifestKey)
			return raw, manifest.GuessMIMEType(raw), err
		}
		if !errors.Is(err, ErrMissing) || transport == "containers-storage" {
			return nil, "", err
		}
	}
	raw, mime, err := im.RemoteManifest(ctx, s, r)
	if err != nil {
		return nil, "", fmt.Errorf("it is not in the store, and %w", err)
	}
	return raw, mime, nil
}

// An artifactSource gives the artifacts of a list to be pushed.
type artifactSource struct {
	types.ImageReference // of the list
	artifacts            listArtifacts
}

// Reference is the list's.
func (s artifactSource) Reference() types.ImageReference { return s.ImageReference }

// Close does nothing.
func (artifactSource) Close() error { return nil }

// GetManifest gives that of an artifact.
func (s artifactSource) GetManifest(_ context.Context, d *digest.Digest) ([]byte, string, error) {
	if d != nil {
		if raw, there := s.artifacts.Manifests[*d]; there {
			return []byte(raw), artifactManifest, nil
		}
	}
	return nil, "", errors.New("the list has no such artifact")
}

// GetBlob opens the file of a blob, and fails at its end when it is another one by now.
func (s artifactSource) GetBlob(_ context.Context, info types.BlobInfo, _ types.BlobInfoCache) (io.ReadCloser, int64, error) {
	if data, there := s.artifacts.Blobs[info.Digest]; there {
		return io.NopCloser(bytes.NewReader(data)), int64(len(data)), nil
	}
	path, there := s.artifacts.Detached[info.Digest]
	if !there {
		return nil, -1, fmt.Errorf("the list does not know where the file %s is", info.Digest)
	}
	if err := info.Digest.Validate(); err != nil {
		return nil, -1, fmt.Errorf("the list calls the file %s %q: %w", path, info.Digest, err)
	}
	f, size, err := openRegular(path)
	if err != nil {
		return nil, -1, fmt.Errorf("a file of an artifact in the list: %w", err)
	}
	return &unchanged{f, path, info.Digest.Verifier()}, size, nil
}

// HasThreadSafeGetBlob is true.
func (artifactSource) HasThreadSafeGetBlob() bool { return true }

// GetSignatures finds none.
func (artifactSource) GetSignatures(context.Context, *digest.Digest) ([][]byte, error) {
	return nil, nil
}

// LayerInfosForCopy has nothing better than the manifest.
func (artifactSource) LayerInfosForCopy(context.Context, *digest.Digest) ([]types.BlobInfo, error) {
	return nil, nil
}

// unchanged reads a file that must be what it was.
type unchanged struct {
	*os.File
	path string
	sum  digest.Verifier
}

func (u *unchanged) Read(p []byte) (int, error) {
	n, err := u.File.Read(p)
	u.sum.Write(p[:n])
	if err == io.EOF && !u.sum.Verified() {
		return n, fmt.Errorf("the file %s has changed since it was added: take the artifact out of the list and add it again", u.path)
	}
	return n, err
}

// ListFiles are the files of the artifacts in a list, by the digest of the artifact.
func (im *Images) ListFiles(s string) (map[digest.Digest][]string, error) {
	img, _, err := im.lookup(s)
	if err != nil {
		return nil, err
	}
	a, err := im.readArtifacts(img.ID)
	return a.Files, err
}
