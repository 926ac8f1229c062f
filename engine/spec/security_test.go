package spec

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestCapabilities(t *testing.T) {
	short := func(list []string) string { return strings.ReplaceAll(strings.Join(list, " "), "CAP_", "") }
	all := short(allCapabilities)
	defaults := short(defaultCapabilities)
	tests := []struct {
		name               string
		c                  Container
		uid                uint32
		bounding, own, amb string
	}{
		{"root", Container{}, 0, defaults, defaults, ""},
		{"user", Container{}, 1000, defaults, "", ""},
		{"user with one added", Container{CapAdd: []string{"net_raw"}}, 1000, sortedWith(defaults, "NET_RAW"), "NET_RAW", "NET_RAW"},
		{"user with one added twice", Container{CapAdd: []string{"net_raw,CAP_NET_RAW"}}, 1000, sortedWith(defaults, "NET_RAW"), "NET_RAW", "NET_RAW"},
		{"root with one added", Container{CapAdd: []string{"NET_RAW"}}, 0, sortedWith(defaults, "NET_RAW"), sortedWith(defaults, "NET_RAW"), ""},
		{"all dropped", Container{CapDrop: []string{"all"}}, 0, "", "", ""},
		{"all dropped, one added", Container{CapDrop: []string{"ALL"}, CapAdd: []string{"CHOWN"}}, 0, "CHOWN", "CHOWN", ""},
		{"some dropped", Container{CapDrop: []string{"CHOWN,KILL", "cap_setfcap"}}, 0, "DAC_OVERRIDE FOWNER FSETID NET_BIND_SERVICE SETGID SETPCAP SETUID SYS_CHROOT", "DAC_OVERRIDE FOWNER FSETID NET_BIND_SERVICE SETGID SETPCAP SETUID SYS_CHROOT", ""},
		{"all added", Container{CapAdd: []string{"ALL"}}, 0, all, all, ""},
		{"user with all added", Container{CapAdd: []string{"ALL"}}, 1000, all, all, all},
		{"privileged", Container{Privileged: true}, 0, all, all, ""},
		{"defaults of the machine", Container{DefaultCapabilities: []string{"CAP_KILL", "net_raw"}, CapAdd: []string{"chown"}, CapDrop: []string{"kill"}}, 0, "CHOWN NET_RAW", "CHOWN NET_RAW", ""},
		{"all by default", Container{DefaultCapabilities: []string{"all"}}, 0, all, all, ""},
		{"privileged user", Container{Privileged: true}, 1000, all, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := capabilities(tt.c, Process{UID: tt.uid})
			if err != nil {
				t.Fatal(err)
			}
			for _, set := range []struct {
				name string
				got  []string
				want string
			}{
				{"bounding", got.Bounding, tt.bounding}, {"effective", got.Effective, tt.own}, {"permitted", got.Permitted, tt.own},
				{"inheritable", got.Inheritable, tt.amb}, {"ambient", got.Ambient, tt.amb},
			} {
				if short(set.got) != set.want {
					t.Errorf("%s: got %q, want %q", set.name, short(set.got), set.want)
				}
			}
		})
	}
	if !slices.IsSorted(allCapabilities) || !slices.IsSorted(defaultCapabilities) {
		t.Error("the lists are not sorted")
	}
}

func sortedWith(list, name string) string {
	words := append(strings.Fields(list), name)
	slices.Sort(words)
	return strings.Join(words, " ")
}

func TestCapabilitiesOfTheCaller(t *testing.T) {
	names, err := CapabilityNames("000001ffffffffff")
	if err != nil || len(names) != len(allCapabilities) {
		t.Fatalf("%d names of %d, %v", len(names), len(allCapabilities), err)
	}
	for _, name := range names {
		if !slices.Contains(allCapabilities, name) {
			t.Errorf("%s is no capability", name)
		}
	}
	few, _ := CapabilityNames("1001")
	s := mustBuild(t, with(func(in *Input) { in.Container.Privileged, in.Host.Bounding = true, few }))
	if got := strings.Join(s.Process.Capabilities.Effective, " "); got != "CAP_CHOWN CAP_NET_ADMIN" {
		t.Error(got)
	}
}

func TestSecurityOptions(t *testing.T) {
	tests := []struct {
		opts  []string
		check func(security) bool
	}{
		{nil, func(s security) bool { return !s.noNewPrivileges && !s.unconfined && len(s.masked) == len(maskedPaths) }},
		{[]string{"no-new-privileges"}, func(s security) bool { return s.noNewPrivileges }},
		{[]string{"no-new-privileges=true"}, func(s security) bool { return s.noNewPrivileges }},
		{[]string{"no-new-privileges:false"}, func(s security) bool { return !s.noNewPrivileges }},
		{[]string{"seccomp=unconfined"}, func(s security) bool { return s.unconfined && s.seccomp == "" }},
		{[]string{"seccomp=/p.json"}, func(s security) bool { return !s.unconfined && s.seccomp == "/p.json" }},
		{[]string{"seccomp=unconfined", "seccomp=/p.json"}, func(s security) bool { return !s.unconfined && s.seccomp == "/p.json" }},
		{[]string{"apparmor=x"}, func(s security) bool { return s.apparmor == "x" }},
		{[]string{"mask=/a:/b"}, func(s security) bool { return slices.Contains(s.masked, "/b") && len(s.masked) == len(maskedPaths)+2 }},
		{[]string{"unmask=/proc/acpi:/proc/sys"}, func(s security) bool {
			return !slices.Contains(s.masked, "/proc/acpi") && !slices.Contains(s.readonly, "/proc/sys") && len(s.masked) == len(maskedPaths)-1
		}},
		{[]string{"unmask=all"}, func(s security) bool { return s.masked == nil && s.readonly == nil }},
		{[]string{"label=type:x"}, func(s security) bool { return slices.Equal(s.labels, []string{"type:x"}) }},
		{[]string{"label=nested"}, func(s security) bool { return !slices.Contains(s.masked, "/sys/fs/selinux") && len(s.labels) == 0 }},
		{[]string{"proc-opts=hidepid=2,subset=pid"}, func(s security) bool { return len(s.procOptions) == 2 }},
		{[]string{"unmask=/proc/*"}, func(s security) bool { return len(s.readonly) == 0 && len(s.masked) == 4 }},
		{[]string{"label=disable"}, func(s security) bool { return true }},
	}
	for _, tt := range tests {
		s, err := parseSecurity(Container{SecurityOpts: tt.opts})
		if err != nil || !tt.check(s) {
			t.Errorf("%v: %+v, %v", tt.opts, s, err)
		}
	}
	for _, opt := range []string{"label=colour:x", "no-new-privs", "", "seccomp_unconfined"} {
		if _, err := parseSecurity(Container{SecurityOpts: []string{opt}}); err == nil {
			t.Errorf("%q was taken", opt)
		}
	}
	// The lists that all containers share stay as they are.
	before := len(maskedPaths)
	if s, _ := parseSecurity(Container{SecurityOpts: []string{"mask=/a", "unmask=/proc/acpi"}}); len(s.masked) != before || len(maskedPaths) != before || maskedPaths[0] != "/proc/acpi" {
		t.Error("an option changed the list of all containers")
	}
}

func TestSeccompProfile(t *testing.T) {
	for _, tt := range []struct {
		c    Container
		want string
	}{
		{Container{}, ""},
		{Container{Privileged: true}, "unconfined"},
		{Container{SecurityOpts: []string{"seccomp=unconfined"}}, "unconfined"},
		{Container{SecurityOpts: []string{"seccomp=/p.json"}}, "/p.json"},
	} {
		if got, err := SeccompProfile(tt.c); err != nil || got != tt.want {
			t.Errorf("%+v: %q, %v", tt.c, got, err)
		}
	}
}

func TestSeccomp(t *testing.T) {
	text, err := os.ReadFile("testdata/seccomp.json")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		arch  string
		caps  []string
		archs string
		names string // of the rules that hold, in order
	}{
		{"amd64", nil, "SCMP_ARCH_X86_64 SCMP_ARCH_X86", "read,write mount arch_prctl single"},
		{"amd64", []string{"CAP_SYS_ADMIN"}, "SCMP_ARCH_X86_64 SCMP_ARCH_X86", "read,write setns arch_prctl single"},
		{"amd64", []string{"CAP_SYS_ADMIN", "CAP_BPF"}, "SCMP_ARCH_X86_64 SCMP_ARCH_X86", "read,write setns bpf arch_prctl single"},
		{"arm64", nil, "SCMP_ARCH_AARCH64", "read,write mount single"},
	}
	for _, tt := range tests {
		f, err := Seccomp(text, tt.arch, tt.caps)
		if err != nil {
			t.Fatal(err)
		}
		var archs, rules []string
		for _, a := range f.Architectures {
			archs = append(archs, string(a))
		}
		for _, r := range f.Syscalls {
			rules = append(rules, strings.Join(r.Names, ","))
		}
		if strings.Join(archs, " ") != tt.archs || strings.Join(rules, " ") != tt.names {
			t.Errorf("%s %v: got %v %v", tt.arch, tt.caps, archs, rules)
		}
		if f.DefaultAction != specs.ActErrno || f.DefaultErrnoRet == nil || *f.DefaultErrnoRet != 38 {
			t.Errorf("default action: %v %v", f.DefaultAction, f.DefaultErrnoRet)
		}
	}
	for _, bad := range []string{"", "{", "[]", "{}", `{"defaultAction":7}`} {
		if _, err := Seccomp([]byte(bad), "amd64", nil); err == nil || !strings.Contains(err.Error(), "seccomp profile") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzSeccomp(f *testing.F) {
	text, err := os.ReadFile("testdata/seccomp.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		filter, err := Seccomp(text, "amd64", []string{"CAP_CHOWN"})
		if err != nil {
			return
		}
		if filter.DefaultAction == "" {
			t.Error("a filter without a default action")
		}
		if _, err := json.Marshal(filter); err != nil {
			t.Error(err)
		}
	})
}
