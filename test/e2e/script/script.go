// Package script reads and runs the end-to-end tests: shell scripts that run as root inside a machine. A script says where
// it runs in comment lines at its top:
//
//	# hosts: nspawn vm      the kinds of machine it is for
//	# torture-hosts: vm     those that it is for too when every case is taken
//	# machine: fresh        a machine of its own; without this line scripts share one
//	# kernel: WORDS         a virtual machine of its own with these words on the command line of its kernel
//	# timeout: 3m           how long it may take, 2m unless it says
//	# then: reboot          between two parts: what happens to the machine after this part (reboot or poweroff)
//
// A test in several parts is a row of files NAME.1.sh, NAME.2.sh, …, and always gets a machine of its own. Exit code 0 is
// success, 77 means that the script could not be run here (its last line says why), all others are failures.
package script

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/berth-pods/berth/test/e2e/hosts"
)

// Script is one test.
type Script struct {
	Name    string
	Hosts   []hosts.Kind
	Torture []hosts.Kind // more of them, when every case is taken
	Fresh   bool         // wants a machine of its own
	Kernel  string       // wants its kernel started with these words, see hosts.Options
	Parts   []Part
}

// Part is one file of a test.
type Part struct {
	File    string // base name
	Text    string
	Timeout time.Duration
	Then    Then
}

// Then is what happens to the machine after a part.
type Then string

// What can happen between two parts. PowerOff takes the power away without warning and boots again.
const (
	Nothing  Then = ""
	Reboot   Then = "reboot"
	PowerOff Then = "poweroff"
)

// RunsOn says whether the script is for this kind of machine, with torture or without. On the local one run those that
// neither switch it off nor want it fresh.
func (s Script) RunsOn(kind hosts.Kind, torture bool) bool {
	if kind == hosts.Local {
		return len(s.Parts) == 1 && !s.Fresh
	}
	return slices.Contains(s.Hosts, kind) || torture && slices.Contains(s.Torture, kind)
}

// LoadDir reads all scripts of a directory, sorted by name. A file whose name does not begin with a digit is no script:
// others include it.
func LoadDir(dir string) ([]Script, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.sh"))
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(f string) bool { c := filepath.Base(f)[0]; return c < '0' || c > '9' })
	return Load(files)
}

// Load reads scripts. A file that is one part of a test brings the other parts with it.
func Load(files []string) ([]Script, error) {
	var scripts []Script
	seen := map[string]bool{}
	for _, f := range files {
		name, _ := partOf(filepath.Base(f))
		path := filepath.Join(filepath.Dir(f), name)
		if seen[path] {
			continue
		}
		seen[path] = true
		s, err := load(path)
		if err != nil {
			return nil, err
		}
		scripts = append(scripts, s)
	}
	return scripts, nil
}

var partFile = regexp.MustCompile(`^(.+)\.([1-9][0-9]*)\.sh$`)

// partOf splits NAME.2.sh into NAME and 2; the number of NAME.sh is 0.
func partOf(file string) (name string, number int) {
	if m := partFile.FindStringSubmatch(file); m != nil {
		n, err := strconv.Atoi(m[2])
		if err == nil {
			return m[1], n
		}
	}
	return strings.TrimSuffix(file, ".sh"), 0
}

// load reads the test whose files begin with path.
func load(path string) (Script, error) {
	files := []string{path + ".sh"}
	if _, err := os.Stat(files[0]); err != nil {
		files = numbered(path)
	}
	s := Script{Name: filepath.Base(path)}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return s, err
		}
		if err := s.add(filepath.Base(f), string(text)); err != nil {
			return s, fmt.Errorf("%s: %w", f, err)
		}
	}
	return s, s.check()
}

func numbered(path string) []string {
	files := []string{path + ".1.sh"}
	for n := 2; ; n++ {
		next := fmt.Sprintf("%s.%d.sh", path, n)
		if _, err := os.Stat(next); err != nil {
			return files
		}
		files = append(files, next)
	}
}

// add appends a part. Only the comment block at the top of the file is read for settings.
func (s *Script) add(file, text string) error {
	p := Part{File: file, Text: text, Timeout: 2 * time.Minute}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			break
		}
		key, value, found := strings.Cut(strings.TrimSpace(line[1:]), ":")
		if !found {
			continue
		}
		if err := s.set(&p, key, strings.TrimSpace(value)); err != nil {
			return err
		}
	}
	s.Parts = append(s.Parts, p)
	return nil
}

func (s *Script) set(p *Part, key, value string) (err error) {
	switch key {
	case "hosts":
		s.Hosts, err = parseKinds(value)
	case "torture-hosts":
		s.Torture, err = parseKinds(value)
	case "machine":
		if value != "fresh" {
			return fmt.Errorf(`"machine: %s": only "fresh" can stand there`, value)
		}
		s.Fresh = true
	case "kernel":
		s.Kernel, s.Fresh = value, true
	case "timeout":
		p.Timeout, err = time.ParseDuration(value)
	case "then":
		p.Then = Then(value)
		if p.Then != Reboot && p.Then != PowerOff {
			return fmt.Errorf(`"then: %s": reboot or poweroff can stand there`, value)
		}
	}
	return err
}

func parseKinds(words string) ([]hosts.Kind, error) {
	var list []hosts.Kind
	for _, word := range strings.Fields(words) {
		kind, err := hosts.ParseKind(word)
		if err != nil {
			return nil, err
		}
		list = append(list, kind)
	}
	return list, nil
}

func (s *Script) check() error {
	if len(s.Hosts) == 0 {
		return fmt.Errorf(`%s: no line "# hosts: …" in the comment at the top`, s.Name)
	}
	if s.Parts[len(s.Parts)-1].Then != Nothing {
		return fmt.Errorf(`%s: "then:" in the last part`, s.Name)
	}
	if len(s.Parts) > 1 {
		s.Fresh = true
	}
	return nil
}
