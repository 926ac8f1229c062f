//go:build containers_image_openpgp

package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/berth-pods/berth/engine/image"
)

func TestTagsOf(t *testing.T) {
	got := tagsOf([]image.Found{{Name: "a", Tag: "1"}, {Name: "a", Tag: "2"}, {Name: "b", Tag: "1"}})
	if want := []tagged{{"a", []string{"1", "2"}}, {"b", []string{"1"}}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := tagsOf(nil); got == nil {
		t.Error("no tags are null and not []")
	}
}

// Podman spells the keys so.
func TestStepKeys(t *testing.T) {
	data, err := json.Marshal(image.Step{Tags: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range strings.Fields("id created CreatedBy size comment tags") {
		if !strings.Contains(string(data), `"`+key+`":`) {
			t.Errorf("no %s in %s", key, data)
		}
	}
}
