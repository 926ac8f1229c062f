package spec

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestHealthCommand(t *testing.T) {
	for text, want := range map[string]string{
		"curl -f localhost || exit 1": "[/bin/sh|-c|curl -f localhost || exit 1]", `["CMD","a","b c"]`: "[a|b c]", `["CMD-SHELL","a b"]`: "[/bin/sh|-c|a b]",
		`["a","b"]`: "[a|b]", `["a b"]`: "[/bin/sh|-c|a b]", "CMD a b": "[a|b]", "CMD-SHELL a b": "[/bin/sh|-c|a b]", "none": "[]", `["NONE"]`: "[]", "NONE": "[]",
	} {
		if got := "[" + strings.Join(healthCommand(text), "|") + "]"; got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestParseHealth(t *testing.T) {
	image := &ImageHealth{Test: []string{"CMD", "probe"}, Interval: 5 * time.Second, Retries: 7}
	tests := []struct {
		name  string
		f     HealthFlags
		image *ImageHealth
		want  string
		err   string
	}{
		{"nothing", HealthFlags{}, nil, "<nil>", ""},
		{"the image's", HealthFlags{}, image, "[probe] 5s 30s 7 0s none", ""},
		{"the image's, switched off", HealthFlags{NoHealth: true}, image, "<nil>", ""},
		{"the image's, none", HealthFlags{HealthCmd: "none"}, image, "<nil>", ""},
		{"the image has none", HealthFlags{}, &ImageHealth{Test: []string{"NONE"}}, "<nil>", ""},
		{"defaults", HealthFlags{HealthCmd: `["CMD","x"]`}, nil, "[x] 30s 30s 3 0s none", ""},
		{"all", HealthFlags{HealthCmd: `["CMD","x"]`, HealthInterval: "1m", HealthTimeout: "2s", HealthRetries: "1", HealthStart: "5s", HealthOnFailure: "kill"}, image, "[x] 1m0s 2s 1 5s kill", ""},
		{"disabled", HealthFlags{HealthCmd: `["CMD","x"]`, HealthInterval: "disable"}, nil, "[x] 0s 30s 3 0s none", ""},
		{"interval", HealthFlags{HealthInterval: "soon"}, nil, "", "--health-interval=soon is not a time"},
		{"timeout", HealthFlags{HealthTimeout: "1ms"}, nil, "", "too short"},
		{"retries", HealthFlags{HealthRetries: "0"}, nil, "", "from 1 on"},
		{"action", HealthFlags{HealthOnFailure: "pray"}, nil, "", "known are none, kill, restart, stop"},
		{"destination", HealthFlags{HealthLogDir: "x"}, nil, "", "absolute path"},
		{"startup alone", HealthFlags{StartupCmd: "x"}, nil, "", "needs --health-cmd"},
	}
	for _, tt := range tests {
		h, err := ParseHealth(tt.f, tt.image)
		got := "<nil>"
		if h != nil {
			got = fmt.Sprint(h.Command, " ", h.Interval, " ", h.Timeout, " ", h.Retries, " ", h.StartPeriod, " ", h.OnFailure)
		}
		switch {
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)), tt.err == "" && (err != nil || got != tt.want):
			t.Errorf("%s: %s, %v; want %s %s", tt.name, got, err, tt.want, tt.err)
		}
	}
	h, err := ParseHealth(HealthFlags{HealthCmd: "a", StartupCmd: "CMD b", StartupRetries: "4", StartupSuccess: "2"}, nil)
	if err != nil || fmt.Sprint(*h.Startup) != "{[b] 30s 30s 4 2}" {
		t.Errorf("%+v, %v", h.Startup, err)
	}
}
