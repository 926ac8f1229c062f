//go:build containers_image_openpgp

package image

import (
	"encoding/json"
	"testing"

	imgspecv1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestUnquote(t *testing.T) {
	for in, want := range map[string]string{
		``: ``, `a`: `a`, `"`: `"`, `""`: ``, `"a b"`: `a b`, `'a "b"'`: `a "b"`, `"it's"`: `it's`, `say "hi"`: `say "hi"`, `"hi" he said`: `"hi" he said`,
		`"a" and "b"`: `"a" and "b"`, `"say \"hi\""`: `say "hi"`, `"\\"`: `\`, `"a\"`: `"a\"`, `'a\'`: `a\`, `''a''`: `''a''`, `"'a'"`: `'a'`,
	} {
		if got := unquote(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

// TestSetConfig: what a container was made with is said of its image to the letter, and all else stays.
func TestSetConfig(t *testing.T) {
	base := `{"User":"7","ExposedPorts":{"1/udp":{}},"Env":["PATH=/bin","MSG=old"],"Entrypoint":["/e"],"Cmd":["c"],"Volumes":{"/a":{}},"WorkingDir":"/w","Labels":{"a":"1"}}`
	var c, settings imgspecv1.ImageConfig
	for text, into := range map[string]*imgspecv1.ImageConfig{
		base: &c,
		`{"Env":["MSG=say \"hi\"","Q='q'"],"Cmd":["a b"],"Labels":{"\"b\"":"'2'"},"ExposedPorts":{"80":{}},"Volumes":{"/b c":{}},"StopSignal":"9"}`: &settings,
	} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	setConfig(&c, imgspecv1.ImageConfig{})
	if got, err := json.Marshal(c); err != nil || string(got) != base {
		t.Errorf("nothing was said: %s, %v", got, err)
	}
	setConfig(&c, settings)
	want := `{"User":"7","ExposedPorts":{"1/udp":{},"80/tcp":{}},"Env":["PATH=/bin","MSG=say \"hi\"","Q='q'"],"Entrypoint":["/e"],"Cmd":["a b"],"Volumes":{"/a":{},"/b c":{}},"WorkingDir":"/w","Labels":{"\"b\"":"'2'","a":"1"},"StopSignal":"9"}`
	if got, err := json.Marshal(c); err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}
