// Package archive writes images into archives that podman load, docker load and berth load read. The same input gives
// the same bytes: entries are sorted, owners are numbers, times are those of the caller. It needs no more than the
// standard library, so an example's image can be built on a machine that has nothing but Go and Debian's packages.
package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"time"
)

// Format is one of the two common layouts of an image archive.
type Format string

// OCI is an OCI image layout in a tar file, Docker what docker save wrote before version 25.
const (
	OCI    Format = "oci"
	Docker Format = "docker"
)

// An Image is what goes into the archive.
type Image struct {
	Names   []string  // as they are to be called in the store: localhost/web:latest
	Arch    string    // as Go spells it: amd64, arm64
	Created time.Time // the zero time is left out
	Config  Config
	Layers  []Blob // uncompressed tar files, the lowest first
}

// Config is how containers of the image start unless they are told otherwise. The fields are those of the OCI image
// configuration.
type Config struct {
	User         string              `json:"User,omitempty"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"`
	Env          []string            `json:"Env,omitempty"`
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Cmd          []string            `json:"Cmd,omitempty"`
	Volumes      map[string]struct{} `json:"Volumes,omitempty"`
	WorkingDir   string              `json:"WorkingDir,omitempty"`
	Labels       map[string]string   `json:"Labels,omitempty"`
	StopSignal   string              `json:"StopSignal,omitempty"`
}

// A Blob is a run of bytes that is known by its hash and can be read as often as needed.
type Blob struct {
	Hex  string // SHA-256
	Size int64
	Open func() (io.ReadCloser, error)
}

// Bytes is a blob in memory.
func Bytes(data []byte) Blob {
	sum := sha256.Sum256(data)
	return Blob{hex.EncodeToString(sum[:]), int64(len(data)), func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	}}
}

// File is a blob on disk; the file must not change until the archive has been written.
func File(path string) (Blob, error) {
	f, err := os.Open(path)
	if err != nil {
		return Blob{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return Blob{}, fmt.Errorf("hash %s: %w", path, err)
	}
	return Blob{hex.EncodeToString(h.Sum(nil)), n, func() (io.ReadCloser, error) { return os.Open(path) }}, nil
}

// Digest is the blob's name in manifests.
func (b Blob) Digest() string { return "sha256:" + b.Hex }

// Write puts the images into one archive.
func Write(w io.Writer, format Format, images ...Image) error {
	files, err := layout(format, images)
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	for _, name := range sortedNames(files) {
		if err := add(t, name, files[name]); err != nil {
			return fmt.Errorf("write %s into the archive: %w", name, err)
		}
	}
	return t.Close()
}

func layout(format Format, images []Image) (map[string]Blob, error) {
	switch format {
	case OCI:
		return ociFiles(images)
	case Docker:
		return dockerFiles(images)
	}
	return nil, fmt.Errorf("unknown format %q: use oci or docker", format)
}

func sortedNames(files map[string]Blob) []string {
	var names []string
	for n := range files {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

func add(t *tar.Writer, name string, b Blob) error {
	r, err := b.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: b.Size, Mode: 0o644, ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	_, err = io.Copy(t, r)
	return err
}

// imageConfig is the OCI image configuration, which Docker reads too.
type imageConfig struct {
	Created      *time.Time `json:"created,omitempty"`
	Architecture string     `json:"architecture"`
	OS           string     `json:"os"`
	Config       Config     `json:"config"`
	RootFS       rootFS     `json:"rootfs"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

func (i Image) configBlob() (Blob, error) {
	c := imageConfig{Architecture: i.Arch, OS: "linux", Config: i.Config, RootFS: rootFS{Type: "layers", DiffIDs: []string{}}}
	if !i.Created.IsZero() {
		created := i.Created.UTC()
		c.Created = &created
	}
	for _, l := range i.Layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.Digest())
	}
	return jsonBlob(c)
}

func jsonBlob(v any) (Blob, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return Blob{}, err
	}
	return Bytes(data), nil
}
