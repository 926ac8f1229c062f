package sources

import (
	"os"
	"slices"
	"strings"

	"github.com/berth-pods/berth/generator"
)

// Live lists the containers and pods that belong to units of the system's manager, or of the user's, in this boot. Those of units that are
// there until the next boot, as `berth run` and systemd-run(1) make them, are left out.
func Live(getenv func(string) string, user bool) []generator.Live {
	run, units := "/run", []string{"/run/systemd/transient/", "/run/systemd/system/"}
	if user {
		if run = getenv("XDG_RUNTIME_DIR"); run == "" {
			return nil
		}
		units = []string{run + "/systemd/transient/", run + "/systemd/user/"}
	}
	r := &reader{}
	r.live(run+"/berth", units, false)
	r.live(run+"/berth/pods", units, true)
	return r.set.Live
}

// live looks into the directories of containers, or of pods. What cannot be read is nothing that a unit could stop.
func (r *reader) live(dir string, units []string, pods bool) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if len(e.Name()) != 64 { // an ID
			continue
		}
		text, err := r.readText(dir + "/" + e.Name() + "/state.json")
		if err != nil {
			continue
		}
		unit := unitIn(text)
		if unit != "" && !slices.ContainsFunc(units, func(dir string) bool { return isThere(dir + unit) }) {
			r.set.Live = append(r.set.Live, generator.Live{Unit: unit, ID: e.Name(), Pod: pods})
		}
	}
}

// unitIn is the service that a state file of the engine names, which has it before anything that has fields of its own. The
// program does without encoding/json; a quotation mark inside of a text has a backslash before it.
func unitIn(state string) string {
	_, rest, _ := strings.Cut(state, `"unit":"`)
	unit, _, ok := strings.Cut(rest, `"`)
	if unit = strings.ReplaceAll(unit, `\\`, `\`); !ok || !strings.HasSuffix(unit, ".service") {
		return ""
	}
	return unit
}
