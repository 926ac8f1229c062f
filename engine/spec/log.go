package spec

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// The drivers of a container's output.
const (
	LogJournald       = "journald"
	LogK8sFile        = "k8s-file"
	LogJSONFile       = "json-file" // the old name of k8s-file
	LogPassthrough    = "passthrough"
	LogPassthroughTTY = "passthrough-tty"
	LogNone           = "none"
)

// LogDrivers are all of them.
func LogDrivers() []string {
	return []string{LogJournald, LogK8sFile, LogJSONFile, LogPassthrough, LogPassthroughTTY, LogNone}
}

// Log is where a container's output goes.
type Log struct {
	Driver  string   `json:"driver"`
	Path    string   `json:"path,omitempty"`    // of the file
	MaxSize int64    `json:"maxSize,omitempty"` // of the file, after which another is begun
	Tag     string   `json:"tag,omitempty"`
	Fields  []string `json:"fields,omitempty"` // NAME=VALUE for the journal
}

// LogFacts are what the templates of a log's options may name.
type LogFacts struct {
	ID, Name, Image, ImageID string
}

// ParseLog reads the driver and its options (--log-driver, --log-opt). It may be called to check them, without facts.
func ParseLog(c Container, facts LogFacts) (Log, error) {
	l := Log{Driver: c.LogDriver}
	switch {
	case l.Driver == "":
		l.Driver = LogJournald
	case l.Driver == LogJSONFile:
		l.Driver = LogK8sFile
	case !slices.Contains(LogDrivers(), l.Driver):
		return l, fmt.Errorf("log driver %q: known are %s", l.Driver, strings.Join(LogDrivers(), ", "))
	}
	for _, o := range c.LogOpts {
		if err := l.option(o, facts); err != nil {
			return l, fmt.Errorf("log option %q: %w", o, err)
		}
	}
	return l, nil
}

func (l *Log) option(o string, facts LogFacts) error {
	name, value, ok := strings.Cut(o, "=")
	if !ok || value == "" {
		return fmt.Errorf("write NAME=VALUE")
	}
	var err error
	switch name {
	case "path":
		if l.Driver == LogK8sFile && !filepath.IsAbs(value) {
			return fmt.Errorf("the path must be absolute")
		}
		l.Path = value
	case "max-size":
		n, err := ParseBytes(value)
		if err != nil {
			return err
		}
		l.MaxSize = int64(n)
	case "tag":
		l.Tag, err = expand(value, facts)
	case "label":
		field, template, ok := strings.Cut(value, "=")
		if !ok || !journalField(field) {
			return fmt.Errorf("write label=NAME=VALUE; a NAME of the journal has capital letters, digits and underscores, and begins with a letter")
		}
		if template, err = expand(template, facts); err == nil {
			l.Fields = append(l.Fields, field+"="+template)
		}
	default:
		return fmt.Errorf("known are path, max-size, tag and label")
	}
	return err
}

// journalField reports whether the journal takes it as a name of a field from a program (systemd.journal-fields(7)).
func journalField(s string) bool {
	if s == "" || len(s) > 64 || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// expand replaces {{.Name}} and the like.
func expand(template string, facts LogFacts) (string, error) {
	var out strings.Builder
	rest := template
	for {
		before, after, ok := strings.Cut(rest, "{{")
		out.WriteString(before)
		if !ok {
			return out.String(), nil
		}
		word, tail, ok := strings.Cut(after, "}}")
		if !ok {
			return "", fmt.Errorf("{{ without }}")
		}
		value, ok := facts.value(strings.TrimSpace(word))
		if !ok {
			return "", fmt.Errorf("{{%s}} is not known here; known are {{.ID}}, {{.FullID}}, {{.Name}}, {{.ImageName}}, {{.ImageID}} and {{.ImageFullID}}", word)
		}
		out.WriteString(value)
		rest = tail
	}
}

func (f LogFacts) value(word string) (string, bool) {
	switch word {
	case ".ID":
		return short(f.ID), true
	case ".FullID", ".Id":
		return f.ID, true
	case ".Name":
		return f.Name, true
	case ".ImageName":
		return f.Image, true
	case ".ImageID":
		return short(f.ImageID), true
	case ".ImageFullID", ".Image":
		return f.ImageID, true
	}
	return "", false
}

func short(id string) string { return id[:min(12, len(id))] }
