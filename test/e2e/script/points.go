package script

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Points are the interruptions of all scripts that interrupt something, and what came of them.
type Points struct{ rows []pointsRow }

type pointsRow struct {
	name                    string
	points, failures, leaks int
}

var tallyLine = regexp.MustCompile(`(?m)^tally: (\d+) points, (\d+) failures, (\d+) leaks$`)

// Add reads the tally that a script has printed, if it has; when the script failed for another reason, that is a failure too.
func (p *Points) Add(name string, r Result) {
	found := tallyLine.FindAllSubmatch(r.Output, -1)
	if found == nil {
		return
	}
	row := pointsRow{name: name}
	for _, m := range found {
		for i, sum := range []*int{&row.points, &row.failures, &row.leaks} {
			n, _ := strconv.Atoi(string(m[i+1])) // digits; a number beyond all measure is shown as the largest there is
			*sum += n
		}
	}
	if r.Outcome == Failed && row.failures+row.leaks == 0 {
		row.failures = 1
	}
	p.rows = append(p.rows, row)
}

// Table has a line for each script and one for all, or is empty.
func (p *Points) Table() string {
	if len(p.rows) == 0 {
		return ""
	}
	var b strings.Builder
	all := pointsRow{name: "all"}
	fmt.Fprintf(&b, "interrupted: %-24s %8s %8s %8s\n", "", "points", "failures", "leaks")
	for _, r := range p.rows {
		all.points, all.failures, all.leaks = all.points+r.points, all.failures+r.failures, all.leaks+r.leaks
		b.WriteString(r.line())
	}
	return b.String() + all.line()
}

func (r pointsRow) line() string {
	return fmt.Sprintf("interrupted: %-24s %8d %8d %8d\n", r.name, r.points, r.failures, r.leaks)
}
