package cli

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
)

func TestCloneName(t *testing.T) {
	taken := []string{"web-clone", "web-clone1"}
	for name, want := range map[string]string{"web": "web-clone2", "db": "db-clone"} {
		if got := cloneName(name, func(n string) bool { return slices.Contains(taken, n) }); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// lay makes the state of a container in the directories of this boot.
func lay(t *testing.T, dirs engine.Dirs, s engine.State) {
	t.Helper()
	s.Version = 1
	text, err := json.Marshal(s)
	if err == nil {
		err = os.MkdirAll(dirs.Container(s.ID), 0o700)
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(dirs.Run, "names"), 0o700)
	}
	if err == nil {
		err = os.Symlink("../"+s.ID, filepath.Join(dirs.Run, "names", s.Name))
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dirs.Container(s.ID), "state.json"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestParseContainerClone(t *testing.T) {
	lay(t, emptyRun(t), engine.State{ID: strings.Repeat("ab", 32), Name: "web", Container: spec.Container{
		Name: "web", Image: "i:1", Environment: []string{"A=1"}, Remove: true, CIDFile: "/c", Limits: spec.Limits{CPUs: "1", Memory: "1g", ReadBps: []string{"/dev/a:1"}},
	}})
	for words, want := range map[string]string{
		"web":                                    "web-clone i:1 1 1g [/dev/a:1]",
		"web other":                              "other i:1 1 1g [/dev/a:1]",
		"web other j:2":                          "other j:2 1 1g [/dev/a:1]",
		"--name x --cpus=2 -m 2g web":            "x i:1 2 2g [/dev/a:1]",
		"--device-read-bps=/dev/b:2 web":         "web-clone i:1 1 1g [/dev/b:2]",
		"--cpu-quota=5 web":                      "web-clone i:1  1g [/dev/a:1]",
		"--destroy --force --run web":            "web-clone i:1 1 1g [/dev/a:1]",
		"":                                       "name the container",
		"web a b c":                              "name the container",
		"--name x web y":                         "exclude each other",
		"--force web":                            "--force is for --destroy",
		"none":                                   "no such container",
		"--pod none web":                         "no such pod",
		"--cpus web":                             "name the container",
		"--memory=1g --memory-reservation=5 web": "web-clone i:1 1 1g [/dev/a:1]",
	} {
		_, _, c, err := parseContainerClone(strings.Fields(words))
		got := strings.Join([]string{c.Name, c.Image, c.CPUs, c.Memory, "[" + strings.Join(c.ReadBps, " ") + "]"}, " ")
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%q: %s, want %s", words, got, want)
		}
		if err == nil && (c.Remove || c.CIDFile != "" || c.Environment[0] != "A=1") {
			t.Errorf("%q: %+v", words, c)
		}
	}
}

func TestParseCleanup(t *testing.T) {
	emptyRun(t)
	for words, want := range map[string]string{
		"a b":           "[a b]",
		"--rmi a":       "[a]",
		"--all":         "[]",
		"--exec s a":    "[a]",
		"":              "no container is named",
		"--all a":       "exclude each other",
		"-a -l":         "exclude each other",
		"--exec s":      "--exec takes one container",
		"--exec s --rm": "--exec takes one container",
		"--latest":      "there is none",
	} {
		o, names, err := parseCleanup(strings.Fields(words))
		got := "[" + strings.Join(names, " ") + "]"
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) || o.rmi && !o.rm {
			t.Errorf("%q: %s, want %s", words, got, want)
		}
	}
}

func TestSystemMigrateAndCheck(t *testing.T) {
	emptyRun(t)
	if out, err := call("system", "migrate"); err != nil || !strings.HasPrefix(out, "nothing to migrate") {
		t.Errorf("%s, %v", out, err)
	}
	if _, err := call("system", "migrate", "--new-runtime=crun"); err == nil || !strings.Contains(err.Error(), "runtime=") {
		t.Error(err)
	}
	if _, err := call("system", "check", "x"); err == nil || !strings.Contains(err.Error(), "no names") {
		t.Error(err)
	}
}

// One that does not run has no configuration of the runtime's.
func TestInspectWithoutConfiguration(t *testing.T) {
	emptyRun(t)
	out := inspection{env: &Env{}}.inspect(engine.State{ID: strings.Repeat("ab", 32), Name: "web", Container: spec.Container{Rootfs: true, Image: "/r"}})
	if out.Name != "web" || out.MountLabel != "" {
		t.Errorf("%+v", out)
	}
}

// What is published for a pod leads to each of its containers.
func TestPortsOfMember(t *testing.T) {
	dirs := emptyRun(t)
	p, err := dirs.CreatePod(spec.Pod{Name: "stack", Share: spec.DefaultShare, Common: spec.Container{Publish: []string{"8080:80"}}})
	if err != nil {
		t.Fatal(err)
	}
	s := engine.State{ID: strings.Repeat("ab", 32), Name: "web", Pod: p.ID, Container: spec.Container{Rootfs: true, Image: "/r", Pod: p.ID}}
	row := psRow{State: &s, status: "running"}
	if got := row.Fields()["Ports"]; got != "0.0.0.0:8080->80/tcp" || len(row.entry().Ports) != 1 {
		t.Errorf("ps: %v, %v", got, row.entry().Ports)
	}
	out := inspection{env: &Env{}}.inspect(s)
	if got := out.NetworkSettings.Ports["80/tcp"]; len(got) != 1 || got[0].HostPort != "8080" {
		t.Errorf("inspect: %v", got)
	}
	if len(out.HostConfig.PortBindings)+len(out.Config.ExposedPorts) > 0 {
		t.Errorf("these ports are the pod's: %v, %v", out.HostConfig.PortBindings, out.Config.ExposedPorts)
	}
}

// A mode is no network to ps, and one to inspect, as with Podman.
func TestModeAsNetwork(t *testing.T) {
	for _, mode := range []string{"none", "host"} {
		s := engine.State{ID: strings.Repeat("ab", 32), Name: "web", Network: engine.NetworkRequest{Mode: mode, Networks: []string{mode}}, Container: spec.Container{Rootfs: true}}
		if got := (psRow{State: &s}).entry().Networks; len(got) > 0 {
			t.Errorf("ps: %v", got)
		}
		out := inspection{env: &Env{}}.inspect(s)
		if _, ok := out.NetworkSettings.Networks[mode]; !ok || len(out.NetworkSettings.Networks) != 1 {
			t.Errorf("inspect: %v", out.NetworkSettings.Networks)
		}
	}
}

// What berth says to itself is left out of the command line: Ansible's modules look for each option in it.
func TestCreateCommand(t *testing.T) {
	for _, tt := range []struct{ told, words, want string }{
		{"", "run -d --name web i:1", "berth run -d --name web i:1"},
		{"run 3", "run --cgroups=split --sdnotify=conmon --detach --name x -d --rm i:1", "berth run -d --rm i:1"},
		{"run 2", "create --cgroups=split --name x -d i:1", "berth run -d i:1"},
		{"run 9", "run --rm i:1", "berth run --rm i:1"},
		{"", "run --cgroups=split --rm i:1", "berth run --cgroups=split --rm i:1"},
		{"", "create --cgroups=split i:1", "berth create --cgroups=split i:1"},
		{"", "run --creds u:p --decryption-key=k:p i:1 --creds u:p", "berth run --creds *** --decryption-key=*** i:1 --creds u:p"},
		{"", "run --creds=a:b --creds c:d --rm i:1", "berth run --creds=*** --creds *** --rm i:1"},
	} {
		t.Setenv(typedVariable, tt.told)
		list := strings.Fields(tt.words)
		c, err := parseRun(list[1:])
		if err != nil {
			t.Fatal(err)
		}
		verb, args := typed(list[0], list[1:])
		if got := strings.Join(createCommand(verb, args, c), " "); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.words, got, tt.want)
		}
	}
	t.Setenv(typedVariable, "run 2")
	if got := tellTyped("create", strings.Fields("--cgroups=split -d i:1")); got != typedVariable+"=run 2" {
		t.Errorf("told by one that was told: %s", got)
	}
}

func TestPodInspect(t *testing.T) {
	dirs := emptyRun(t)
	if out, err := call("pod", "inspect", "none"); out != "[]\n" || !errors.Is(err, engine.ErrNoPod) {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := call("pod", "create", "--name=stack", "--label", "a=1"); err != nil {
		t.Fatal(err)
	}
	out, err := call("pod", "inspect", "--format={{.CreateCommand}}", "stack")
	if want := "[berth pod create --name=stack --label a=1]\n"; err != nil || out != want {
		t.Errorf("%q, %v; want %q", out, err, want)
	}
	damaged := strings.Repeat("ab", 32)
	if err := errors.Join(os.Mkdir(dirs.Pod(damaged), 0o700), os.WriteFile(filepath.Join(dirs.Pod(damaged), "state.json"), []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if out, err := call("pod", "inspect", "--format={{.Name}}", "stack", damaged); out != "stack\n" || err == nil {
		t.Errorf("beside a damaged one: %q, %v", out, err)
	}
	if out, err := call("pod", "inspect", damaged); out != "" || err == nil {
		t.Errorf("a damaged one: %q, %v", out, err)
	}
	if out, err := call("pod", "ps", "--quiet"); err != nil || len(out) != 65 {
		t.Errorf("Podman prints the whole ID: %q, %v", out, err)
	}
}

// Those of one at rest are known too: Ansible adds what is to be added to them, and makes the container anew when that changes them.
func TestInspectCapabilities(t *testing.T) {
	for user, want := range map[string]string{"": "CAP_NET_ADMIN CAP_SYS_CHROOT", "0:0": "CAP_NET_ADMIN CAP_SYS_CHROOT", "1000": "CAP_NET_ADMIN"} {
		out := inspection{env: &Env{}}.inspect(engine.State{ID: strings.Repeat("ab", 32), Container: spec.Container{
			Rootfs: true, User: user, CapAdd: []string{"net_admin"}, DefaultCapabilities: []string{"SYS_CHROOT"},
		}})
		if got := strings.Join(out.EffectiveCaps, " "); got != want || len(out.BoundingCaps) != 2 {
			t.Errorf("%s: %s, %v", user, got, out.BoundingCaps)
		}
	}
}

// What the JSON of inspect leaves out is there for templates.
func TestInspectTemplates(t *testing.T) {
	dirs := emptyRun(t)
	lay(t, dirs, engine.State{
		ID: strings.Repeat("ab", 32), Name: "web", Mounts: []engine.VolumeMount{{Source: "/srv", Destination: "/srv"}}, Container: spec.Container{
			Rootfs: true, Image: "/r", Limits: spec.Limits{Memory: "9007199254740993"}, Tmpfs: []string{"/t", "/u:size=1m,notmpcopyup"},
		},
	})
	for form, want := range map[string]string{
		"{{.HostConfig.Tmpfs}}":                                                 "map[/t:rw,nosuid,nodev,tmpcopyup /u:rw,nosuid,nodev,size=1m]",
		"{{range .Mounts}}{{.Name}}|{{.Source}}{{end}}":                         "|/srv",
		"{{.Config.Timezone}}|{{.Config.Secrets}}|{{.Config.ExposedPorts}}":     "|[]|map[]",
		"{{.Config.Env}}":                                                       "[HOSTNAME=abababababab PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin container=berth]",
		"{{.State.Health}}|{{.State.Healthcheck}}|{{.Config.Healthcheck}}":      "||",
		"{{.SizeRw}}|{{.HostConfig.IDMappings}}|{{.State.Status}}|{{.Name}}":    "||created|web",
		"{{if .State.Health}}{{.State.Health.Status}}{{else}}no check{{end}}":   "no check",
		"{{.config.createcommand}}|{{.HostConfig.Cgroups}}|{{.Config.Umask}}|x": "[]|default|0022|x",
		"{{.Config.SdNotifyMode}}|{{.Config.timezone}}|{{.HostConfig.Memory}}":  "||9007199254740993",
	} {
		if out, err := call("inspect", "--format="+form, "web"); err != nil || out != want+"\n" {
			t.Errorf("%s: %q, %v; want %q", form, out, err, want)
		}
	}
	left := regexp.MustCompile(`"(Timezone|Health|CheckpointPath|ConmonPid|IDMappings)"|\bCheckpointPath:|"Name":""`)
	for _, form := range []string{"json", "{{json .State}}{{json .Config}}{{json .HostConfig}}", "{{json .Mounts}}", "{{println .State}}"} {
		if out, err := call("inspect", "--format="+form, "web"); err != nil || left.MatchString(out) {
			t.Errorf("%s: %s, %v", form, out, err)
		}
	}
	if out, err := call("version", "--format={{.Client.APIVersion}} {{.Server.APIVersion}}"); err != nil || out != apiVersion+" "+apiVersion+"\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestPruneDamaged: a container that cannot be read is not passed over.
func TestPruneDamaged(t *testing.T) {
	file := filepath.Join(emptyRun(t).Container(strings.Repeat("a", 64)), "state.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	p, err := pruneContainers(t.Context(), &Env{}, nil)
	if len(p.names) != 0 || err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("%v, %v", p.names, err)
	}
}
