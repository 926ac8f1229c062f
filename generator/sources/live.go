package sources

import (
	"os"
	"strings"

	"github.com/berth-pods/berth/generator"
)

// Live lists the containers and pods that belong to units of the system's manager, or of the user's, in this boot. Units that
// `berth run` has made are left out: no file makes these.
func Live(getenv func(string) string, user bool) []generator.Live {
	run := "/run"
	if user {
		if run = getenv("XDG_RUNTIME_DIR"); run == "" {
			return nil
		}
	}
	r := &reader{}
	r.live(run, run+"/berth", false)
	r.live(run, run+"/berth/pods", true)
	return r.set.Live
}

// live looks into the directories of containers, or of pods. What cannot be read is nothing that a unit could stop.
func (r *reader) live(run, dir string, pods bool) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if len(e.Name()) != 64 { // an ID
			continue
		}
		text, err := r.readText(dir + "/" + e.Name() + "/state.json")
		if err != nil {
			continue
		}
		if unit := unitIn(text); unit != "" && !isThere(run+"/systemd/transient/"+unit) {
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
