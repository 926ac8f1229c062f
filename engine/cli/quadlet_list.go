package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/generator"
	"github.com/berth-pods/berth/generator/sources"
	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

type quadletListOptions struct {
	format    string
	filters   []string
	noHeading bool
}

func (o *quadletListOptions) flags(set *pflag.FlagSet) {
	set.StringVar(&o.format, "format", "table", "`FORM` of the output: table, json, or a text with {{.Name}}, {{.UnitName}}, {{.Path}}, {{.Status}}, {{.App}} and {{.Pod}}")
	set.StringArrayVarP(&o.filters, "filter", "f", nil, "list files that match only: `KEY=REGEXP`, where KEY is name, status or pod; one match for each key is enough")
	set.BoolVarP(&o.noHeading, "noheading", "n", false, "leave the heading of the table out")
}

func quadletListVerb() Verb {
	var o quadletListOptions
	return Verb{
		Name: "quadlet list", Aliases: []string{"ls"}, Usage: "[OPTION…]", Summary: "list installed unit files",
		Text: `Lists the files of all directories that the generator reads, with what systemd says of their units. The status of a
file with errors is the first of them.`,
		Flags: o.flags, Run: runQuadletList,
	}
}

func runQuadletList(ctx context.Context, env *Env, args []string) error {
	var o quadletListOptions
	set := newFlagSet("quadlet list")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return fmt.Errorf("%q: no arguments are expected; --filter name=%s", set.Arg(0), set.Arg(0))
	}
	filter, err := parseQuadletFilters(o.filters)
	if err != nil {
		return err
	}
	warnSearch(env, rootlessMode())
	list, err := surveyUnits(rootlessMode())
	if err != nil {
		return err
	}
	if err := addStates(ctx, env, list); err != nil {
		fmt.Fprintf(env.Err, "systemd cannot be asked: %v\n", err)
	}
	if err := addApplications(list); err != nil {
		return err
	}
	kept := []quadletEntry{}
	for _, e := range list {
		if filter.match(e) {
			kept = append(kept, e)
		}
	}
	return printQuadlets(env.Out, kept, o)
}

// quadletEntry is a unit file as it is listed, with the names of Podman's JSON.
type quadletEntry struct {
	Name     string
	UnitName string
	Path     string
	Status   string
	App      string
	Pod      string

	problem bool // the status is what is wrong with the file
}

// masked is the status of a link to /dev/null, which is there to hide another file.
const masked = "Masked"

// surveyUnits lists the files of directories and the names of their units. A part of a bundle is listed as BUNDLE#PART.
func surveyUnits(user bool) ([]quadletEntry, error) {
	files, err := readUnits(user)
	if err != nil {
		return nil, err
	}
	var list []quadletEntry
	at := map[string]int{}
	first := map[string]string{}
	set := generator.Set{Dropins: files.Dropins}
	for _, s := range takeBundlesApart(files.Files) {
		e := quadletEntry{Name: s.Name, Path: s.Path}
		if path, taken := first[s.Name]; taken {
			e.Status, e.problem = "Hidden by "+path, true
		} else {
			first[s.Name] = s.Path
			at[s.Path] = len(list)
			set.Files = append(set.Files, s)
		}
		if s.Masked {
			e.Status, e.problem = masked, true
		}
		list = append(list, e)
	}
	cfg := sources.Config(os.Getenv, user, true)
	generator.Generate(cfg, set, func(out *generator.Output) {
		e := &list[at[out.Source]]
		e.UnitName = out.Name
		e.Pod = podOf(out)
		for _, f := range out.Findings {
			if f.Severity == units.Error || out.Name == "" {
				e.Status, e.problem = f.String(), true
				break
			}
		}
	})
	sort.SliceStable(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list, nil
}

func takeBundlesApart(files []generator.Source) (list []generator.Source) {
	for _, s := range files {
		parts := partsOf(s)
		if len(parts) == 0 || parts[0].name == s.Name {
			if units.KindOf(s.Name) != 0 {
				list = append(list, s)
			}
			continue
		}
		for _, p := range parts {
			list = append(list, generator.Source{Name: p.name, Path: s.Path + "#" + p.name, Text: p.text, Skipped: p.skipped})
		}
	}
	return list
}

// podOf reads Pod= out of the unit, where the drop-ins are merged.
func podOf(out *generator.Output) string {
	if out.Stub || units.KindOf(out.Source) != units.KindContainer {
		return ""
	}
	file, _ := unitfile.Parse(out.Name, string(out.Text))
	if section := file.Section("X-Container"); section != nil {
		return section.Value("Pod")
	}
	return ""
}

// addStates asks systemd about the units of files without errors.
func addStates(ctx context.Context, env *Env, list []quadletEntry) error {
	var names []string
	for _, e := range list {
		if !e.problem && e.UnitName != "" && !isTemplate(e.UnitName) {
			names = append(names, e.UnitName)
		}
	}
	states, err := unitStates(ctx, env, names)
	for i := range list {
		e := &list[i]
		switch {
		case e.problem:
		case isTemplate(e.UnitName):
			e.Status = "Template"
		case err != nil:
			e.Status = "Unknown"
		default:
			e.Status = states[e.UnitName].String()
		}
	}
	return err
}

func addApplications(list []quadletEntry) error {
	byDir := map[string][]application{}
	for i := range list {
		dir, file := filepath.Split(list[i].Path)
		apps, read := byDir[dir]
		if !read {
			var err error
			if apps, err = readApplications(dir); err != nil {
				return err
			}
			byDir[dir] = apps
		}
		if app := owner(apps, file); app != nil {
			list[i].App = app.name()
		}
	}
	return nil
}

// quadletFilters: expressions of one key are alternatives, keys must all match.
type quadletFilters map[string][]*regexp.Regexp

func parseQuadletFilters(words []string) (quadletFilters, error) {
	filters := quadletFilters{}
	for _, word := range words {
		key, expression, ok := strings.Cut(word, "=")
		if !ok || key != "name" && key != "status" && key != "pod" {
			return nil, fmt.Errorf("filter %q is not of the form name=REGEXP, status=REGEXP or pod=REGEXP", word)
		}
		re, err := regexp.Compile(expression)
		if err != nil {
			return nil, fmt.Errorf("filter %q: %w", word, err)
		}
		filters[key] = append(filters[key], re)
	}
	return filters, nil
}

func (f quadletFilters) match(e quadletEntry) bool {
	return matchAny(f["name"], e.Name) && matchAny(f["status"], e.Status) && matchAny(f["pod"], e.Pod)
}

func matchAny(list []*regexp.Regexp, s string) bool {
	for _, re := range list {
		if re.MatchString(s) {
			return true
		}
	}
	return len(list) == 0
}

func printQuadlets(w io.Writer, list []quadletEntry, o quadletListOptions) error {
	switch {
	case o.format == "json":
		return printJSON(w, list)
	case o.format == "table":
		return quadletTable(w, list, o.noHeading)
	case !strings.Contains(o.format, "{{"):
		return fmt.Errorf("format %q is neither table nor json nor a text with {{.Name}}", o.format)
	}
	if strings.Contains(quadletEntry{}.fill(o.format), "{{") {
		return fmt.Errorf("format %q: known fields are {{.Name}}, {{.UnitName}}, {{.Path}}, {{.Status}}, {{.App}} and {{.Pod}}", o.format)
	}
	for _, e := range list {
		fmt.Fprintln(w, e.fill(o.format))
	}
	return nil
}

// fill puts fields into a text. The template language of Go would cost every command half a millisecond.
func (e quadletEntry) fill(format string) string {
	return strings.NewReplacer(
		"{{.Name}}", e.Name, "{{.UnitName}}", e.UnitName, "{{.Path}}", e.Path,
		"{{.Status}}", e.Status, "{{.App}}", e.App, "{{.Pod}}", e.Pod, `\t`, "\t", `\n`, "\n",
	).Replace(strings.NewReplacer("{{ ", "{{", " }}", "}}").Replace(format))
}

func quadletTable(w io.Writer, list []quadletEntry, noHeading bool) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if !noHeading {
		fmt.Fprintln(table, "NAME\tUNIT NAME\tPATH ON DISK\tSTATUS\tAPPLICATION\tPOD")
	}
	for _, e := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", printable(e.Name), e.UnitName, printable(e.Path), printable(e.Status), printable(e.App), printable(e.Pod))
	}
	return table.Flush()
}
