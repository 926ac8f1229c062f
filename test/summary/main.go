// Command summary reads the output of `go test -json` and prints what a person wants to see of it: each test of machines
// as it ends, the whole output of what failed, every skipped test with its reason, and the counts.
//
//	go test -json ./... | summary
//
// It exits with 1 when a test has failed, when a package could not be built, and when no test ran.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

func main() {
	verbose := flag.Bool("v", false, "print each test as it ends")
	flag.Parse()
	s := newSummary(os.Stdout, *verbose)
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
		os.Exit(1)
	}
	if !s.print() {
		os.Exit(1)
	}
}

// event is a line of `go test -json` (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
	Elapsed    float64
}

// key names a test, or a package when test is empty.
type key struct{ pkg, test string }

type summary struct {
	out     io.Writer
	verbose bool
	result  map[key]string
	output  map[key][]string
	build   []string // what the compiler said
	table   []string // lines for the reader: what the end-to-end scripts have interrupted
}

// tablePrefix begins the lines of a table that is passed on as it is.
const tablePrefix = "interrupted: "

func newSummary(out io.Writer, verbose bool) *summary {
	return &summary{out: out, verbose: verbose, result: map[key]string{}, output: map[key][]string{}}
}

func (s *summary) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			s.build = append(s.build, lines.Text()+"\n")
			continue
		}
		s.add(e)
	}
	return lines.Err()
}

func (s *summary) add(e event) {
	k := key{e.Package, e.Test}
	switch e.Action {
	case "output":
		s.output[k] = append(s.output[k], e.Output)
		if strings.HasPrefix(e.Output, tablePrefix) {
			s.table = append(s.table, e.Output)
		}
	case "build-output":
		s.build = append(s.build, e.Output)
	case "build-fail":
		s.result[key{e.ImportPath, ""}] = "fail"
	case "pass", "fail", "skip":
		s.result[k] = e.Action
		if e.Test == "" && e.Action == "fail" {
			s.cutOff(e.Package)
		}
		if s.verbose && e.Test != "" {
			fmt.Fprintf(s.out, "%-4s %s (%.1fs)\n", e.Action, e.Test, e.Elapsed)
		}
	}
}

// cutOff marks as failed those tests of a package that were running when its program ended: what it said last is in their output.
func (s *summary) cutOff(pkg string) {
	for k := range s.output {
		if k.pkg == pkg && s.result[k] == "" {
			s.result[k] = "fail"
		}
	}
}

// print writes the result and reports whether all is well.
func (s *summary) print() bool {
	var passed, failed, skipped int
	parents := s.parents()
	for _, k := range s.keys() {
		result := s.result[k]
		switch {
		case k.test == "" && result == "fail" && !s.anyFailed(k.pkg):
			failed++ // the package itself: it did not build, or ended early
			fmt.Fprintf(s.out, "FAIL %s\n%s", k.pkg, strings.Join(s.output[k], ""))
		case k.test == "" || parents[k]:
		case result == "pass":
			passed++
		case result == "skip":
			skipped++
			fmt.Fprintf(s.out, "skip %s %s: %s\n", k.pkg, k.test, s.reason(k))
		case result == "fail":
			failed++
			fmt.Fprintf(s.out, "FAIL %s %s\n%s", k.pkg, k.test, strings.Join(s.output[k], ""))
		}
	}
	fmt.Fprint(s.out, strings.Join(s.build, ""), strings.Join(s.table, ""))
	fmt.Fprintf(s.out, "%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	return failed == 0 && passed > 0
}

// parents are the tests that have subtests: they count through them.
func (s *summary) parents() map[key]bool {
	parents := map[key]bool{}
	for k := range s.result {
		for i, c := range k.test {
			if c == '/' {
				parents[key{k.pkg, k.test[:i]}] = true
			}
		}
	}
	for k := range parents {
		// A parent that failed though none of its subtests did has failed by itself.
		if s.result[k] == "fail" && !s.childFailed(k) {
			delete(parents, k)
		}
	}
	return parents
}

func (s *summary) childFailed(parent key) bool {
	for k, result := range s.result {
		if k.pkg == parent.pkg && result == "fail" && strings.HasPrefix(k.test, parent.test+"/") {
			return true
		}
	}
	return false
}

func (s *summary) anyFailed(pkg string) bool {
	for k, result := range s.result {
		if k.pkg == pkg && k.test != "" && result == "fail" {
			return true
		}
	}
	return false
}

func (s *summary) keys() []key {
	keys := make([]key, 0, len(s.result))
	for k := range s.result {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		return keys[i].pkg < keys[j].pkg || keys[i].pkg == keys[j].pkg && keys[i].test < keys[j].test
	})
	return keys
}

// reason is the last line that a skipped test printed, without the place.
func (s *summary) reason(k key) string {
	reason := "it does not say why"
	for _, line := range s.output[k] {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			reason = line
		}
	}
	if _, text, ok := strings.Cut(reason, ".go:"); ok {
		if _, text, ok := strings.Cut(text, ": "); ok {
			return text
		}
	}
	return reason
}
