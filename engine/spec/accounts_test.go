package spec

import (
	"strings"
	"testing"
)

func TestPasswdLines(t *testing.T) {
	const text = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/srv:/bin/sh"
	host := []Account{{Name: "ann", UID: 1000, GID: 1001, Gecos: "Ann", Home: "/home/ann"}}
	tests := []struct {
		name     string
		accounts Accounts
		uid      uint32
		host     []Account
		want     string
	}{
		{"known", Accounts{Passwd: true}, 33, nil, ""},
		{"unknown", Accounts{Passwd: true}, 7, nil, "\n7:*:7:8:container user:/:/bin/sh\n"},
		{"switched off", Accounts{}, 7, host, ""},
		{"template", Accounts{Passwd: true, PasswdEntry: "me-$UID:x:$UID:$GID:$NAME $USERNAME:$HOME:/bin/ash"}, 7, nil, "\nme-7:x:7:8:container user 7:/:/bin/ash\n"},
		{"host's", Accounts{Passwd: true}, 0, host, "\nann:*:1000:1001:Ann:/home/ann:/bin/sh\n"},
		{"host's is the user", Accounts{Passwd: true}, 1000, host, "\nann:*:1000:1001:Ann:/home/ann:/bin/sh\n"},
		{"two lines", Accounts{Passwd: true, PasswdEntry: "a:x:7:8::/:/bin/sh\nroot2:x:0:0::/:/bin/sh"}, 7, nil, "is not one line of 7 fields"},
		{"too many fields", Accounts{Passwd: true, PasswdEntry: "a:x:7:8::/:/bin/sh:x"}, 7, nil, "is not one line of 7 fields"},
		{"line in a host's account", Accounts{Passwd: true}, 0, []Account{{Name: "a\nb"}}, "is not one line"},
	}
	for _, tt := range tests {
		got, err := PasswdLines(Container{Accounts: tt.accounts}, text, Process{UID: tt.uid, GID: 8}, tt.host)
		if err != nil {
			got = err.Error()
		}
		if got != tt.want && (err == nil || !strings.Contains(got, tt.want)) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	if got, _ := PasswdLines(Container{WorkDir: "/w", Accounts: Accounts{Passwd: true}}, "", Process{UID: 7}, nil); got != "7:*:7:0:container user:/w:/bin/sh\n" {
		t.Errorf("empty file: %q", got)
	}
}

func TestGroupLines(t *testing.T) {
	p := Process{UID: 7, GID: 8}
	on := Container{Accounts: Accounts{Passwd: true}}
	for text, want := range map[string]string{"root:x:0:\n": "8:x:8:7\n", "w:x:8:\n": ""} {
		if got, err := GroupLines(on, text, p); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	on.GroupEntry = "g$GROUPNAME:x:$GID:$USERLIST"
	if got, err := GroupLines(on, "", p); err != nil || got != "g8:x:8:7\n" {
		t.Errorf("template: %q, %v", got, err)
	}
	on.GroupEntry = "a\nb:x:0:"
	if got, err := GroupLines(on, "", p); err == nil {
		t.Errorf("two lines: %q", got)
	}
}
