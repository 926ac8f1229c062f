package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/berth-pods/berth/units"
)

func schemaOf(t *testing.T, args ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := runSchema(context.Background(), &Env{Out: &out, Err: io.Discard}, args); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// One kind, with or without the dot, is a schema; no kind is all of them by name.
func TestSchema(t *testing.T) {
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(schemaOf(t), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != len(units.Kinds) {
		t.Errorf("%d schemas, want %d", len(all), len(units.Kinds))
	}
	for i, word := range kindWords() {
		one := schemaOf(t, word)
		if !bytes.Equal(one, schemaOf(t, "."+word)) {
			t.Errorf("the dot before %s makes a difference", word)
		}
		if !bytes.Equal(bytes.TrimSpace(one), bytes.TrimSpace(all[word])) {
			t.Errorf("the schema of %s is another one among all", word)
		}
		var schema struct{ Properties map[string]json.RawMessage }
		if err := json.Unmarshal(one, &schema); err != nil {
			t.Fatalf("%s: %v", word, err)
		}
		if schema.Properties[units.Kinds[i].String()] == nil {
			t.Errorf("%s: no section [%s]", word, units.Kinds[i])
		}
	}
}

func TestSchemaUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"service"}, `kind "service" is none of image, `},
		{[]string{""}, `kind "" is none of`},
		{[]string{"x.container"}, `kind "x.container" is none of`},
		{[]string{"pod", "kube"}, "name one kind"},
	} {
		var out bytes.Buffer
		err := runSchema(context.Background(), &Env{Out: &out, Err: io.Discard}, c.args)
		if err == nil || !strings.Contains(err.Error(), c.want) || out.Len() > 0 {
			t.Errorf("%q: %v and %d bytes, want %q", c.args, err, out.Len(), c.want)
		}
	}
}
