//go:build containers_image_openpgp

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/berth-pods/berth/engine/image"
)

func runPull(ctx context.Context, c call) error {
	o, err := pullOptions(c)
	if err != nil {
		return err
	}
	for _, name := range c.args {
		ids, err := c.images.Pull(ctx, name, o)
		c.watch.end()
		for _, id := range ids {
			tell("pull", id, name)
			fmt.Fprintln(c.Out, id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func pullOptions(c call) (image.PullOptions, error) {
	f := c.flags
	o := image.PullOptions{
		OS: f.text("os"), Arch: f.text("arch"), Variant: f.text("variant"),
		AllTags: f.yes("all-tags"), AuthFile: f.text("authfile"), CertDir: f.text("cert-dir"),
		TLSVerify: f.tristate("tls-verify"), Retry: f.number("retry"), RetryDelay: f.duration("retry-delay"), DecryptionKeys: f.texts("decryption-key"),
	}
	switch o.Policy = image.Policy(f.text("policy")); o.Policy {
	case image.Always, image.Missing, image.Newer, image.Never:
	default:
		return o, fmt.Errorf("pull: --policy %s: use always, missing, newer or never", o.Policy)
	}
	if p := f.text("platform"); p != "" {
		if o.OS != "" || o.Arch != "" || o.Variant != "" {
			return o, errors.New("pull: --platform says the same as --os, --arch and --variant: give one or the others")
		}
		var err error
		if o, err = platform(o, p); err != nil {
			return o, err
		}
	}
	o, err := credentials(c, o)
	if err != nil {
		return o, fmt.Errorf("pull: %w", err)
	}
	return o, nil
}

func platform(o image.PullOptions, p string) (image.PullOptions, error) {
	parts := strings.Split(p, "/")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || parts[1] == "" {
		return o, fmt.Errorf("pull: --platform %s: write it as OS/ARCH or OS/ARCH/VARIANT", p)
	}
	o.OS, o.Arch = parts[0], parts[1]
	if len(parts) == 3 {
		o.Variant = parts[2]
	}
	return o, nil
}

func credentials(c call, o image.PullOptions) (image.PullOptions, error) {
	r, err := c.registry()
	o.User, o.Password = r.User, r.Password
	return o, err
}

// registry is what the flags say about talking to one. The password is asked for on a terminal when --creds has only the
// user.
func (c call) registry() (image.Registry, error) {
	r := image.Registry{AuthFile: c.flags.text("authfile"), CompatAuthFile: c.flags.text("compat-auth-file"), CertDir: c.flags.text("cert-dir"), TLSVerify: c.flags.tristate("tls-verify")}
	user, password, complete := strings.Cut(c.flags.text("creds"), ":")
	if user == "" && !complete {
		return r, nil
	}
	if user == "" {
		return r, errors.New("--creds: the user name before the colon is missing")
	}
	r.User, r.Password = user, password
	if complete {
		return r, nil
	}
	if !c.terminal() {
		return r, errors.New("--creds: write USER:PASSWORD, there is no terminal to ask for the password")
	}
	var err error
	r.Password, err = c.askPassword()
	return r, err
}

// terminal tells whether somebody can be asked.
func (c call) terminal() bool {
	in, ok := c.In.(*os.File)
	return ok && term.IsTerminal(int(in.Fd()))
}

func (c call) askPassword() (string, error) {
	fmt.Fprint(c.Err, "Password: ")
	typed, err := term.ReadPassword(int(c.In.(*os.File).Fd()))
	fmt.Fprintln(c.Err)
	return string(typed), err
}

func runLoad(ctx context.Context, c call) error {
	loaded, err := load(ctx, c)
	c.watch.end()
	for _, l := range loaded {
		tell("loadfromarchive", l.ID, strings.Join(l.Names, ","))
		for _, n := range l.Names {
			fmt.Fprintln(c.Out, "Loaded image:", n)
		}
		if len(l.Names) == 0 {
			fmt.Fprintln(c.Out, "Loaded image: sha256:"+l.ID)
		}
	}
	return err
}

func load(ctx context.Context, c call) ([]image.Loaded, error) {
	if file := c.flags.text("input"); file != "" && file != "-" {
		return c.images.Load(ctx, file)
	}
	if c.terminal() {
		return nil, fmt.Errorf("load: nothing to read: give %s load -i FILE, or the archive on standard input", program)
	}
	return c.images.LoadStream(ctx, c.In, "standard input")
}

func runImages(_ context.Context, c call) error {
	list, err := c.list()
	if err != nil {
		return fmt.Errorf("images: %w", err)
	}
	// What cannot be read are the layers of a whole store, of which one image tells.
	if i := slices.IndexFunc(list, func(s image.Summary) bool { return s.Unread != nil }); i >= 0 {
		fmt.Fprintln(c.Err, list[i].Unread)
	}
	return printImages(c.Out, list, listing{
		quiet: c.flags.yes("quiet"), full: c.flags.yes("no-trunc"), digests: c.flags.yes("digests"),
		bare: c.flags.yes("noheading"), history: c.flags.yes("history"), format: c.flags.text("format"), sort: c.flags.text("sort"),
	})
}

func (c call) list() ([]image.Summary, error) {
	filters := c.flags.texts("filter")
	if len(c.args) == 0 {
		return c.images.List(filters)
	}
	return c.images.ListNamed(c.args[0], filters)
}

func runInspect(_ context.Context, c call) error {
	var all []any
	var errs []error
	for _, name := range c.args {
		d, err := c.images.Inspect(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, d)
	}
	return errors.Join(append(errs, printInspected(c.Out, all, c.flags.text("format")))...)
}

func runExists(_ context.Context, c call) error {
	there, err := c.images.Exists(c.args[0])
	if err == nil && !there {
		return errQuiet
	}
	return err
}

func runTag(_ context.Context, c call) error {
	err := c.images.Tag(c.args[0], c.args[1:])
	if err == nil {
		tell("tag", "", strings.Join(c.args[1:], ","))
	}
	return err
}

func runUntag(_ context.Context, c call) error {
	err := c.images.Untag(c.args[0], c.args[1:])
	if err == nil {
		tell("untag", "", c.args[0])
	}
	return err
}

// removalMissing marks that every failure of a removal was an image that is not there.
type removalMissing struct{ error }

func (r removalMissing) Unwrap() error { return r.error }

func runRemove(_ context.Context, c call) error {
	if c.flags.yes("all") {
		return c.removeAll()
	}
	if len(c.args) == 0 {
		return errors.New("rmi: needs the name of an image, or --all")
	}
	o := image.RemoveOptions{Force: c.flags.yes("force"), Ignore: c.flags.yes("ignore")}
	return c.removeEach(func(name string) (image.Removed, error) { return c.images.Remove(name, o) })
}

// removeEach goes on after errors.
func (c call) removeEach(remove func(name string) (image.Removed, error)) error {
	var errs []error
	missing := true
	for _, name := range c.args {
		r, err := remove(name)
		if err != nil {
			errs = append(errs, err)
			missing = missing && errors.Is(err, image.ErrMissing)
		}
		printRemoved(c.Out, r)
	}
	if err := errors.Join(errs...); err != nil && missing {
		return removalMissing{err}
	}
	return errors.Join(errs...)
}

func (c call) removeAll() error {
	if len(c.args) > 0 {
		return errors.New("rmi: --all takes no names")
	}
	all, err := c.images.RemoveAll()
	for _, r := range all {
		printRemoved(c.Out, r)
	}
	return err
}

func printRemoved(w io.Writer, r image.Removed) {
	for _, n := range r.Untagged {
		tell("untag", "", n)
		fmt.Fprintln(w, "Untagged:", n)
	}
	if r.Deleted != "" {
		tell("remove", r.Deleted, strings.Join(r.Untagged, ","))
		fmt.Fprintln(w, "Deleted:", r.Deleted)
	}
}
