package units

import "strings"

// LimitFlags are the flags of `pod create` about what a pod may use. A pod with one of them has a slice, in which its
// containers are.
var LimitFlags = []string{
	"blkio-weight", "blkio-weight-device", "cgroup-parent", "cpu-shares", "cpus", "cpuset-cpus", "cpuset-mems", "device-read-bps",
	"device-write-bps", "memory", "memory-swap",
}

// limitLetters are their short forms.
const limitLetters = "cm"

// PodSlice is the slice of a pod, below the one that is named or else the one that services are in.
func PodSlice(pod, parent string, user bool) string {
	switch {
	case parent == "-.slice":
		return "berth_" + escapeDashes(pod) + ".slice"
	case parent != "":
	case user:
		parent = "app.slice"
	default:
		parent = "system.slice"
	}
	return strings.TrimSuffix(parent, ".slice") + "-berth_" + escapeDashes(pod) + ".slice"
}

// escapeDashes: a dash in a slice's name leads to the slice above (systemd.slice(5)).
func escapeDashes(name string) string { return strings.ReplaceAll(name, "-", `\x2d`) }

// LimitsIn looks for limits in the words of `pod create`, and for the slice that the pod's is to be below.
func LimitsIn(words Args) (found bool, parent string) {
	for i, w := range words {
		flag, value, inline := strings.Cut(strings.TrimPrefix(w.Text, "--"), "=")
		if !strings.HasPrefix(w.Text, "--") {
			found = found || len(w.Text) > 1 && w.Text[0] == '-' && strings.IndexByte(limitLetters, w.Text[1]) >= 0
			continue
		}
		for _, f := range LimitFlags {
			found = found || f == flag
		}
		if flag != "cgroup-parent" {
			continue
		}
		if parent = value; !inline && i+1 < len(words) {
			parent = words[i+1].Text
		}
	}
	return found, parent
}
