package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine/format"
	"github.com/berth-pods/berth/engine/tty"
)

// listing is what all commands that list things take: which things, and in which form.
type listing struct {
	quiet, noTrunc, noHeading bool
	format                    string
	filters                   []string
}

// flags adds the flags. Keys are those of --filter; what says what is printed of each with --quiet.
func (l *listing) flags(set *pflag.FlagSet, what, keys string) {
	set.BoolVarP(&l.quiet, "quiet", "q", false, "print "+what+" only")
	set.StringVar(&l.format, "format", "table", "`FORM` of the output: table, json, or a template such as {{.Name}}; table before a template makes columns of it")
	set.StringArrayVarP(&l.filters, "filter", "f", nil, "list some only, `KEY=VALUE`: "+keys)
}

// table is how rows become lines.
type table[T any] struct {
	key      func(T) string // what --quiet prints
	headings []string
	cells    func(T) []string
	names    map[string]string // of the columns of templates, by their fields
}

// printList prints rows in the form that was asked for.
func printList[T any](w io.Writer, l listing, rows []T, t table[T]) error {
	return l.print(w, anyTable{
		rows: rows, length: len(rows), headings: t.headings,
		key: func(i int) string { return t.key(rows[i]) }, cells: func(i int) []string { return t.cells(rows[i]) },
		template: func(w io.Writer, names map[string]string) error { return format.RowsUnder(w, l.format, names, rows) },
	}, t.names)
}

// anyTable is a table of rows of any type: what prints one is in the program once, and not for each type again.
type anyTable struct {
	rows     any
	length   int
	headings []string
	key      func(i int) string
	cells    func(i int) []string
	template func(w io.Writer, names map[string]string) error
}

func (l listing) print(out io.Writer, t anyTable, names map[string]string) error {
	w := bufio.NewWriter(out) // a table is written cell by cell
	err := l.write(w, t, names)
	return errors.Join(err, w.Flush())
}

func (l listing) write(w io.Writer, t anyTable, names map[string]string) error {
	switch {
	case l.quiet:
		for i := range t.length {
			fmt.Fprintln(w, t.key(i))
		}
		return nil
	case l.format == "json":
		return printJSON(w, t.rows)
	case l.format != "table" && l.format != "":
		if err := checkForm(l.format); err != nil {
			return err
		}
		if l.noHeading {
			names = map[string]string{"": ""}
		}
		return t.template(w, names)
	}
	columns := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if !l.noHeading {
		fmt.Fprintln(columns, strings.Join(t.headings, "\t"))
	}
	for i := range t.length {
		fmt.Fprintln(columns, strings.Join(t.cells(i), "\t"))
	}
	return columns.Flush()
}

// printInspected prints things as JSON, or by a template.
func printInspected[T any](w io.Writer, form string, list []T) error {
	if form == "json" || form == "" {
		return printJSON(w, list)
	}
	if err := checkForm(form); err != nil {
		return err
	}
	return format.Rows(w, form, list)
}

// checkForm refuses what is no template: a mistyped word would be printed for each row.
func checkForm(form string) error {
	if !strings.Contains(form, "{{") {
		return fmt.Errorf("format %q is neither table nor json, nor a template such as {{.ID}}", form)
	}
	return nil
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// A filter is a key of --filter. Its value is read once, and then asked about each row: about a pointer to it, for all pointers share
// one compiled form of these functions, where each type of row would have its own.
type filter[T any] struct {
	key   string
	every bool // of several values each must fit; else it is enough that one does
	read  func(value string) (func(T) bool, error)
}

// compileFilters makes one question of the words of --filter.
func compileFilters[T any](words []string, known []filter[T]) (func(T) bool, error) {
	type asked struct {
		every bool
		fits  []func(T) bool
	}
	kinds := map[string]*asked{}
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if strings.HasSuffix(key, "!") && ok { // label!=x
			key = strings.TrimSuffix(key, "!") + "!"
		}
		if !ok {
			return nil, fmt.Errorf("filter %q is not KEY=VALUE", word)
		}
		f, err := findFilter(key, word, known)
		if err != nil {
			return nil, err
		}
		fits, err := f.read(value)
		if err != nil {
			return nil, fmt.Errorf("filter %q: %w", word, err)
		}
		if kinds[f.key] == nil {
			kinds[f.key] = &asked{every: f.every}
		}
		kinds[f.key].fits = append(kinds[f.key].fits, fits)
	}
	return func(row T) bool {
		for _, k := range kinds {
			passes := k.every
			for _, fits := range k.fits {
				if fits(row) != k.every {
					passes = !k.every
				}
			}
			if !passes {
				return false
			}
		}
		return true
	}, nil
}

func findFilter[T any](key, word string, known []filter[T]) (filter[T], error) {
	var names []string
	for _, f := range known {
		if f.key == key {
			return f, nil
		}
		names = append(names, f.key)
	}
	last := len(names) - 1
	return filter[T]{}, fmt.Errorf("filter %q is not known; %s and %s are", word, strings.Join(names[:last], ", "), names[last])
}

// filtered are the rows that pass the filters.
func filtered[T any](rows []T, words []string, known []filter[*T]) ([]T, error) {
	passes, err := compileFilters(words, known)
	if err != nil {
		return nil, err
	}
	list := make([]T, 0, len(rows))
	for i := range rows {
		if passes(&rows[i]) {
			list = append(list, rows[i])
		}
	}
	return list, nil
}

// textFilter compares a text of the row by a function such as strings.HasPrefix.
func textFilter[T any](key string, compare func(text, value string) bool, of func(T) string) filter[T] {
	return filter[T]{key: key, read: func(value string) (func(T) bool, error) {
		return func(r T) bool { return compare(of(r), value) }, nil
	}}
}

func same(text, value string) bool { return text == value }

// boolFilter takes true and false.
func boolFilter[T any](key string, of func(T) bool) filter[T] {
	return filter[T]{key: key, read: func(value string) (func(T) bool, error) {
		on, err := strconv.ParseBool(value)
		if err != nil {
			return nil, fmt.Errorf("%q is neither true nor false", value)
		}
		return func(r T) bool { return of(r) == on }, nil
	}}
}

// labelFilters are label and label!, with a name or with a name and a value.
func labelFilters[T any](of func(T) map[string]string) []filter[T] {
	read := func(wanted bool) func(string) (func(T) bool, error) {
		return func(value string) (func(T) bool, error) {
			name, want, exact := strings.Cut(value, "=")
			return func(r T) bool {
				got, has := of(r)[name]
				return (has && (!exact || got == want)) == wanted
			}, nil
		}
	}
	return []filter[T]{{"label", true, read(true)}, {"label!", true, read(false)}}
}

// untilFilter asks for what was made before a point in time.
func untilFilter[T any](of func(T) time.Time) filter[T] {
	return filter[T]{key: "until", read: func(value string) (func(T) bool, error) {
		limit, err := parseTime(value)
		return func(r T) bool { return of(r).Before(limit) }, err
	}}
}

// parseTime reads a point in time, or how long ago it was.
func parseTime(s string) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return time.Now().Add(-d), nil
	}
	seconds, fraction, _ := strings.Cut(s, ".")
	if n, err := strconv.ParseInt(seconds, 10, 64); err == nil && len(fraction) <= 9 {
		nanos, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
		if err == nil {
			return time.Unix(n, nanos), nil
		}
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.ParseInLocation(form, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is neither a time such as 2026-11-25T12:00:00, nor seconds since 1970, nor how long ago, such as 24h", s)
}

// age says how long something is ago, as Docker and Podman do.
func age(d time.Duration) string {
	seconds, hours := int(d.Seconds()), int(d.Hours()+0.5)
	switch minutes := int(d.Minutes()); {
	case seconds < 1:
		return "Less than a second"
	case seconds == 1:
		return "1 second"
	case seconds < 60:
		return fmt.Sprintf("%d seconds", seconds)
	case minutes == 1:
		return "About a minute"
	case minutes < 60:
		return fmt.Sprintf("%d minutes", minutes)
	case hours == 1:
		return "About an hour"
	case hours < 48:
		return fmt.Sprintf("%d hours", hours)
	case hours < 24*7*2:
		return fmt.Sprintf("%d days", hours/24)
	case hours < 24*30*2:
		return fmt.Sprintf("%d weeks", hours/24/7)
	case hours < 24*365*2:
		return fmt.Sprintf("%d months", hours/24/30)
	}
	return fmt.Sprintf("%d years", int(d.Hours())/24/365)
}

// humanSize writes a number of bytes with so many digits, in units of 1000, as Docker and Podman do.
func humanSize(n int64, digits int) string {
	size, units := float64(n), []string{"B", "kB", "MB", "GB", "TB", "PB"}
	for len(units) > 1 && size >= 1000 {
		size, units = size/1000, units[1:]
	}
	return strconv.FormatFloat(roundTo(size, digits), 'f', -1, 64) + units[0]
}

// roundTo keeps the first digits of a number below 1000.
func roundTo(f float64, digits int) float64 {
	text := strconv.FormatFloat(f, 'g', digits, 64)
	out, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return f
	}
	return out
}

// printable is a cell of a table, or a line, as a terminal may be shown it.
func printable(s string) string { return tty.Printable(s) }

func shortID(id string, whole bool) string {
	if whole {
		return id
	}
	return id[:min(12, len(id))]
}

// marshal is json.Marshal that leaves < > and & as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
