package cli

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/inroot"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/store"
)

type cpOptions struct{ archive, overwrite bool }

func (o *cpOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.archive, "archive", "a", true, "give what is copied into a container to the container's user; with =false it keeps the numbers of its owners")
	set.BoolVar(&o.overwrite, "overwrite", false, "let a directory take the place of a file, and the other way round")
}

func cpVerb() Verb {
	var o cpOptions
	return Verb{
		Name: "cp", Usage: "[OPTION…] SOURCE DESTINATION", Summary: "copy files into, out of, or between containers",
		Text: `SOURCE and DESTINATION are paths of the host or CONTAINER:PATH, which is taken from the container's root. The container
need not run; its volumes are seen either way. - stands for a tar archive on standard input or output.

A directory is copied as a whole: under its name into a directory that is there, under the name given where there is none. With
/. behind SOURCE only what is in it is copied. Links are copied as links. No link of a container leads out of it, nor can its
processes change where something goes while it is copied. Device nodes are passed over; what comes out of a container belongs to
the caller.`,
		Flags: o.flags, Before: beforeCp, Run: runCp,
		Userns: func(args []string) bool { return rootless.Needed() && !cpInTwo(args) },
	}
}

// end is one of the two ends of a copy.
type end struct {
	container string // "" for the host
	path      string // "-" of the host for an archive
}

func (e end) stream() bool { return e.container == "" && e.path == "-" }

// parseEnd reads PATH or CONTAINER:PATH. What begins as a path is none of a container.
func parseEnd(word string) end {
	name, p, ok := strings.Cut(word, ":")
	if !ok || name == "" || strings.HasPrefix(word, "/") || strings.HasPrefix(word, ".") {
		return end{path: word}
	}
	return end{container: name, path: p}
}

func parseCp(args []string) (from, to end, o cpOptions, err error) {
	set := newFlagSet("cp")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return from, to, o, err
	}
	if set.NArg() != 2 {
		return from, to, o, errors.New("name a source and a destination: `berth cp SOURCE DESTINATION`")
	}
	from, to = parseEnd(set.Arg(0)), parseEnd(set.Arg(1))
	switch {
	case from.container == "" && to.container == "":
		err = fmt.Errorf("neither %q nor %q is of a container: write CONTAINER:PATH", from.path, to.path)
	case from.path == "" || to.path == "":
		err = errors.New("a path is empty; / is the root of a container")
	}
	return from, to, o, err
}

// treeVariable says that the archive on standard input is a tree that is copied, not one that is unpacked.
const treeVariable = "BERTH_COPY_TREE"

// cpInTwo tells whether a user's copy is made by two processes: each container has its own user namespace, and none has
// rights over another's files.
func cpInTwo(args []string) bool {
	from, to, _, err := parseCp(args)
	if err != nil || from.container == "" || to.container == "" {
		return false
	}
	a, errA := findContainer(from.container)
	b, errB := findContainer(to.container)
	return errA == nil && errB == nil && a.ID != b.ID
}

// beforeCp goes into the namespace that the container of a user was set up in.
func beforeCp(_ context.Context, _ *Env, args []string) error {
	from, to, _, err := parseCp(args)
	if err != nil || !rootless.Needed() || cpInTwo(args) {
		return nil // an error is the verb's to report
	}
	name := from.container
	if name == "" {
		name = to.container
	}
	s, err := findContainer(name)
	if err != nil || !s.Running() {
		return nil
	}
	return rootless.Enter(s.Init)
}

func runCp(ctx context.Context, env *Env, args []string) error {
	from, to, o, err := parseCp(args)
	if err != nil {
		return err
	}
	if to.stream() {
		if f, ok := env.Out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			return errors.New("an archive is not for a terminal; send it to a file or a pipe")
		}
	}
	if rootless.Needed() {
		return cpByTwo(ctx, env, args)
	}
	e, err := newEngine(env)
	if err != nil {
		return err
	}
	c := copying{env: env, engine: e, o: o}
	source, target, done, err := c.open(from, to)
	if err != nil {
		return err
	}
	defer done()
	switch {
	case from.stream():
		return c.unpack(target, to, env.In)
	case to.stream():
		return c.pack(source, from, env.Out)
	}
	r, w := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := c.pack(source, from, w)
		w.CloseWithError(err)
		packed <- err
	}()
	err = c.copy(target, to, tar.NewReader(r))
	r.CloseWithError(err)
	packErr := <-packed
	if packErr != nil && (err == nil || errors.Is(err, packErr)) && !errors.Is(packErr, io.ErrClosedPipe) {
		return packErr // one who reads only hears of what the other one could not
	}
	return err
}

// cpByTwo copies between two containers of a user, by a process for each.
func cpByTwo(ctx context.Context, env *Env, args []string) error {
	from, to, o, err := parseCp(args)
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	packed := make(chan error, 1)
	pack := itself("cp", from.container+":"+from.path, "-")
	pack.Stdout, pack.Stderr = w, env.Err
	go func() {
		_, err := env.Run(ctx, pack)
		packed <- errors.Join(err, w.Close())
	}()
	unpack := itself("cp", fmt.Sprintf("--archive=%t", o.archive), fmt.Sprintf("--overwrite=%t", o.overwrite), "-", to.container+":"+to.path)
	unpack.Stdin, unpack.Stderr, unpack.Env = r, env.Err, append(os.Environ(), treeVariable+"=1")
	_, err = env.Run(ctx, unpack)
	r.Close()
	if packErr := <-packed; packErr != nil || err != nil {
		return &ExitError{Code: statusFailed} // why was said by the one that failed
	}
	return nil
}

// maxFilling is how much may follow the end of an archive.
const maxFilling = 1 << 20

// copying is one copy.
type copying struct {
	env    *Env
	engine *engine.Engine
	o      cpOptions
}

func (c copying) note(text string) { fmt.Fprintln(c.env.Err, text) }

// open opens the files of both ends; those of the host are found by the paths themselves.
func (c copying) open(from, to end) (source, target engine.Files, done func(), err error) {
	done = func() { source.Close(); target.Close() }
	var a, b engine.State
	if from.container != "" {
		a, err = findContainer(from.container)
	}
	if to.container != "" && err == nil {
		b, err = findContainer(to.container)
	}
	if err != nil {
		return source, target, done, err
	}
	if a.ID == b.ID { // opened once: who does not run is locked
		if within(to.path, from.path) {
			return source, target, done, fmt.Errorf("%s is in %s: a directory cannot be copied into itself", to, from)
		}
		source, err = c.engine.Files(a)
		return source, source, func() { source.Close() }, err
	}
	open := func(s engine.State, f *engine.Files) {
		if s.ID != "" && err == nil {
			*f, err = c.engine.Files(s)
		}
	}
	if a.ID < b.ID { // always in the same order, or two copies could wait for each other
		open(a, &source)
		open(b, &target)
	} else {
		open(b, &target)
		open(a, &source)
	}
	if err != nil {
		done()
	}
	return source, target, done, err
}

// within tells whether a path is below a directory, or the directory.
func within(p, dir string) bool {
	dir = strings.TrimSuffix(path.Clean("/"+dir), "/") + "/"
	return strings.HasPrefix(path.Clean("/"+p)+"/", dir)
}

// handle opens what lies at a path, following a link there.
func (e end) handle(f engine.Files, p string) (*os.File, error) {
	if e.container != "" {
		return f.Root.Handle(p)
	}
	return os.OpenFile(p, unix.O_PATH, 0)
}

// pack writes a tree as an archive, whose first entry is the tree's top.
func (c copying) pack(f engine.Files, from end, w io.Writer) error {
	top, err := from.handle(f, from.path)
	if err != nil {
		return fmt.Errorf("copy from %s: %w", from, err)
	}
	defer top.Close()
	o := inroot.PackOptions{Note: c.note}
	if from.container != "" {
		o.Owner = f.IDs.InsideIDs
	}
	out := tar.NewWriter(w)
	err = inroot.Pack(out, top, topName(from), o)
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		return fmt.Errorf("copy from %s: %w", from, err)
	}
	return nil
}

func (e end) String() string {
	if e.container != "" {
		return e.container + ":" + e.path
	}
	return e.path
}

// topName is what the top of a tree is called: "." for what is in it.
func topName(from end) string {
	if from.path == "." || from.path == "/" || strings.HasSuffix(from.path, "/.") {
		return "."
	}
	if base := path.Base(path.Clean(from.path)); base != ".." {
		return base
	}
	return "."
}

// place says what lies at a destination.
type place struct {
	there, dir bool
	slash      bool // the path ends with one: it means a directory
}

// destination decides where the top of a tree goes: whether into the directory that the path names or beside it, and under
// which name; "" for the directory itself.
func destination(top *tar.Header, p place, to string) (inside bool, name string, err error) {
	base, dir := path.Clean(top.Name), top.Typeflag == tar.TypeDir
	switch {
	case p.dir && base == ".":
		return true, "", nil
	case p.dir:
		return true, base, nil
	case p.there && dir:
		return false, "", fmt.Errorf("%s is a file, and a directory cannot be copied to it", to)
	case p.slash && (p.there || !dir):
		return false, "", fmt.Errorf("%s: there is no such directory", to)
	}
	return false, path.Base(path.Clean(to)), nil
}

// copy unpacks a tree, whose first entry says what is copied, as cp(1) would.
func (c copying) copy(f engine.Files, to end, from *tar.Reader) error {
	top, err := from.Next()
	if errors.Is(err, io.EOF) { // whoever was to send it has said why
		return &ExitError{Code: statusFailed}
	}
	if err != nil {
		return fmt.Errorf("copy to %s: %w", to, err)
	}
	where := place{slash: strings.HasSuffix(to.path, "/") || strings.HasSuffix(to.path, "/.")}
	if h, err := to.handle(f, to.path); err == nil {
		info, statErr := h.Stat()
		where.there, where.dir = statErr == nil, statErr == nil && info.IsDir()
		h.Close()
	} else if !errors.Is(err, fs.ErrNotExist) && !(errors.Is(err, unix.ENOTDIR) && where.slash) {
		return fmt.Errorf("copy to %s: %w", to, err)
	} else {
		where.there = errors.Is(err, unix.ENOTDIR)
	}
	inside, name, err := destination(top, where, to.path)
	if err != nil {
		return fmt.Errorf("copy to %s: %w", to, err)
	}
	dir := to.path
	if !inside {
		dir = filepath.Dir(filepath.Clean(to.path))
	}
	prefix := path.Clean(top.Name)
	o := c.options(f, to)
	o.Name = func(entry string) string {
		if prefix == "." {
			return path.Join(name, entry)
		}
		return path.Join(name, strings.TrimPrefix(strings.TrimPrefix(entry, prefix), "/"))
	}
	return c.into(f, to, dir, inroot.Entries{First: top, Rest: from}, o)
}

// unpack unpacks an archive of the caller into a directory.
func (c copying) unpack(f engine.Files, to end, r io.Reader) error {
	plain, err := store.Plain(r)
	if err != nil {
		return fmt.Errorf("read the archive: %w", err)
	}
	defer plain.Close()
	if os.Getenv(treeVariable) != "" {
		return c.copy(f, to, tar.NewReader(plain))
	}
	if err := c.into(f, to, to.path, inroot.Entries{Rest: tar.NewReader(plain)}, c.options(f, to)); err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, plain, maxFilling) // so that who fills up its last block is not hung up on
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return err
}

// options say whom the files belong to at their destination, and how far their maker is trusted.
func (c copying) options(f engine.Files, to end) inroot.UnpackOptions {
	o := inroot.UnpackOptions{Overwrite: c.o.overwrite, Note: c.note}
	if to.container == "" {
		// The container's root is not the host's: what it made must give nobody any rights here.
		o.Foreign = true
		o.Owner = func(int, int) (int, int) { return os.Getuid(), os.Getgid() }
		return o
	}
	o.Owner = func(uid, gid int) (int, int) {
		if c.o.archive {
			uid, gid = int(f.UID), int(f.GID)
		}
		u, _ := f.IDs.UID(uint32(uid))
		g, _ := f.IDs.GID(uint32(gid))
		return int(u), int(g)
	}
	return o
}

// into unpacks into a directory of an end.
func (c copying) into(f engine.Files, to end, dir string, from inroot.Entries, o inroot.UnpackOptions) error {
	root := f.Root
	if to.container == "" {
		var err error
		// Links below the directory are not followed: the container could have made them.
		if root, err = inroot.Open(dir); err != nil {
			return fmt.Errorf("copy to %s: %w", to, err)
		}
		defer root.Close()
		root, dir = root.WithoutLinks(), "."
	}
	h, err := root.Handle(dir)
	if err != nil {
		return fmt.Errorf("copy to %s: %w", to, err)
	}
	info, err := h.Stat()
	h.Close()
	if err == nil && !info.IsDir() {
		err = errors.New("it is no directory")
	}
	if err == nil {
		err = root.Unpack(dir, from, o)
	}
	if err != nil {
		return fmt.Errorf("copy to %s: %w", to, err)
	}
	return nil
}
