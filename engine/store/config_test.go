package store

import (
	"encoding/json"
	"slices"
	"testing"
)

// FuzzImageConfig: whatever an image says of itself is read or refused, and read the same way each time.
func FuzzImageConfig(f *testing.F) {
	for _, s := range []string{
		`{"config":{"Env":["A=b"],"Cmd":["/bin/x"],"Volumes":{"/v":{}},"ExposedPorts":{"80/tcp":{}},"Labels":{"io.containers.seccomp.profile":"{}"}}}`,
		`{"config":{"Healthcheck":{"Test":["CMD","x"],"Interval":-1,"Retries":99999999999}}}`, `{"config":{"Volumes":[]}}`, `{"config":null}`, `null`, `[`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseConfig(data)
		if err != nil {
			return
		}
		if !slices.IsSorted(c.Config.Volumes) || !slices.IsSorted(c.Config.Exposed) {
			t.Errorf("not sorted: %q %q", c.Config.Volumes, c.Config.Exposed)
		}
		one, _ := json.Marshal(c)
		again, _ := parseConfig(data)
		if two, _ := json.Marshal(again); string(one) != string(two) {
			t.Errorf("%s, and then %s", one, two)
		}
	})
}
