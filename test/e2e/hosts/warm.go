package hosts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/berth-pods/berth/test/e2e/hosts/agent"
)

// snapshotName is the name of the stored machine in a warm image.
const snapshotName = "warm"

// startWarm wakes a virtual machine that has booted before, and gives it the build and the tests while it runs. What a
// boot does with the build, such as to run its generator, is done by reloading systemd.
func (m *machine) startWarm(ctx context.Context, o Options, base Base) error {
	p := payload{repo: o.Repo, kind: VM, base: base, dir: filepath.Join(m.dir, "settings"), binAsIs: o.BinAsIs}
	if err := p.stage(ctx, p.settings()); err != nil {
		return err
	}
	image, err := m.warmImage(ctx, o.Cache, base, p.dir)
	if err != nil {
		return fmt.Errorf("make a machine to be woken: %w", err)
	}
	p.dir = filepath.Join(m.dir, "payload")
	if err := p.stage(ctx, p.content()); err != nil {
		return err
	}
	m.log.say("%s machine: payload staged", VM)
	if err := copySparse(image, filepath.Join(m.dir, "disk.qcow2")); err != nil {
		return err
	}
	v, err := newVM(base, m.dir, p.dir, Options{})
	if err != nil {
		return err
	}
	v.first = []string{"-loadvm", snapshotName}
	m.power = v
	if err := m.wake(ctx); err != nil {
		return m.bootError(err)
	}
	return m.takePayload(ctx)
}

// wake finds the agent of a machine that goes on from where it was stored.
func (m *machine) wake(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	line, err := m.power.on(ctx)
	if err != nil {
		return err
	}
	m.line = line
	stop := context.AfterFunc(ctx, func() { line.Close() })
	defer stop()
	if m.client, err = agent.Resume(line); err != nil {
		return errors.Join(err, ctx.Err())
	}
	m.log.say("%s machine: awake", m.kind)
	return nil
}

// takePayload is what the woken machine does first. $1 is the time outside, in seconds, for its clock stood still. What it
// remembers of the second disk is that of another machine.
const takePayload = `
set -eu
date --set="@$1" >/dev/null
blockdev --flushbufs /dev/vdb
tar --extract --file=/dev/vdb --directory=/
touch -d @1 /usr # see payload.date
sync
[ ! -e /sys/kernel/security/apparmor ] || apparmor_parser -r /etc/apparmor.d/berth-default # as the next boot does
systemctl daemon-reload
runuser -u tester -- env XDG_RUNTIME_DIR=/run/user/1000 systemctl --user daemon-reload
`

// takePayload puts the payload on the disk of the running machine, to stay.
func (m *machine) takePayload(ctx context.Context) error {
	args := []string{"sh", "-c", takePayload, "take", fmt.Sprint(time.Now().Unix())}
	if err := runToSuccess(ctx, m, args, agent.Streams{}); err != nil {
		return fmt.Errorf("hand the payload over: %w", err)
	}
	m.log.say("%s machine: running", m.kind)
	return nil
}

// warmImage returns the disk of a machine that has booted with these settings and was stored running. The first caller
// makes it.
func (m *machine) warmImage(ctx context.Context, c Cache, base Base, settings string) (string, error) {
	key, err := warmKey(base, settings)
	if err != nil {
		return "", err
	}
	image := filepath.Join(c.Dir, "warm-"+key+".qcow2")
	if exists(image) {
		return image, nil
	}
	lock, err := c.lock(ctx, "warm.lock")
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if exists(image) {
		return image, nil
	}
	return image, m.makeWarmImage(ctx, c, base, settings, image)
}

func (m *machine) makeWarmImage(ctx context.Context, c Cache, base Base, settings, image string) error {
	m.log.say("%s machine: booting once; later ones go on from there", VM)
	first, err := newMachine(ctx, Options{Kind: VM, Cache: c})
	if err != nil {
		return err
	}
	v, err := newVM(base, first.dir, settings, Options{})
	if err != nil {
		return errors.Join(err, first.Close())
	}
	first.power = v
	err = first.boot(ctx, v.on)
	if err == nil {
		err = runToSuccess(ctx, first, []string{"sync"}, agent.Streams{})
	}
	if err == nil {
		err = v.snapshot(ctx, snapshotName)
	}
	if err == nil {
		err = replaceImages(filepath.Join(first.dir, "disk.qcow2"), image)
	}
	return errors.Join(err, first.Close())
}

// replaceImages gives the new image its name and removes those of earlier settings; machines have copies of theirs.
func replaceImages(disk, image string) error {
	old, err := filepath.Glob(filepath.Join(filepath.Dir(image), "warm-*.qcow2"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return os.Rename(disk, image)
}

// warmKey changes with everything that a stored machine depends on.
func warmKey(base Base, settings string) (string, error) {
	h := sha256.New()
	fmt.Fprint(h, filepath.Base(base.Dir), launchVM, initScript, accelerator(), payloadSize)
	err := filepath.WalkDir(settings, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(settings, path)
		if err != nil {
			return err
		}
		return hashFile(h, rel, path, d)
	})
	return hex.EncodeToString(h.Sum(nil))[:12], err
}

func hashFile(w io.Writer, name, path string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s %v ", name, info.Mode())
	switch d.Type() {
	case fs.ModeSymlink:
		target, err := os.Readlink(path)
		fmt.Fprint(w, target)
		return err
	case 0:
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, f)
		return err
	}
	return nil
}

func copySparse(from, to string) error {
	out, err := exec.Command("cp", "--sparse=always", "--reflink=auto", from, to).CombinedOutput()
	if err != nil {
		return fmt.Errorf("copy %s: %w\n%s", from, err, out)
	}
	return nil
}
