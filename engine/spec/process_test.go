package spec

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

func TestArgs(t *testing.T) {
	image := ImageConfig{Entrypoint: []string{"/entry"}, Cmd: []string{"cmd"}}
	word := func(s string) *string { return &s }
	tests := []struct {
		name  string
		c     Container
		image ImageConfig
		want  string
	}{
		{"image's own", Container{}, image, "/entry|cmd"},
		{"command replaces Cmd", Container{Command: []string{"a", "b"}}, image, "/entry|a|b"},
		{"entry point drops Cmd", Container{Entrypoint: word("/mine")}, image, "/mine"},
		{"entry point and command", Container{Entrypoint: word("/mine"), Command: []string{"a"}}, image, "/mine|a"},
		{"entry point is one word", Container{Entrypoint: word("/my program")}, image, "/my program"},
		{"entry point of JSON", Container{Entrypoint: word(`["/my","words"]`)}, image, "/my|words"},
		{"no entry point", Container{Entrypoint: word(""), Command: []string{"a"}}, image, "a"},
		{"only Cmd", Container{}, ImageConfig{Cmd: []string{"c"}}, "c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Args(tt.c, tt.image)
			if err != nil || strings.Join(got, "|") != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
	image.Entrypoint = append(make([]string, 0, 8), "/entry")
	a, _ := Args(Container{Command: []string{"a"}}, image)
	b, _ := Args(Container{Command: []string{"b"}}, image)
	if a[1] != "a" || b[1] != "b" {
		t.Error("two containers of one image share an array")
	}
}

func TestEnvironment(t *testing.T) {
	host := map[string]string{
		"SECRET": "canary", "LC_A": "a", "LC_B": "b", "A": "canary", "NOTIFY_SOCKET": "/run/n", "LISTEN_FDS": "1", "_CONTAINERS_USERNS_CONFIGURED": "done",
	}
	base := "HOME=/root HOSTNAME=0123456789ab PATH=" + DefaultPath + " container=berth"
	tests := []struct {
		name  string
		image []string
		c     Container
		want  string
	}{
		{"none", nil, Container{}, base},
		{"image", []string{"A=1", "B=x=y", "E="}, Container{}, "A=1 B=x=y E= " + base},
		{"image without a value takes none from the host (CVE-2026-57231)", []string{"A", "SECRET", "*", "LC_*", "=x", ""}, Container{}, base},
		{"image's last one wins", []string{"A=1", "A=2"}, Container{}, "A=2 " + base},
		{"image wins over containers.conf", []string{"A=1"}, Container{DefaultEnvironment: []string{"A=2", "B=3"}}, "A=1 B=3 " + base},
		{"set wins over image", []string{"A=1"}, Container{Environment: []string{"A=2"}}, "A=2 " + base},
		{"copied from the host", nil, Container{Environment: []string{"SECRET"}}, "HOME=/root HOSTNAME=0123456789ab PATH=" + DefaultPath + " SECRET=canary container=berth"},
		{"not there on the host", nil, Container{Environment: []string{"NOPE"}}, base},
		{"pattern", nil, Container{Environment: []string{"LC_*"}}, "HOME=/root HOSTNAME=0123456789ab LC_A=a LC_B=b PATH=" + DefaultPath + " container=berth"},
		{"pattern passes over what is berth's", nil, Container{Environment: []string{"NOTIFY*", "LISTEN*", "_CONT*"}}, base},
		{"whole host", nil, Container{EnvHost: true}, "A=canary HOME=/root HOSTNAME=0123456789ab LC_A=a LC_B=b PATH=" + DefaultPath + " SECRET=canary container=berth"},
		{"image wins over whole host", []string{"A=1"}, Container{EnvHost: true}, "A=1 HOME=/root HOSTNAME=0123456789ab LC_A=a LC_B=b PATH=" + DefaultPath + " SECRET=canary container=berth"},
		{"time zone: images without descriptions of the zones read /etc/localtime, but none that TZ names", nil, Container{Timezone: "UTC"}, base},
		{"merged", []string{"A=1"}, Container{ProcessFlags: ProcessFlags{EnvMerge: []string{"A=${A}:2", "B=$A$NOPE-"}}}, "A=1:2 B=1:2- " + base},
		{"unset", []string{"A=1", "B=2"}, Container{ProcessFlags: ProcessFlags{UnsetEnv: []string{"A", "HOSTNAME"}}}, "B=2 HOME=/root PATH=" + DefaultPath + " container=berth"},
		{"unset but given", []string{"A=1"}, Container{Environment: []string{"A=2"}, ProcessFlags: ProcessFlags{UnsetEnv: []string{"A"}}}, "A=2 " + base},
		{"unset all", []string{"A=1"}, Container{Environment: []string{"B=2"}, ProcessFlags: ProcessFlags{UnsetEnvAll: true}}, "B=2"},
		{"home of the image", []string{"HOME=/h"}, Container{}, strings.Replace(base, "/root", "/h", 1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{ID: testID, Container: tt.c, Image: ImageConfig{Env: tt.image}, Process: Process{Home: "/root"}, Host: Host{Environment: host}}
			got, err := Environment(in)
			if err != nil || strings.Join(got, " ") != tt.want {
				t.Errorf("%v\ngot  %s\nwant %s", err, strings.Join(got, " "), tt.want)
			}
		})
	}
}

func TestParseEnvFile(t *testing.T) {
	tests := []struct{ text, want, err string }{
		{"", "", ""},
		{"A=1\nB=2", "A=1|B=2", ""},
		{"\ufeffA=1\r\n\r\n  # note\n\tB=\"x y\"  \n", "A=1|B=\"x y\"  ", ""},
		{"NAME\nPRE*\n", "NAME|PRE*", ""},
		{"A=#no comment", "A=#no comment", ""},
		{"ok=1\n=x", "", "f:2:"},
		{"a b=1", "", "f:1:"},
		{"export A=1", "", "f:1:"},
	}
	for _, tt := range tests {
		got, err := ParseEnvFile("f", tt.text)
		if (err == nil) != (tt.err == "") || err != nil && !strings.HasPrefix(err.Error(), tt.err) || strings.Join(got, "|") != tt.want {
			t.Errorf("%q: got %q, %v; want %q, %q", tt.text, got, err, tt.want, tt.err)
		}
	}
}

func FuzzEnvFile(f *testing.F) {
	f.Add("A=1\n# x\nB\n")
	f.Add("\ufeffA=\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseEnvFile("f", text)
		for _, e := range list {
			if err != nil || e == "" || e[0] == '=' || e[0] == '#' || strings.Contains(e, "\n") {
				t.Errorf("%q gave %q, %v", text, e, err)
			}
		}
	})
}

func TestUlimits(t *testing.T) {
	tests := []struct{ word, want string }{
		{"nofile=1024:4096", "RLIMIT_NOFILE 1024 4096"},
		{"NOFILE=5", "RLIMIT_NOFILE 5 5"},
		{"RLIMIT_CORE=0", "RLIMIT_CORE 0 0"},
		{"memlock=-1", "RLIMIT_MEMLOCK 18446744073709551615 18446744073709551615"},
		{"nproc=unlimited:-1", "RLIMIT_NPROC 18446744073709551615 18446744073709551615"},
		{"nofile=10:5", ""}, {"nofile=", ""}, {"nofile", ""}, {"files=1", ""}, {"nofile=-2", ""}, {"nofile=1:2:3", ""}, {"nofile=x", ""},
	}
	for _, tt := range tests {
		list, err := rlimits(Container{Ulimits: []string{tt.word}})
		got := ""
		if err == nil {
			got = strings.TrimSpace(strings.Join([]string{list[0].Type, utoa(list[0].Soft), utoa(list[0].Hard)}, " "))
		}
		if got != tt.want {
			t.Errorf("%s: got %q, %v; want %q", tt.word, got, err, tt.want)
		}
	}
	for words, want := range map[string]string{
		"host": "[]", "nofile=1,host": "[]", "host,nofile=1": "[{RLIMIT_NOFILE 1 1}]", "RLIMIT_NOFILE=1:9,core=0,nofile=5:7": "[{RLIMIT_CORE 0 0} {RLIMIT_NOFILE 7 5}]",
	} {
		if list, err := rlimits(Container{Ulimits: strings.Split(words, ",")}); fmt.Sprint(list) != want || err != nil {
			t.Errorf("%s: %v, %v; want %s", words, list, err, want)
		}
	}
}

// FuzzUlimits: each kind of limit is set once at most, soft ones are no more than hard ones, and what was read is read again.
func FuzzUlimits(f *testing.F) {
	for _, word := range []string{"nofile=1024:4096", "RLIMIT_NOFILE=5", "nproc=unlimited:-1", "host", "core=0x1", "memlock=18446744073709551615", "=", "rlimit_rlimit_as=1", "CPU=01"} {
		f.Add(word, "nofile=1")
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		list, err := rlimits(Container{Ulimits: []string{one, two}})
		if err != nil {
			return
		}
		var again []string
		for i, l := range list {
			if i > 0 && list[i-1].Type >= l.Type || l.Soft > l.Hard || !ulimitNames[strings.ToLower(strings.TrimPrefix(l.Type, "RLIMIT_"))] {
				t.Errorf("%q and %q: %v", one, two, list)
			}
			again = append(again, fmt.Sprintf("%s=%d:%d", l.Type, int64(l.Soft), int64(l.Hard)))
		}
		if got, err := rlimits(Container{Ulimits: again}); err != nil || fmt.Sprint(got) != fmt.Sprint(list) {
			t.Errorf("%q: %v, and then %v, %v", again, list, got, err)
		}
	})
}

func TestSysctls(t *testing.T) {
	tests := []struct {
		word string
		host bool
		ok   bool
	}{
		{"net.ipv4.ip_forward=1", false, true},
		{"net.ipv4.ip_forward=1", true, false},
		{"kernel.shmmax=1+kernel.core_pattern=x", false, true}, // one sysctl with an odd value, not two (CVE-2022-0811)
		{"fs.mqueue.msg_max=1", true, true},
		{"kernel.core_pattern=|/x", false, false},
		{"kernel.shm=1", false, false},
		{"vm.swappiness=1", false, false},
		{"net=1", false, false},
		{"net.ipv4.ip_forward", false, false},
		{"", false, false},
	}
	for _, tt := range tests {
		m, err := sysctls(Container{Sysctls: []string{tt.word}}, tt.host)
		if ping := m["net.ipv4.ping_group_range"]; tt.ok && (ping == "0 0") == tt.host {
			t.Errorf("%q with host network %v: ping is for the groups %q", tt.word, tt.host, ping)
		}
		delete(m, "net.ipv4.ping_group_range")
		if (err == nil) != tt.ok || tt.ok && len(m) != 1 {
			t.Errorf("%q with host network %v: %v, %v", tt.word, tt.host, m, err)
		}
	}
	m, _ := sysctls(Container{Sysctls: []string{"kernel.shmmax=1+kernel.core_pattern=x"}}, false)
	if !slices.Equal(SortedKeys(m), []string{"kernel.shmmax", "net.ipv4.ping_group_range"}) {
		t.Errorf("a second sysctl came out of a value: %v", m)
	}
	m, _ = sysctls(Container{Sysctls: []string{"net.ipv4.ping_group_range=1 0"}}, false)
	if m["net.ipv4.ping_group_range"] != "1 0" {
		t.Errorf("the default wins: %v", m)
	}
}

// FuzzSysctls: one word sets one parameter, of a namespace that is the container's, to what stands behind the first =.
func FuzzSysctls(f *testing.F) {
	for _, word := range []string{"net.ipv4.ip_forward=1", "kernel.shmmax=1+kernel.core_pattern=x", "fs.mqueue.msg_max=1", "kernel.core_pattern=|/x", "net.=", "net./../../kernel.core_pattern=x", "kernel.shmmax.=1", "=", "net.a"} {
		f.Add(word, true)
		f.Add(word, false)
	}
	f.Fuzz(func(t *testing.T, word string, netHost bool) {
		m, err := sysctls(Container{Sysctls: []string{word}}, netHost)
		if err != nil {
			return
		}
		const ping = "net.ipv4.ping_group_range"
		name, value, _ := strings.Cut(word, "=")
		if m[name] != value || name != ping && (m[ping] == "0 0") == netHost {
			t.Errorf("%q: %v", word, m)
		}
		delete(m, ping)
		delete(m, name)
		file := path.Clean("/proc/sys/" + strings.ReplaceAll(name, ".", "/")) // as a runtime does
		net := strings.HasPrefix(file+"/", "/proc/sys/net/")
		if len(m) > 0 || net && netHost || !net && !strings.HasPrefix(file+"/", "/proc/sys/fs/mqueue/") && !slices.Contains(ipcSysctls, name) {
			t.Errorf("%q with host network %v sets %s, and %v", word, netHost, file, m)
		}
	})
}

func TestFileNumbers(t *testing.T) {
	tests := []struct {
		f    ProcessFlags
		want string
	}{
		{ProcessFlags{}, "[]"},
		{ProcessFlags{PreserveFDs: "2"}, "[3 4]"},
		{ProcessFlags{PreserveFDs: "1", PreserveFD: []string{"9,5", "3"}}, "[3 5 9]"},
		{ProcessFlags{PreserveFDs: "-1"}, "error"}, {ProcessFlags{PreserveFDs: "many"}, "error"}, {ProcessFlags{PreserveFDs: "100000"}, "error"},
		{ProcessFlags{PreserveFD: []string{"2"}}, "error"}, {ProcessFlags{PreserveFD: []string{"a"}}, "error"},
	}
	for _, tt := range tests {
		list, err := FileNumbers(tt.f)
		got := fmt.Sprint(list)
		if err != nil {
			got = "error"
		}
		if got != tt.want {
			t.Errorf("%+v: %s, %v; want %s", tt.f, got, err, tt.want)
		}
	}
}

func TestPersonality(t *testing.T) {
	for word, want := range map[string]string{"linux32": "LINUX32", "LINUX": "LINUX"} {
		if p, err := personality(Container{ProcessFlags: ProcessFlags{Personality: word}}); err != nil || string(p.Domain) != want {
			t.Errorf("%s: %v, %v", word, p, err)
		}
	}
	if p, err := personality(Container{}); p != nil || err != nil {
		t.Errorf("none: %v, %v", p, err)
	}
	if _, err := personality(Container{ProcessFlags: ProcessFlags{Personality: "BSD"}}); err == nil {
		t.Error("BSD was taken")
	}
}

func TestKeepGroups(t *testing.T) {
	s := mustBuild(t, with(func(in *Input) { in.Process.UID, in.Container.Groups = 1000, []string{"keep-groups"} }))
	if len(s.Process.User.AdditionalGids) > 0 || s.Annotations["run.oci.keep_original_groups"] != "1" {
		t.Errorf("groups %v, annotations %v", s.Process.User.AdditionalGids, s.Annotations)
	}
	if _, err := Build(with(func(in *Input) { in.Container.Groups = []string{"keep-groups", "audio"} })); err == nil {
		t.Error("keep-groups beside another was taken")
	}
}

func TestUmask(t *testing.T) {
	for word, want := range map[string]uint32{"": 0o022, "0": 0, "077": 0o077, "0777": 0o777} {
		if got, err := parseUmask(word); err != nil || got != want {
			t.Errorf("%q: %o, %v", word, got, err)
		}
	}
	for _, word := range []string{"1000", "8", "-1", "0x1", "u=rwx"} {
		if got, err := parseUmask(word); err == nil {
			t.Errorf("%q was taken as %o", word, got)
		}
	}
}
