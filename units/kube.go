package units

import "strings"

// Kube is [Kube].
type Kube struct {
	Shared
	Mapping

	AutoUpdate          Words
	ConfigMap           Words
	ExitCodePropagation String
	KubeDownForce       Bool
	LogDriver           String
	LogOpt              Words
	Network             List
	PublishPort         List
	SetWorkingDirectory String
	Yaml                Words
}

func checkKube(u *Unit, k *Kube) {
	if len(k.Yaml) == 0 {
		u.Errorf(u.sectionPos(), "no Yaml key specified")
	}
	switch strings.ToLower(k.SetWorkingDirectory.Text) {
	case "", "unit":
	case "yaml":
		if len(k.Yaml) > 1 {
			u.Errorf(k.SetWorkingDirectory.At, "SetWorkingDirectory=yaml is only supported when a single Yaml key is provided")
		}
	default:
		u.add(Finding{At: k.SetWorkingDirectory.At, Severity: Error,
			Message: "unsupported value for SetWorkingDirectory: " + k.SetWorkingDirectory.Text, Hint: "use yaml or unit"})
	}
	checkMapping(u, &k.Mapping, false)
	checkSupervised(u)
}
