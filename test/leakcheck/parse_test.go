package main

import (
	"strings"
	"testing"
)

const hexID = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestClean(t *testing.T) {
	n := newNames([]*store{{
		containers: []record{{ID: hexID, Names: []string{"systemd-web"}, LayerID: strings.Repeat("a", 64)}},
		links:      map[string]string{"ABCDEFGHIJKLMNOPQRSTUVWXYZ": strings.Repeat("a", 64)},
	}})
	unknown := strings.Repeat("b", 64)
	tests := []struct{ in, want string }{
		{"x/" + hexID + "/y", "x/<systemd-web>/y"},
		{"lowerdir=/s/l/ABCDEFGHIJKLMNOPQRSTUVWXYZ,", "lowerdir=/s/l/<systemd-web:layer>,"},
		{"dir " + unknown, "dir " + unknown},
		{"user.slice/session-12.scope", "user.slice/session-<n>.scope"},
		{"session-c3.scope", "session-<n>.scope"},
		{"run-u7.service", "run-<n>.service"},
		{"run-p12-i34.service", "run-<n>.service"},
		{"/tmp/systemd-private-0123456789abcdef0123456789abcdef-chrony.service-Ab12Xy", "/tmp/systemd-private-<boot>-chrony.service-<random>"},
		{"-> 0123456789abcdef0123456789abcdef", "-> <hex>"},
	}
	for _, tt := range tests {
		if got := n.clean(tt.in); got != tt.want {
			t.Errorf("clean(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestParseStat(t *testing.T) {
	p, flags := parseStat([]byte("42 (a) b (c) Z 7 42 42 0 -1 2097152 0 0\n"))
	if p == nil || p.comm != "a) b (c" || p.state != 'Z' || p.ppid != 7 || flags&flagKernelThread == 0 {
		t.Errorf("got %+v flags %#x", p, flags)
	}
	if p, _ := parseStat([]byte("42 (cut")); p != nil {
		t.Errorf("a cut line gave %+v", p)
	}
}

func TestMountLine(t *testing.T) {
	tests := []struct{ in, want string }{
		{"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n",
			"/mnt2 ext3 /dev/root /mnt1 rw,noatime slave rw,errors=continue"},
		{"1 2 0:4 net:[4026532000] /run/netns/x rw shared:7 - nsfs nsfs rw\n",
			"/run/netns/x nsfs nsfs net rw shared rw"},
		{"1 2 0:5 / /proc/x rw - autofs systemd-1 rw,fd=29,pgrp=1,timeout=0,pipe_ino=1234,direct\n",
			"/proc/x autofs systemd-1 / rw private rw,timeout=0,direct"},
		{"cut\n", ""},
	}
	for _, tt := range tests {
		got := ""
		for _, m := range parseMounts(tt.in) {
			got += m.line()
		}
		if got != tt.want {
			t.Errorf("%q\n got %q\nwant %q", tt.in, got, tt.want)
		}
	}
}

func TestWithout(t *testing.T) {
	host := []string{"/a tmpfs t / rw shared rw", "/b tmpfs t / rw shared rw"}
	copied := []string{"/a tmpfs t / rw slave rw", "/c tmpfs t / rw slave rw"}
	got := without(copied, host)
	if len(got) != 1 || !strings.HasPrefix(got[0], "/c ") {
		t.Errorf("got %q, want the one that the host has not", got)
	}
}

func TestFdLine(t *testing.T) {
	tests := []struct{ in, want string }{
		{"socket:[123]", "socket"},
		{"pipe:[9]", "pipe"},
		{"net:[4026531840]", "net namespace"},
		{"/proc/12/mountinfo", "/proc/<pid>/mountinfo"},
		{"/var/log/journal/0123/system.journal", ""},
		{"anon_inode:[pidfd]", "anon_inode:[pidfd]"},
	}
	for _, tt := range tests {
		if got := fdLine(tt.in); got != tt.want {
			t.Errorf("fdLine(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestParseLock(t *testing.T) {
	l, ok := parseLock("1: FLOCK  ADVISORY  WRITE 123 fe:00:4711 0 EOF")
	if !ok || l.kind != "FLOCK" || l.mode != "WRITE" || l.pid != 123 || l.inode != 4711 || l.device != 0xfe00 || l.waiting {
		t.Errorf("got %+v, %v", l, ok)
	}
	l, ok = parseLock("1: -> OFDLCK  ADVISORY  READ -1 fe:00:4711 0 EOF")
	if !ok || !l.waiting || l.pid != -1 || l.kind != "OFDLCK" {
		t.Errorf("got %+v, %v", l, ok)
	}
	if _, ok := parseLock("cut"); ok {
		t.Error("a cut line is no lock")
	}
}

func TestKeyLine(t *testing.T) {
	tests := []struct{ in, want string }{
		{"01d32f7e I--Q---    11 perm 3f030000     0     0 keyring   _ses: empty", ""},
		{"027a9c32 I--Q---     1 perm 0b0b0000     0     0 user      invocation_id: 16", ""},
		{"027a9c32 I--Q---     1 perm 0b0b0000  1000     0 user      my key: 16", "uid=1000 user my key"},
		{"052f5b90 I------     1 perm 1f030000     0     0 keyring   " + hexID + ": empty", ""},
		{"052f5b90 I------     1 perm 1f030000     0     0 keyring   mine: 1", "uid=0 keyring mine"},
	}
	for _, tt := range tests {
		if got := keyLine(tt.in); got != tt.want {
			t.Errorf("keyLine(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestColumns(t *testing.T) {
	got := columns("  key shmid perms size uid\n  77  3  600 4096 5\n", []string{"key", "perms", "uid"})
	if len(got) != 1 || got[0] != "key=77 perms=600 uid=5" {
		t.Errorf("got %q", got)
	}
}

func TestParseRuleset(t *testing.T) {
	lines, err := parseRuleset([]byte(`{"nftables":[{"metainfo":{"version":"1"}},
		{"rule":{"table":"t","handle":7,"expr":[{"counter":{"packets":3,"bytes":9}},{"accept":null}]}}]}`))
	want := `{"rule":{"expr":[{"counter":{}},{"accept":null}],"table":"t"}}`
	if err != nil || len(lines) != 1 || lines[0] != want {
		t.Errorf("got %q, %v, want %q", lines, err, want)
	}
}

func TestNetlinkRefusesNonsense(t *testing.T) {
	if _, _, err := parseMessages([]byte{255, 255, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}); err == nil {
		t.Error("a message longer than the datagram was taken")
	}
	if got := parseAttributes([]byte{200, 0, 1, 0, 1}); got != nil {
		t.Errorf("an attribute longer than the message was taken: %v", got)
	}
}

func TestLoginsAreQuiet(t *testing.T) {
	groups := map[string]bool{
		"user.slice/user-1000.slice/session-4.scope":                              true,
		"user.slice/user-1000.slice/user@1000.service/app.slice/dbus.socket":      true,
		"user.slice/user-1000.slice/user@1000.service/app.slice/web.service":      false,
		"user.slice/user-1000.slice/session-4.scope/leak":                         false,
		"system.slice/web.service":                                                false,
		"user.slice/user-1000.slice/user@1000.service/app.slice/web.service/dbus": false,
	}
	for group, quiet := range groups {
		if got := loginGroups.MatchString(group); got != quiet {
			t.Errorf("%s: quiet %v, want %v", group, got, quiet)
		}
	}
	files := map[string]bool{
		"/run/user/1000/bus": true, "/run/user/1000/systemd/private": true, "/run/user/1000": true,
		"/run/user/1000/berth": false, "/run/user/1000/systemd/transient/x.service": false,
		"/run/systemd/transient": true, "/run/systemd/transient/x.service": false, "/run/systemd/journal/streams/8:1": true,
	}
	for path, quiet := range files {
		if got := idleFile(path); got != quiet {
			t.Errorf("%s: quiet %v, want %v", path, got, quiet)
		}
	}
}
