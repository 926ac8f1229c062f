//go:build containers_image_openpgp

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.json")
	for text, want := range map[string]string{
		`{}`: "",
		`{"Env":["B=2 3","A=1"],"Cmd":["x","y z"],"Entrypoint":["/e"],"User":"7","WorkingDir":"/w","StopSignal":"9","ExposedPorts":{"80/tcp":{},"53/udp":{}},"Volumes":{"/v":{}},"Labels":{"b":"1","a":"2"}}`: `ENTRYPOINT ["/e"]|CMD ["x","y z"]|ENV B=2 3|ENV A=1|LABEL a=2|LABEL b=1|EXPOSE 53/udp|EXPOSE 80/tcp|VOLUME ["/v"]|USER 7|WORKDIR /w|STOPSIGNAL 9`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := configChanges(path); err != nil || strings.Join(got, "|") != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	if err := os.WriteFile(path, []byte(`{"Env":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := configChanges(path); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
		t.Error(err)
	}
}
