package cli

import (
	"github.com/berth-pods/berth/generator"
	"github.com/berth-pods/berth/units"
)

// lacking is what Podman and Docker do and berth does not: the commands, and the kind of unit files whose start calls them.
var lacking = []struct {
	words         []string
	kind          units.Kind
	what, instead string
}{
	{[]string{"kube", "play"}, units.KindKube, "berth plays no Kubernetes YAML yet", "write .pod and .container files instead, as berth.unit(5) tells"},
	{[]string{"build", "buildx"}, units.KindBuild, "berth builds no images yet",
		"what Podman or Buildah builds on this machine is in berth's store at once, and berth load and berth pull bring in what is built elsewhere"},
	{[]string{"compose"}, 0, "berth reads no compose files", "write a .container file for each service instead, as berth.unit(5) tells"},
}

// unrunnable finds the files whose units cannot start.
func unrunnable(set generator.Set) (findings []units.Finding) {
	for _, s := range set.Files {
		for _, p := range partsOf(s) {
			for _, l := range lacking {
				if l.kind == units.KindOf(p.name) && l.kind != 0 {
					findings = append(findings, units.Finding{At: partPos(s, p), Severity: units.Warning, Message: l.what + ": its start fails", Hint: l.instead})
				}
			}
		}
	}
	return findings
}
