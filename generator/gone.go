package generator

import (
	"slices"
	"sort"
	"strings"

	"github.com/berth-pods/berth/units/unitfile"
)

// Live is a container or a pod of this boot.
type Live struct {
	Unit string // that it belongs to
	ID   string
	Pod  bool
}

// gone makes units for what still runs although its file has been removed, or does not make that unit any more. Without one systemd
// forgets how it is stopped at the next daemon-reload: it would get a signal that it may not know, and nothing would take down
// its network. Such a unit stops it as it would have been, and does not start.
func (g *generation) gone(emit func(*Output)) {
	sort.Slice(g.set.Live, func(i, j int) bool {
		a, b := g.set.Live[i], g.set.Live[j]
		return a.Unit+" "+a.ID < b.Unit+" "+b.ID
	})
	for rest := g.set.Live; len(rest) > 0; {
		unit := rest[0].Unit
		n := 1
		for n < len(rest) && rest[n].Unit == unit {
			n++
		}
		if isUnitName(unit) && !g.makes(unit) && g.existing(unit) == "" {
			g.buf = g.goneUnit(unit, rest[:n], g.buf[:0])
			emit(&Output{Name: unit, Text: g.buf, Late: true})
		}
		rest = rest[n:]
	}
}

// makes tells whether a file makes the unit, or the template that it is an instance of.
func (g *generation) makes(unit string) bool {
	service := strings.TrimSuffix(unit, ".service")
	e := g.owner[service]
	if at := strings.IndexByte(service, '@'); e == nil && at >= 0 {
		e = g.owner[service[:at+1]]
	}
	return e != nil && e.refused == ""
}

func (g *generation) goneUnit(unit string, live []Live, buf []byte) []byte {
	f := &unitfile.File{}
	f.AddSection("Unit").Add("Description", noSpecifiers(unit)+", whose file has been removed")
	service := f.AddSection("Service")
	service.Add("Type", "notify")
	service.Add("NotifyAccess", "all")
	service.Add("Delegate", "yes")
	service.Add("KillMode", "mixed")
	report := command{words: []string{g.Reporter, "-report", "The file of this unit has been removed: the unit is there to stop what runs, until the next daemon-reload."}}
	service.Add("ExecStart", report.String())
	if slices.ContainsFunc(live, func(l Live) bool { return l.Pod }) {
		service.Add("RemainAfterExit", "yes")
	}
	for _, l := range live {
		stop, post := command{words: []string{g.Engine, "stop", "-i", l.ID}}, command{words: []string{"-" + g.Engine, "container", "cleanup", l.ID}}
		if l.Pod {
			stop, post = command{words: []string{g.Engine, "pod", "stop", "--ignore", l.ID}}, command{words: []string{"-" + g.Engine, "pod", "rm", "--ignore", "--force", l.ID}}
		}
		service.Add("ExecStop", stop.String())
		service.Add("ExecStopPost", post.String())
	}
	service.Add("SyslogIdentifier", "%N")
	return f.Append(buf)
}
