package cli

import (
	"fmt"
	"testing"

	"github.com/berth-pods/berth/engine/config"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/store"
)

// The driver of containers.conf comes with its options, where no other is named.
func TestSecretDriver(t *testing.T) {
	var conf config.Config
	for _, tt := range []struct {
		driver string
		words  []string
		want   string
	}{
		{"", nil, "file map[]"},
		{"pass", nil, "pass map[key:a]"},
		{"pass", []string{"--driver=shell"}, "shell map[]"},
		{"pass", []string{"--driver-opts=key=b"}, "pass map[key:b]"},
	} {
		if conf.Secrets.Driver = tt.driver; tt.driver != "" {
			conf.Secrets.Opts = map[string]string{"key": "a"}
		}
		var o secretCreateOptions
		set := newFlagSet("create")
		o.flags(set)
		if err := set.Parse(tt.words); err != nil {
			t.Fatal(err)
		}
		s := withDriver(store.Secret{Driver: o.driver, DriverOptions: spec.Labels(o.options)}, set, conf)
		if got := fmt.Sprint(s.Driver, " ", s.DriverOptions); got != tt.want {
			t.Errorf("%s with %q: %s, want %s", tt.driver, tt.words, got, tt.want)
		}
	}
}
