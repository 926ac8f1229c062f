package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/berth-pods/berth/generator"
	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

// release is a release of Podman: its first two numbers.
type release struct{ major, minor int }

func (r release) String() string { return fmt.Sprintf("%d.%d", r.major, r.minor) }

func (r release) before(other release) bool {
	return r.major < other.major || r.major == other.major && r.minor < other.minor
}

// parseRelease reads "5.4" and "5.4.2", in which the third number says nothing about keys.
func parseRelease(s string) (release, error) {
	words := strings.Split(s, ".")
	if len(words) < 2 || len(words) > 3 {
		return release{}, fmt.Errorf("%q is no release", s)
	}
	var numbers [3]int
	for i, w := range words {
		n, err := strconv.ParseUint(w, 10, 16)
		if err != nil {
			return release{}, fmt.Errorf("%q is no release", s)
		}
		numbers[i] = int(n)
	}
	return release{numbers[0], numbers[1]}, nil
}

// newerThan finds kinds and keys that a release does not know yet.
func newerThan(target release, set generator.Set) (findings []units.Finding) {
	for _, s := range set.Files {
		if strings.HasSuffix(s.Name, units.BundleExtension) {
			findings = append(findings, newerFinding(unitfile.Pos{Path: s.Path}, "Podman reads no bundles from unit directories",
				"`podman quadlet install`, since 5.8, takes them apart"))
		}
		for _, p := range partsOf(s) {
			kind := units.KindOf(p.name)
			if since := kindSince(kind); target.before(since) {
				findings = append(findings, newerFinding(partPos(s, p), kind.Extension()+" files are known since Podman "+since.String(), ""))
				continue
			}
			findings = append(findings, newerKeys(target, kind, s.Path, p)...)
		}
	}
	for dir, list := range set.Dropins {
		for _, s := range list {
			findings = append(findings, newerKeys(target, dropinKind(dir), s.Path, bundled{text: s.Text})...)
		}
	}
	return findings
}

func newerKeys(target release, kind units.Kind, path string, p bundled) (findings []units.Finding) {
	file, _ := new(unitfile.Parser).Parse(path, p.text, p.skipped)
	for _, k := range []units.Kind{kind, units.KindQuadlet} {
		section := file.Section(k.String())
		if section == nil {
			continue
		}
		for _, e := range section.Entries {
			row := units.Lookup(k, e.Key)
			if row == nil {
				continue // unknown: the generator's finding
			}
			if since, err := parseRelease(row.SinceIn(k)); err == nil && target.before(since) {
				findings = append(findings, newerFinding(e.At, e.Key+"= is known since Podman "+since.String(), "the target is "+target.String()))
			}
		}
	}
	return findings
}

func newerFinding(at unitfile.Pos, message, hint string) units.Finding {
	return units.Finding{At: at, Severity: units.Error, Message: message, Hint: hint}
}

// kindSince is the release that has the first key of a kind.
func kindSince(k units.Kind) (first release) {
	for _, row := range units.RowsOf(k) {
		if since, err := parseRelease(row.SinceIn(k)); err == nil && (first == release{} || since.before(first)) {
			first = since
		}
	}
	return first
}
