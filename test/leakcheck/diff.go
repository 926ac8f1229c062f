package main

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// difference is one line that only one of two snapshots has.
type difference struct {
	collector string
	sign      byte // '+' only in the second, '-' only in the first, '!' not comparable
	text      string
}

func (d difference) String() string {
	return fmt.Sprintf("%s %c %s", d.collector, d.sign, d.text)
}

// allowance is a difference that is known and wanted.
type allowance struct {
	pattern *regexp.Regexp
	reason  string
}

// judge holds what a comparison tolerates.
type judge struct {
	expect  expectation
	allowed []allowance
}

// compare returns the differences that are neither allowed nor expected.
func (j judge) compare(a, b *Snapshot) []difference {
	found := j.expect.judge(a, b, diff(a, b))
	kept := found[:0]
	for _, d := range found {
		if !j.allows(d) {
			kept = append(kept, d)
		}
	}
	return kept
}

func (j judge) allows(d difference) bool {
	if d.sign == '-' && endsByItself(d) {
		return true
	}
	for _, a := range j.allowed {
		if a.pattern.MatchString(d.String()) {
			return true
		}
	}
	return false
}

// endsByItself reports what leaks nothing when it is gone: a manager closes a connection of its own whenever it likes, the
// keyring of a session ends with its last process, and systemd forgets a failed unit (systemctl reset-failed, or the
// next reload where its file is gone) and deletes the file of a transient one with it. What a killed program had begun to write beside
// a file of the storage library's is swept when it is ten minutes old, by whoever uses the store then.
func endsByItself(d difference) bool {
	switch d.collector {
	case "fds", "keyrings":
		return true
	case "units":
		return failedUnit.MatchString(d.text) || strings.HasSuffix(d.text, " transient")
	case "files":
		return transientUnit.MatchString(d.text) || storageTemp.MatchString(d.text)
	case "store":
		return storageTemp.MatchString(d.text)
	}
	return false
}

var (
	failedUnit    = regexp.MustCompile(`^(user \d+ )?\S+ failed\b`)
	storageTemp   = regexp.MustCompile(`[ /]overlay-(layers|containers|images)/\.tmp-[^/]+$`)
	transientUnit = regexp.MustCompile(` /run/(user/\d+/)?systemd/transient/[^/]+$`)
)

// diff returns every line that one of the snapshots has more often than the
// other, in the order of the collectors. A collector that looked in only one
// of the two is a difference of its own.
func diff(a, b *Snapshot) []difference {
	var found []difference
	for _, c := range collectors() {
		x, y := a.Collectors[c.name], b.Collectors[c.name]
		switch {
		case x == nil || y == nil:
			found = append(found, difference{c.name, '!', "not in both snapshots"})
		case (x.Skipped == "") != (y.Skipped == ""):
			found = append(found, difference{c.name, '!', "looked in one snapshot only: " + x.Skipped + y.Skipped})
		default:
			found = append(found, diffLines(c.name, x.Lines, y.Lines)...)
		}
	}
	return found
}

// diffLines merges two sorted lists.
func diffLines(name string, a, b []string) []difference {
	var found []difference
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			found = append(found, difference{name, '-', a[0]})
			a = a[1:]
		case len(a) == 0 || b[0] < a[0]:
			found = append(found, difference{name, '+', b[0]})
			b = b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
	return found
}

// readAllowFile reads one regular expression a line, matched against the
// whole printed difference. Every line needs its reason after " # ".
func readAllowFile(path string) ([]allowance, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read allowances: %w", err)
	}
	defer f.Close()
	var allowed []allowance
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		a, err := parseAllowance(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		allowed = append(allowed, a)
	}
	return allowed, lines.Err()
}

func parseAllowance(line string) (allowance, error) {
	pattern, reason, ok := strings.Cut(line, " # ")
	if !ok || strings.TrimSpace(reason) == "" {
		return allowance{}, fmt.Errorf("no reason: write PATTERN # REASON")
	}
	re, err := regexp.Compile("^(?:" + strings.TrimSpace(pattern) + ")$")
	if err != nil {
		return allowance{}, err
	}
	return allowance{re, strings.TrimSpace(reason)}, nil
}
