package cli

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
)

// Each key of containers.conf counts where nothing is said, and not where something is.
func TestContainersConf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.conf")
	t.Setenv("CONTAINERS_CONF", path)
	t.Cleanup(readAnew)
	for _, test := range []struct{ conf, words, want string }{ // want: the fields that differ from those without the file
		{`annotations = ["a=1"]`, "--annotation b=2", `annotations=["a=1","b=2"]`},
		{`base_hosts_file = "none"`, "", `hostsBase="none"`},
		{`base_hosts_file = "none"`, "--hosts-file image", ``},
		{`base_hosts_file = "none"`, "--no-hosts", ``},
		{`cgroup_conf = ["memory.high=1"]`, "", `cgroupConf=["memory.high=1"]`},
		{`cgroup_conf = ["memory.high=1"]`, "--cgroup-conf memory.high=2", ``},
		{`cgroup_conf = ["memory.high=1"]`, "--cgroups disabled", ``},
		{`container_name_as_hostname = true`, "", `nameAsHost=true`},
		{`oom_score_adj = 0`, "", `oomScoreAdj=0`},
		{`oom_score_adj = 0`, "--oom-score-adj 5", ``},
		{"[engine]\nimage_volume_mode = \"tmpfs\"", "", `imageVolume="tmpfs"`},
		{`cgroupns = "host"`, "", `cgroupns="host"`},
		{`default_capabilities = ["CHOWN", "net_raw"]`, "", `defaultCapabilities=["CHOWN","net_raw"]`},
		{`default_capabilities = []`, "--cap-add chown", `capDrop=["all"]`},
		{`default_sysctls = ["net.x=1", "kernel.sem=2"]`, "--sysctl net.x=3", `sysctls=["net.x=1","kernel.sem=2","net.x=3"]`},
		{`default_sysctls = ["net.x=1"]`, "--network none", `sysctls=["net.x=1"]`},
		{`default_sysctls = ["net.x=1", "kernel.sem=2"]`, "--network host", `sysctls=["kernel.sem=2"]`},
		{`default_sysctls = ["net.x=1", "kernel.sem=2"]`, "--ipc host", `sysctls=["net.x=1"]`},
		{`default_sysctls = ["net.x=1"]`, "--pod p", ``},
		{`default_ulimits = ["nofile=1:2", "nproc=3"]`, "--ulimit nofile=4", `ulimits=["nofile=1:2","nproc=3","nofile=4"]`},
		{`default_ulimits = ["nofile=1:2"]`, "--ulimit host", `ulimits=["nofile=1:2","host"]`},
		{`devices = ["/dev/a"]`, "", `devices=["/dev/a"]`},
		{`dns_servers = ["1.2.3.4"]`, "", `dns=["1.2.3.4"]`},
		{`dns_servers = ["1.2.3.4"]`, "--dns 5.6.7.8", ``},
		{`dns_servers = ["1.2.3.4"]`, "--network none", ``},
		{`dns_options = ["ndots:2"]`, "", `dnsOptions=["ndots:2"]`},
		{`dns_searches = ["example"]`, "", `dnsSearch=["example"]`},
		{`env = ["A=1"]`, "-e A=2", `defaultEnvironment=["A=1"]`},
		{`env_host = true`, "", `envHost=true`},
		{`env_host = true`, "--env-host=false", ``},
		{`http_proxy = false`, "", `httpProxy=null`},
		{`http_proxy = false`, "--http-proxy", ``},
		{`init = true`, "", `init=true`},
		{`init = true`, "--init=false", ``},
		{`init_path = "/i"`, "", `initPath="/i"`},
		{`ipcns = "host"`, "", `ipc="host"`},
		{`ipcns = "host"`, "--pod p", ``},
		{"ipcns = \"host\"\nshm_size = \"1m\"", "", `ipc="host"`},
		{`log_driver = "k8s-file"`, "", `logDriver="k8s-file"`},
		{`log_driver = "k8s-file"`, "--log-driver none", ``},
		{`log_driver = "journald"`, "", ``},
		{`log_size_max = 9`, "--log-opt max-size=8", `logOpts=["max-size=9","max-size=8"]`},
		{`log_size_max = -1`, "", ``},
		{`log_tag = "x"`, "", `logOpts=["tag=x"]`},
		{`log_tag = "x"`, "--log-driver none", ``},
		{`mounts = ["type=bind,source=/a,target=/b", "type=tmpfs,target=/t"]`, "-v /c:/d", `tmpfs=["/t"] volumes=["/a:/b","/c:/d"]`},
		{`netns = "host"`, "", `networks=["host"]`},
		{`netns = "private"`, "", ``},
		{`netns = "host"`, "--network none", ``},
		{`netns = "host"`, "--pod p", ``},
		{`netns = "host"`, "--pod-id-file f", ``},
		{"netns = \"none\"\nutsns = \"host\"\nno_hosts = true", "--pod new:p", ``}, // which the pod has: see TestMadePod
		{`no_hosts = true`, "", `noHosts=true`},
		{`no_hosts = true`, "--add-host a:1.2.3.4", ``},
		{`pidns = "host"`, "", `pid="host"`},
		{`privileged = true`, "", `privileged=true`},
		{`read_only = true`, "", `readOnly=true`},
		{`read_only = true`, "--read-only=false", ``},
		{`shm_size = "1m"`, "", `shmSize="1m"`},
		{`shm_size = "1m"`, "--shm-size 2m", ``},
		{`tz = "UTC"`, "", `timezone="UTC"`},
		{`umask = "0027"`, "", `umask="0027"`},
		{`userns = "auto"`, "", `userns="auto"`},
		{`userns = "auto"`, "--uidmap 0:1:1", ``},
		{`utsns = "host"`, "", `uts="host"`},
		{`utsns = "host"`, "-h x", ``},
		{`volumes = ["/a:/b"]`, "-v /c:/d", `volumes=["/a:/b","/c:/d"]`},
		{"[engine]\npull_policy = \"never\"\nretry = 7\nretry_delay = \"2s\"\nstop_timeout = 3", "", `pull="never" retry="7" retryDelay="2s" stopTimeout=3000000000`},
		{"[engine]\npull_policy = \"never\"\nretry = 7\nretry_delay = \"2s\"\nstop_timeout = 3", "--pull missing --retry 1 --retry-delay 1s --stop-timeout 5", ``},
		{"[engine]\nretry = 0", "", `retry="0"`},
		{"[network]\ndefault_network = \"n\"", "--network host", ``},
		{"[network]\ndefault_network = \"n\"", "--pod p", ``},
	} {
		fields := func(text string) map[string]any {
			if err := os.WriteFile(path, []byte("[containers]\n"+text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			readAnew()
			c, err := parseRun(append(strings.Fields(test.words), "image"))
			if err != nil {
				t.Fatalf("%s %s: %v", text, test.words, err)
			}
			return asFields(t, c)
		}
		if got := difference(fields(""), fields(test.conf)); got != test.want {
			t.Errorf("%s with %q: %s, want %s", test.conf, test.words, got, test.want)
		}
	}
	for conf, want := range map[string]string{
		"mounts = [\"type=no\"]": "containers.conf: mounts: ", "[engine]\nenv = [\"x\"]": "NAME=VALUE", "umask = 5": "c.conf: line 2 ", "log_driver = \"paper\"": "log driver",
		"[engine]\nimage_volume_mode = \"x\"":              "known are anonymous",
		"pull_policy = 1\n[engine]\npull_policy=\"maybe\"": "known are always",
	} {
		if err := os.WriteFile(path, []byte("[containers]\n"+conf+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		readAnew()
		if _, err := parseRun([]string{"image"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", conf, err, want)
		}
	}
}

// Of what a pod has in place of its containers the same holds.
func TestPodDefaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.conf")
	t.Setenv("CONTAINERS_CONF", path)
	t.Cleanup(readAnew)
	for _, test := range []struct{ conf, words, want string }{ // want: the fields that differ from those without the file
		{`netns = "host"`, "", `networks=["host"]`},
		{`netns = "host"`, "--network n", ``},
		{`netns = "host"`, "--share ipc", ``},
		{"[network]\ndefault_network = \"n\"", "", `networks=["n"]`},
		{`dns_servers = ["1.2.3.4"]`, "", `dns=["1.2.3.4"]`},
		{`dns_servers = ["1.2.3.4"]`, "--network none", ``},
		{`no_hosts = true`, "", `noHosts=true`},
		{`base_hosts_file = "none"`, "", `hostsBase="none"`},
		{`base_hosts_file = "image"`, "", ``},
		{`utsns = "host"`, "", `uts="host"`},
		{`utsns = "host"`, "--hostname x", ``},
		{`utsns = "host"`, "--share net", ``},
		{`pidns = "host"`, "", ``},
		{`pidns = "host"`, "--share +pid", `pid="host"`},
		{"netns = \"ns:/n\"\nuserns = \"container:x\"\npidns = \"container:x\"\nutsns = \"container:x\"", "--share +pid", ``}, // none is a pod's
		{"netns = \"container:x\"\n[network]\ndefault_network = \"n\"", "", `networks=["n"]`},
		{"utsns = \"ns:/u\"\nuserns = \"ns:/v\"", "", `userns="ns:/v" uts="ns:/u"`},
		{"pidns = \"ns:/p\"\nuserns = \"ns:/v\"", "--share +pid", `pid="ns:/p"`},
		{"base_hosts_file = \"image\"\nno_hosts = true", "", `noHosts=true`},
		{`userns = "auto"`, "", `userns="auto"`},
		{`userns = "auto"`, "--userns host", ``},
		{`shm_size = "1m"`, "", `shmSize="1m"`},
		{`shm_size = "1m"`, "--share net", ``},
		{`default_sysctls = ["net.x=1", "kernel.sem=2"]`, "--sysctl net.x=3", `sysctls=["net.x=1","kernel.sem=2","net.x=3"]`},
		{`default_sysctls = ["net.x=1", "kernel.sem=2"]`, "--share net", `sysctls=["net.x=1"]`},
		{"env = [\"A=1\"]\nvolumes = [\"/a:/b\"]\nread_only = true", "", ``}, // of each container
	} {
		fields := func(text string) map[string]any {
			if err := os.WriteFile(path, []byte("[containers]\n"+text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			readAnew()
			p, err := parsePodCreate(strings.Fields(test.words))
			if err != nil {
				t.Fatalf("%s %s: %v", text, test.words, err)
			}
			return asFields(t, p.Common)
		}
		if got := difference(fields(""), fields(test.conf)); got != test.want {
			t.Errorf("%s with %q: %s, want %s", test.conf, test.words, got, test.want)
		}
	}
	if p, err := parsePodCreate([]string{"--hosts-file", "image"}); err != nil || p.Common.HostsBase != "image" { // which is refused later
		t.Errorf("--hosts-file image: %q, %v", p.Common.HostsBase, err)
	}
	if err := os.WriteFile(path, []byte("[engine]\npod_exit_policy = \"stop\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	readAnew()
	for words, want := range map[string]string{"": "stop", "--exit-policy continue": "continue"} {
		if p, err := parsePodCreate(strings.Fields(words)); err != nil || p.ExitPolicy != want {
			t.Errorf("%q: exit policy %q, %v; want %s", words, p.ExitPolicy, err, want)
		}
	}
}

// The pod that a container makes has what `pod create` gives to one.
func TestMadePod(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.conf")
	t.Setenv("CONTAINERS_CONF", path)
	t.Cleanup(readAnew)
	for _, test := range []struct{ conf, words, want string }{ // want: the fields that differ from those without the file
		{"netns = \"none\"\nutsns = \"host\"\nno_hosts = true", "", `networks=["none"] noHosts=true uts="host"`},
		{`netns = "host"`, "--network n", ``},
		{`netns = "container:x"`, "", ``},
		{`base_hosts_file = "image"`, "", ``},
		{`base_hosts_file = "image"`, "--hosts-file none", ``},
		{"userns = \"auto\"\ndefault_sysctls = [\"net.x=1\"]", "", `sysctls=["net.x=1"] userns="auto"`},
		{`userns = "auto"`, "--userns host", ``},
		{`shm_size = "1m"`, "", `shmSize="1m"`},
		{`shm_size = "1m"`, "--shm-size 2m", ``},
		{`dns_servers = ["1.2.3.4"]`, "", `dns=["1.2.3.4"]`},
	} {
		fields := func(text string) map[string]any {
			if err := os.WriteFile(path, []byte("[containers]\n"+text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			readAnew()
			p, err := madePod(append(strings.Fields(test.words+" --name c --pod new:p"), "image"))
			if err != nil || p.Name != "p" || p.Maker != "c" {
				t.Fatalf("%s %s: %+v, %v", text, test.words, p, err)
			}
			return asFields(t, p.Common)
		}
		if got := difference(fields(""), fields(test.conf)); got != test.want {
			t.Errorf("%s with %q: %s, want %s", test.conf, test.words, got, test.want)
		}
	}
	if p, err := madePod([]string{"--pod", "new:p", "--hosts-file", "image", "image"}); err != nil || p.Common.HostsBase != "image" { // which is refused later
		t.Errorf("--hosts-file image: %q, %v", p.Common.HostsBase, err)
	}
	if err := os.WriteFile(path, []byte("[engine]\npod_exit_policy = \"stop\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	readAnew()
	if p, err := madePod([]string{"--pod", "new:p", "image"}); err != nil || p.ExitPolicy != "stop" {
		t.Errorf("exit policy %q, %v", p.ExitPolicy, err)
	}
}

// TestRefusedInNewPod: a container that is refused leaves no pod that was made for it; one that was there before, or has others by then, stays.
func TestRefusedInNewPod(t *testing.T) {
	dirs := emptyRun(t)
	t.Setenv(newPodVariable, "")
	words := []string{"--pod", "new:stack", "--name", "web", "--pull", "never", "localhost/none"}
	c, err := parseRun(words)
	if err == nil {
		err = newPod(c, words)
	}
	if _, findErr := dirs.FindPod("stack"); err != nil || findErr != nil {
		t.Fatal(err, findErr)
	}
	refuse := func() {
		t.Helper()
		if out, err := call(append([]string{"create"}, words...)...); err == nil || out != "" {
			t.Fatalf("%q, %v", out, err)
		}
	}
	refuse()
	if p, err := dirs.FindPod("stack"); !errors.Is(err, engine.ErrNoPod) {
		t.Errorf("%+v, %v", p, err)
	}
	p, err := dirs.CreatePod(spec.Pod{Name: "stack", Maker: "web"})
	if err != nil {
		t.Fatal(err)
	}
	refuse()
	t.Setenv(newPodVariable, p.ID)
	lay(t, dirs, engine.State{ID: strings.Repeat("ab", 32), Name: "other", Pod: p.ID, Container: spec.Container{Rootfs: true}})
	refuse()
	if _, err := dirs.FindPod("stack"); err != nil {
		t.Error(err)
	}
}

// difference lists the fields of one container that differ from those of another.
func difference(without, with map[string]any) string {
	var got []string
	for _, name := range spec.SortedKeys(with) {
		if !reflect.DeepEqual(with[name], without[name]) {
			value, _ := json.Marshal(with[name])
			got = append(got, name+"="+string(value))
		}
	}
	for _, name := range spec.SortedKeys(without) {
		if _, ok := with[name]; !ok {
			got = append(got, name+"=null")
		}
	}
	return strings.Join(got, " ")
}

func TestDetachKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.conf")
	t.Setenv("CONTAINERS_CONF", path)
	t.Cleanup(readAnew)
	own, none := "ctrl-a", ""
	for _, tt := range []struct {
		conf  string
		given *string
		want  string
	}{{"", nil, "\x10\x11"}, {"ctrl-x", nil, "\x18"}, {"ctrl-x", &own, "\x01"}, {"ctrl-x", &none, ""}} {
		text := ""
		if tt.conf != "" {
			text = "[engine]\ndetach_keys = \"" + tt.conf + "\"\n"
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		readAnew()
		if keys, err := detachKeys(tt.given); err != nil || string(keys) != tt.want {
			t.Errorf("%+v: %q, %v", tt, keys, err)
		}
	}
}

func asFields(t *testing.T, c spec.Container) (fields map[string]any) {
	t.Helper()
	text, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fields
}
