package hosts

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// aptSource is one place that packages come from, as apt knows it.
type aptSource struct {
	uri     string
	suites  []string
	options []string // "key=value", as in the brackets of a one-line source
}

// debianSources returns apt's one-line sources for the machines' suite, made from the build machine's own sources (file
// name to content): the same archives, with the build machine's code name replaced. Archives of other makers, which name
// no suite of Debian's, are left out.
func debianSources(files map[string]string, codename string) ([]string, error) {
	var lines []string
	for _, name := range sortedKeys(files) {
		for _, a := range parseSources(name, files[name]) {
			lines = append(lines, a.lines(codename)...)
		}
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("no Debian archive among apt's sources for %q: name one with BERTH_DEBIAN_MIRROR=URL", codename)
	}
	return slices.Compact(lines), nil
}

func parseSources(name, text string) []aptSource {
	if path.Ext(name) == ".sources" {
		return parseDeb822(text)
	}
	return parseOneLine(text)
}

func (a aptSource) lines(codename string) []string {
	var lines []string
	for _, s := range a.suites {
		rest, ok := strings.CutPrefix(s, codename)
		if !ok || !slices.Contains([]string{"", "-updates", "-security"}, rest) {
			continue
		}
		line := "deb "
		if len(a.options) > 0 {
			line += "[" + strings.Join(a.options, " ") + "] "
		}
		lines = append(lines, line+a.uri+" "+suite+rest+" main")
	}
	return lines
}

// parseOneLine reads lines as sources.list(5) describes: deb [options] uri suite component…
func parseOneLine(text string) []aptSource {
	var all []aptSource
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		line, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !ok {
			continue
		}
		var a aptSource
		line = strings.TrimSpace(line)
		if inside, ok := strings.CutPrefix(line, "["); ok {
			inside, line, _ = strings.Cut(inside, "]")
			a.options = keptOptions(strings.Fields(inside))
		}
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		a.uri, a.suites = fields[0], fields[1:2]
		all = append(all, a)
	}
	return all
}

// parseDeb822 reads stanzas of "Key: value" lines, where a line that begins with a space continues the value.
func parseDeb822(text string) []aptSource {
	var all []aptSource
	for _, stanza := range strings.Split(text, "\n\n") {
		fields := deb822Fields(stanza)
		if !slices.Contains(fields["types"], "deb") || slices.Equal(fields["enabled"], []string{"no"}) {
			continue
		}
		for _, uri := range fields["uris"] {
			all = append(all, aptSource{
				uri: uri, suites: fields["suites"],
				options: deb822Options(fields),
			})
		}
	}
	return all
}

func deb822Fields(stanza string) map[string][]string {
	fields := map[string][]string{}
	key := ""
	for line := range strings.Lines(stanza) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		value := line
		if line != "" && line[0] != ' ' && line[0] != '\t' {
			var found bool
			if key, value, found = strings.Cut(line, ":"); !found {
				continue
			}
			key = strings.ToLower(key)
		}
		fields[key] = append(fields[key], strings.Fields(value)...)
	}
	return fields
}

func deb822Options(fields map[string][]string) []string {
	var options []string
	for _, key := range []string{"trusted", "signed-by"} {
		if v := fields[key]; len(v) == 1 {
			options = append(options, key+"="+v[0])
		}
	}
	return keptOptions(options)
}

// keptOptions drops what belongs to the build machine only. A signed-by that names a file stays: the archive may have a
// key of its own.
func keptOptions(options []string) []string {
	var kept []string
	for _, o := range options {
		key, value, _ := strings.Cut(o, "=")
		if key == "trusted" || key == "signed-by" && strings.HasPrefix(value, "/") {
			kept = append(kept, o)
		}
	}
	return kept
}
