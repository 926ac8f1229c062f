package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/generator"
	"github.com/berth-pods/berth/generator/sources"
	"github.com/berth-pods/berth/units"
)

type quadletInstallOptions struct{ replace, reload bool }

func (o *quadletInstallOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.replace, "replace", "r", false, "take the place of files of the same name")
	reloadFlag(set, &o.reload)
}

func quadletInstallVerb() Verb {
	var o quadletInstallOptions
	return Verb{
		Name: "quadlet install", Usage: "[OPTION…] PATH|URL [FILE|URL…]", Summary: "install unit files",
		Text: `Installs a unit file, a bundle of them (.quadlets), or all files of a directory, into /etc/containers/systemd, or as a
user into ~/.config/containers/systemd. Further files, of any kind, go with it: what is installed by one command is an
application, and is removed as one. A bundle is taken apart.

All files are fetched and checked, as by berth-lint(1) and together with what is installed already, before the first one
is written. Either all of them are installed or none. The paths are printed.`,
		Flags: o.flags, Run: runQuadletInstall,
	}
}

func runQuadletInstall(ctx context.Context, env *Env, args []string) error {
	var o quadletInstallOptions
	set := newFlagSet("quadlet install")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() == 0 {
		return errors.New("no unit file is named")
	}
	dir, err := installDir()
	if err != nil {
		return err
	}
	in, err := gather(ctx, env, set.Args())
	if err != nil {
		return err
	}
	findings, err := in.check(rootlessMode(), dir)
	if err != nil {
		return err
	}
	if err := writeFindings(env.Err, findings); err != nil {
		return err
	}
	if units.HasErrors(findings) {
		return errors.New("nothing is installed: the files have errors")
	}
	if err := in.write(dir, o.replace); err != nil {
		return fmt.Errorf("nothing is installed: %w", err)
	}
	for _, f := range in.files {
		fmt.Fprintln(env.Out, filepath.Join(dir, f.name))
	}
	if !o.reload {
		return nil
	}
	return daemonReload(ctx, env)
}

// installFile is a file to be installed.
type installFile struct {
	name string
	from string // path or address, for messages
	text []byte
	mode os.FileMode
	part bundled // of a bundle
}

// installation is what one command installs.
type installation struct {
	files []installFile
	app   string // name of the application; empty for a single file
	total int
}

// The bounds of an installation: the size of a file that is no unit file and of all files, in bytes, and their number.
const (
	maxAssetSize   = 16 << 20
	maxInstallSize = 64 << 20
	maxInstalled   = 1000
)

// gather reads all that the words name. The first of them says what kind of installation it is.
func gather(ctx context.Context, env *Env, words []string) (*installation, error) {
	in := &installation{}
	for i, word := range words {
		first := len(in.files)
		name, err := in.add(ctx, env, word, i == 0)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			continue
		}
		switch {
		case strings.HasSuffix(name, units.BundleExtension):
			in.app = strings.TrimSuffix(name, units.BundleExtension)
		case units.KindOf(name) == 0 && len(in.files) > first && name == in.files[first].name:
			return nil, notUnitFile(word)
		case units.KindOf(name) == 0 || len(words) > 1:
			in.app = name
		}
	}
	if !slices.ContainsFunc(in.files, func(f installFile) bool { return units.KindOf(f.name) != 0 }) {
		return nil, fmt.Errorf("%s has no unit file", words[0])
	}
	if in.app != "" {
		return in, checkFileName(in.app)
	}
	return in, nil
}

// add takes in what a word names, and returns its name.
func (in *installation) add(ctx context.Context, env *Env, word string, first bool) (string, error) {
	if isURL(word) {
		f, err := fetchFile(ctx, env, word)
		if err != nil {
			return "", err
		}
		return f.name, in.take(f)
	}
	path, err := filepath.Abs(word)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return filepath.Base(path), in.read(path, word)
	}
	if !first {
		return "", fmt.Errorf("%s is a directory: only the first argument may be one", word)
	}
	return filepath.Base(path), in.readDir(path, word)
}

func (in *installation) readDir(path, word string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		at := filepath.Join(path, e.Name())
		info, err := os.Stat(at)
		switch {
		case err != nil:
			errs = append(errs, err)
		case !info.IsDir():
			errs = append(errs, in.read(at, filepath.Join(word, e.Name())))
		case !strings.HasPrefix(e.Name(), "."):
			errs = append(errs, fmt.Errorf("%s is a directory in the directory: move its files up, or install them on their own", filepath.Join(word, e.Name())))
		}
	}
	return errors.Join(errs...)
}

func (in *installation) read(path, word string) error {
	limit := int64(maxAssetSize)
	if isUnitFile(path) {
		limit = maxUnitSize
	}
	text, mode, err := readRegular(path, limit)
	if err != nil {
		return fmt.Errorf("read %s: %w", word, err)
	}
	return in.take(installFile{name: filepath.Base(path), from: word, text: text, mode: mode.Perm()&^0o022 | 0o600})
}

// take adds a file, or the files of a bundle.
func (in *installation) take(f installFile) error {
	if err := checkFileName(f.name); err != nil {
		return fmt.Errorf("install %s: %w", f.from, err)
	}
	if isUnitFile(f.name) && len(f.text) > maxUnitSize {
		return fmt.Errorf("%s is larger than %d bytes", f.from, maxUnitSize)
	}
	files := []installFile{f}
	if strings.HasSuffix(f.name, units.BundleExtension) {
		parts, err := splitBundle(string(f.text))
		if err != nil {
			return fmt.Errorf("take %s apart: %w", f.from, err)
		}
		files = nil
		for _, p := range parts {
			files = append(files, installFile{name: p.name, from: f.from, text: []byte(strings.TrimSpace(p.text) + "\n"), mode: 0o644, part: p})
		}
	}
	for _, f := range files {
		if other := in.find(f.name); other != nil {
			return fmt.Errorf("%s and %s would both be installed as %s", other.from, f.from, f.name)
		}
		in.files = append(in.files, f)
		in.total += len(f.text)
	}
	if in.total > maxInstallSize || len(in.files) > maxInstalled {
		return fmt.Errorf("install at most %d files of %d MiB in all", maxInstalled, maxInstallSize>>20)
	}
	return nil
}

func (in *installation) find(name string) *installFile {
	for i := range in.files {
		if in.files[i].name == name {
			return &in.files[i]
		}
	}
	return nil
}

func isURL(word string) bool {
	return strings.HasPrefix(word, "http://") || strings.HasPrefix(word, "https://")
}

// withoutPassword is an address as it may be shown.
func withoutPassword(address string) string {
	scheme, rest, _ := strings.Cut(address, "//")
	host, path, slash := strings.Cut(rest, "/")
	address = scheme + "//" + host[strings.LastIndexByte(host, '@')+1:]
	if slash {
		address += "/" + path
	}
	return address
}

// fetchFile lets berth-fetch get a file, within its bounds of time and size. It prints the name, a line feed, the content.
func fetchFile(ctx context.Context, env *Env, address string) (installFile, error) {
	out, err := env.Run(ctx, proc.Command{Path: helper("berth-fetch"), Args: []string{address}})
	if err != nil {
		var exit *proc.ExitError
		if errors.As(err, &exit) && exit.Stderr != "" {
			err = errors.New(strings.TrimSpace(exit.Stderr))
		}
		return installFile{}, err
	}
	name, text, ok := bytes.Cut(out, []byte("\n"))
	if !ok {
		return installFile{}, fmt.Errorf("fetch %s: berth-fetch has printed no name", withoutPassword(address))
	}
	return installFile{name: string(name), from: withoutPassword(address), text: text, mode: 0o644}, nil
}

// check runs the generator over the new files and those that are installed, and returns what it finds in the new ones.
func (in *installation) check(user bool, dir string) (findings []units.Finding, err error) {
	set := generator.Set{}
	shown := map[string]string{}
	for _, f := range in.files {
		if units.KindOf(f.name) == 0 {
			continue
		}
		s := generator.Source{Name: f.name, Path: filepath.Join(dir, f.name), Text: string(f.text)}
		if f.part.name != "" {
			s.Text, s.Skipped = f.part.text, f.part.skipped
		}
		set.Files = append(set.Files, s)
		shown[s.Path] = f.from
	}
	installed, err := readUnits(user)
	if err != nil {
		return nil, err
	}
	set.Dropins = installed.Dropins
	set.Files = append(set.Files, installed.Files...)
	cfg := sources.Config(os.Getenv, user, true)
	generator.Generate(cfg, set, func(out *generator.Output) {
		from, isNew := shown[out.Source]
		for _, f := range out.Findings {
			if !isNew {
				continue
			}
			if f.At.Path == out.Source {
				f.At.Path = from
			}
			findings = append(findings, f)
		}
	})
	units.SortFindings(findings)
	return findings, nil
}

// write installs all files or none.
func (in *installation) write(dir string, replace bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	apps, err := readApplications(dir)
	if err != nil {
		return err
	}
	stale, err := in.claim(apps, replace)
	if err != nil {
		return err
	}
	tx := newTransaction(dir, replace)
	defer tx.close()
	if in.app != "" {
		// The list goes first: whatever else is there after a power cut, it says what belongs together.
		var list strings.Builder
		for _, f := range in.files {
			list.WriteString(f.name + "\n")
		}
		err = tx.put(in.list(), []byte(list.String()), 0o644)
	}
	for _, f := range in.files {
		if err == nil {
			err = tx.put(f.name, f.text, f.mode)
		}
	}
	for _, name := range stale {
		if err == nil {
			err = tx.remove(name)
		}
	}
	if err != nil {
		return err
	}
	return tx.commit()
}

func (in *installation) list() string { return "." + in.app + ".app" }

// claim sees that no file is taken from another application, and returns the files that the application had and has no
// more.
func (in *installation) claim(apps []application, replace bool) (stale []string, err error) {
	if in.app == "" {
		return nil, nil // a single file is replaced where it belongs
	}
	for _, f := range in.files {
		if a := owner(apps, f.name); a != nil && a.list != in.list() {
			return nil, fmt.Errorf("%s belongs to the application %s; `berth quadlet rm %s` removes that", f.name, a.name(), a.list)
		}
	}
	for _, a := range apps {
		if a.list != in.list() || !replace {
			continue
		}
		for _, name := range a.members {
			if in.find(name) == nil {
				stale = append(stale, name)
			}
		}
	}
	return stale, nil
}
