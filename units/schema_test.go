package units

import (
	"encoding/json"
	"testing"
)

func TestSchema(t *testing.T) {
	for _, k := range Kinds {
		var schema struct {
			Title      string
			Properties map[string]struct {
				Properties map[string]struct {
					Type        any
					Description string
					Deprecated  bool
				}
			}
		}
		if err := json.Unmarshal(AppendSchema(nil, k), &schema); err != nil {
			t.Fatalf("%s: %v", k, err)
		}
		own := schema.Properties[k.String()].Properties
		if len(own) != len(RowsOf(k)) || schema.Title != k.Extension() {
			t.Errorf("%s: %d keys of %d", k, len(own), len(RowsOf(k)))
		}
		for name, key := range own {
			if key.Description == "" || key.Type == nil || key.Deprecated != (Lookup(k, name).Trait == Old) {
				t.Errorf("%s: %s is %+v", k, name, key)
			}
		}
	}
}
