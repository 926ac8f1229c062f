package units

import (
	"strconv"
	"strings"
)

// CheckTarget adds a warning for each key that a release of Podman ("5.4") does not know yet. It returns false when the
// release cannot be read.
func (u *Unit) CheckTarget(release string) bool {
	target, ok := parseRelease(release)
	if !ok {
		return false
	}
	s := u.File.Section(u.Name.Kind.String())
	if s == nil {
		return true
	}
	for i := range s.Entries {
		row := Lookup(u.Name.Kind, s.Entries[i].Key)
		if row == nil {
			continue
		}
		since := row.SinceIn(u.Name.Kind)
		if first, ok := parseRelease(since); ok && target < first {
			u.add(Finding{At: s.Entries[i].At, Severity: Warning, Message: "Podman " + release + " does not know " + row.Name + "=",
				Hint: "it came with " + since})
		}
	}
	return true
}

// parseRelease makes "5.10" comparable; what follows the second number does not count.
func parseRelease(release string) (n int, ok bool) {
	first, rest, _ := strings.Cut(release, ".")
	second, _, _ := strings.Cut(rest, ".")
	major, err := strconv.Atoi(first)
	if err != nil || major < 0 {
		return 0, false
	}
	minor := 0
	if second != "" {
		if minor, err = strconv.Atoi(second); err != nil || minor < 0 || minor > 999 {
			return 0, false
		}
	}
	return major*1000 + minor, true
}
