// Command mkimage makes an image archive from a directory: the directory becomes the image's one layer. The same
// directory and flags give the same bytes.
//
//	mkimage -name localhost/hello -cmd /bin/hello ROOTFS hello.tar
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

func main() {
	if err := run(os.Args[1:], os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		fmt.Fprintf(os.Stderr, "mkimage: %v\n", err)
		os.Exit(1)
	}
}

// job is one image to be made.
type job struct {
	rootfs, out string
	format      archive.Format
	image       archive.Image
	layer       archive.LayerOptions
}

// run makes the archive. epoch is the time of all files in seconds since 1970, empty for 0.
func run(args []string, epoch string) error {
	j, err := parse(args)
	if err != nil {
		return err
	}
	when, err := parseEpoch(epoch)
	if err != nil {
		return err
	}
	j.layer.Time, j.image.Created = when, when
	return j.make()
}

func parse(args []string) (job, error) {
	j := job{image: archive.Image{Config: archive.Config{Labels: map[string]string{}}}, layer: archive.LayerOptions{Owners: map[string]archive.Owner{}}}
	c := &j.image.Config
	f := flag.NewFlagSet("mkimage", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprintln(f.Output(), "Usage: mkimage [FLAGS] ROOTFS OUT.tar")
		f.PrintDefaults()
	}
	f.Func("name", "`name` of the image, as in localhost/web:latest; may be repeated", appendTo(&j.image.Names))
	f.Func("entrypoint", "one `word` of the command that always runs; repeat it for each word", appendTo(&c.Entrypoint))
	f.Func("cmd", "one `word` of the command, or of the arguments of the entrypoint; repeat it for each word", appendTo(&c.Cmd))
	f.Func("env", "`NAME=VALUE` in the environment; may be repeated", appendTo(&c.Env))
	f.Func("expose", "`PORT/tcp` that the program listens on; may be repeated", addTo(&c.ExposedPorts))
	f.Func("volume", "`DIR` whose data outlives the container; may be repeated", addTo(&c.Volumes))
	f.Func("label", "`KEY=VALUE`; may be repeated", func(s string) error {
		key, value, _ := strings.Cut(s, "=")
		c.Labels[key] = value
		return nil
	})
	f.Func("owner", "`PATH=UID:GID`: whom a file or directory of the image belongs to instead of root; may be repeated", j.owner)
	f.StringVar(&c.User, "user", "", "`UID[:GID]` or name to run as")
	f.StringVar(&c.WorkingDir, "workdir", "", "`DIR` to run in")
	f.StringVar(&c.StopSignal, "stop-signal", "", "`SIGNAL` that ends the program, SIGTERM if not given")
	f.StringVar(&j.image.Arch, "arch", runtime.GOARCH, "`architecture` of the programs in it")
	f.StringVar((*string)(&j.format), "format", string(archive.OCI), "`oci` or docker")
	if err := f.Parse(args); err != nil {
		return j, err
	}
	if f.NArg() != 2 {
		return j, errors.New("give a directory and the archive to write: mkimage [FLAGS] ROOTFS OUT.tar")
	}
	j.rootfs, j.out = f.Arg(0), f.Arg(1)
	return j, nil
}

func appendTo(list *[]string) func(string) error {
	return func(s string) error {
		*list = append(*list, s)
		return nil
	}
}

func addTo(set *map[string]struct{}) func(string) error {
	return func(s string) error {
		if *set == nil {
			*set = map[string]struct{}{}
		}
		(*set)[s] = struct{}{}
		return nil
	}
}

func (j *job) owner(s string) error {
	path, ids, _ := strings.Cut(s, "=")
	uid, gid, _ := strings.Cut(ids, ":")
	u, err := strconv.Atoi(uid)
	if err != nil {
		return errors.New("write it as PATH=UID:GID")
	}
	g, err := strconv.Atoi(gid)
	if err != nil {
		return errors.New("write it as PATH=UID:GID")
	}
	j.layer.Owners[strings.Trim(path, "/")] = archive.Owner{UID: u, GID: g}
	return nil
}

func parseEpoch(s string) (time.Time, error) {
	if s == "" {
		return time.Unix(0, 0), nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH=%s is not a number of seconds", s)
	}
	return time.Unix(n, 0), nil
}

// make writes the archive beside its place and renames it, so that a half-written one is never taken for an image.
func (j job) make() error {
	layer, err := os.CreateTemp(filepath.Dir(j.out), ".layer-*")
	if err != nil {
		return err
	}
	defer os.Remove(layer.Name())
	err = archive.WriteLayer(layer, j.rootfs, j.layer)
	if err := errors.Join(err, layer.Close()); err != nil {
		return err
	}
	blob, err := archive.File(layer.Name())
	if err != nil {
		return err
	}
	j.image.Layers = []archive.Blob{blob}
	return writeBeside(j.out, func(w io.Writer) error { return archive.Write(w, j.format, j.image) })
}

func writeBeside(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".image-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // does nothing after the rename
	err = write(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}
