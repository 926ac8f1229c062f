//go:build containers_image_openpgp

package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"

	imgspecv1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.podman.io/image/v5/tarball"

	"github.com/berth-pods/berth/engine/image/name"
)

// ImportOptions say what becomes of a root file system.
type ImportOptions struct {
	Name              string
	Message           string
	Changes           []string // instructions of a Containerfile
	OS, Arch, Variant string
}

// Import makes an image with one layer of a tar archive: a file, an address of the web, or r when source is "-".
func (im *Images) Import(ctx context.Context, source string, r io.Reader, o ImportOptions) (id string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("import %s: %w", source, explain(im.space(err)))
		}
	}()
	var names []name.Name
	if o.Name != "" {
		if names, err = storeNames([]string{o.Name}); err != nil {
			return "", err
		}
	}
	config, err := o.config()
	if err != nil {
		return "", err
	}
	file, done, err := im.importFile(ctx, source, r)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, done()) }()
	ref, err := tarball.NewReference([]string{file}, nil)
	if err != nil {
		return "", err
	}
	if err := ref.(tarball.ConfigUpdater).ConfigUpdate(config, nil); err != nil {
		return "", err
	}
	sys := im.sys
	ready, err := im.preflight(ctx, ref, &sys, nil)
	if err != nil {
		return "", err
	}
	before, err := im.layers()
	if err != nil {
		return "", err
	}
	id, err = im.copyIn(ctx, job{src: ref, sys: &sys, name: first(names), id: ready.id, checked: true}) // the user's own file
	if err != nil {
		im.sweep(ready.chain, before)
	}
	return id, err
}

// importFile brings the archive into a file, as it is read twice.
func (im *Images) importFile(ctx context.Context, source string, r io.Reader) (file string, done func() error, err error) {
	if strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://") {
		body, err := open(ctx, source)
		if err != nil {
			return "", nil, err
		}
		defer body.Close()
		r = body
	} else if source != "-" {
		info, err := os.Stat(source)
		if err != nil {
			return "", nil, err
		}
		if info.Mode().IsRegular() {
			return source, func() error { return nil }, nil
		}
		f, err := os.Open(source)
		if err != nil {
			return "", nil, err
		}
		defer f.Close()
		r = f
	}
	b := &bundle{}
	f, err := im.spool(ctx, b, r)
	if err != nil {
		return "", nil, errors.Join(err, b.Close())
	}
	return f.Name(), b.Close, nil
}

func open(ctx context.Context, address string) (io.ReadCloser, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, fmt.Errorf("the server answers %s", answer.Status)
	}
	return answer.Body, nil
}

func (o ImportOptions) config() (imgspecv1.Image, error) {
	var c imgspecv1.Image // as old as the archive, so that the same one gives the same image again
	c.OS, c.Architecture, c.Variant = orElse(o.OS, "linux"), orElse(o.Arch, runtime.GOARCH), o.Variant
	comment := o.Message
	if comment == "" {
		comment = "imported from tarball"
	}
	c.History = []imgspecv1.History{{Comment: comment}}
	for _, change := range o.Changes {
		if err := apply(&c.Config, change); err != nil {
			return c, fmt.Errorf("--change %q: %w", change, err)
		}
	}
	return c, nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// apply reads one instruction, as in a Containerfile or as KEY=VALUE.
func apply(c *imgspecv1.ImageConfig, change string) error {
	key, value, found := strings.Cut(strings.TrimSpace(change), " ")
	if k, v, ok := strings.Cut(change, "="); ok && (!found || len(k) < len(key)) {
		key, value = k, v
	}
	value = strings.TrimSpace(value)
	if value == "" {
		return errors.New("it has no value")
	}
	switch strings.ToUpper(key) {
	case "CMD":
		c.Cmd = command(value)
	case "ENTRYPOINT":
		c.Entrypoint = command(value)
	case "ENV":
		name, v, ok := strings.Cut(value, "=")
		if !ok {
			name, v, _ = strings.Cut(value, " ")
		}
		setEnv(c, name+"="+unquote(v))
	case "LABEL":
		name, v, _ := strings.Cut(value, "=")
		setLabel(c, unquote(name), unquote(v))
	case "EXPOSE":
		c.ExposedPorts = addAll(c.ExposedPorts, ports(strings.Fields(value)))
	case "VOLUME":
		c.Volumes = addAll(c.Volumes, command(value))
	case "USER":
		c.User = value
	case "WORKDIR":
		c.WorkingDir = value
	case "STOPSIGNAL":
		c.StopSignal = value
	default:
		return errors.New("use CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME or WORKDIR")
	}
	return nil
}

// command is a JSON list of words, or a line for the shell.
func command(s string) []string {
	var words []string
	if json.Unmarshal([]byte(s), &words) == nil {
		return words
	}
	if strings.HasPrefix(s, "/") && !strings.ContainsAny(s, " \t$|&;<>'\"") {
		return []string{s}
	}
	return []string{"/bin/sh", "-c", s}
}

// unquote takes the one pair of quotes away that a value stands in. Between double ones a backslash makes a quote, or a
// backslash, part of the value.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' && s[0] != '\'' {
		return s
	}
	var inner []byte
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == s[0] && i == len(s)-1:
			return string(inner)
		case s[i] == s[0]: // the pair ends before the value does
			return s
		case s[0] == '"' && s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
		}
		inner = append(inner, s[i])
	}
	return s
}

// setConfig changes what the settings speak of. They are data: nothing in them is a quote, or a word of an instruction.
func setConfig(c *imgspecv1.ImageConfig, settings imgspecv1.ImageConfig) {
	if len(settings.Entrypoint) > 0 {
		c.Entrypoint = settings.Entrypoint
	}
	if len(settings.Cmd) > 0 {
		c.Cmd = settings.Cmd
	}
	for _, e := range settings.Env {
		setEnv(c, e)
	}
	for k, v := range settings.Labels {
		setLabel(c, k, v)
	}
	c.ExposedPorts = addAll(c.ExposedPorts, ports(slices.Sorted(maps.Keys(settings.ExposedPorts))))
	c.Volumes = addAll(c.Volumes, slices.Sorted(maps.Keys(settings.Volumes)))
	c.User = orElse(settings.User, c.User)
	c.WorkingDir = orElse(settings.WorkingDir, c.WorkingDir)
	c.StopSignal = orElse(settings.StopSignal, c.StopSignal)
}

// setEnv sets a variable, NAME=VALUE.
func setEnv(c *imgspecv1.ImageConfig, variable string) {
	name, _, _ := strings.Cut(variable, "=")
	c.Env = slices.DeleteFunc(c.Env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
	c.Env = append(c.Env, variable)
}

func setLabel(c *imgspecv1.ImageConfig, name, value string) {
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	c.Labels[name] = value
}

func ports(all []string) []string {
	for i, p := range all {
		if !strings.Contains(p, "/") {
			all[i] = p + "/tcp"
		}
	}
	return all
}

func addAll(set map[string]struct{}, all []string) map[string]struct{} {
	if set == nil && len(all) > 0 {
		set = map[string]struct{}{}
	}
	for _, s := range all {
		set[s] = struct{}{}
	}
	return set
}
