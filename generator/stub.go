package generator

import (
	"strings"

	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

// maxReported bounds the findings that a stub repeats; the generator's log has all.
const maxReported = 20

// stub writes the unit of a file with errors. Starting it prints the findings and fails, so that systemctl status shows
// them; a container that runs from before can still be stopped. Links of [Install] and OnFailure= are kept: what was to
// start at boot is seen to fail.
func (c *conversion) stub(buf []byte, stop []unitfile.Entry, findings []units.Finding) []byte {
	var errors []string
	for _, f := range findings {
		if f.Severity == units.Error && len(errors) < maxReported {
			errors = append(errors, shortFinding(f))
		}
	}
	f := &unitfile.File{}
	unit := f.AddSection("Unit")
	unit.Add("Description", noSpecifiers(clip(c.Unit.Name.File+" has errors: "+errors[0], 250)))
	unit.Add("SourcePath", noSpecifiers(c.entry.source.Path))
	for _, key := range [...]string{"Documentation", "DefaultDependencies", "OnFailure", "OnFailureJobMode"} {
		c.keep(unit, c.File.Section("Unit"), key)
	}
	service := f.AddSection("Service")
	service.Add("Type", "oneshot")
	report := command{words: []string{c.Reporter, "-report"}}
	for _, e := range errors {
		report.add(strings.ReplaceAll(noSpecifiers(clip(e, 500)), "$", "$$"))
	}
	service.Add("ExecStart", report.String())
	if len(stop) > 0 {
		stop = append(stop, c.inNameStub()...)
	}
	service.Entries = append(service.Entries, stop...)
	service.Add("SyslogIdentifier", "berth-generator")
	return f.Append(buf)
}

func (c *conversion) keep(into, from *unitfile.Section, key string) {
	if from == nil {
		return
	}
	for _, e := range from.Entries {
		if e.Key == key && !mentionsFile(e.Value) {
			into.Add(key, e.Value)
		}
	}
}

// shortFinding names the file without its directory: the status has the whole path beside it.
func shortFinding(f units.Finding) string {
	path := f.At.Path
	if at := strings.LastIndexByte(path, '/'); at >= 0 {
		dir := path[:at]
		path = path[at+1:]
		if parent := dir[strings.LastIndexByte(dir, '/')+1:]; strings.HasSuffix(parent, ".d") {
			path = parent + "/" + path
		}
	}
	f.At.Path = path
	return f.String()
}

// noSpecifiers keeps systemd from expanding what a finding quotes, and takes out what would end the line, or be lost at its
// end.
func noSpecifiers(text string) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd")))
	if strings.HasSuffix(text, `\`) {
		text += "." // or the next line would be joined
	}
	return strings.ReplaceAll(text, "%", "%%")
}

func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
