// Package units is the language of Quadlet unit files: its kinds, its keys, what their values mean, and what can be said
// about one file without looking at any other.
//
// The table Keys has a row for every key; parser, checks, generator, manual pages and editors read it. Load turns a parsed
// file into a Unit, whose section is a typed value (Container, Pod, …), and lists all findings, not the first.
package units

import "strings"

// Kind is one of the eight kinds of unit, or one of the two sections that any kind may have beside its own.
type Kind uint16

// The kinds, in the order in which their units are generated: what others refer to comes first.
const (
	KindImage Kind = 1 << iota
	KindArtifact
	KindVolume
	KindNetwork
	KindBuild
	KindContainer
	KindKube
	KindPod

	// KindQuadlet is the section [Quadlet].
	KindQuadlet
	// KindBerth is the section [X-Berth]. Other generators and systemd pass over it.
	KindBerth
)

// Kinds lists the kinds of unit files in the order of generation.
var Kinds = [...]Kind{KindImage, KindArtifact, KindVolume, KindNetwork, KindBuild, KindContainer, KindKube, KindPod}

// String is the section's name: "Container".
func (k Kind) String() string {
	switch k {
	case KindImage:
		return "Image"
	case KindArtifact:
		return "Artifact"
	case KindVolume:
		return "Volume"
	case KindNetwork:
		return "Network"
	case KindBuild:
		return "Build"
	case KindContainer:
		return "Container"
	case KindKube:
		return "Kube"
	case KindPod:
		return "Pod"
	case KindQuadlet:
		return "Quadlet"
	case KindBerth:
		return "X-Berth"
	}
	return ""
}

// Extension is the end of a file's name with the dot: ".container".
func (k Kind) Extension() string {
	switch k {
	case KindImage:
		return ".image"
	case KindArtifact:
		return ".artifact"
	case KindVolume:
		return ".volume"
	case KindNetwork:
		return ".network"
	case KindBuild:
		return ".build"
	case KindContainer:
		return ".container"
	case KindKube:
		return ".kube"
	case KindPod:
		return ".pod"
	}
	return ""
}

// Suffix is what the kind adds to the name of the service: "-volume", or nothing for containers and kube.
func (k Kind) Suffix() string {
	switch k {
	case KindContainer, KindKube:
		return ""
	case KindImage:
		return "-image"
	case KindArtifact:
		return "-artifact"
	case KindVolume:
		return "-volume"
	case KindNetwork:
		return "-network"
	case KindBuild:
		return "-build"
	case KindPod:
		return "-pod"
	}
	return ""
}

// KindOf tells by its extension which kind a file is of; 0 when it is none. Case counts.
func KindOf(name string) Kind {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return 0
	}
	ext := name[dot:]
	for _, k := range Kinds {
		if ext == k.Extension() {
			return k
		}
	}
	return 0
}

// BundleExtension is the end of the name of a file that holds several unit files.
const BundleExtension = ".quadlets"

// Name is the name of a unit file, taken apart.
type Name struct {
	File     string // "web@blue.container"
	Stem     string // "web@blue"
	Prefix   string // "web": the stem up to the @
	Instance string // "blue"
	At       bool   // there is an @
	Kind     Kind
}

// ParseName takes a file name apart. Kind is 0 when it is no unit file.
func ParseName(file string) Name {
	n := Name{File: file, Kind: KindOf(file)}
	n.Stem = strings.TrimSuffix(file, n.Kind.Extension())
	n.Prefix, n.Instance, n.At = strings.Cut(n.Stem, "@")
	return n
}

// Template reports whether the file is a template: its name ends with an @ before the extension.
func (n Name) Template() bool { return n.At && n.Instance == "" }

// Unit is the default name of the service without ".service": "web", "data-volume", "data-volume@blue".
func (n Name) Unit() string {
	if n.At {
		return n.Prefix + n.Kind.Suffix() + "@" + n.Instance
	}
	return n.Stem + n.Kind.Suffix()
}
