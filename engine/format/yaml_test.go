package format

import (
	"bytes"
	"testing"
)

func TestYAML(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`{"b":{"z":1,"x":"two words"},"a":["p",true,null],"c":[],"d":{}}`, "a:\n  - p\n  - true\n  - null\nb:\n  x: two words\n  z: 1\nc: []\nd: {}\n"},
		{`{"a":"","b":"true","c":"1.5","d":"x: y","e":"# no","f":"a\nb","g":" s","h":"-x","i":"it's"}`,
			"a: \"\"\nb: \"true\"\nc: \"1.5\"\nd: \"x: y\"\ne: \"# no\"\nf: \"a\\nb\"\ng: \" s\"\nh: \"-x\"\ni: \"it's\"\n"},
		{`{"num":12345678901234567890}`, "num: 12345678901234567890\n"},
	} {
		var b bytes.Buffer
		if err := YAML(&b, []byte(tt.in)); err != nil || b.String() != tt.want {
			t.Errorf("%s: got\n%s(%v), want\n%s", tt.in, b.String(), err, tt.want)
		}
	}
	if err := YAML(&bytes.Buffer{}, []byte("{")); err == nil {
		t.Error("half a text was taken")
	}
}
