package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/generator"
	"github.com/berth-pods/berth/generator/sources"
	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

type lintOptions struct {
	format, target string
	user, strict   bool
}

func (o *lintOptions) flags(set *pflag.FlagSet) {
	set.StringVar(&o.format, "format", "text", "`FORM` of the output: text or json")
	set.BoolVar(&o.strict, "strict", false, "exit with 1 for warnings too")
	set.StringVar(&o.target, "target", "", "report keys and kinds that are newer than this `RELEASE`: podman-5.4")
	userFlag(set, &o.user)
}

// The exit statuses of lint and generate beside 0.
const (
	statusFindings = 1
	statusUsage    = 2
)

func lintVerb() Verb {
	var o lintOptions
	return Verb{
		Name: "lint", Usage: "[OPTION…] [FILE|DIR…]", Summary: "check unit files",
		Text: `Prints everything that is wrong with unit files as PATH:LINE: MESSAGE; HINT. Without FILE or DIR these are the files
that the generator reads. A DIR is checked, with the directories below it, as if it were the only unit directory; a FILE
together with the other files of its directory, of which nothing is reported. Values of options, those in PodmanArgs= too, are looked at
as the start does, as far as that takes neither the image nor the machine.

Exit status: 0 when there are no errors, 1 when there are (with --strict, warnings count too), 2 when a file or directory
cannot be read or the command line is wrong.`,
		Flags: o.flags, Run: runLint,
	}
}

func runLint(_ context.Context, env *Env, args []string) error {
	var o lintOptions
	set := newFlagSet("lint")
	o.flags(set)
	target, err := o.parse(set, args)
	if err != nil {
		return usageError(err)
	}
	if set.NArg() == 0 {
		warnSearch(env, forUser(set, o.user))
	}
	sets, err := lintSets(set.Args(), forUser(set, o.user))
	if err != nil {
		return &ExitError{Code: statusUsage, Err: err}
	}
	var findings []units.Finding
	files := 0
	for _, s := range sets {
		findings = append(findings, s.lint(target)...)
		files += s.checked()
	}
	if err := printFindings(env, o.format, findings, files); err != nil {
		return err
	}
	if units.HasErrors(findings) || o.strict && len(findings) > 0 {
		return &ExitError{Code: statusFindings}
	}
	return nil
}

func (o *lintOptions) parse(set *pflag.FlagSet, args []string) (release, error) {
	if err := set.Parse(args); err != nil {
		return release{}, err
	}
	if o.format != "text" && o.format != "json" {
		return release{}, fmt.Errorf("format %q is neither text nor json", o.format)
	}
	if o.target == "" {
		return release{}, nil
	}
	version, ok := strings.CutPrefix(o.target, "podman-")
	target, err := parseRelease(version)
	if !ok || err != nil {
		return release{}, fmt.Errorf("target %q is not of the form podman-5.4", o.target)
	}
	return target, nil
}

// usageError gives wrong usage its exit status. --help is not wrong.
func usageError(err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	return &ExitError{Code: statusUsage, Err: err}
}

// lintSet is what one run of the generator sees, and what is reported of it.
type lintSet struct {
	cfg   generator.Config
	files generator.Set
	// root and shown: findings name paths as the caller wrote them.
	root, shown string
	// only, when not nil, are the paths that are reported.
	only map[string]string
	// trees are directories of which an earlier one may well hide files of a later one, but none its own.
	trees []string
}

// lintSets makes a set of the search directories, of each directory named, and of the files of each directory.
func lintSets(args []string, user bool) ([]*lintSet, error) {
	cfg := sources.Config(os.Getenv, user, len(args) == 0)
	cfg.DeviceExists = nil
	if len(args) == 0 {
		files, err := readUnits(user)
		return []*lintSet{{cfg: cfg, files: files, trees: searchUnits(user).Paths}}, err
	}
	var sets []*lintSet
	byDir := map[string]*lintSet{}
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, err
		}
		path, err := foundPath(arg)
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			s := &lintSet{cfg: cfg, root: path, shown: arg, trees: []string{path}}
			if s.files, err = readSearches(oneDir(path, true)); err != nil {
				return nil, err
			}
			sets = append(sets, s)
			continue
		}
		dir := contextDir(path)
		if dir == "" {
			return nil, notUnitFile(arg)
		}
		if source := sources.ReadFile(path); source.Problem != "" {
			return nil, fmt.Errorf("%s %s", arg, source.Problem)
		}
		if byDir[dir] == nil {
			s := &lintSet{cfg: cfg, only: map[string]string{}}
			if s.files, err = readContext(dir, user); err != nil {
				return nil, err
			}
			byDir[dir], sets = s, append(sets, s)
		}
		byDir[dir].only[path] = arg
	}
	return sets, nil
}

// contextDir is the unit directory that a unit file or drop-in belongs to; "" when the path is of neither.
func contextDir(path string) string {
	dir := filepath.Dir(path)
	if strings.HasSuffix(path, ".conf") && dropinKind(filepath.Base(dir)) != 0 {
		return filepath.Dir(dir)
	}
	if !isUnitFile(path) {
		return ""
	}
	return dir
}

func extensions() string {
	var list []string
	for _, k := range units.Kinds {
		list = append(list, k.Extension())
	}
	return strings.Join(list, " ")
}

// readContext reads the directory, and when it is one that the generator searches, the others too.
func readContext(dir string, user bool) (generator.Set, error) {
	search := searchUnits(user)
	for _, path := range search.Paths {
		if resolved, err := filepath.EvalSymlinks(path); err == nil && (dir == resolved || strings.HasPrefix(dir, resolved+"/")) {
			return readSearches(oneDir(dir, false), search)
		}
	}
	return readSearches(oneDir(dir, false))
}

// checked is the number of files that are reported on.
func (s *lintSet) checked() int {
	if s.only != nil {
		return len(s.only)
	}
	n := len(s.files.Files)
	for _, list := range s.files.Dropins {
		n += len(list)
	}
	return n
}

// lint returns the findings of the generator, of files that are hidden by others or cannot be run, and those about the target release.
func (s *lintSet) lint(target release) []units.Finding {
	all := generator.Findings(s.cfg, s.files)
	all = append(append(all, s.hidden(s.files.Files)...), wrongValues(s.files)...)
	all = append(all, unrunnable(s.files)...)
	if target != (release{}) {
		all = append(all, newerThan(target, s.files)...)
	}
	units.SortFindings(all)
	return s.reported(all)
}

// reported leaves out what was not asked for, and what a drop-in of several units says several times.
func (s *lintSet) reported(all []units.Finding) []units.Finding {
	var list []units.Finding
	type key struct {
		at      unitfile.Pos
		message string
	}
	said := map[key]bool{}
	for _, f := range all {
		k := key{f.At, f.Message}
		_, wanted := s.only[f.At.Path]
		if said[k] || s.only != nil && !wanted {
			continue
		}
		said[k] = true
		f.At.Path = s.show(f.At.Path)
		list = append(list, f)
	}
	return list
}

// show is the path as the caller would write it.
func (s *lintSet) show(path string) string {
	if shown, ok := s.only[path]; ok {
		return shown
	}
	if rest, ok := strings.CutPrefix(path, s.root+"/"); ok && s.root != "" {
		return filepath.Join(s.shown, rest)
	}
	return path
}

// tree is the directory searched in which the path was found.
func (s *lintSet) tree(path string) string {
	for _, tree := range s.trees {
		if resolved, err := filepath.EvalSymlinks(tree); err == nil && strings.HasPrefix(path, resolved+"/") {
			return resolved
		}
	}
	return ""
}

// hidden finds the files whose name another file of the same tree has that is found first: the generator reads only that
// one. A link to /dev/null hides on purpose, and so does a file in a directory that is searched before.
func (s *lintSet) hidden(files []generator.Source) (findings []units.Finding) {
	first := map[string]generator.Source{}
	for _, file := range files {
		for _, p := range partsOf(file) {
			by, taken := first[p.name]
			if !taken {
				first[p.name] = file
				continue
			}
			if by.Masked || s.tree(by.Path) != s.tree(file.Path) {
				continue
			}
			findings = append(findings, units.Finding{
				At: partPos(file, p), Severity: units.Warning, Message: p.name + " is hidden by a file of the same name: " + s.show(by.Path),
			})
			for _, f := range units.Check(filepath.Join(filepath.Dir(file.Path), p.name), p.text) {
				f.At.Path, f.At.Line = file.Path, f.At.Line+int32(p.skipped)
				findings = append(findings, f)
			}
		}
	}
	return findings
}

// partsOf is a file, or what is in a bundle; mistakes of bundles are the generator's to report.
func partsOf(s generator.Source) []bundled {
	if strings.HasSuffix(s.Name, units.BundleExtension) {
		parts, _ := splitBundle(s.Text)
		return parts
	}
	return []bundled{{name: s.Name, text: s.Text}}
}

func partPos(s generator.Source, p bundled) unitfile.Pos {
	pos := unitfile.Pos{Path: s.Path}
	if p.skipped > 0 {
		pos.Line = int32(p.skipped + 1)
	}
	return pos
}

// lintEntry is a finding in JSON.
type lintEntry struct {
	Path     string `json:"path"`
	Line     int32  `json:"line,omitempty"`
	Column   int32  `json:"column,omitempty"`
	Severity string `json:"severity"`
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
}

func printFindings(env *Env, format string, findings []units.Finding, files int) error {
	if format == "json" {
		entries := make([]lintEntry, 0, len(findings))
		for _, f := range findings {
			entries = append(entries, lintEntry{f.At.Path, f.At.Line, f.At.Col, f.Severity.String(), f.Message, f.Hint})
		}
		return printJSON(env.Out, entries)
	}
	if err := writeFindings(env.Out, findings); err != nil {
		return err
	}
	errs := 0
	for _, f := range findings {
		if f.Severity == units.Error {
			errs++
		}
	}
	switch {
	case files == 0:
		fmt.Fprintln(env.Err, "no unit files found")
	case len(findings) > 0:
		fmt.Fprintf(env.Err, "%s and %s in %s\n", count(errs, "error"), count(len(findings)-errs, "warning"), count(files, "file"))
	}
	return nil
}

// writeFindings prints a line each. What a file quotes must not steer the terminal.
func writeFindings(w io.Writer, findings []units.Finding) error {
	for _, f := range findings {
		if _, err := fmt.Fprintln(w, printable(f.String())); err != nil {
			return err
		}
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
