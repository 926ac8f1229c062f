package generator

import (
	"strconv"
	"strings"

	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

func named(prefix string, words []units.Word) []string {
	var options []string
	for _, w := range words {
		options = append(options, prefix+w.Text)
	}
	return options
}

func withOptions(mode string, options []string) string {
	if len(options) == 0 {
		return mode
	}
	return mode + ":" + strings.Join(options, ",")
}

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// need makes the unit require another one and start after it.
func (c *conversion) need(service string) {
	unit := c.File.AddSection("Unit")
	unit.Add("Requires", service+".service")
	unit.Add("After", service+".service")
}

// needPath makes the unit wait for the mount of a path.
func (c *conversion) needPath(path string) {
	// systemd takes quotes off here but decodes no \x20 (tried with 257).
	c.File.AddSection("Unit").Add("RequiresMountsFor", unitfile.QuoteWord(path))
}

// dir is the directory of the unit file, with the percent signs written so that systemd leaves them alone.
func (c *conversion) dir() string {
	dir := c.entry.source.Path
	dir = dir[:strings.LastIndexByte(dir, '/')+1]
	return strings.ReplaceAll(cleanPath(dir), "%", "%%")
}

// absolute makes a path of a unit file absolute; one that a specifier begins is left to systemd.
func (c *conversion) absolute(path string) string {
	if path == "" || path[0] == '/' || startsWithSpecifier(path) {
		return path
	}
	return cleanPath(c.dir() + "/" + path)
}

func startsWithSpecifier(path string) bool {
	return strings.HasPrefix(path, "%") && !strings.HasPrefix(path, "%%")
}

// cleanPath removes empty parts, "." and ".." from an absolute path.
func cleanPath(path string) string {
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "", ".":
		case "..":
			if len(parts) > 0 {
				parts = parts[:len(parts)-1]
			}
		default:
			parts = append(parts, part)
		}
	}
	return "/" + strings.Join(parts, "/")
}

func dirOf(path string) string {
	if at := strings.LastIndexByte(path, '/'); at > 0 {
		return path[:at]
	}
	return "/"
}

// storage resolves the source of a volume or mount: a path, a named volume, or the unit of one of the kinds.
func (c *conversion) storage(source units.Word, kinds units.Kind) string {
	text := source.Text
	if strings.HasPrefix(text, ".") {
		text = c.absolute(text)
	}
	if strings.HasPrefix(text, "/") {
		c.needPath(text)
		return text
	}
	if units.KindOf(text)&kinds == 0 {
		c.ownName(source.At, text, units.KindVolume)
		return text
	}
	other := c.find(text)
	if other == nil {
		c.missing(source, text, "requested Quadlet source "+text+" was not found")
		return text
	}
	c.need(other.service)
	return other.resource
}

// find returns a unit file that others may refer to, or nil. Of two files for one service both may be named.
func (c *conversion) find(file string) *entry {
	e := c.byFile[file]
	if e == nil || e.source.Masked || e.refused != "" && e.severity == units.Error {
		return nil
	}
	return e
}

// missing reports a reference to a unit file that find does not have.
func (c *conversion) missing(at units.Word, file, message string) {
	hint := "there is no file " + file + " in the unit directories"
	switch e := c.byFile[file]; {
	case e == nil:
	case e.source.Masked:
		hint = file + " is masked"
	default:
		hint = "no unit is made from " + file + ": " + e.refused
	}
	c.Add(units.Finding{At: at.At, Severity: units.Error, Message: message, Hint: hint})
}

// volumes writes SOURCE:PATH[:OPTIONS] of each Volume=.
func (c *conversion) volumes(cmd *command, volumes units.List) {
	for _, v := range volumes {
		source, rest, ok := strings.Cut(v.Text, ":")
		if !ok || source == "" {
			if source == "" {
				source = rest
			}
			cmd.add("-v", source)
			continue
		}
		cmd.add("-v", c.storage(units.Word{Text: source, At: v.At}, units.KindVolume|units.KindArtifact)+":"+rest)
	}
}

// networks writes each Network=, with the names of units replaced.
func (c *conversion) networks(cmd *command, networks units.List) {
	for _, n := range networks {
		name, options, _ := strings.Cut(n.Text, ":")
		if kind := units.KindOf(name); kind == units.KindNetwork || kind == units.KindContainer {
			cmd.add("--network", c.networkOf(n, name, options, kind))
			continue
		}
		c.ownName(n.At, name, units.KindNetwork)
		cmd.add("--network", n.Text)
	}
}

// ownName warns of the name of a network or volume where that of the unit file beside it is likely to be meant: what has that name may
// be another one, or not be there yet.
func (c *conversion) ownName(at unitfile.Pos, name string, kind units.Kind) {
	file := name + kind.Extension()
	other := c.find(file)
	if other == nil {
		return
	}
	message := quoted(name) + " does not start " + file
	if other.resource != name {
		message += ", which makes " + quoted(other.resource)
	}
	c.Add(units.Finding{At: at, Severity: units.Warning, Message: message, Hint: "write " + file})
}

func (c *conversion) networkOf(n units.Word, name, options string, kind units.Kind) string {
	other := c.find(name)
	if other == nil {
		c.missing(n, name, "requested Quadlet unit "+name+" was not found")
		return ""
	}
	if other.resource == "" {
		c.Errorf(n.At, "requested Quadlet unit "+name+" has no name that is known before it starts; give it a ContainerName= without specifiers")
		return ""
	}
	c.need(other.service)
	switch {
	case kind == units.KindContainer && options != "":
		c.Errorf(n.At, "extra options are not supported when joining another container's network")
	case kind == units.KindContainer && c.joinsItself():
		c.Errorf(n.At, "the containers join each other's networks in a circle, so none can be the first to start")
	case kind == units.KindContainer:
		return "container:" + other.resource
	case options != "":
		return other.resource + ":" + options
	}
	return other.resource
}

// joinsItself follows Network=X.container from unit to unit.
func (c *conversion) joinsItself() bool {
	at := c.entry
	for range len(c.entries) {
		at = c.byFile[at.joins]
		if at == nil || at == c.entry {
			return at != nil
		}
	}
	return false
}

// imageOf resolves the image of a container or volume.
func (c *conversion) imageOf(image units.String) string {
	switch units.KindOf(image.Text) {
	case units.KindImage, units.KindBuild:
	default:
		c.checkImageName(image)
		return image.Text
	}
	other := c.find(image.Text)
	if other == nil {
		c.missing(units.Word{At: image.At}, image.Text, "requested Quadlet image "+image.Text+" was not found")
		return ""
	}
	if other.resource == "" {
		c.Errorf(image.At, "requested Quadlet image "+image.Text+" has errors: it says no name for the image")
		return ""
	}
	c.need(other.service)
	return other.resource
}

// checkImageName warns of a short name: which registry it means depends on the machine.
func (c *conversion) checkImageName(image units.String) {
	if image.Text == "" || isFullName(image.Text) {
		return
	}
	c.Add(units.Finding{At: image.At, Severity: units.Warning, Message: quoted(image.Text) + " is not a fully qualified image name",
		Hint: "write the registry too, such as " + fullName(image.Text)})
}

// isFullName: an ID, or a name whose first part is a host. Names with variables or specifiers are not judged.
func isFullName(name string) bool {
	if strings.HasPrefix(name, "sha256:") || isHex64(name) || strings.ContainsAny(name, "$%") {
		return true
	}
	host, _, ok := strings.Cut(name, "/")
	return ok && (strings.ContainsAny(host, ".:") || host == "localhost")
}

// fullName is what a short name usually means.
func fullName(name string) string {
	if strings.Contains(name, "/") {
		return "docker.io/" + name
	}
	return "docker.io/library/" + name
}

func isHex64(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return true
}

// translateDependencies puts services in the place of unit files in [Unit]. A key that names one has its lines joined into
// one at the end of the section.
func (c *conversion) translateDependencies() {
	unit := c.File.Section("Unit")
	if unit == nil {
		return
	}
	for i := 0; i < len(unit.Entries); i++ {
		e := &unit.Entries[i]
		if !units.IsDependency(e.Key) || !mentionsFile(e.Value) {
			continue
		}
		key := e.Key
		cleared := false
		for _, other := range unit.Entries {
			cleared = cleared || other.Key == key && other.Value == ""
		}
		words := c.translated(unit, key)
		unit.Remove(key)
		if cleared {
			unit.Add(key, "")
		}
		// No quoting: systemd keeps escapes in names of units as they are.
		unit.Add(key, strings.Join(words, " "))
		i = -1
	}
}

func mentionsFile(value string) bool {
	for _, k := range units.Kinds {
		if strings.Contains(value, k.Extension()) {
			words, _ := unitfile.SplitWords(value)
			for _, w := range words {
				if units.KindOf(w.Text) != 0 {
					return true
				}
			}
		}
	}
	return false
}

func (c *conversion) translated(unit *unitfile.Section, key string) []string {
	var words []string
	for _, e := range unit.Entries {
		if e.Key != key {
			continue
		}
		if e.Value == "" {
			words = nil
		}
		split, _ := unitfile.SplitWords(e.Value)
		for _, w := range split {
			words = append(words, c.dependency(units.Word{Text: w.Text, At: e.PosAt(w.Off)}))
		}
	}
	return words
}

func (c *conversion) dependency(w units.Word) string {
	if units.KindOf(w.Text) == 0 {
		if strings.HasSuffix(w.Text, `\`) {
			return quoted(w.Text) // or the next line would be joined
		}
		return w.Text
	}
	other := c.find(w.Text)
	if other == nil {
		c.missing(w, w.Text, "unable to translate dependency for "+w.Text)
		return ""
	}
	return other.service + ".service"
}
