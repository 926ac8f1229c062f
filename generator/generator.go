package generator

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

// Config is what the outcome depends on beside the files.
type Config struct {
	// User makes units for a user's manager.
	User bool
	// Engine is the program in the command lines.
	Engine string
	// Reporter is the program, called with -report and a word for each finding, that a stub starts in place of a
	// container; it prints them and fails.
	Reporter string
	// DeviceExists answers for AddDevice=-PATH. nil keeps all devices.
	DeviceExists func(path string) bool
	// Existing returns the path of a unit that the system has itself under that name, or "". nil means there is none.
	Existing func(unit string) string
}

// Source is a unit file or drop-in as it was found.
type Source struct {
	Name string // "web.container", or "10-ports.conf"
	Path string // where it was found
	Text string

	// Problem tells why there is no text: "is a FIFO, not a regular file".
	Problem string
	// Masked: a link to /dev/null. The name is taken and no unit is made.
	Masked bool
	// Skipped is the number of lines before Text, for a part of a bundle.
	Skipped int
}

// Set is everything found in the search directories, first found first.
type Set struct {
	Files []Source
	// Dropins are the .conf files by the name of their directory ("web.container.d"), first found first.
	Dropins map[string][]Source
	// Live is what runs, for whose units the files may have been removed.
	Live []Live
}

// Link is a symbolic link in the output directory. Name may have one directory; Target is relative to the link.
type Link struct{ Name, Target string }

// Output is what becomes of one file.
type Output struct {
	Name     string // "web.service"; empty when nothing can be written
	Source   string // path of the file
	Text     []byte
	Links    []Link
	Findings []units.Finding

	// Stub: the file has errors, and the unit's start tells them.
	Stub bool
	// Late: it gives way to any other unit of that name, wherever that is (the directory for that: systemd.generator(7)).
	Late bool

	// Also are other units that belong to this one.
	Also []Output
}

// entry is what the first pass knows of a file.
type entry struct {
	source   *Source
	name     units.Name
	service  string         // "web", without .service
	resource string         // what other units call it: a volume's or image's name; empty when unknown
	pod      string         // file name of the pod it is in
	inPod    bool           // started with the pod
	slice    string         // of a pod that has one
	init     bool           // prepares the pod for the others in it
	joins    string         // file name of the container whose network it joins
	refused  string         // why no unit may be made
	severity units.Severity // of that
	override bool           // the unit may take the place of one of the system's
	done     bool           // converted without errors
}

type generation struct {
	Config
	set     Set
	entries []*entry
	byFile  map[string]*entry
	owner   map[string]*entry // by service
	named   map[string]*entry // containers and pods, by what called gives
	orphans []Output
	said    map[string]bool // paths of drop-ins whose errors have been reported

	// Memory that is used for one file after the other.
	parser unitfile.Parser
	loader units.Loader
	cmd    command
	buf    []byte
}

// Generate converts every file of the set and calls emit for each, in a fixed order: what others refer to first, pods last,
// by name inside a kind, and at last the units of what runs without a file. Output.Text is valid during the call only.
//
// Files are read twice, and nothing but names is kept of the first time: memory grows with the text, not with what is
// parsed of it.
func Generate(cfg Config, set Set, emit func(*Output)) {
	g := &generation{Config: cfg, set: set, said: map[string]bool{}, byFile: make(map[string]*entry, len(set.Files)), owner: make(map[string]*entry, len(set.Files)), named: map[string]*entry{}}
	g.collect()
	g.survey()
	for i := range g.orphans {
		emit(&g.orphans[i])
	}
	for _, e := range g.entries {
		out := g.convert(e)
		emit(&out)
	}
	g.gone(emit)
}

// Findings lists what is wrong with the files of a set, references between them included, ordered by file and line.
func Findings(cfg Config, set Set) []units.Finding {
	var all []units.Finding
	Generate(cfg, set, func(out *Output) { all = append(all, out.Findings...) })
	units.SortFindings(all)
	return all
}

// guard runs a step for one file. A bug that one file brings to light must not cost the machine its other units.
func (g *generation) guard(e *entry, step func()) {
	defer func() {
		if r := recover(); r != nil && e.source.Problem == "" {
			e.source.Text, e.source.Problem = "", "brought a mistake in the generator to light: "+panicText(r)
		}
	}()
	step()
}

// panicText does without fmt, which the program does not link.
func panicText(r any) string {
	switch r := r.(type) {
	case error:
		return r.Error()
	case string:
		return r
	}
	return "no reason given"
}

// collect chooses one source for each name, taking bundles apart, and puts them in order.
func (g *generation) collect() {
	for i := range g.set.Files {
		s := &g.set.Files[i]
		if strings.HasSuffix(s.Name, units.BundleExtension) {
			g.collectBundle(s)
			continue
		}
		g.take(s)
	}
	sort.Slice(g.orphans, func(i, j int) bool { return g.orphans[i].Source < g.orphans[j].Source })
	slices.SortFunc(g.entries, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(rank(a.name.Kind), rank(b.name.Kind)), strings.Compare(a.name.File, b.name.File))
	})
}

func (g *generation) collectBundle(s *Source) {
	if s.Masked {
		return
	}
	parts, findings := SplitBundle(s)
	if len(findings) > 0 {
		g.orphans = append(g.orphans, Output{Source: s.Path, Findings: findings})
	}
	for i := range parts {
		g.take(&parts[i])
	}
}

func (g *generation) take(s *Source) {
	name := units.ParseName(s.Name)
	if name.Kind == 0 || g.byFile[s.Name] != nil {
		return
	}
	e := &entry{source: s, name: name, service: name.Unit()}
	g.byFile[s.Name] = e
	if !s.Masked {
		g.entries = append(g.entries, e)
	}
}

// rank orders the kinds so that what is referred to comes first; containers and kube share a place.
func rank(k units.Kind) int {
	switch k {
	case units.KindImage, units.KindArtifact:
		return 1
	case units.KindVolume, units.KindNetwork:
		return 2
	case units.KindBuild:
		return 3
	case units.KindContainer, units.KindKube:
		return 4
	}
	return 5
}

// survey learns the names of all units, so that they may refer to each other in any direction.
func (g *generation) survey() {
	g.loader.NamesOnly = true
	defer func() { g.loader.NamesOnly = false }()
	for _, e := range g.entries {
		g.guard(e, func() { g.surveyOne(e) })
		if g.owner[e.service] == nil {
			g.owner[e.service] = e
		}
		g.refuse(e)
		if key := e.called(); e.resource != "" && e.refused == "" && g.named[key] == nil {
			g.named[key] = e
		}
	}
}

// refuse decides whether the unit's name belongs to something else. Nothing is written then: a stub would do the damage.
func (g *generation) refuse(e *entry) {
	unit := e.service + ".service"
	switch first := g.owner[e.service]; {
	case !isUnitName(unit):
		e.severity, e.refused = units.Error, "no unit can have the name "+quoted(unit)+" (letters, digits and :-_.\\@ are allowed, 255 in all)"
	case hasControl(e.source.Path):
		e.severity, e.refused = units.Error, "the path has control characters in it, which no unit can hold"
	case first != e:
		e.severity, e.refused = units.Warning, "the unit "+unit+" is already made from "+first.name.File+", this file is left out"
	case !e.override:
		if path := g.existing(unit); path != "" {
			e.severity, e.refused = units.Error, "the system already has a unit of this name, "+path
		}
	}
}

// existing is the path of a unit of the system's that one of this name would hide: a template is the unit of its instances, too.
func (g *generation) existing(unit string) string {
	if g.Existing == nil {
		return ""
	}
	path := g.Existing(unit)
	prefix, instance, ok := strings.Cut(strings.TrimSuffix(unit, ".service"), "@")
	if path == "" && ok && instance != "" {
		path = g.Existing(prefix + "@.service")
	}
	return path
}

// hintForRefused says how a file comes to a unit after all.
func (e *entry) hintForRefused() string {
	if e.severity == units.Warning {
		return "give one of them a ServiceName="
	}
	return "rename the file, set ServiceName=, or say Override=yes in [X-Berth] to take the place of a unit of the system's"
}

func (g *generation) surveyOne(e *entry) {
	u, _ := g.load(e)
	if name := units.SharedOf(u.Section).ServiceName; name.Text != "" && isUnitName(name.Text+".service") {
		e.service = name.Text
	}
	e.resource = resourceName(u, e)
	e.override = u.Berth.Override.On
	if p, ok := u.Section.(*units.Pod); ok {
		if limited, parent := units.LimitsIn(p.PodmanArgs); limited {
			e.slice = units.PodSlice(e.resource, parent, g.User)
		}
	}
	if c, ok := u.Section.(*units.Container); ok {
		e.pod = c.Pod.Text
		e.inPod = c.StartWithPod.Or(true) && !e.name.Template()
		e.joins = joinedContainer(c.Network)
		e.init = u.Berth.InitContainer.On && units.KindOf(e.pod) == units.KindPod && !e.name.Template()
	}
}

func joinedContainer(networks units.List) string {
	for _, n := range networks {
		if name, _, _ := strings.Cut(n.Text, ":"); units.KindOf(name) == units.KindContainer {
			return name
		}
	}
	return ""
}

// load parses a file and merges its drop-ins. Drop-ins that cannot be read are left out and reported apart: they cost only
// themselves.
func (g *generation) load(e *entry) (u *units.Unit, dropins []units.Finding) {
	f, syntax := g.parser.Parse(e.source.Path, e.source.Text, e.source.Skipped)
	if len(g.set.Dropins) > 0 {
		dropins = g.mergeDropins(f, e.name)
	}
	u = g.loader.Load(e.name, f, syntax)
	if e.source.Problem != "" {
		u.Findings = []units.Finding{{At: unitfile.Pos{Path: e.source.Path}, Severity: units.Error, Message: e.source.Problem}}
	}
	return u, dropins
}

// mergeDropins reports each drop-in that cannot be read once, however many units it is for.
func (g *generation) mergeDropins(f *unitfile.File, name units.Name) (findings []units.Finding) {
	for _, d := range g.dropinsOf(name) {
		part, errs := unitfile.Parse(d.Path, d.Text)
		if d.Problem != "" {
			errs = []unitfile.SyntaxError{{At: unitfile.Pos{Path: d.Path}, Message: d.Problem}}
		}
		if len(errs) == 0 {
			f.Merge(part)
			continue
		}
		if g.loader.NamesOnly || g.said[d.Path] {
			continue
		}
		g.said[d.Path] = true
		for _, err := range errs {
			findings = append(findings, units.Finding{At: err.At, Severity: units.Error, Message: err.Message, Hint: "the drop-in is left out"})
		}
	}
	return findings
}

// convert tries twice: the second time for the stub of a file that the first could not stand.
func (g *generation) convert(e *entry) (out Output) {
	before := e.source.Problem
	g.guard(e, func() { out = g.convertOne(e) })
	if e.source.Problem != before {
		g.guard(e, func() { out = g.convertOne(e) })
	}
	return out
}

func (g *generation) convertOne(e *entry) Output {
	u, dropins := g.load(e)
	out := Output{Name: e.service + ".service", Source: e.source.Path}
	if e.refused != "" {
		out.Name = ""
		u.Add(units.Finding{At: unitfile.Pos{Path: e.source.Path}, Severity: e.severity, Message: e.refused, Hint: e.hintForRefused()})
	}
	if name := units.SharedOf(u.Section).ServiceName; name.Text != "" && !isUnitName(name.Text+".service") {
		u.Errorf(name.At, "ServiceName="+name.Text+" is no name for a unit; letters, digits and :-_.\\@ are allowed")
	}
	c := conversion{generation: g, Unit: u, entry: e}
	links := c.links()
	if e.source.Problem == "" {
		u.Check()
		c.checkInit()
		c.checkName()
		c.run() // even when there are errors: it finds those of references
		c.checkRestarts()
	}
	out.Findings = append(u.Findings, dropins...)
	units.SortFindings(out.Findings)
	if out.Name == "" {
		return out
	}
	out.Links = links
	if units.HasErrors(u.Findings) {
		out.Stub = true
		g.buf = c.stub(g.buf[:0], c.stop(), out.Findings)
	} else {
		e.done = true
		out.Also = append(c.restarts(), c.slice()...)
		g.buf = u.File.Append(g.buf[:0])
	}
	out.Text = g.buf
	return out
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// isUnitName reports whether systemd takes the name for a unit.
func isUnitName(name string) bool {
	if len(name) > 255 || strings.HasPrefix(name, "@") || name == ".service" {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(":-_.\\@", c) >= 0) {
			return false
		}
	}
	return true
}

// resourceName is what the engine calls the thing that the unit makes, "" when it cannot be known before it is started.
func resourceName(u *units.Unit, e *entry) string {
	switch s := u.Section.(type) {
	case *units.Container:
		return knownContainerName(containerName(s, e.name), e.service)
	case *units.Pod:
		return cmp.Or(s.PodName.Text, defaultName(e.name))
	case *units.Network:
		return cmp.Or(s.NetworkName.Text, defaultName(e.name))
	case *units.Volume:
		return cmp.Or(s.VolumeName.Text, defaultName(e.name))
	case *units.Image:
		return cmp.Or(s.ImageTag.Text, s.Image.Text)
	case *units.Artifact:
		return s.Artifact.Text
	case *units.Build:
		if len(s.ImageTag) > 0 {
			return s.ImageTag[0].Text
		}
	}
	return ""
}

// defaultName of networks, volumes and pods.
func defaultName(n units.Name) string {
	if n.At {
		return "systemd-" + n.Prefix + "-%i"
	}
	return "systemd-" + n.Stem
}

func quoted(s string) string { return `"` + s + `"` }
