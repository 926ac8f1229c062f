package sd

import (
	"slices"
	"strings"
	"testing"
)

func TestTransientArgs(t *testing.T) {
	unit := Transient{Unit: "web", Program: "/usr/bin/berth", Start: []string{"run", "-d", "image", "sh", "-c", "echo $HOME ${A} 5%"}, Stop: []string{"rm", "-f", "web"}}
	want := []string{
		"--quiet", "--collect", "--unit=web.service", "--service-type=notify", "--property=NotifyAccess=all", "--property=Delegate=yes",
		"--property=KillMode=mixed", "--property=SyslogIdentifier=web", `--property=ExecStop="/usr/bin/berth" "rm" "-f" "web"`,
		`--property=ExecStopPost=-"/usr/bin/berth" "rm" "-f" "web"`, "--same-dir", "--",
		"/usr/bin/berth", "run", "-d", "image", "sh", "-c", "echo $$HOME $${A} 5%",
	}
	if got := unit.args(); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	unit.User, unit.Setenv, unit.Properties = true, []string{"TOKEN"}, []string{"TasksMax=5"}
	got := strings.Join(unit.args(), " ")
	if !strings.Contains(got, " --property=TasksMax=5 --user --setenv=TOKEN --same-dir -- ") {
		t.Errorf("a user's: %s", got)
	}
}

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{"a b": `"a b"`, `a"b`: `"a\"b"`, `a\b`: `"a\\b"`, "$A": `"$$A"`, "%n": `"%%n"`, "": `""`} {
		if got := quote([]string{word}); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}

func TestRestarts(t *testing.T) {
	for _, tt := range []struct {
		policy, result string
		want           bool
	}{
		{"no", "exit-code", false}, {"always", "success", true}, {"on-success", "success", true}, {"on-success", "signal", false},
		{"on-failure", "success", false}, {"on-failure", "exit-code", true}, {"on-abnormal", "exit-code", false}, {"on-abnormal", "timeout", true},
		{"on-watchdog", "watchdog", true}, {"on-abort", "core-dump", true}, {"on-abort", "exit-code", false}, {"", "signal", false},
	} {
		if got := restarts(tt.policy, tt.result); got != tt.want {
			t.Errorf("%s after %s: %v", tt.policy, tt.result, got)
		}
	}
}

func TestNameServerArgs(t *testing.T) {
	got := strings.Join(NameServer{Words: []string{"/lib/aardvark-dns"}}.args("/run/x", []string{"--config", "/run/x", "-p", "53", "run"}), " ")
	if !strings.HasSuffix(got, " -- /lib/aardvark-dns --config /run/x -p 53 run") || !strings.Contains(got, "--property=PIDFile=/run/x/aardvark.pid ") {
		t.Error(got)
	}
	got = strings.Join(NameServer{User: true, With: "net.service", Words: []string{"/lib/net", "enter", "/lib/dns"}}.args("/run/x", []string{"run"}), " ")
	if !strings.HasPrefix(got, "--user ") || !strings.HasSuffix(got, " --property=PartOf=net.service --property=After=net.service -- /lib/net enter /lib/dns run") {
		t.Error(got)
	}
}
