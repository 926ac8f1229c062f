package verb

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Help prints one verb: what it does, how it is typed and a line per flag.
func Help(w io.Writer, program string, v Verb) {
	fmt.Fprintf(w, "%s\n\nUsage: %s %s\n", v.Doc, program, v.Usage())
	if len(v.Aliases) > 0 {
		fmt.Fprintf(w, "Also:  %s %s\n", program, strings.Join(v.Aliases, ", "))
	}
	if len(v.Flags) > 0 {
		fmt.Fprintf(w, "\nFlags:\n")
		flags(w, v.Flags)
	}
}

// Overview prints all verbs with a line each, and the flags that stand before a verb.
func Overview(w io.Writer, program string, table []Verb, global []Flag) {
	fmt.Fprintf(w, "Usage: %s [FLAGS] VERB …\n\nVerbs:\n", program)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range table {
		fmt.Fprintf(t, "  %s\t%s\n", v.Name, v.Doc)
	}
	t.Flush()
	fmt.Fprintf(w, "\nFlags before the verb:\n")
	flags(w, global)
}

// Group prints the commands that begin with a word, under the spellings that do.
func Group(w io.Writer, program string, table []Verb, group string) {
	fmt.Fprintf(w, "Usage: %s %s COMMAND …\n\nCommands:\n", program, group)
	lines := []string{}
	for _, v := range table {
		for _, spelling := range append([]string{v.Name}, v.Aliases...) {
			if strings.HasPrefix(spelling, group+" ") {
				lines = append(lines, fmt.Sprintf("  %s\t%s\n", spelling, v.Doc))
				break
			}
		}
	}
	slices.Sort(lines)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range lines {
		fmt.Fprint(t, l)
	}
	t.Flush()
}

// Usage is the verb with its flags and arguments as typed.
func (v Verb) Usage() string {
	s := v.Name
	if len(v.Flags) > 0 {
		s += " [FLAGS]"
	}
	if v.Args != "" {
		s += " " + v.Args
	}
	return s
}

func flags(w io.Writer, all []Flag) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range all {
		if f.Kind == Unoffered {
			continue
		}
		fmt.Fprintf(t, "  %s\t%s\n", f.spelling(), f.doc())
	}
	t.Flush()
}

func (f Flag) spelling() string {
	s := "    --" + f.Name
	if f.Short != "" {
		s = "-" + f.Short + ", --" + f.Name
	}
	if f.Value != "" {
		s += " " + f.Value
	}
	return s
}

func (f Flag) doc() string {
	if f.Default == "" {
		return f.Doc
	}
	return f.Doc + " (" + f.Default + ")"
}
