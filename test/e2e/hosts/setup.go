package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Cache is where the built parts of the machines live. Several processes may use one at the same time.
type Cache struct {
	Dir      string    // made when missing
	Progress io.Writer // lines about what takes time; nil for none
	Packages []string  // of Debian's, beyond those of every machine
}

// With is a cache of its own below this one, of machines that have some of Debian's packages more.
func (c Cache) With(packages ...string) Cache {
	c.Dir, c.Packages = filepath.Join(c.Dir, "with-"+strings.Join(packages, "-")), slices.Concat(c.Packages, packages)
	return c
}

// Base is a finished build: what every machine of one recipe starts from. Nothing may write to it.
type Base struct {
	Dir string
}

// Tree is the Debian root tree.
func (b Base) Tree() string { return filepath.Join(b.Dir, "tree") }

// Disk is the ext4 image of the tree.
func (b Base) Disk() string { return filepath.Join(b.Dir, "disk.img") }

// Kernel is the virtual machine's kernel image.
func (b Base) Kernel() string { return filepath.Join(b.Dir, "vmlinuz") }

// Setup returns the base of the present recipe and builds it first when it is not there: it installs the missing
// programs with apt-get, makes the tree with mmdebstrap, and the disk image. Others who ask meanwhile wait. A build that
// is cut off leaves nothing under the base's own name.
func (c Cache) Setup(ctx context.Context) (Base, error) {
	base := Base{filepath.Join(c.Dir, c.recipeKey())}
	if exists(base.Dir) {
		return base, nil
	}
	if os.Geteuid() != 0 {
		return base, errors.New("building the test machines needs root")
	}
	if runtime.GOARCH != "amd64" {
		return base, fmt.Errorf("the recipe of the test machines is for amd64, and this is %s", runtime.GOARCH)
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return base, err
	}
	lock, err := c.lock(ctx, "setup.lock")
	if err != nil {
		return base, err
	}
	defer lock.Close()
	if exists(base.Dir) {
		return base, nil
	}
	return base, c.build(ctx, base, lock)
}

func (c Cache) build(ctx context.Context, base Base, lock *os.File) error {
	b := builder{log: c.stopwatch(), dir: base.Dir + ".partial", packages: c.packages(), lock: lock}
	if err := removeTree(b.dir); err != nil {
		return fmt.Errorf("remove an unfinished build: %w", err)
	}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return err
	}
	steps := []func(context.Context) error{b.installTools, b.makeTree, b.takeKernel, b.makeDisk}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := os.Rename(b.dir, base.Dir); err != nil {
		return err
	}
	if err := c.removeOldBases(ctx, base); err != nil {
		b.log.say("bases of earlier recipes stay: %v", err)
	}
	b.log.say("test machines ready in %s", base.Dir)
	return nil
}

// builder makes one base in dir, step by step.
type builder struct {
	log      stopwatch
	dir      string
	packages []string
	lock     *os.File
}

func (b builder) installTools(ctx context.Context) error {
	var missing []string
	for _, t := range tools {
		if _, err := lookTool(t.program); err != nil {
			missing = append(missing, t.pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	b.log.say("installing %s", strings.Join(missing, " "))
	install := append([]string{"apt-get", "install", "-y", "-q", "--no-install-recommends"}, missing...)
	if b.run(ctx, nil, install...) == nil {
		return nil
	}
	if err := b.run(ctx, nil, "apt-get", "update", "-q"); err != nil { // the package lists were missing or old
		return err
	}
	return b.run(ctx, nil, install...)
}

// own gives a program namespaces of its own: when it is killed, all its children die and its mounts go. mmdebstrap mounts
// /proc and /sys in the tree.
var own = []string{
	"unshare", "--mount", "--propagation", "private", "--pid", "--mount-proc", "--fork", "--kill-child",
}

func (b builder) makeTree(ctx context.Context) error {
	lines, err := machineSources(os.Getenv("BERTH_DEBIAN_MIRROR"))
	if err != nil {
		return err
	}
	hook := filepath.Join(b.dir, "customize.sh")
	if err := os.WriteFile(hook, []byte(customize), 0o755); err != nil {
		return err
	}
	defer os.Remove(hook)
	b.log.say("building a Debian %s tree of %d packages and what they need", suite, len(b.packages))
	args := append(own, "mmdebstrap", "--mode=root", "--variant=minbase", "--include="+strings.Join(b.packages, ","),
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
		"--customize-hook="+hook)
	options, err := aptOptions(ctx)
	if err != nil {
		return err
	}
	args = append(args, options...)
	args = append(args, suite, filepath.Join(b.dir, "tree"), "-")
	return b.run(ctx, strings.NewReader(strings.Join(lines, "\n")+"\n"), args...)
}

func (b builder) takeKernel(context.Context) error {
	found, err := filepath.Glob(filepath.Join(b.dir, "tree/boot/vmlinuz-*"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("one kernel image expected in the tree's /boot, found %d", len(found))
	}
	return os.Rename(found[0], filepath.Join(b.dir, "vmlinuz"))
}

func (b builder) makeDisk(ctx context.Context) error {
	b.log.say("building the virtual machine's disk")
	// A journal of 64 MiB and no lazy initialisation: the first boot has nothing left to do in the background.
	return b.run(ctx, nil, "mke2fs", "-q", "-t", "ext4", "-L", "berth-root", "-J", "size=64",
		"-E", "lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0",
		"-d", filepath.Join(b.dir, "tree"), filepath.Join(b.dir, "disk.img"), diskSize)
}

// run runs a program and shows the lines of its output that begin a step ("I: " from mmdebstrap); all of it is in the
// error when the program fails.
func (b builder) run(ctx context.Context, stdin io.Reader, args ...string) error {
	path, err := lookTool(args[0])
	if err != nil {
		return err
	}
	var all bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	cmd.Stdin = stdin
	cmd.Stdout = &all
	cmd.Stderr = io.MultiWriter(&all, &stepLines{log: b.log})
	// The child dies with this program. Until its last process has died it holds the lock, so that nobody clears away what
	// it still writes to.
	cmd.ExtraFiles = []*os.File{b.lock}
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	runtime.LockOSThread() // the signal comes when the thread ends that started the child
	defer runtime.UnlockOSThread()
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", args[0], err, all.Bytes())
	}
	return nil
}

// machineSources reads the build machine's apt sources, or takes the mirror when one is named.
func machineSources(mirror string) ([]string, error) {
	if mirror != "" {
		return []string{"deb " + mirror + " " + suite + " main"}, nil
	}
	files := map[string]string{}
	for _, pattern := range []string{"/etc/apt/sources.list", "/etc/apt/sources.list.d/*.list", "/etc/apt/sources.list.d/*.sources"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			files[name] = string(data)
		}
	}
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return nil, err
	}
	return debianSources(files, codename(string(release)))
}

func codename(osRelease string) string {
	for line := range strings.Lines(osRelease) {
		if v, ok := strings.CutPrefix(line, "VERSION_CODENAME="); ok {
			return strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return ""
}

// aptOptions hands the build machine's way to its archives (proxies, certificates, checks of dates) on to mmdebstrap,
// which does not read apt's configuration by itself.
func aptOptions(ctx context.Context) ([]string, error) {
	dump, err := exec.CommandContext(ctx, "apt-config", "dump", "Acquire").Output()
	if err != nil {
		return nil, fmt.Errorf("apt-config dump: %w", err)
	}
	var options []string
	for line := range strings.Lines(string(dump)) {
		for _, prefix := range []string{"Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries"} {
			if strings.HasPrefix(line, prefix+"::") || strings.HasSuffix(prefix, "-") && strings.HasPrefix(line, prefix) {
				options = append(options, "--aptopt="+strings.TrimSpace(line))
			}
		}
	}
	return options, nil
}

// lock takes an exclusive lock on a file in the cache and says so when it has to wait. Closing the file gives it back.
func (c Cache) lock(ctx context.Context, name string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(c.Dir, name), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	log := c.stopwatch()
	for waited := false; ; waited = true {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		if !waited {
			log.say("waiting for another set-up to finish")
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// stopwatch prints lines with the seconds since it was made.
type stopwatch struct {
	w     io.Writer
	start time.Time
}

func (c Cache) stopwatch() stopwatch {
	return stopwatch{c.Progress, time.Now()}
}

func (s stopwatch) say(format string, args ...any) {
	if s.w != nil {
		fmt.Fprintf(s.w, "[%5.1fs] %s\n", time.Since(s.start).Seconds(), fmt.Sprintf(format, args...))
	}
}

// stepLines passes mmdebstrap's lines about steps on to the stopwatch.
type stepLines struct {
	log  stopwatch
	rest []byte
}

func (s *stepLines) Write(p []byte) (int, error) {
	s.rest = append(s.rest, p...)
	for {
		line, rest, found := bytes.Cut(s.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		s.rest = rest
		if step, ok := bytes.CutPrefix(line, []byte("I: ")); ok {
			s.log.say("  %s", step)
		}
	}
}

// lookTool finds a program also where an ordinary user's PATH does not lead.
func lookTool(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path := filepath.Join(dir, name); exists(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: not installed", name)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func sortedKeys(m map[string]string) []string {
	return slices.Sorted(maps.Keys(m))
}

// RepoCache is the cache of a checkout, unless BERTH_HOSTS_CACHE names another directory.
func RepoCache(repo string, progress io.Writer) Cache {
	dir := os.Getenv("BERTH_HOSTS_CACHE")
	if dir == "" {
		dir = filepath.Join(repo, ".cache/hosts")
	}
	return Cache{Dir: dir, Progress: progress}
}

// removeTree removes a directory that nothing is mounted in: it must not reach the files of another file system.
func removeTree(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	full, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], full+"/") {
			return fmt.Errorf("%s is still mounted", fields[1])
		}
	}
	return os.RemoveAll(dir)
}
