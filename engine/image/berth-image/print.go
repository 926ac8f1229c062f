//go:build containers_image_openpgp

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"text/template"
	"time"
	"unicode"

	units "github.com/docker/go-units"

	"github.com/berth-pods/berth/engine/image"
	"github.com/berth-pods/berth/engine/tty"
)

// A listing says how the verb images prints.
type listing struct {
	quiet, full, digests, bare bool
	history                    bool
	format, sort               string
}

// A row is one name of one image; its fields are those of Go templates, with Docker's spellings beside Podman's.
type row struct {
	ID, Id, Repository, Tag, Digest string
	Size, CreatedSince, CreatedAt   string
	Created, CreatedTime            string
	VirtualSize, SharedSize         int64
	ParentId, Arch, Os              string
	History                         string
	Names, RepoTags, RepoDigests    []string
	Labels                          map[string]string
	Containers                      int
	Dangling, IsDangling            bool
	ReadOnly, IsReadOnly            bool
	IsManifestList                  bool

	created time.Time
	size    int64
	history []string
}

// MarshalJSON has Podman's names and values of {{json .}}, with those of templates beside.
func (r row) MarshalJSON() ([]byte, error) {
	type plain row
	return json.Marshal(struct {
		plain
		Repository string `json:"Repository"`
		Tag        string `json:"Tag"`
		Podmans    string `json:"repository"`
		PodmansTag string `json:"tag"`
		Created    int64
		Size       int64
		History    []string
	}{plain(r), r.Repository, r.Tag, r.Repository, r.Tag, r.created.Unix(), r.size, r.history})
}

const none = "<none>"

func printImages(w io.Writer, all []image.Summary, l listing) error {
	if l.format == "json" {
		return printJSON(w, jsonList(all))
	}
	rows, err := sorted(rows(all, l.full), l.sort)
	if err != nil {
		return err
	}
	if l.quiet {
		printIDs(w, rows)
		return nil
	}
	if l.format != "" {
		return printTemplate(w, rows, l)
	}
	l.format = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
	if l.digests {
		l.format = strings.Replace(l.format, "\t{{.ID}}", "\t{{.Digest}}\t{{.ID}}", 1)
	}
	if l.history {
		l.format += "\t{{.History}}"
	}
	return printTemplate(w, rows, l)
}

func rows(all []image.Summary, full bool) []row {
	var rows []row
	for _, s := range all {
		r := row{
			Digest: s.Digest, Names: s.Names, RepoTags: s.Names, RepoDigests: s.Digests, Labels: s.Labels, Containers: s.Containers,
			Size: sizeOf(s.Size), History: orNone(strings.Join(s.History, ", ")), Arch: s.Arch, Os: s.OS, VirtualSize: s.Size, CreatedAt: s.Created.UTC().Format("2006-01-02 15:04:05 -0700 MST"),
			CreatedSince: units.HumanDuration(time.Since(s.Created)) + " ago",
			Dangling:     s.Dangling, IsDangling: s.Dangling, ReadOnly: s.ReadOnly, IsReadOnly: s.ReadOnly,
			IsManifestList: s.IsList, created: s.Created, size: s.Size, history: s.History, Repository: none, Tag: none,
		}
		r.ID = shortID(s.ID, full)
		r.Id, r.Created, r.CreatedTime = s.ID, r.CreatedSince, r.CreatedAt
		if len(s.Names) == 0 {
			rows = append(rows, r)
		}
		for _, n := range s.Names {
			r.Repository, r.Tag = splitForList(n)
			rows = append(rows, r)
		}
	}
	return rows
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

// sizeOf is a size as Podman lists it: 2.18 MB.
func sizeOf(n int64) string {
	s := units.HumanSizeWithPrecision(float64(n), 3)
	i := strings.IndexFunc(s, unicode.IsLetter)
	return s[:i] + " " + s[i:]
}

func shortID(id string, full bool) string {
	if full {
		return "sha256:" + id
	}
	return id[:min(12, len(id))]
}

// splitForList divides a full name into what the columns show.
func splitForList(n string) (repository, tag string) {
	if r, _, ok := strings.Cut(n, "@"); ok {
		return r, none
	}
	if i := strings.LastIndexByte(n, ':'); i > strings.LastIndexByte(n, '/') {
		return n[:i], n[i+1:]
	}
	return n, none
}

func sorted(rows []row, by string) ([]row, error) {
	var less func(a, b row) int
	switch by {
	case "created":
		less = func(a, b row) int { return b.created.Compare(a.created) }
	case "id":
		less = func(a, b row) int { return strings.Compare(a.ID, b.ID) }
	case "repository":
		less = func(a, b row) int {
			return cmp.Or(strings.Compare(a.Repository, b.Repository), strings.Compare(a.Tag, b.Tag))
		}
	case "size":
		less = func(a, b row) int { return cmp.Compare(a.size, b.size) }
	case "tag":
		less = func(a, b row) int { return strings.Compare(a.Tag, b.Tag) }
	default:
		return nil, fmt.Errorf("images: --sort %s: use created, id, repository, size or tag", by)
	}
	slices.SortStableFunc(rows, less)
	return rows, nil
}

func printIDs(w io.Writer, rows []row) {
	seen := map[string]bool{}
	for _, r := range rows {
		if !seen[r.ID] {
			fmt.Fprintln(w, r.ID)
		}
		seen[r.ID] = true
	}
}

// printTemplate prints a row per image, under a header when the format begins with table.
func printTemplate(w io.Writer, rows []row, l listing) error {
	var all []any
	for _, r := range rows {
		all = append(all, r)
	}
	return printRows(w, l.format, all, row{}, l.bare)
}

// printRows prints values of the type of example by a Go template.
func printRows(w io.Writer, format string, rows []any, example any, bare bool) error {
	format, isTable := strings.CutPrefix(format, "table ")
	format = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(format)
	if isTable {
		format = strings.ReplaceAll(format, "}} {{", "}}\t{{")
	}
	t, err := newTemplate(format)
	if err != nil {
		return err
	}
	if err := t.Execute(io.Discard, example); err != nil { // also seen when there is no row
		return fmt.Errorf("--format: %w", err)
	}
	tabs := tabwriter.NewWriter(w, 12, 2, 2, ' ', 0)
	if isTable && !bare {
		h := header(format)
		if _, is := example.(step); is {
			h = strings.ReplaceAll(h, "IMAGE ID", "ID")
		}
		fmt.Fprintln(tabs, h)
	}
	for _, r := range rows {
		var line bytes.Buffer
		if err := t.Execute(&line, r); err != nil {
			return fmt.Errorf("--format: %w", err)
		}
		text := line.String()
		if isTable {
			text = printableCells(text)
		}
		fmt.Fprintln(tabs, text)
	}
	return tabs.Flush()
}

// printableCells is a row of a table as a terminal may be shown it.
func printableCells(row string) string {
	cells := strings.Split(row, "\t")
	for i := range cells {
		cells[i] = tty.Printable(cells[i])
	}
	return strings.Join(cells, "\t")
}

func header(format string) string {
	return strings.NewReplacer("{{.Repository}}", "REPOSITORY", "{{.Tag}}", "TAG", "{{.ID}}", "IMAGE ID", "{{.Id}}", "IMAGE ID", "{{.Digest}}", "DIGEST",
		"{{.CreatedSince}}", "CREATED", "{{.CreatedAt}}", "CREATED AT", "{{.Created}}", "CREATED", "{{.Size}}", "SIZE", "{{.Names}}", "NAMES",
		"{{.Labels}}", "LABELS", "{{.CreatedBy}}", "CREATED BY", "{{.Comment}}", "COMMENT", "{{.Name}}", "NAME", "{{.Description}}", "DESCRIPTION",
		"{{.Stars}}", "STARS", "{{.Official}}", "OFFICIAL", "{{.Automated}}", "AUTOMATED", "{{.Index}}", "INDEX", "{{.History}}", "HISTORY", "{{.RepoDigests}}", "REPO DIGESTS", "{{.Containers}}", "CONTAINERS").Replace(format)
}

func newTemplate(format string) (*template.Template, error) {
	t, err := template.New("format").Funcs(template.FuncMap{
		"json": func(v any) (string, error) {
			data, err := json.Marshal(v)
			return string(data), err
		},
		"join": strings.Join, "lower": strings.ToLower, "upper": strings.ToUpper, "split": strings.Split,
	}).Parse(format)
	if err != nil {
		return nil, fmt.Errorf("--format: %w", err)
	}
	return t, nil
}

// jsonImage is one image in the JSON list.
type jsonImage struct {
	ID          string `json:"Id"`
	ParentID    string `json:"ParentId"`
	RepoTags    []string
	RepoDigests []string
	Size        int64
	SharedSize  int64
	VirtualSize int64
	Labels      map[string]string
	Containers  int
	ReadOnly    bool `json:",omitempty"`
	Dangling    bool `json:",omitempty"`

	IsManifestList bool `json:",omitempty"`

	Arch      string
	Digest    string
	History   []string
	Names     []string
	Os        string
	Created   int64 // seconds since 1970
	CreatedAt time.Time
}

// jsonList has an image once for each of its names, as Podman's list and the table have it.
func jsonList(all []image.Summary) []jsonImage {
	list := []jsonImage{}
	for _, s := range all {
		one := jsonImage{
			ID: s.ID, RepoTags: s.Names, RepoDigests: s.Digests, Size: s.Size, VirtualSize: s.Size, Labels: s.Labels, Containers: s.Containers,
			ReadOnly: s.ReadOnly, Dangling: s.Dangling, Arch: s.Arch, Os: s.OS, Digest: s.Digest, History: s.History, Names: s.Names,
			IsManifestList: s.IsList, Created: s.Created.Unix(), CreatedAt: s.Created.Truncate(time.Second), // jq's fromdate takes no more
		}
		for range max(1, len(s.Names)) {
			list = append(list, one)
		}
	}
	return list
}

func printInspected(w io.Writer, all []any, format string) error {
	if format == "json" || format == "" {
		if all == nil {
			all = []any{}
		}
		return printJSON(w, all)
	}
	t, err := newTemplate(format)
	if err != nil {
		return err
	}
	for _, one := range all {
		if err := t.Execute(w, one); err != nil {
			return fmt.Errorf("--format: %w", err)
		}
		fmt.Fprintln(w)
	}
	return nil
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "     ")
	return e.Encode(v)
}
