package hosts

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/berth-pods/berth/examples/mkimage/archive"
	"github.com/berth-pods/berth/test/e2e/images"
)

// files are the machines' own settings: what both kinds need, and what one kind needs, laid out as in the machine.
//
//go:embed all:files
var files embed.FS

// testDir is where the machine finds what tests use: the scripts, and images as archives.
const testDir = "/usr/share/berth-test"

// toolDir is where the machine finds the programs that are there for the tests' sake.
const toolDir = "/usr/libexec/berth-test"

// payload lays out, below dir, all that a machine gets on top of its base: the build under test, the agent, the scripts
// with their images, and the settings of this kind of machine.
type payload struct {
	repo string // the checkout
	kind Kind
	base Base
	dir  string

	binAsIs bool // see Options
}

type step struct {
	what string
	do   func(context.Context) error
}

// settings are what the machine boots with: its agent, and the settings of its kind.
func (p payload) settings() []step {
	return []step{
		{"build the agent", p.buildAgent},
		{"write the machine's settings", p.writeSettings},
		{"date the payload", p.date},
	}
}

// content is what is tested, and what it is tested with.
func (p payload) content() []step {
	return slices.Concat([]step{{"install the build", p.installBuild}}, p.tests(), []step{
		{"check what was installed", p.check},
		{"date the payload", p.date},
	})
}

// tests are what it is tested with.
func (p payload) tests() []step {
	return []step{
		{"build the tools", p.buildTools},
		{"copy the test scripts", p.copyScripts},
		{"make the test images", p.makeImages},
	}
}

func (p payload) stage(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return nil
}

// installBuild runs `make install` into dir, or copies bin as it is.
func (p payload) installBuild(ctx context.Context) error {
	if p.binAsIs {
		return p.installBin(ctx)
	}
	return p.make(ctx, "install")
}

func (p payload) make(ctx context.Context, target string) error {
	return p.run(ctx, nil, "make", "--silent", "-C", p.repo, target, "DESTDIR="+p.dir, "PREFIX=/usr")
}

// installBin copies the programs in bin to where `make install` puts them, beside all that is not built.
func (p payload) installBin(ctx context.Context) error {
	if err := p.make(ctx, "install-support"); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(p.repo, "bin", "*"))
	if err != nil {
		return err
	}
	for _, path := range found {
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue // manual pages, or a program that is being rebuilt
		}
		for _, to := range installedAs(filepath.Base(path)) {
			if err := copyFile(path, filepath.Join(p.dir, to), 0o755); err != nil {
				return err
			}
		}
	}
	return nil
}

func installedAs(program string) []string {
	switch program {
	case "berth":
		return []string{"/usr/bin/berth"}
	case "berth-generator":
		return []string{
			"/usr/lib/systemd/system-generators/berth-system-generator",
			"/usr/lib/systemd/user-generators/berth-user-generator",
		}
	default:
		return []string{"/usr/libexec/berth/" + program}
	}
}

func (p payload) buildAgent(ctx context.Context) error {
	return p.build(ctx, "./test/e2e/hosts/berth-host-agent")
}

func (p payload) buildTools(ctx context.Context) error {
	return errors.Join(p.build(ctx, "./test/leakcheck"), p.build(ctx, "./test/faults"), p.build(ctx, "./test/badlink"))
}

// build compiles a program that runs in the machine for the tests' sake. It is static, for the machine has its own libc,
// and the same source gives the same bytes.
func (p payload) build(ctx context.Context, pkg string) error {
	out := filepath.Join(p.dir, toolDir, filepath.Base(pkg))
	env := []string{"CGO_ENABLED=0"}
	return p.run(ctx, env, "go", "build", "-C", p.repo, "-trimpath", "-buildvcs=false", "-o", out, pkg)
}

func (p payload) copyScripts(context.Context) error {
	from := filepath.Join(p.repo, "test/e2e/scripts")
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return copyFile(path, filepath.Join(p.dir, testDir, "scripts", rel), 0o755)
	})
}

func (p payload) makeImages(context.Context) error {
	path := filepath.Join(p.base.Tree(), "usr/bin/busybox")
	if p.kind == Local {
		var err error
		if path, err = exec.LookPath("busybox"); err != nil {
			return errors.New("no busybox to make an image of: install the package busybox-static")
		}
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	applets, err := exec.Command(path, "--list").Output()
	if err != nil {
		return fmt.Errorf("list busybox's applets: %w", err)
	}
	image, err := images.Busybox(program, strings.Fields(string(applets)))
	if err != nil {
		return err
	}
	docker, oci := &bytes.Buffer{}, &bytes.Buffer{}
	if err := errors.Join(archive.Write(docker, archive.Docker, image), archive.Write(oci, archive.OCI, image)); err != nil {
		return err
	}
	dir := filepath.Join(p.dir, testDir)
	return errors.Join(
		writeFile(filepath.Join(dir, "busybox.tar"), docker.Bytes(), 0o644),
		writeFile(filepath.Join(dir, "busybox.oci.tar"), oci.Bytes(), 0o644),
	)
}

// writeSettings writes the embedded files and the links that embedding cannot hold.
func (p payload) writeSettings(context.Context) error {
	for _, part := range []string{"files/common", "files/" + string(p.kind)} {
		if err := p.copyEmbedded(part); err != nil {
			return err
		}
	}
	if p.kind == Nspawn && !hasPidsController() {
		// Podman asks for a limit of 2048 processes by default, and a runtime refuses what it cannot set.
		conf := filepath.Join(p.dir, "etc/containers/containers.conf.d/00-no-controllers.conf")
		if err := writeFile(conf, []byte("[containers]\npids_limit = 0\n"), 0o644); err != nil {
			return err
		}
	}
	units := filepath.Join(p.dir, "etc/systemd/system")
	for _, unit := range []string{"berth-test-net.service", "berth-test-agent.service"} {
		if err := symlink("../"+unit, filepath.Join(units, "multi-user.target.wants", unit)); err != nil {
			return err
		}
	}
	for _, unit := range maskedUnits(p.kind) {
		if err := symlink("/dev/null", filepath.Join(units, unit)); err != nil {
			return err
		}
	}
	return nil
}

// maskedUnits of a namespace machine would reach the build machine's kernel: devices, modules, kernel variables, profiles.
func maskedUnits(kind Kind) []string {
	if kind != Nspawn {
		return nil
	}
	return []string{
		"systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket",
		"systemd-udev-trigger.service", "systemd-udev-load-credentials.service", "systemd-modules-load.service",
		"systemd-sysctl.service", "systemd-pstore.service", "apparmor.service",
		"sys-kernel-debug.mount", "sys-kernel-tracing.mount",
	}
}

func (p payload) copyEmbedded(part string) error {
	return fs.WalkDir(files, part, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if strings.Contains(path, "/libexec/") {
			mode = 0o755
		}
		return writeFile(filepath.Join(p.dir, strings.TrimPrefix(path, part)), data, mode)
	})
}

// check refuses a payload that would replace one of the tree's top-level links (/bin, /lib, …) by a directory.
func (p payload) check(context.Context) error {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.Contains([]string{"etc", "opt", "usr", "var"}, e.Name()) {
			return fmt.Errorf("/%s in a payload hides the machine's own", e.Name())
		}
	}
	return nil
}

// date makes /usr look old, for systemd takes a newer one than /etc/.updated as an update and works it in for seconds at
// the next boot (ConditionNeedsUpdate=).
func (p payload) date(context.Context) error {
	old := time.Unix(1, 0)
	return os.Chtimes(filepath.Join(p.dir, "usr"), old, old)
}

func (p payload) run(ctx context.Context, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

func copyFile(from, to string, mode fs.FileMode) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return writeFile(to, data, mode)
}

func writeFile(path string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, data, mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

func symlink(target, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.Symlink(target, path)
}

// ScriptDir is where the machine finds the test scripts and their library.
func ScriptDir(o Options) string {
	if o.Kind == Local {
		return filepath.Join(o.Repo, "test/e2e/scripts")
	}
	return testDir + "/scripts"
}
