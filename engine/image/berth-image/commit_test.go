//go:build containers_image_openpgp

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"Env":["A=\"1\""],"Volumes":{"/v":{}},"Labels":{"a":"'2'"}}`)
	if c, err := readSettings(path); err != nil || c.Env[0] != `A="1"` || len(c.Volumes) != 1 || c.Labels["a"] != "'2'" {
		t.Errorf("%+v, %v", c, err)
	}
	write(`{"Env":1}`)
	if _, err := readSettings(path); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
		t.Error(err)
	}
}
