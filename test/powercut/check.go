package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// checker looks at what a power cut has left, with the programs of berth that are installed in a root directory. The file system
// of the recorded disk holds the directory containers, which is shown as /var/lib/containers, and etc, which is shown as
// /etc/containers.
type checker struct {
	root    string // with berth in usr/bin, and its mount points
	scratch string // a tmpfs
	offset  int64  // of the file system on the disk
	archive string // of the image, as seen in root
}

// commandTime is how long one command of berth may take.
const commandTime = time.Minute

// check returns all that is wrong with a state; deep tries more, which takes longer. The controls, which are expected to be
// damaged, are told apart.
func (c checker) check(s state, deep bool) (wrong, controls []string, err error) {
	f, err := os.CreateTemp(c.scratch, "disk-")
	if err != nil {
		return nil, nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := s.disk.save(f); err != nil {
		return nil, nil, err
	}
	at := filepath.Join(c.root, "mnt")
	out, err := exec.Command("mount", "-o", fmt.Sprintf("loop,offset=%d", c.offset), f.Name(), at).CombinedOutput()
	if err != nil {
		return []string{fmt.Sprintf("mount: %v: %s", err, bytes.TrimSpace(out))}, nil, nil
	}
	shown, err := c.show(at)
	if err == nil {
		wrong = slices.Concat(tornFiles(at), c.lists(s.promise), c.secrets(s.promise), files(at, s.promise))
		if len(wrong) == 0 && deep {
			wrong = c.goesOn()
		}
		more, damaged := ledgers(at, s.promise)
		wrong, controls = append(wrong, more...), append(damaged, tornControl(at)...)
	}
	for _, place := range slices.Backward(append([]string{at}, shown...)) {
		err = errors.Join(err, unix.Unmount(place, 0))
	}
	return wrong, controls, err
}

// show puts the directories of the disk where berth looks for them.
func (c checker) show(at string) (mounted []string, err error) {
	for _, d := range []struct{ from, to string }{{"containers", "var/lib/containers"}, {"etc", "etc/containers"}} {
		to := filepath.Join(c.root, d.to)
		if err := unix.Mount(filepath.Join(at, d.from), to, "", unix.MS_BIND, ""); err != nil {
			return mounted, fmt.Errorf("show %s: %w", d.from, err)
		}
		mounted = append(mounted, to)
	}
	run := filepath.Join(c.root, "run") // empty, as after a boot
	if err := unix.Mount("tmpfs", run, "tmpfs", 0, ""); err != nil {
		return mounted, err
	}
	return append(mounted, run), nil
}

// berth runs a command of berth in the root and returns what it printed.
func (c checker) berth(input string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/bin/berth", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: c.root}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin", "HOME=/root"}
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("berth %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// listings are the commands that list, and the kinds of what they list.
var listings = []struct {
	kind string
	args []string
}{
	{"image", []string{"images", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"}},
	{"container", []string{"ps", "--all", "--format", "{{.Names}}"}},
	{"volume", []string{"volume", "ls", "--quiet"}},
	{"network", []string{"network", "ls", "--format", "{{.Name}}"}},
	{"secret", []string{"secret", "ls", "--format", "{{.Name}}"}},
}

// lists checks that all can be listed, that what was promised is there, and that each image that is listed is whole.
func (c checker) lists(p promise) []string {
	var wrong []string
	for _, l := range listings {
		out, err := c.berth("", l.args...)
		if err != nil {
			wrong = append(wrong, err.Error())
			continue
		}
		there := strings.Fields(out)
		for _, name := range p.wants(l.kind) {
			if !slices.Contains(there, name) {
				wrong = append(wrong, fmt.Sprintf("%s %s is lost; there are %v", l.kind, name, there))
			}
		}
		if l.kind == "image" {
			wrong = append(wrong, c.wholeImages(out)...)
		}
	}
	return wrong
}

// wholeImages writes each image to an archive: that reads all of it, and compares the layers with their digests. An image
// without a name is one whose name was not there yet, or not any more.
func (c checker) wholeImages(listing string) []string {
	seen := map[string]bool{}
	var wrong []string
	for line := range strings.Lines(listing) {
		id, _, _ := strings.Cut(line, " ")
		if seen[id] {
			continue
		}
		seen[id] = true
		if _, err := c.berth("", "save", "--quiet", "--output", savedArchive, id); err != nil {
			wrong = append(wrong, err.Error())
		}
		os.Remove(filepath.Join(c.root, savedArchive))
	}
	return wrong
}

// savedArchive is a file that an image is saved to, which goes with the state.
const savedArchive = "/run/saved.tar"

// secrets checks that each secret that was promised says what it should: "text of NAME".
func (c checker) secrets(p promise) []string {
	var wrong []string
	for _, name := range p.wants("secret") {
		out, err := c.berth("", "secret", "inspect", "--showsecret", "--format", "{{.SecretData}}", name)
		if err == nil && strings.TrimSpace(out) != "text of "+name {
			err = fmt.Errorf("secret %s says %q", name, out)
		}
		if err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	return wrong
}

// goesOn checks that work goes on without any repair: the image can be loaded, and what needs it, and much else, can be made.
func (c checker) goesOn() []string {
	const image, probe = "localhost/busybox:latest", "powercut-probe"
	for _, step := range []struct {
		input string
		args  []string
	}{
		{"", []string{"load", "--quiet", "--input", c.archive}},
		{"", []string{"create", "--name", probe, "--network", "none", image, "true"}},
		{"", []string{"rm", probe}},
		{"", []string{"volume", "create", probe}},
		{"", []string{"volume", "rm", probe}},
		{"", []string{"network", "create", probe}},
		{"", []string{"network", "rm", probe}},
		{"text", []string{"secret", "create", probe, "-"}},
		{"", []string{"secret", "rm", probe}},
		{"", []string{"save", "--quiet", "--output", savedArchive, image}},
	} {
		if _, err := c.berth(step.input, step.args...); err != nil {
			return []string{"afterwards: " + err.Error()}
		}
	}
	return nil
}

// volatile begins the names of the storage library's lists of what ends with the boot. It does not sync them, and takes an empty
// one for an empty list; half a one would be refused.
const volatile = "volatile-"

// tornFiles looks at the files that say what is there: each must be whole. What lies in layers and volumes is not berth's.
func tornFiles(at string) []string {
	var wrong []string
	err := filepath.WalkDir(at, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "diff" || d.Name() == "_data" || strings.HasPrefix(d.Name(), ".")) {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() || !strings.HasSuffix(d.Name(), ".json") || strings.HasPrefix(d.Name(), ".") {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !json.Valid(data) && !(len(data) == 0 && strings.HasPrefix(d.Name(), volatile)) {
			wrong = append(wrong, fmt.Sprintf("%s is torn: %d bytes", strings.TrimPrefix(path, at), len(data)))
		}
		return nil
	})
	if err != nil {
		wrong = append(wrong, err.Error())
	}
	return wrong
}

// files checks the files that were promised, of the mark "have file PATH": each is there and has content.
func files(at string, p promise) []string {
	var wrong []string
	for _, name := range p.wants("file") {
		if info, err := os.Stat(filepath.Join(at, name)); err != nil {
			wrong = append(wrong, err.Error())
		} else if info.Size() == 0 {
			wrong = append(wrong, name+" is empty")
		}
	}
	return wrong
}

// controlLedger is the ledger whose records were promised too early.
const controlLedger = "control"

// ledgers checks that no promised record is lost, and that those there are in order. A ledger is a file of its name in the
// volume of its name, the control's lies in the disk's root.
func ledgers(at string, p promise) (wrong, controls []string) {
	for name, promised := range p.ledger {
		path := filepath.Join(at, "containers/storage/volumes", name, "_data", name)
		if name == controlLedger {
			path = filepath.Join(at, name)
		}
		data, err := os.ReadFile(path)
		var fault error
		if err != nil {
			fault = errors.New("it is not there")
		} else {
			fault = checkLedger(data, promised)
		}
		switch {
		case fault == nil:
		case name == controlLedger:
			controls = append(controls, name+": "+fault.Error())
		default:
			wrong = append(wrong, fmt.Sprintf("ledger %s: %v", name, fault))
		}
	}
	return wrong, controls
}

// checkLedger checks records that are numbers from 1 on, each with a newline. The last may be torn, if it was not promised.
func checkLedger(data []byte, promised int) error {
	lines := strings.SplitAfter(string(data), "\n")
	whole := 0
	for i, line := range lines {
		if line == fmt.Sprintf("%d\n", i+1) {
			whole++
			continue
		}
		if i < len(lines)-1 {
			return fmt.Errorf("record %d says %q", i+1, line)
		}
	}
	if whole < promised {
		return fmt.Errorf("%d records of %d promised", whole, promised)
	}
	return nil
}

// tornFile is the control that was replaced as one should not.
const tornFile = "torn"

func tornControl(at string) []string {
	data, err := os.ReadFile(filepath.Join(at, tornFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return []string{err.Error()}
	}
	if len(data) != tornSize || data[0] != data[len(data)-2] || data[len(data)-1] != '\n' {
		return []string{fmt.Sprintf("%s is torn: %d bytes", tornFile, len(data))}
	}
	return nil
}
