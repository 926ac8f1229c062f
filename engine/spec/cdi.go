package spec

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// CDISpec is a file that describes the devices of a vendor (the Container Device Interface).
type CDISpec struct {
	Version string `json:"cdiVersion"`
	Kind    string `json:"kind"` // VENDOR/CLASS
	Devices []struct {
		Name  string   `json:"name"`
		Edits CDIEdits `json:"containerEdits"`
	} `json:"devices"`
	Edits CDIEdits `json:"containerEdits"` // for each container that has one of the devices
}

// CDIEdits are what a device asks of a container.
type CDIEdits struct {
	Env   []string `json:"env"`
	Nodes []struct {
		Path     string  `json:"path"`
		HostPath string  `json:"hostPath"`
		Access   string  `json:"permissions"`
		Type     string  `json:"type"`
		Major    int64   `json:"major"`
		Minor    int64   `json:"minor"`
		UID      *uint32 `json:"uid"`
		GID      *uint32 `json:"gid"`
	} `json:"deviceNodes"`
	Mounts []struct {
		HostPath      string   `json:"hostPath"`
		ContainerPath string   `json:"containerPath"`
		Options       []string `json:"options"`
	} `json:"mounts"`
	Hooks []struct {
		Name    string   `json:"hookName"`
		Path    string   `json:"path"`
		Args    []string `json:"args"`
		Env     []string `json:"env"`
		Timeout *int     `json:"timeout"`
	} `json:"hooks"`
	Groups []uint32 `json:"additionalGids"`
}

// ParseCDI reads a CDI file.
func ParseCDI(file string, text []byte) (CDISpec, error) {
	var s CDISpec
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("CDI file %s: %w", file, err)
	}
	if !strings.Contains(s.Kind, "/") {
		return s, fmt.Errorf("CDI file %s: kind %q is not VENDOR/CLASS", file, s.Kind)
	}
	return s, nil
}

// IsCDI reports whether a --device word names a device as VENDOR/CLASS=NAME.
func IsCDI(word string) bool {
	kind, name, ok := strings.Cut(word, "=")
	return ok && name != "" && !strings.HasPrefix(word, "/") && strings.Count(kind, "/") == 1
}

// CDINames are the devices that a container asks for by name: --device words, and --gpus.
func CDINames(c Container) ([]string, error) {
	var list []string
	for _, word := range c.Devices {
		if IsCDI(word) {
			list = append(list, word)
		}
	}
	for _, word := range c.GPUs {
		which := ""
		for _, part := range strings.Split(word, ",") {
			key, value, hasValue := strings.Cut(part, "=")
			switch {
			case !hasValue && which == "":
				which = key
			case key == "device":
				which = value
			case key == "count" && value == "-1":
				which = "all"
			case key == "driver" && value == "nvidia", key == "capabilities":
			default:
				return nil, fmt.Errorf("--gpus=%s: known are all, a device's number, and device=NAME", word)
			}
		}
		if which == "" {
			which = "all"
		}
		list = append(list, "nvidia.com/gpu="+which)
	}
	return list, nil
}

// FindCDI returns the edits of the devices named, those that a file has for all of its devices once.
func FindCDI(names []string, files []CDISpec) ([]CDIEdits, error) {
	var list []CDIEdits
	var common []int
	for _, full := range names {
		kind, name, _ := strings.Cut(full, "=")
		found := false
		for i, f := range files {
			if f.Kind != kind || found {
				continue
			}
			for _, d := range f.Devices {
				if d.Name != name {
					continue
				}
				if found = true; !slices.Contains(common, i) {
					common = append(common, i)
					list = append(list, f.Edits)
				}
				list = append(list, d.Edits)
			}
		}
		if !found {
			return nil, fmt.Errorf("device %s: no JSON file in the CDI directories (/etc/cdi, /var/run/cdi) describes it; for NVIDIA's, `nvidia-ctk cdi generate --format=json --output=/etc/cdi/nvidia.json` makes one", full)
		}
	}
	return list, nil
}

// apply adds what the devices ask for to the configuration.
func (e CDIEdits) apply(s *specs.Spec, rootless bool) error {
	s.Process.Env = append(s.Process.Env, e.Env...)
	s.Process.User.AdditionalGids = append(s.Process.User.AdditionalGids, e.Groups...)
	for _, n := range e.Nodes {
		if !path.IsAbs(n.Path) {
			return fmt.Errorf("CDI device node %q: the path is not absolute", n.Path)
		}
		if rootless {
			source := n.HostPath
			if source == "" {
				source = n.Path
			}
			s.Mounts = append(s.Mounts, bindMount(Mount{Source: source, Destination: n.Path, Options: []string{"bind", "rprivate", "rw", "nosuid", "noexec"}}))
			continue
		}
		access := n.Access
		if access == "" {
			access = "rwm"
		}
		s.Linux.Devices = append(s.Linux.Devices, specs.LinuxDevice{Path: n.Path, Type: n.Type, Major: n.Major, Minor: n.Minor, UID: n.UID, GID: n.GID})
		s.Linux.Resources.Devices = append(s.Linux.Resources.Devices, specs.LinuxDeviceCgroup{Allow: true, Type: n.Type, Major: &n.Major, Minor: &n.Minor, Access: access})
	}
	for _, m := range e.Mounts {
		mount := bindMount(Mount{Source: m.HostPath, Destination: path.Clean(m.ContainerPath), Options: append([]string{"rbind"}, m.Options...)})
		if err := CheckPlace(mount); err != nil || !path.IsAbs(m.ContainerPath) {
			return fmt.Errorf("CDI mount on %q: %w", m.ContainerPath, err)
		}
		s.Mounts = append(s.Mounts, mount)
	}
	for _, h := range e.Hooks {
		hook := Hook{Hook: specs.Hook{Path: h.Path, Args: h.Args, Env: h.Env, Timeout: h.Timeout}, Stages: []string{h.Name}}
		if hook.Hook.Env == nil {
			hook.Hook.Env = []string{"PATH=" + DefaultPath}
		}
		if !slices.Contains(hookStages[1:], h.Name) {
			return fmt.Errorf("CDI hook %s: unknown stage %q", h.Path, h.Name)
		}
		always := true
		hook.When.Always = &always
		AddHooks(s, []Hook{hook}, false)
	}
	return nil
}
