package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/cgroup"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/spec"
)

type commitOptions struct {
	author, config, format, iidfile, message string
	changes                                  []string
	volumes, pause, quiet, squash            bool
}

func (o *commitOptions) flags(set *pflag.FlagSet) {
	set.StringVarP(&o.author, "author", "a", "", "`NAME` of who has made the image")
	set.StringArrayVarP(&o.changes, "change", "c", nil, "change the image by an `INSTRUCTION`: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME or WORKDIR, as in a Containerfile")
	set.StringVar(&o.config, "config", "", "change the image by a `FILE` with the JSON of a Docker image's configuration; --change counts more")
	set.StringVarP(&o.format, "format", "f", "oci", "`FORMAT` of the image: oci or docker")
	set.StringVar(&o.iidfile, "iidfile", "", "write the image's ID into a `FILE`")
	set.BoolVar(&o.volumes, "include-volumes", false, "note the places of the container's volumes; what is in them is never taken")
	set.StringVarP(&o.message, "message", "m", "", "`TEXT` for the history")
	set.BoolVarP(&o.pause, "pause", "p", true, "freeze the container meanwhile, so that what is taken belongs together")
	set.BoolVarP(&o.quiet, "quiet", "q", false, "say nothing but the ID")
	set.BoolVarP(&o.squash, "squash", "s", false, "make one layer of all files, and none of the image's")
}

func commitVerb() Verb {
	var o commitOptions
	return Verb{
		Name: "commit", Usage: "[OPTION…] CONTAINER [NAME]", Summary: "make an image of what a container has become",
		Text: `The image has the layers of the container's image, and what the container has changed as one more; the command, the
variables and the like are those that the container was made with. What is in its volumes is not taken.`,
		Flags: o.flags, Before: beforeCommit, Run: runCommit, Userns: namespaceNeeded,
	}
}

func parseCommit(args []string) (s engine.State, name string, o commitOptions, err error) {
	set := newFlagSet("commit")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return s, "", o, err
	}
	if set.NArg() < 1 || set.NArg() > 2 {
		return s, "", o, errors.New("name the container, and the image")
	}
	if o.format != "oci" && o.format != "docker" {
		return s, "", o, fmt.Errorf("--format=%s: use oci or docker", o.format)
	}
	s, err = findContainer(set.Arg(0))
	if err == nil && s.Container.Rootfs {
		err = fmt.Errorf("container %q is made of a directory and not of an image; `berth export` and `berth import` make an image of it", s.Name)
	}
	return s, set.Arg(1), o, err
}

// beforeCommit goes into the namespace that the container of a user was set up in, where its root file system must be read.
func beforeCommit(_ context.Context, _ *Env, args []string) error {
	s, _, o, err := parseCommit(args)
	if err != nil || !rootless.Needed() || !s.Running() || !o.squash {
		return nil
	}
	return rootless.Enter(s.Init)
}

func runCommit(ctx context.Context, env *Env, args []string) (err error) {
	s, name, o, err := parseCommit(args)
	if err != nil {
		return err
	}
	still := o.pause && s.Running() && s.Cgroup != ""
	if still && !cgroup.Frozen(s.Cgroup) {
		if err := cgroup.Freeze(s.Cgroup, true); err != nil {
			return fmt.Errorf("freeze container %q: %w; --pause=false takes it as it runs", s.Name, err)
		}
		defer func() { err = errors.Join(err, cgroup.Cgroups{}.Thaw(s.Cgroup)) }()
	}
	words := []string{"image", "of-container", "--format=" + o.format, "--created-by=" + strings.Join(s.Command, " ")}
	for _, f := range [][2]string{{"author", o.author}, {"message", o.message}} {
		if f[1] != "" {
			words = append(words, "--"+f[0]+"="+f[1])
		}
	}
	settings, err := settingsFile(s.Container, o.volumes)
	if err != nil {
		return fmt.Errorf("settings of container %q: %w", s.Name, err)
	}
	defer settings.Close()
	words = append(words, "--settings=/proc/self/fd/3")
	if o.config != "" {
		words = append(words, "--config="+o.config)
	}
	for _, c := range o.changes {
		words = append(words, "--change="+c)
	}
	c := proc.Command{Path: helper("berth-image"), Stderr: env.Err, Extra: []*os.File{settings}}
	done := func() error { return nil }
	if o.squash {
		words = append(words, "--all")
		if c.Stdin, done, err = exportPipe(env, s); err != nil {
			return err
		}
	}
	words = append(words, "--", s.ID)
	if name != "" {
		words = append(words, name)
	}
	c.Args = words
	out, err := env.Run(ctx, c)
	if exportErr := done(); exportErr != nil {
		return exportErr
	}
	if err != nil {
		return &ExitError{Code: statusFailed} // it has said why
	}
	s.Tell("commit")
	id := trimLine(out)
	if o.iidfile != "" {
		if err := atomicfile.WriteTo(o.iidfile, []byte(id), 0o666); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(env.Out, id)
	if err == nil && still && !cgroup.Frozen(s.Cgroup) {
		err = fmt.Errorf("container %q was stopped or unpaused while its files were read: image %.12s may have half of a change", s.Name, id)
	}
	return err
}

// exportPipe reads the root file system of a container as an archive; done says whether it was read as a whole.
func exportPipe(env *Env, s engine.State) (r io.Reader, done func() error, err error) {
	e, err := newEngine(env)
	if err != nil {
		return nil, nil, err
	}
	files, err := e.Rootfs(s)
	if err != nil {
		return nil, nil, err
	}
	in, out, err := os.Pipe()
	if err != nil {
		return nil, nil, errors.Join(err, files.Close())
	}
	written := make(chan error, 1)
	go func() {
		err := packFiles(out, env.Err, files)
		written <- errors.Join(err, out.Close(), files.Close())
	}()
	return in, func() error { in.Close(); return <-written }, nil
}

// imageSettings is what the configuration of an image says of these options of a container.
type imageSettings struct {
	Entrypoint, Cmd, Env         []string
	Labels                       map[string]string
	ExposedPorts, Volumes        map[string]struct{}
	User, WorkingDir, StopSignal string
}

func commitSettings(c spec.Container, volumes bool) (imageSettings, error) {
	i := imageSettings{
		Cmd: c.Command, Labels: spec.Labels(c.Labels), ExposedPorts: map[string]struct{}{}, Volumes: map[string]struct{}{},
		User: c.User, WorkingDir: c.WorkDir, StopSignal: c.StopSignal,
	}
	var err error
	if i.Entrypoint, err = spec.Entrypoint(c, spec.ImageConfig{}); err != nil {
		return i, err
	}
	for _, e := range c.Environment {
		if strings.Contains(e, "=") {
			i.Env = append(i.Env, e)
		}
	}
	for _, p := range c.Expose {
		i.ExposedPorts[p] = struct{}{}
	}
	for _, word := range c.Volumes {
		if v, err := spec.ParseVolume(word); err == nil && volumes {
			i.Volumes[v.Destination] = struct{}{}
		}
	}
	return i, nil
}

// settingsFile has the settings for another program. Not as words of its, which everybody on the machine could read.
func settingsFile(c spec.Container, volumes bool) (*os.File, error) {
	settings, err := commitSettings(c, volumes)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("settings", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "settings")
	if _, err := f.Write(text); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
