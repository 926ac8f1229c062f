package spec

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Hook is a file of a hooks directory, oci-hooks(5), version 1.0.0: a program, when it is called, and at which stages.
type Hook struct {
	Version string     `json:"version"`
	Hook    specs.Hook `json:"hook"`
	When    struct {
		Always        *bool             `json:"always"`
		Annotations   map[string]string `json:"annotations"` // patterns of names and values
		Commands      []string          `json:"commands"`    // patterns of the program's path
		HasBindMounts *bool             `json:"hasBindMounts"`
	} `json:"when"`
	Stages []string `json:"stages"`
}

// hookStages are the stages at which a hook can be called.
var hookStages = []string{"precreate", "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}

// ParseHook reads the text of a hook file.
func ParseHook(file string, text []byte) (Hook, error) {
	var h Hook
	if err := json.Unmarshal(text, &h); err != nil {
		return h, fmt.Errorf("hook %s: %w", file, err)
	}
	switch {
	case h.Version != "1.0.0":
		return h, fmt.Errorf("hook %s has version %q; 1.0.0 is known", file, h.Version)
	case !path.IsAbs(h.Hook.Path):
		return h, fmt.Errorf("hook %s: the path %q is not absolute", file, h.Hook.Path)
	case len(h.Stages) == 0:
		return h, fmt.Errorf("hook %s names no stages", file)
	}
	for _, s := range h.Stages {
		if !slices.Contains(hookStages, s) {
			return h, fmt.Errorf("hook %s: unknown stage %q; known are %v", file, s, hookStages)
		}
	}
	patterns := slices.Clone(h.When.Commands)
	for _, name := range SortedKeys(h.When.Annotations) {
		patterns = append(patterns, name, h.When.Annotations[name])
	}
	for _, p := range patterns {
		if _, err := regexp.Compile(p); err != nil {
			return h, fmt.Errorf("hook %s: %w", file, err)
		}
	}
	// A hook without an environment of its own would get the runtime's, which berth's caller may have filled.
	if h.Hook.Env == nil {
		h.Hook.Env = []string{"PATH=" + DefaultPath}
	}
	return h, nil
}

// Applies reports whether the hook is for this container: all of the conditions that it has are met, and it has one.
func (h Hook) Applies(s *specs.Spec, bindMounts bool) bool {
	matched := false
	if w := h.When.Always; w != nil {
		if !*w {
			return false
		}
		matched = true
	}
	if w := h.When.HasBindMounts; w != nil {
		if *w != bindMounts {
			return false
		}
		matched = true
	}
	for name, value := range h.When.Annotations {
		if !annotated(s.Annotations, regexp.MustCompile(name), regexp.MustCompile(value)) {
			return false
		}
		matched = true
	}
	if len(h.When.Commands) > 0 {
		ok := slices.ContainsFunc(h.When.Commands, func(p string) bool { return regexp.MustCompile(p).MatchString(s.Process.Args[0]) })
		if !ok {
			return false
		}
		matched = true
	}
	return matched
}

func annotated(annotations map[string]string, name, value *regexp.Regexp) bool {
	for n, v := range annotations {
		if name.MatchString(n) && value.MatchString(v) {
			return true
		}
	}
	return false
}

// AddHooks adds the hooks that are for this container, in their order, and returns those that are to be called before
// there is one.
func AddHooks(s *specs.Spec, hooks []Hook, bindMounts bool) (precreate []specs.Hook) {
	for _, h := range hooks {
		if !h.Applies(s, bindMounts) {
			continue
		}
		if s.Hooks == nil {
			s.Hooks = &specs.Hooks{}
		}
		for _, stage := range h.Stages {
			if stage == "precreate" {
				precreate = append(precreate, h.Hook)
				continue
			}
			list := map[string]*[]specs.Hook{
				"prestart": &s.Hooks.Prestart, "createRuntime": &s.Hooks.CreateRuntime, "createContainer": &s.Hooks.CreateContainer,
				"startContainer": &s.Hooks.StartContainer, "poststart": &s.Hooks.Poststart, "poststop": &s.Hooks.Poststop,
			}[stage]
			*list = append(*list, h.Hook)
		}
	}
	return precreate
}
