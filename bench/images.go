package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

// The image that is moved: 500 MB in layers of many files, half of which can be compressed.
const (
	bigImage      = "localhost/bench-big:latest"
	bigLayers     = 5
	bigLayerFiles = 200
	bigFileSize   = 500_000
	bigRounds     = 5
)

const (
	registryAddress = "127.0.0.1:15090"
	registryUnit    = "bench-registry.service"
	remoteImage     = registryAddress + "/big:1"
)

// measureImages loads an image, pushes it to a registry in the machine, and pulls it from there.
func measureImages(ctx context.Context, b *bench) error {
	dir, err := os.MkdirTemp("/var/tmp", "bench-images-") // not in memory
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "big.tar")
	b.say("making an image of %d MB", bigLayers*bigLayerFiles*bigFileSize/1_000_000)
	if err := writeBigImage(file); err != nil {
		return err
	}
	if err := b.startRegistry(ctx, dir); err != nil {
		b.note("images are left out: %v", err)
		return nil
	}
	defer func() {
		ctx := context.WithoutCancel(ctx)
		_, _ = output(ctx, "systemctl", "stop", registryUnit)
		_, _ = output(ctx, "podman", "rmi", "--force", "--ignore", bigImage, remoteImage)
	}()
	sides := []string{"berth", peer}
	own, theirs := bigVerbs(sides[0], dir, file), bigVerbs(sides[1], dir, file)
	for i := range own {
		if err := b.measureVerb(ctx, min(b.rounds, bigRounds), sides, []verb{own[i], theirs[i]}); err != nil {
			return err
		}
	}
	return nil
}

// bigVerbs move the image of the archive at file; the registry keeps its blobs below dir, and has none before a push.
func bigVerbs(program, dir, file string) []verb {
	return []verb{
		{
			what:    "load an archive of 500 MB",
			prepare: [][]string{{"podman", "rmi", "--force", "--ignore", bigImage}},
			argv:    []string{program, "load", "--quiet", "--input", file},
		},
		{
			what: "push an image of 500 MB",
			prepare: [][]string{
				{"sh", "-c", "podman image exists " + bigImage + " || podman load --quiet --input " + file},
				{"sh", "-c", fmt.Sprintf("systemctl stop %[1]s && rm -rf %[2]s && systemctl start %[1]s && curl -s --retry 50 --retry-connrefused --retry-delay 1 %[3]s/v2/",
					registryUnit, filepath.Join(dir, "registry"), registryAddress)},
			},
			argv: []string{program, "push", "--quiet", "--tls-verify=false", bigImage, remoteImage},
		},
		{
			what:    "pull an image of 500 MB",
			prepare: [][]string{{"podman", "rmi", "--force", "--ignore", bigImage, remoteImage}},
			argv:    []string{program, "pull", "--quiet", "--tls-verify=false", remoteImage},
		},
	}
}

// startRegistry makes a unit of Debian's docker-registry that keeps its blobs below dir, and starts it.
func (b *bench) startRegistry(ctx context.Context, dir string) error {
	config := fmt.Sprintf("version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n", filepath.Join(dir, "registry"), registryAddress)
	if err := writeFiles(dir, map[string]string{"registry.yml": config}); err != nil {
		return err
	}
	unit := "[Service]\nType=exec\nExecStart=docker-registry serve " + filepath.Join(dir, "registry.yml") + "\n"
	if err := b.installFiles("/etc/systemd/system", map[string]string{registryUnit: unit}); err != nil {
		return err
	}
	if _, err := output(ctx, "systemctl", "daemon-reload"); err != nil {
		return err
	}
	_, err := output(ctx, "systemctl", "start", registryUnit)
	return err
}

// writeBigImage writes the image as an OCI archive: the same bytes each time.
func writeBigImage(path string) error {
	dir := filepath.Dir(path)
	image := archive.Image{
		Names: []string{bigImage}, Arch: runtime.GOARCH, Created: time.Unix(1704067200, 0).UTC(),
		Config: archive.Config{Cmd: []string{"sh"}},
	}
	for n := range bigLayers {
		layer := filepath.Join(dir, fmt.Sprintf("layer-%d.tar", n))
		if err := writeTo(layer, func(w io.Writer) error { return writeBigLayer(w, n) }); err != nil {
			return err
		}
		defer os.Remove(layer)
		blob, err := archive.File(layer)
		if err != nil {
			return err
		}
		image.Layers = append(image.Layers, blob)
	}
	return writeTo(path, func(w io.Writer) error { return archive.Write(w, archive.OCI, image) })
}

func writeTo(path string, write func(io.Writer) error) error {
	f, err := os.Create(path) //nolint:forbidigo // input of a measurement
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

func writeBigLayer(w io.Writer, n int) error {
	t := tar.NewWriter(w)
	noise := rand.NewChaCha8([32]byte{byte(n)})
	text := []byte(strings.Repeat("what programs and their documents are made of, more or less\n", bigFileSize/2/60+1))
	data := make([]byte, bigFileSize)
	for i := range bigLayerFiles {
		// Noise and text take turns, so that a compressor finds work everywhere.
		const piece = 10_000
		for at := 0; at < len(data); at += 2 * piece {
			if _, err := noise.Read(data[at : at+piece]); err != nil {
				return err
			}
			copy(data[at+piece:min(at+2*piece, len(data))], text)
		}
		h := tar.Header{Name: fmt.Sprintf("data/%d/%d", n, i), Typeflag: tar.TypeReg, Mode: 0o644, Size: bigFileSize}
		if err := t.WriteHeader(&h); err != nil {
			return err
		}
		if _, err := io.Copy(t, bytes.NewReader(data)); err != nil {
			return err
		}
	}
	return t.Close()
}
