package units

import (
	"strings"

	"github.com/berth-pods/berth/units/unitfile"
)

// checkMapping: the Remap keys exclude the newer ones, and each way of remapping has its own rules.
func checkMapping(u *Unit, m *Mapping, manual bool) {
	explicit := m.UserNS.Text != "" || len(m.UIDMap) > 0 || len(m.GIDMap) > 0 || m.SubUIDMap.Text != "" || m.SubGIDMap.Text != ""
	if explicit {
		if m.RemapUsers.Given || len(m.RemapUID) > 0 || len(m.RemapGID) > 0 {
			u.Errorf(u.sectionPos(), "deprecated Remap keys are set along with explicit mapping keys")
		}
		return
	}
	switch m.RemapUsers.Text {
	case "":
		if len(m.RemapUID) > 0 {
			u.Errorf(m.RemapUID[0].At, "UidMap set without RemapUsers")
		}
		if len(m.RemapGID) > 0 {
			u.Errorf(m.RemapGID[0].At, "GidMap set without RemapUsers")
		}
	case "auto":
	case "manual":
		if !manual {
			u.Errorf(m.RemapUsers.At, "RemapUsers=manual is not supported")
		}
	case "keep-id":
		if len(m.RemapUID) > 1 {
			u.Errorf(m.RemapUID[1].At, "RemapUsers=keep-id supports only a single value for UID mapping")
		}
		if len(m.RemapGID) > 1 {
			u.Errorf(m.RemapGID[1].At, "RemapUsers=keep-id supports only a single value for GID mapping")
		}
	default:
		u.add(Finding{At: m.RemapUsers.At, Severity: Error, Message: "unsupported RemapUsers option '" + m.RemapUsers.Text + "'",
			Hint: "use UserNS="})
	}
}

// checkSupervised: containers and kube services have their processes signalled in a way of their own.
func checkSupervised(u *Unit) {
	service := u.File.Section("Service")
	if mode := service.Value("KillMode"); mode != "" && mode != "mixed" && mode != "control-group" {
		u.add(Finding{At: service.Last("KillMode").At, Severity: Error, Message: "invalid KillMode '" + mode + "'", Hint: "use mixed or control-group"})
	}
	if kind := service.Value("Type"); kind != "" && kind != "notify" && kind != "oneshot" {
		u.add(Finding{At: service.Last("Type").At, Severity: Error, Message: "invalid service Type '" + kind + "'", Hint: "use notify or oneshot"})
	}
}

// checkSections looks at what belongs to systemd: [Unit], [Service] and [Install], and at [X-Berth].
func (u *Unit) checkSections() {
	if mode := u.Berth.UnknownKeys; mode.Text != "" && mode.Text != "error" && mode.Text != "warn" {
		u.add(Finding{At: mode.At, Severity: Warning, Message: "UnknownKeys=" + mode.Text + " counts as error", Hint: "use error or warn"})
	}
	for _, s := range u.File.Sections {
		known := systemdKeys(s.Name)
		if known == "" {
			u.checkSectionName(s)
			continue
		}
		for i := range s.Entries {
			e := &s.Entries[i]
			u.checkSystemdKey(s.Name, known, e)
			switch s.Name {
			case "Service":
				u.checkService(e)
			case "Unit":
				u.checkDependency(e)
			}
		}
	}
}

// checkSectionName finds [container] and [Containers]: systemd passes such sections over without a word.
func (u *Unit) checkSectionName(s *unitfile.Section) {
	own := u.Name.Kind.String()
	if s.Name == own || u.File.Section(own) != nil && !strings.EqualFold(s.Name, own) || strings.HasPrefix(s.Name, "X-") {
		return
	}
	for _, k := range Kinds {
		if s.Name == k.String() {
			u.add(Finding{At: s.At, Severity: Warning, Message: "section [" + s.Name + "] in a file that ends in " + u.Name.Kind.Extension(),
				Hint: "call it " + u.Name.Stem + k.Extension()})
			return
		}
	}
	if meant := Closest(s.Name, []string{own, "Unit", "Service", "Install", "Quadlet"}); meant != "" && meant != s.Name {
		u.add(Finding{At: s.At, Severity: Warning, Message: "unknown section [" + s.Name + "]", Hint: "did you mean [" + meant + "]?"})
	}
}

// checkSystemdKey warns of a key that systemd does not know in this section when it knows it in another, or one that is near.
func (u *Unit) checkSystemdKey(section, known string, e *unitfile.Entry) {
	if strings.HasPrefix(e.Key, "X-") || inList(known, e.Key) {
		return
	}
	if other := systemdSectionOf(e.Key); other != "" {
		u.add(Finding{At: e.At, Severity: Warning, Message: "[" + section + "] has no key " + e.Key + "=", Hint: e.Key + "= belongs in [" + other + "]"})
		return
	}
	if len(e.Key) < 6 || !u.mayGuess() {
		return
	}
	if meant := Closest(e.Key, strings.Fields(known)); meant != "" && editDistance(strings.ToLower(e.Key), strings.ToLower(meant)) <= 2 {
		u.add(Finding{At: e.At, Severity: Warning, Message: "[" + section + "] has no key " + e.Key + "=", Hint: "did you mean " + meant + "=?"})
		return
	}
	if Lookup(u.Name.Kind, e.Key) != nil {
		u.add(Finding{At: e.At, Severity: Warning, Message: "[" + section + "] has no key " + e.Key + "=", Hint: e.Key + "= belongs in [" + u.Name.Kind.String() + "]"})
	}
}

func (u *Unit) checkService(e *unitfile.Entry) {
	switch e.Key {
	case "Group", "DynamicUser":
		// With User= the container is that user's, who needs subordinate IDs and a home. The others alone leave the engine to work as
		// somebody who has neither.
		if e.Key == "Group" && u.File.Section("Service").Value("User") != "" {
			return
		}
		u.add(Finding{At: e.At, Severity: Warning, Message: "using key " + e.Key + " in the Service group is not supported",
			Hint: serviceUserHint(e.Key)})
	case "Restart":
		value := unitfile.Unquote(e.Value)
		if value == "" || inList(" always no on-abnormal on-abort on-failure on-success on-watchdog ", value) {
			return
		}
		hint := "use always or on-failure"
		if value == "unless-stopped" {
			hint = "use always"
		}
		u.add(Finding{At: e.At, Severity: Warning, Message: "Restart=" + value + " is not a systemd value and is ignored by systemd", Hint: hint})
	}
}

func serviceUserHint(key string) string {
	if key == "DynamicUser" {
		return "use UserNS= in [Container], or User= with a user who has subordinate IDs"
	}
	return "use " + key + "= in [Container]"
}

// checkDependency finds x.network.service, where x-network.service is meant.
func (u *Unit) checkDependency(e *unitfile.Entry) {
	if !strings.Contains(e.Value, ".service") || !IsDependency(e.Key) {
		return
	}
	for _, word := range strings.Fields(e.Value) {
		file, ok := strings.CutSuffix(word, ".service")
		if !ok || KindOf(file) == 0 {
			continue
		}
		n := ParseName(file)
		u.add(Finding{At: e.At, Severity: Warning, Message: "there is no unit " + word, Hint: "the name is " + n.Unit() + ".service, or write " + file})
	}
}

// IsDependency reports the keys of [Unit] in which names of unit files stand for their services.
func IsDependency(key string) bool {
	switch key {
	case "After", "Before", "BindsTo", "Conflicts", "OnFailure", "OnSuccess", "PartOf", "PropagatesReloadTo", "PropagatesStopTo",
		"ReloadPropagatedFrom", "Requires", "Requisite", "StopPropagatedFrom", "Upholds", "Wants":
		return true
	}
	return false
}
