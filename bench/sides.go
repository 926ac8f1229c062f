package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// image is what all containers run: busybox and its links, imported once
// into the one store that both managers use.
const image = "localhost/bench:latest"

// unitDir is where berth's generator looks.
const unitDir = "/etc/containers/systemd"

// peerGenerator is Podman's, which is masked in the machine; it writes its
// side's units when asked to.
const peerGenerator = "/usr/lib/systemd/system-generators/podman-system-generator"

// network is one way to connect a container, as both managers call it.
type network struct{ name, key string }

var networks = []network{{"none", "none"}, {"bridge", "podman"}}

// side is one manager of containers.
type side struct {
	name string
	// install turns unit files into units that systemd can start.
	install func(ctx context.Context, b *bench, files map[string]string) error
}

// unit is the name of a side's unit without its suffix.
func (s side) unit(what string) string { return "bench-" + s.name + "-" + what }

func sides() []side {
	return []side{{"berth", installBerth}, {peer, installPeer}}
}

// unitFile is a container that ends at once when it is told to, with
// ordinary programs: a shell with a trap.
func unitFile(n network) string {
	return fmt.Sprintf(`[Container]
Image=%s
Network=%s
Exec=/bin/sh -c "trap 'exit 0' TERM; sleep 1000000 & wait"
`, image, n.key)
}

// installBerth is what a user does: put the files there and reload.
func installBerth(ctx context.Context, b *bench, files map[string]string) error {
	if err := b.installFiles(unitDir, files); err != nil {
		return err
	}
	if _, err := output(ctx, "systemctl", "daemon-reload"); err != nil {
		return err
	}
	return knownUnits(ctx, files)
}

// installPeer calls Podman's generator on a directory of its own and takes
// the units over as they are.
func installPeer(ctx context.Context, b *bench, files map[string]string) error {
	units, err := b.generatePeer(ctx, files)
	if err != nil {
		return err
	}
	if err := b.installFiles("/etc/systemd/system", units); err != nil {
		return err
	}
	if _, err := output(ctx, "systemctl", "daemon-reload"); err != nil {
		return err
	}
	return knownUnits(ctx, files)
}

// generatePeer returns the units that Podman's generator makes of the files.
func (b *bench) generatePeer(ctx context.Context, files map[string]string, flags ...string) (map[string]string, error) {
	in, out := filepath.Join(b.dir, "peer"), filepath.Join(b.dir, "peer-units")
	if err := errors.Join(os.RemoveAll(in), os.RemoveAll(out)); err != nil {
		return nil, err
	}
	if err := writeFiles(in, files); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, peerGenerator, append(flags, out)...)
	cmd.Env = append(os.Environ(), "QUADLET_UNIT_DIRS="+in)
	if msg, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", peerGenerator, err, msg)
	}
	units := map[string]string{}
	for name := range files {
		data, err := os.ReadFile(filepath.Join(out, serviceOf(name)))
		if err != nil {
			return nil, fmt.Errorf("Podman's generator made no unit: %w", err)
		}
		units[serviceOf(name)] = string(data)
	}
	return units, nil
}

// serviceOf is the name of the unit that a file becomes.
func serviceOf(file string) string {
	if name, ok := strings.CutSuffix(file, ".pod"); ok {
		return name + "-pod.service"
	}
	return strings.TrimSuffix(file, ".container") + ".service"
}

func knownUnits(ctx context.Context, files map[string]string) error {
	for name := range files {
		service := serviceOf(name)
		state, err := output(ctx, "systemctl", "show", "-P", "LoadState", service)
		if err != nil {
			return err
		}
		if strings.TrimSpace(state) != "loaded" {
			return fmt.Errorf("%s is %s", service, strings.TrimSpace(state))
		}
	}
	return nil
}

// readySides installs the files of every side and starts one of the units to
// warm up. A side that cannot do it is left out, with a note that says why.
func (b *bench) readySides(ctx context.Context, what string, files func(side) map[string]string) []side {
	var ready []side
	for _, s := range sides() {
		err := s.install(ctx, b, files(s))
		if err == nil {
			first := slices.Min(slices.Collect(maps.Keys(files(s))))
			err = tryUnit(ctx, serviceOf(first))
		}
		if err != nil {
			b.note("%s: %s is left out: %v", what, s.name, err)
			continue
		}
		ready = append(ready, s)
	}
	return ready
}

// tryUnit starts and stops a unit; an error holds the end of its log.
func tryUnit(ctx context.Context, unit string) error {
	_, err := output(ctx, "systemctl", "start", unit)
	if kind, _ := output(ctx, "systemctl", "show", "-P", "Type", unit); err == nil && strings.TrimSpace(kind) != "oneshot" {
		err = active(ctx, unit)
	}
	if err == nil {
		_, err = output(ctx, "systemctl", "stop", unit)
	}
	if err == nil {
		return nil
	}
	log, _ := output(ctx, "journalctl", "--no-pager", "--output=cat", "--lines=8", "--unit="+unit)
	return fmt.Errorf("%w; its log ends: %s", err, strings.Join(strings.Split(strings.TrimSpace(log), "\n"), " | "))
}

func active(ctx context.Context, units ...string) error {
	_, err := output(ctx, append([]string{"systemctl", "is-active"}, units...)...)
	return err
}

// importImage puts the image into the store, through Podman, once.
func (b *bench) importImage() error {
	if exec.Command("podman", "image", "exists", image).Run() == nil {
		return nil
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("make the image: %w (package busybox-static)", err)
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(writeRoot(w, busybox)) }()
	cmd := exec.Command("podman", "import", "--quiet", "-", image)
	cmd.Stdin = r
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("import the image: %w: %s", err, msg)
	}
	return nil
}

// writeRoot writes a root file system as a tar stream.
func writeRoot(to io.Writer, busybox string) error {
	data, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	t := tar.NewWriter(to)
	var errs []error
	add := func(h tar.Header, content []byte) {
		h.Size = int64(len(content))
		errs = append(errs, t.WriteHeader(&h))
		_, err := t.Write(content)
		errs = append(errs, err)
	}
	for _, dir := range []string{"bin/", "dev/", "etc/", "proc/", "run/", "sys/", "tmp/", "usr/"} {
		add(tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	add(tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, data)
	for _, name := range []string{"sh", "sleep", "true"} {
		add(tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}, nil)
	}
	return errors.Join(append(errs, t.Close())...)
}
