package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadOneFile(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "c.conf"), `
[containers]
seccomp_profile = "/s.json"
unknown_key = true
[engine]
runtime = "runc"
helper_binaries_dir = ["/h"]
[engine.runtimes]
runc = ["/opt/runc"]
[network]
network_config_dir = "/n"
`)
	t.Setenv("CONTAINERS_CONF", path)
	c, err := Load("", false, Settings{})
	if err != nil || c.Containers.SeccompProfile != "/s.json" || c.Engine.Runtime != "runc" || c.Engine.Runtimes["runc"][0] != "/opt/runc" {
		t.Errorf("%+v, %v", c, err)
	}
	if got := c.NetworkDirs("/graph", true); len(got) != 1 || got[0] != "/n" {
		t.Errorf("network directories: %v", got)
	}
	write(t, path, "[engine]\nruntime = \n")
	if _, err := Load("", false, Settings{}); err == nil || !strings.HasPrefix(err.Error(), path+":2: ") {
		t.Errorf("damaged: %v", err)
	}
	t.Setenv("CONTAINERS_CONF", filepath.Join(dir, "none"))
	if _, err := Load("", false, Settings{}); err != nil {
		t.Errorf("missing: %v", err)
	}
}

func TestUsersOwnFilesOverride(t *testing.T) {
	t.Setenv("CONTAINERS_CONF", "")
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", "")
	base := filepath.Join(home, ".config/containers/containers.conf")
	write(t, base, "[engine]\nruntime = \"a\"\n")
	write(t, base+".d/20.conf", "[engine]\nruntime = \"c\"\n")
	write(t, base+".d/10.conf", "[engine]\nruntime = \"b\"\n[containers]\nseccomp_profile = \"/kept\"\n")
	c, err := Load(home, true, Settings{})
	if err != nil || c.Engine.Runtime != "c" || c.Containers.SeccompProfile != "/kept" {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := Load(home, false, Settings{}); err != nil || c.Engine.Runtime == "c" {
		t.Errorf("root read a user's file: %+v, %v", c, err)
	}
}

func TestHelper(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", filepath.Join(dir, "path"))
	var c Config
	c.Engine.HelperBinariesDir = []string{filepath.Join(dir, "none"), filepath.Join(dir, "first"), filepath.Join(dir, "second")}
	if got := c.Helper("berth-test-helper"); got != "/usr/lib/podman/berth-test-helper" {
		t.Errorf("none: %s", got)
	}
	onPath := write(t, filepath.Join(dir, "path/berth-test-helper"), "")
	if got := c.Helper("berth-test-helper"); got != onPath {
		t.Errorf("on the path: %s", got)
	}
	second := write(t, filepath.Join(dir, "second/berth-test-helper"), "")
	if err := os.MkdirAll(filepath.Join(dir, "first/berth-test-helper"), 0o755); err != nil { // a directory is no program
		t.Fatal(err)
	}
	if got := c.Helper("berth-test-helper"); got != second {
		t.Errorf("configured: %s", got)
	}
}

func TestRuntime(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	var c Config
	if got := c.Runtime(); got != "/usr/bin/crun" {
		t.Errorf("none there: %s", got)
	}
	runc := write(t, filepath.Join(dir, "runc"), "")
	if got := c.Runtime(); got != runc {
		t.Errorf("only runc: %s", got)
	}
	crun := write(t, filepath.Join(dir, "crun"), "")
	if got := c.Runtime(); got != crun {
		t.Errorf("both: %s", got)
	}
	c.Engine.Runtime = "runc"
	if got := c.Runtime(); got != runc {
		t.Errorf("by name: %s", got)
	}
	own := write(t, filepath.Join(dir, "own/runc"), "")
	c.Engine.Runtimes = map[string][]string{"runc": {"/none/runc", own}}
	if got := c.Runtime(); got != own {
		t.Errorf("by the table: %s", got)
	}
	c.Engine.Runtime = "/some/where/kata"
	if got := c.Runtime(); got != "/some/where/kata" {
		t.Errorf("by path: %s", got)
	}
	c.Engine.Runtime = "youki"
	if got := c.Runtime(); got != "/usr/bin/youki" {
		t.Errorf("missing, for the error message: %s", got)
	}
}

func TestSeccomp(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "s.json"), "{}")
	var c Config
	if got, err := c.Seccomp(path); err != nil || string(got) != "{}" {
		t.Errorf("%s, %v", got, err)
	}
	// A profile that was asked for and is not there must not mean "none".
	if got, err := c.Seccomp(filepath.Join(dir, "none")); err == nil || !strings.HasPrefix(err.Error(), "seccomp profile: ") {
		t.Errorf("missing: %s, %v", got, err)
	}
	c.Containers.SeccompProfile = filepath.Join(dir, "none")
	if got, err := c.Seccomp(""); err == nil {
		t.Errorf("missing by containers.conf: %s", got)
	}
	c.Containers.SeccompProfile = "unconfined"
	if got, err := c.Seccomp(""); got != nil || err != nil {
		t.Errorf("unconfined: %s, %v", got, err)
	}
}

// FuzzLoad: a containers.conf is read or refused, and what was read can be asked for.
func FuzzLoad(f *testing.F) {
	for _, text := range []string{
		"[containers]\nseccomp_profile=\"/s\"\n[engine]\nruntime=\"runc\"\n[engine.runtimes]\nrunc=[\"/r\"]\n", "[network]\nnetwork_config_dir=\"/n\"\n",
		"[containers]\npids_limit=\"x\"", "[engine]\nhelper_binaries_dir={append=true}", "a=", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var c Config
		if err := c.read(write(t, filepath.Join(t.TempDir(), "c.conf"), text)); err != nil {
			return
		}
		if c.Helper("netavark") == "" || c.Runtime() == "" || len(c.NetworkDirs("/graph", true)) == 0 {
			t.Errorf("%q: no helper, runtime or directory of networks", text)
		}
		c.HookDirs()
		c.CDIDirs()
	})
}

func TestModules(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", "")
	dir := filepath.Join(home, ".config/containers")
	t.Setenv("CONTAINERS_CONF", write(t, filepath.Join(dir, "base.conf"), "[engine]\nruntime = \"a\"\n[containers]\nseccomp_profile = \"/kept\"\n"))
	write(t, filepath.Join(dir, "containers.conf.modules/one.conf"), "[engine]\nruntime = \"one\"\nhooks_dir = [\"/one\"]\n")
	two := write(t, filepath.Join(dir, "two.conf"), "[engine]\nruntime = \"two\"\n")
	override := write(t, filepath.Join(dir, "override.conf"), "[engine]\nruntime = \"last\"\n")
	tests := []struct {
		s        Settings
		override string
		want     string
	}{
		{Settings{}, "", "a []"},
		{Settings{Modules: []string{"one.conf"}}, "", "one [/one]"},
		{Settings{Modules: []string{"one.conf", two}}, "", "two [/one]"},
		{Settings{Modules: []string{two, "one.conf"}}, "", "one [/one]"},
		{Settings{Modules: []string{"one.conf"}}, override, "last [/one]"},
		{Settings{Modules: []string{"one.conf"}, Runtime: "word", HooksDirs: []string{"/h"}}, override, "word [/h]"},
	}
	for _, tt := range tests {
		t.Setenv("CONTAINERS_CONF_OVERRIDE", tt.override)
		c, err := Load(home, true, tt.s)
		if got := fmt.Sprint(c.Engine.Runtime, " ", c.Engine.HooksDir); err != nil || got != tt.want || c.Containers.SeccompProfile != "/kept" {
			t.Errorf("%+v: %s, %v; want %s", tt.s, got, err, tt.want)
		}
	}
	t.Setenv("CONTAINERS_CONF_OVERRIDE", "")
	for _, name := range []string{"none.conf", "/not/there.conf"} {
		if _, err := Load(home, true, Settings{Modules: []string{name}}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Load(home, false, Settings{Modules: []string{"one.conf"}}); err == nil || strings.Contains(err.Error(), home) {
		t.Errorf("a user's module for root: %v", err)
	}
}

// What is not decoded, as it is a comment, changes nothing; and an error tells the line of the file.
func TestComments(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.conf")
	t.Setenv("CONTAINERS_CONF", path)
	for text, want := range map[string]string{
		"# a\n\n[containers]\n  # b\nenv = [\n  # c\n \"A=#\", # d\n\n \"B\"]\n": "[A=# B]",
		"[containers]\nenv = [\"\"\"a\n#b\n\"\"\"]\n":                            "[a\n#b\n]",
		"# a\n\n[containers]\n\nenv = 5\n":                                       "error :5: a list is wanted",
		"# a\n#b\n[containers\na=1":                                              "error :4: ",
	} {
		write(t, path, text)
		c, err := Load("", false, Settings{})
		got := fmt.Sprint(c.Containers.Env)
		if err != nil {
			got = "error " + strings.TrimPrefix(err.Error(), path)
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// A list is replaced by that of a later file, or added to.
func TestLists(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CONTAINERS_CONF", write(t, filepath.Join(dir, "one"), "[containers]\nenv=[\"A\"]\n"))
	for text, want := range map[string]string{
		"env=[\"B\"]": "[B]", "env=[\"B\", {append=true}]": "[A B]", "env=[{append=true}, \"B\"]": "[A B]", "env=[\"B\", {append=false}]": "[B]", "env=[]": "[]", "": "[A]",
		"env=[1]": "error", "env=\"B\"": "error",
	} {
		t.Setenv("CONTAINERS_CONF_OVERRIDE", write(t, filepath.Join(dir, "two"), "[containers]\n"+text+"\n"))
		c, err := Load("", false, Settings{})
		got := fmt.Sprint(c.Containers.Env)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
}

// A value that containers.conf(5) does not list is named, and not passed over.
func TestCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.conf")
	t.Setenv("CONTAINERS_CONF", path)
	for text, want := range map[string]string{
		"[engine]\nevents_logger=\"journald\"\nvolume_path=\"/v\"\n[network]\ndefault_rootless_network_cmd=\"pasta\"\ndns_bind_port=1053": "",
		"[containers]\nhost_containers_internal_ip=\"none\"\ninterface_name=\"device\"\nlog_path=\"/l\"\nkeyring=false":                   "",
		"[containers]\nhost_containers_internal_ip=\"fd00::1\"":                                                                           "",
		"[containers]\nhost_containers_internal_ip=\"here\"":                                                                              `host_containers_internal_ip="here" is neither`,
		"[containers]\ninterface_name=\"x\"":                                                                                              `interface_name="x": known are device`,
		"[containers]\nlog_path=\"l\"":                                                                                                    `log_path="l": the path must be absolute`,
		"[engine]\nevents_logger=\"x\"":                                                                                                   `events_logger="x": known are journald, file, none`,
		"[engine]\nvolume_path=\"v\"":                                                                                                     `volume_path="v": the path must be absolute`,
		"[network]\ndefault_rootless_network_cmd=\"x\"":                                                                                   `default_rootless_network_cmd="x": known are pasta, slirp4netns`,
		"[network]\ndns_bind_port=70000":                                                                                                  ":2: 70000 is out of range",
	} {
		write(t, path, text)
		if _, err := Load("", false, Settings{}); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestSetEnvironment(t *testing.T) {
	t.Setenv("BERTH_TEST_CONF", "old")
	var c Config
	c.Engine.Env = []string{"BERTH_TEST_CONF=new=1"}
	if err := c.SetEnvironment(); err != nil || os.Getenv("BERTH_TEST_CONF") != "new=1" {
		t.Errorf("%q, %v", os.Getenv("BERTH_TEST_CONF"), err)
	}
	c.Engine.Env = []string{"x"}
	if err := c.SetEnvironment(); err == nil {
		t.Error("a variable without a value is taken")
	}
}

// TestCheckOwner: a file that decides what root runs is root's alone.
func TestCheckOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it gives files away")
	}
	for _, tt := range []struct {
		mode     os.FileMode
		uid, gid int
		ok       bool
	}{
		{0o644, 0, 0, true},
		{0o600, 0, 1000, true},
		{0o664, 0, 0, true},
		{0o644, 65534, 65534, true},
		{0o664, 0, 1000, false},
		{0o646, 0, 0, false},
		{0o644, 1000, 0, false},
		{0o444, 1000, 1000, false},
	} {
		path := filepath.Join(t.TempDir(), "containers.conf")
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, tt.uid, tt.gid), os.Chmod(path, tt.mode)); err != nil {
			t.Fatal(err)
		}
		if err := checkOwner(path); (err == nil) != tt.ok || err != nil && !strings.HasPrefix(err.Error(), path+" can be written to by others") {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	if err := checkOwner(filepath.Join(t.TempDir(), "none")); err != nil {
		t.Error(err)
	}
	open := write(t, filepath.Join(t.TempDir(), "open.conf"), "[engine]\nruntime = \"a\"\n")
	if err := os.Chmod(open, 0o666); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINERS_CONF", "/dev/null")
	module := Settings{Modules: []string{open}}
	if c, err := Load("", false, module); err == nil || !strings.Contains(err.Error(), open+" can be written to by others") || c.Engine.Runtime != "" {
		t.Errorf("a module for root: %q, %v", c.Engine.Runtime, err)
	}
	if c, err := Load("", true, module); err != nil || c.Engine.Runtime != "a" {
		t.Errorf("a module for a user: %q, %v", c.Engine.Runtime, err)
	}
	trusted := write(t, filepath.Join(t.TempDir(), "own.conf"), "[engine]\nno_pivot_root = true\nvolume_path = \"x\"\n")
	c, err := Load("", false, Settings{Modules: []string{open, trusted}, NetworkConfigDir: "/n"})
	if err == nil || strings.Count(err.Error(), "\n") != 1 || c.Engine.Runtime != "" || c.Engine.VolumePath != "" || !c.Engine.NoPivot || c.Network.NetworkConfigDir != "/n" {
		t.Errorf("the rest: %+v, %v", c, err)
	}
	for _, variable := range []string{"CONTAINERS_CONF_OVERRIDE", "CONTAINERS_CONF"} { // the caller's own word
		t.Setenv(variable, open)
		if c, err := Load("", false, Settings{}); err != nil || c.Engine.Runtime != "a" {
			t.Errorf("%s: %q, %v", variable, c.Engine.Runtime, err)
		}
		t.Setenv(variable, "")
	}
}

func TestDefaultProfile(t *testing.T) {
	for loaded, want := range map[string]string{
		"": "", "crun (unconfined)\ncontainers-default-0.57 (enforce)\ncontainers-default-0.62 (enforce)\n": "containers-default-0.62",
		"berth-default (enforce)\ncontainers-default-0.62 (enforce)\n":                              "berth-default",
		"berth-default (complain)\ncontainers-default-0.62 (complain)\nberth-default-2 (enforce)\n": "",
	} {
		if got := defaultProfile(loaded); got != want {
			t.Errorf("of\n%s it takes %q, want %q", loaded, got, want)
		}
	}
}
