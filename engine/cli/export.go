package cli

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/inroot"
	"github.com/berth-pods/berth/engine/rootless"
)

func exportVerb() Verb {
	return Verb{
		Name: "export", Usage: "[OPTION…] CONTAINER", Summary: "write the files of a container as a tar archive",
		Text:   "The archive has the whole root file system, without volumes. `berth import` makes an image of it.",
		Flags:  func(set *pflag.FlagSet) { set.StringP("output", "o", "", "write to a `FILE`, not to standard output") },
		Before: beforeExport, Run: runExport, Userns: namespaceNeeded,
	}
}

func parseExport(args []string) (engine.State, string, error) {
	set := newFlagSet("export")
	output := set.StringP("output", "o", "", "")
	if err := set.Parse(args); err != nil {
		return engine.State{}, "", err
	}
	s, err := oneContainer(set.Args(), false)
	return s, *output, err
}

// beforeExport goes into the namespace that the container of a user was set up in.
func beforeExport(_ context.Context, _ *Env, args []string) error {
	s, _, err := parseExport(args)
	if err != nil || !rootless.Needed() || !s.Running() {
		return nil
	}
	return rootless.Enter(s.Init)
}

func runExport(ctx context.Context, env *Env, args []string) error {
	s, output, err := parseExport(args)
	if err != nil {
		return err
	}
	e, err := newEngine(env)
	if err != nil {
		return err
	}
	if err := writeArchive(ctx, env, output, func(out io.Writer) error { return exportTo(out, env.Err, e, s) }); err != nil {
		return err
	}
	s.Tell("export")
	return nil
}

// writeArchive lets write make an archive in the file of --output, or on standard output. A signal ends it between two pieces.
func writeArchive(ctx context.Context, env *Env, output string, write func(io.Writer) error) error {
	if output != "" && output != "-" && output != "/dev/stdout" {
		return atomicfile.Stream(output, 0o666, func(f *os.File) error { return write(until{ctx, f}) })
	}
	if f, ok := env.Out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return errors.New("an archive is not for a terminal; use --output=FILE, or a pipe")
	}
	return write(until{ctx, env.Out})
}

// until takes nothing more once the context has ended.
type until struct {
	ctx context.Context //nolint:containedctx // a writer is given none
	to  io.Writer
}

func (u until) Write(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.to.Write(p)
}

// exportTo writes the root file system of a container as an archive.
func exportTo(out, notes io.Writer, e *engine.Engine, s engine.State) error {
	files, err := e.Rootfs(s)
	if err != nil {
		return err
	}
	defer files.Close()
	if err := packFiles(out, notes, files); err != nil {
		return fmt.Errorf("export container %q: %w", s.Name, err)
	}
	return nil
}

func packFiles(out, notes io.Writer, files engine.Files) error {
	top, err := files.Root.Handle(".")
	if err != nil {
		return err
	}
	defer top.Close()
	buffered := bufio.NewWriterSize(out, 1<<20)
	w := tar.NewWriter(buffered)
	err = inroot.Pack(w, top, ".", inroot.PackOptions{Owner: files.IDs.InsideIDs, Note: func(text string) { fmt.Fprintln(notes, text) }})
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = buffered.Flush()
	}
	return err
}
