package spec

import (
	"encoding/json"
	"fmt"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// profile is a seccomp profile as containers.conf(5) names it (seccomp.json): rules that hold for some capabilities and
// architectures only.
type profile struct {
	DefaultAction   specs.LinuxSeccompAction `json:"defaultAction"`
	DefaultErrnoRet *uint                    `json:"defaultErrnoRet"`
	ArchMap         []struct {
		Arch     specs.Arch   `json:"architecture"`
		SubArchs []specs.Arch `json:"subArchitectures"`
	} `json:"archMap"`
	Architectures []specs.Arch             `json:"architectures"`
	Flags         []specs.LinuxSeccompFlag `json:"flags"`
	Syscalls      []rule                   `json:"syscalls"`
}

type rule struct {
	Name     string                   `json:"name"`
	Names    []string                 `json:"names"`
	Action   specs.LinuxSeccompAction `json:"action"`
	ErrnoRet *uint                    `json:"errnoRet"`
	Args     []specs.LinuxSeccompArg  `json:"args"`
	Includes condition                `json:"includes"`
	Excludes condition                `json:"excludes"`
}

type condition struct {
	Arches []string `json:"arches"`
	Caps   []string `json:"caps"`
}

// seccompArch maps GOARCH to the names of seccomp(2).
var seccompArch = map[string]specs.Arch{"amd64": specs.ArchX86_64, "arm64": specs.ArchAARCH64}

// Seccomp turns the text of a profile into the runtime's filter for a container with the given bounding capabilities.
func Seccomp(text []byte, goarch string, bounding []string) (*specs.LinuxSeccomp, error) {
	var p profile
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("seccomp profile: %w", err)
	}
	if p.DefaultAction == "" {
		return nil, fmt.Errorf("seccomp profile has no defaultAction")
	}
	filter := &specs.LinuxSeccomp{DefaultAction: p.DefaultAction, DefaultErrnoRet: p.DefaultErrnoRet, Flags: p.Flags, Architectures: p.Architectures}
	for _, m := range p.ArchMap {
		if m.Arch == seccompArch[goarch] {
			filter.Architectures = append([]specs.Arch{m.Arch}, m.SubArchs...)
		}
	}
	for _, r := range p.Syscalls {
		if !r.applies(goarch, bounding) {
			continue
		}
		names := r.Names
		if r.Name != "" {
			names = append([]string{r.Name}, names...)
		}
		filter.Syscalls = append(filter.Syscalls, specs.LinuxSyscall{Names: names, Action: r.Action, ErrnoRet: r.ErrnoRet, Args: r.Args})
	}
	return filter, nil
}

// applies: all of the included capabilities and one of the included architectures are there, and none of the excluded.
func (r rule) applies(goarch string, bounding []string) bool {
	for _, c := range r.Includes.Caps {
		if !slices.Contains(bounding, c) {
			return false
		}
	}
	for _, c := range r.Excludes.Caps {
		if slices.Contains(bounding, c) {
			return false
		}
	}
	if len(r.Includes.Arches) > 0 && !slices.Contains(r.Includes.Arches, goarch) {
		return false
	}
	return !slices.Contains(r.Excludes.Arches, goarch)
}

// Capabilities are those of a container whose program is that user's.
func Capabilities(c Container, uid uint32) (*specs.LinuxCapabilities, error) {
	return capabilities(c, Process{UID: uid})
}

// BoundingCapabilities are the capabilities that a seccomp profile's conditions ask for.
func BoundingCapabilities(c Container) ([]string, error) {
	caps, err := capabilities(c, Process{})
	if err != nil {
		return nil, err
	}
	return caps.Bounding, nil
}
