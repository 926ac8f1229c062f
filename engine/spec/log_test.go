package spec

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseLog(t *testing.T) {
	facts := LogFacts{ID: "0123456789abcdef", Name: "web", Image: "localhost/web:1", ImageID: "fedcba9876543210"}
	tests := []struct {
		driver, options, want, err string
	}{
		{"", "", "{journald  0  []}", ""},
		{"json-file", "", "{k8s-file  0  []}", ""},
		{"k8s-file", "path=/var/log/x max-size=10mb", "{k8s-file /var/log/x 10485760  []}", ""},
		{"journald", "tag={{.Name}}/{{.ID}} label=TEAM=a label=OF={{.ImageName}}", "{journald  0 web/0123456789ab [TEAM=a OF=localhost/web:1]}", ""},
		{"journald", "tag={{.FullID}}{{.ImageID}}{{.ImageFullID}}", "{journald  0 0123456789abcdeffedcba987654fedcba9876543210 []}", ""},
		{"passthrough", "", "{passthrough  0  []}", ""},
		{"none", "", "{none  0  []}", ""},
		{"syslog", "", "", `log driver "syslog": known are journald`},
		{"k8s-file", "path=x", "", "must be absolute"},
		{"k8s-file", "max-size=much", "", "is not a size"},
		{"k8s-file", "max-file=3", "", "known are path"},
		{"k8s-file", "path", "", "write NAME=VALUE"},
		{"journald", "tag={{.Nam}}", "", "{{.Nam}} is not known here"},
		{"journald", "tag={{.Name", "", "{{ without }}"},
		{"journald", "label=x=1", "", "capital letters"},
		{"journald", "label=_PID=1", "", "capital letters"},
		{"journald", "label=A-B=1", "", "capital letters"},
	}
	for _, tt := range tests {
		l, err := ParseLog(Container{LogDriver: tt.driver, LogOpts: strings.Fields(tt.options)}, facts)
		switch {
		case tt.err == "" && (err != nil || fmt.Sprint(l) != tt.want):
			t.Errorf("%s %s: %v, %v; want %s", tt.driver, tt.options, l, err, tt.want)
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%s %s: %v, want %q", tt.driver, tt.options, err, tt.err)
		}
	}
}
