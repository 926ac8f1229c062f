package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/units/unitfile"
)

// pinFile is the drop-in that `berth pin` writes.
const pinFile = "50-berth-pin.conf"

type pinOptions struct{ digest string }

func (o *pinOptions) flags(set *pflag.FlagSet) {
	set.StringVar(&o.digest, "digest", "", "`DIGEST` to pin to (sha256:…), instead of that of the image in the store")
}

func pinVerb() Verb {
	var o pinOptions
	return Verb{
		Name: "pin", Usage: "[OPTION…] UNIT…", Summary: "make a unit use its image by digest",
		Text: `UNIT is the name of a .container file, with or without the ending. The digest of the image that the store has under the name in
Image= is written into the drop-in NAME.container.d/50-berth-pin.conf beside the administrator's unit files, or the user's, and
the manager reloads its units. The next start uses exactly this image, wherever the tag has moved; auto-update leaves it alone.`,
		Flags: o.flags, Run: runPin,
	}
}

func runPin(ctx context.Context, env *Env, args []string) error {
	var o pinOptions
	set := newFlagSet("pin")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() == 0 {
		return errors.New("name a unit")
	}
	if o.digest != "" && set.NArg() > 1 {
		return errors.New("--digest is for one unit")
	}
	var errs []error
	for _, name := range set.Args() {
		errs = append(errs, pin(ctx, env, name, o.digest))
	}
	return errors.Join(append(errs, reloadAfterPin(ctx, env))...)
}

func pin(ctx context.Context, env *Env, name, digest string) error {
	file, image, err := containerImage(name)
	if err != nil {
		return fmt.Errorf("pin %s: %w", name, err)
	}
	h := updateHost{env: env}
	if digest == "" {
		l, err := h.Local(ctx, image)
		if err != nil {
			return fmt.Errorf("pin %s: %w", name, err)
		}
		digest = l.Digests[0]
	}
	if !strings.HasPrefix(digest, "sha256:") || len(digest) != len("sha256:")+64 || strings.Trim(digest[7:], "0123456789abcdef") != "" {
		return fmt.Errorf("pin %s: %q is no digest (sha256: and 64 hexadecimal digits)", name, digest)
	}
	path, err := pinPath(file)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("pin %s: %w", name, err)
	}
	text := fmt.Sprintf("# Written by `berth pin %s`; `berth unpin %[1]s` takes it away.\n[Container]\nImage=%s@%s\n", strings.TrimSuffix(file, ".container"), withoutTag(image), digest)
	if err := atomicfile.Write(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("pin %s: %w", name, err)
	}
	fmt.Fprintln(env.Out, path)
	return nil
}

// containerImage finds a .container file and the image that it names, without the pin that it may have.
func containerImage(name string) (file, image string, err error) {
	file = strings.TrimSuffix(strings.TrimSuffix(name, ".service"), ".container") + ".container"
	set, err := readUnits(rootlessMode())
	if err != nil {
		return "", "", err
	}
	for _, f := range set.Files {
		if filepath.Base(f.Path) == file {
			image, err := imageOf(f.Path, f.Text)
			return file, image, err
		}
	}
	return "", "", fmt.Errorf("there is no %s in %s", file, strings.Join(searchUnits(rootlessMode()).Paths, ", "))
}

// imageOf reads Image= of the file itself; drop-ins, of which a pin is one, do not count.
func imageOf(path, text string) (string, error) {
	f, _ := unitfile.Parse(path, text)
	s := f.Section("Container")
	if s == nil || s.Value("Image") == "" {
		return "", fmt.Errorf("%s has no Image= in [Container]", path)
	}
	image := s.Value("Image")
	if strings.HasSuffix(image, ".image") || strings.HasSuffix(image, ".build") || strings.ContainsAny(image, "%$") {
		return "", fmt.Errorf("%s: Image=%s is no name with a digest of its own: pin works on names of images", path, image)
	}
	return image, nil
}

// pinPath is where the drop-in of a unit goes.
func pinPath(file string) (string, error) {
	dir, err := installDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, file+".d", pinFile), nil
}

// withoutTag takes tag and digest off a name.
func withoutTag(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		return image[:i]
	}
	return image
}

func unpinVerb() Verb {
	return Verb{
		Name: "unpin", Usage: "UNIT…", Summary: "let a unit use its image by name again",
		Text: "Takes away what `berth pin` has written.",
		Run:  runUnpin,
	}
}

func runUnpin(ctx context.Context, env *Env, args []string) error {
	set := newFlagSet("unpin")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() == 0 {
		return errors.New("name a unit")
	}
	var errs []error
	for _, name := range set.Args() {
		path, err := pinPath(strings.TrimSuffix(strings.TrimSuffix(name, ".service"), ".container") + ".container")
		if err == nil {
			err = os.Remove(path)
		}
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("unpin %s: it is not pinned", name)
		}
		if err == nil {
			_ = os.Remove(filepath.Dir(path)) // unless there are other drop-ins
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, reloadAfterPin(ctx, env))...)
}

// reloadAfterPin makes systemd run the generators again, where it runs.
func reloadAfterPin(ctx context.Context, env *Env) error {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return nil
	}
	return daemonReload(ctx, env)
}
