package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// expectation is what the second snapshot should have more than the first.
type expectation struct {
	running int // containers
}

// parseExpectation reads "none" or "running:N".
func parseExpectation(s string) (expectation, error) {
	if s == "none" {
		return expectation{}, nil
	}
	count, ok := strings.CutPrefix(s, "running:")
	n, err := strconv.Atoi(count)
	if !ok || err != nil || n < 0 {
		return expectation{}, fmt.Errorf("--expect %q: write none or running:N", s)
	}
	return expectation{running: n}, nil
}

// judge returns the differences that N running containers do not explain:
// everything that went away, everything new that belongs to none of them,
// and what one of them should have and has not.
func (e expectation) judge(a, b *Snapshot, found []difference) []difference {
	if e.running == 0 {
		return found
	}
	var started []startedContainer
	var rest []difference
	for _, d := range found {
		if c, ok := parseContainer(d.text); ok && d.collector == "containers" && d.sign == '+' {
			started = append(started, c)
		}
	}
	if len(started) != e.running {
		rest = append(rest, difference{"containers", '!', fmt.Sprintf("%d containers are running, want %d", len(started), e.running)})
	}
	known := newOwners(started, found)
	for _, d := range found {
		if d.sign != '+' || !known.own(d) {
			rest = append(rest, d)
		}
	}
	return append(rest, incomplete(a, b, started, found)...)
}

// startedContainer is a line of the containers collector in parts.
type startedContainer struct {
	label string // cgroup and process, as in "system.slice/web.service/nginx"
	unit  string // "web.service"
	name  string // of the record in the store, or the source of its root
	store bool   // the root file system is a layer
}

var (
	containerLine = regexp.MustCompile(`^(.+) root=([^:]+):(.+)$`)
	unitName      = regexp.MustCompile(`[^/]+\.(service|scope)`)
)

func parseContainer(line string) (startedContainer, bool) {
	m := containerLine.FindStringSubmatch(line)
	if m == nil {
		return startedContainer{}, false
	}
	// The innermost unit: a user's is below user@1000.service.
	unit := ""
	if units := unitName.FindAllString(m[1], -1); len(units) > 0 {
		unit = units[len(units)-1]
	}
	return startedContainer{m[1], unit, m[3], m[2] == "overlay"}, true
}

// owners are the words by which a line shows to whom it belongs.
type owners struct {
	words []string
	links []string // new interfaces of the machine
}

func newOwners(started []startedContainer, found []difference) owners {
	var o owners
	for _, c := range started {
		o.words = append(o.words, c.label, c.name)
		if c.unit != "" {
			stem := strings.TrimSuffix(c.unit, filepath.Ext(c.unit))
			o.words = append(o.words, c.unit, "/"+stem+".") // the second as in /run/web.cid
		}
	}
	for _, d := range found {
		if m := newLink.FindStringSubmatch(d.text); m != nil && d.sign == '+' {
			o.links = append(o.links, m[1])
		}
	}
	return o
}

// newLink matches only the kinds of interface that container networks make.
var newLink = regexp.MustCompile(`^host link (\S+) kind=(?:bridge|veth|macvlan|ipvlan|vxlan)\b`)

// sharedByContainers belongs to no container alone, and is wanted while one runs.
var sharedByContainers = []struct {
	collector string
	pattern   *regexp.Regexp
	reason    string
}{
	{"mounts", regexp.MustCompile(`^host (/var/lib|/home/\S+)/\S*storage/overlay `), "the store's own mount of itself"},
	{"mounts", regexp.MustCompile(`^host (/run|/run/user/\d+)/netns(/\S+)? (nsfs|tmpfs) `), "names of network namespaces; one without a process shows among the namespaces"},
	{"nft", regexp.MustCompile(`"table":"netavark"|"name":"netavark"`), "the firewall of the bridge"},
	{"leases", regexp.MustCompile(`.`), "the addresses in use"},
	{"processes", regexp.MustCompile(`/(aardvark-dns|berth-keeper|pasta(\.avx2)?)$`), "name service, keeper, user networking"},
	{"fds", regexp.MustCompile(`(/(aardvark-dns|berth-keeper): |(^|/)init\.scope/systemd: |journald?: socket$)`), "held for the containers"},
	{"locks", regexp.MustCompile(`(aardvark|netavark|berth)`), "held by a helper that serves the containers"},
	{"files", regexp.MustCompile(` /run/(user/\d+/)?(berth|containers|crun|runc|netavark|libpod|lock|netns|systemd/units)(/|$)`), "state of this boot"},
	{"cgroups", regexp.MustCompile(`(aardvark|berth|machine\.slice)`), "groups of helpers"},
	{"units", regexp.MustCompile(`^(user \d+ )?(run-.*|berth.*|.*-network\.service|.*-volume\.service|.*-image\.service|.*-pod\.service) `), "helpers, and units of resources"},
	{"sysctls", regexp.MustCompile(`^ipv[46]/(ip_forward|conf/(all|default)/forwarding) = 1$`), "the bridge needs forwarding"},
}

// own reports whether a new line belongs to one of the containers.
func (o owners) own(d difference) bool {
	for _, word := range o.words {
		if strings.Contains(d.text, word) {
			return true
		}
	}
	for _, link := range o.links {
		if strings.Contains(d.text, "dev="+link) || strings.Contains(d.text, "link "+link+" ") ||
			d.collector == "sysctls" && strings.Contains(d.text, "/"+link+"/") {
			return true
		}
	}
	for _, s := range sharedByContainers {
		if s.collector == d.collector && s.pattern.MatchString(d.text) {
			return true
		}
	}
	return false
}

// incomplete tells what a running container must have and has not: one line
// in each of these collectors that names its unit, and its record. A record
// without a running container is told as well.
func incomplete(a, b *Snapshot, started []startedContainer, found []difference) []difference {
	var missing []difference
	for _, c := range started {
		for _, collector := range []string{"namespaces", "processes", "cgroups", "units"} {
			if b.Collectors[collector].Skipped == "" && !mentions(b, collector, c.unit) {
				missing = append(missing, difference{collector, '-', "nothing of " + c.label})
			}
		}
		if c.store && !mentions(b, "store", "container "+c.name) {
			missing = append(missing, difference{"store", '-', "no record of the container in " + c.label})
		}
	}
	for _, d := range found {
		name, ok := recordedContainer(d)
		if ok && !runs(started, name) {
			missing = append(missing, difference{"containers", '-', "record " + name + " has no running container"})
		}
	}
	return missing
}

func mentions(s *Snapshot, collector, word string) bool {
	for _, line := range s.Collectors[collector].Lines {
		if strings.Contains(line, word) {
			return true
		}
	}
	return false
}

func recordedContainer(d difference) (string, bool) {
	_, name, ok := strings.Cut(d.text, ": container ")
	name, _, _ = strings.Cut(name, " ")
	return name, ok && d.collector == "store" && d.sign == '+'
}

func runs(started []startedContainer, name string) bool {
	for _, c := range started {
		if c.name == name {
			return true
		}
	}
	return false
}
