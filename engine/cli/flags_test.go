package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/config"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// changed lists the fields in which two containers differ.
func changed(a, b spec.Container) []string {
	var list []string
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for _, f := range fields() {
		if !reflect.DeepEqual(x.FieldByIndex(f.Index).Interface(), y.FieldByIndex(f.Index).Interface()) {
			list = append(list, f.Name)
		}
	}
	return list
}

// fields are those of the container and of the structs that are part of it.
func fields() []reflect.StructField {
	all := reflect.VisibleFields(reflect.TypeFor[spec.Container]())
	return slices.DeleteFunc(all, func(f reflect.StructField) bool { return f.Anonymous })
}

// parse reads words as run does, without its checks.
func parse(t *testing.T, words ...string) (spec.Container, error) {
	t.Helper()
	var c spec.Container
	set := newFlagSet("run")
	bindRunFlags(set, &c)
	err := set.Parse(words)
	return c, err
}

// TestRunFlags: each row has a text, and its flag fills exactly one field, another one than all other flags do.
func TestRunFlags(t *testing.T) {
	plain, _ := parse(t)
	taken := map[string]string{}
	shorts := map[string]string{}
	for _, f := range runFlags {
		if len(f.doc) < 8 || strings.HasSuffix(f.doc, ".") || strings.Contains(f.doc, "`") {
			t.Errorf("--%s: text %q", f.name, f.doc)
		}
		word := "--" + f.name + "=7"
		if f.arg == "" {
			word = "--" + f.name
			if slices.Contains([]string{"http-proxy", "passwd", "read-only-tmpfs", "sig-proxy"}, f.name) { // on unless switched off
				word += "=false"
			}
		}
		if f.name == "mount" { // another way to write --volume and --tmpfs; TestMountFlag
			continue
		}
		c, err := parse(t, word)
		if err != nil {
			t.Errorf("%s: %v", word, err)
			continue
		}
		fields := changed(plain, c)
		if strings.HasSuffix(f.doc, "no effect") {
			if len(fields) > 0 && !slices.Equal(fields, []string{"NoEffect"}) {
				t.Errorf("%s is to have no effect, but fills %v", word, fields)
			}
			continue
		}
		if len(fields) != 1 {
			t.Errorf("%s fills the fields %v", word, fields)
			continue
		}
		if other := taken[fields[0]]; other != "" {
			t.Errorf("--%s and --%s both fill %s", other, f.name, fields[0])
		}
		taken[fields[0]] = f.name
		if f.short == "" {
			continue
		}
		if other := shorts[f.short]; other != "" {
			t.Errorf("-%s is both --%s and --%s", f.short, other, f.name)
		}
		shorts[f.short] = f.name
		short := []string{"-" + f.short}
		if f.arg != "" {
			short = append(short, "7")
		}
		if got, err := parse(t, short...); err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("-%s differs from %s: %v", f.short, word, err)
		}
	}
	names := make([]string, 0, len(runFlags))
	for _, f := range runFlags {
		names = append(names, f.name)
	}
	if !slices.IsSorted(names) {
		t.Errorf("the table is not sorted: %v", names)
	}
	// The other way round: a field that no flag fills is of no use, but for those that the words after the flags fill, or containers.conf.
	for _, f := range fields() {
		if taken[f.Name] == "" && !slices.Contains([]string{"Image", "Command", "Mounts", "NoEffect", "DefaultEnvironment", "DefaultCapabilities", "NameAsHost", "CreateCommand"}, f.Name) {
			t.Errorf("no flag fills %s", f.Name)
		}
	}
}

// generated are the flags of run that a unit file can lead to.
const generated = `name replace rm detach log-driver log-opt cgroups entrypoint tz pids-limit shm-size workdir ip ip6 hostname stop-signal
	stop-timeout pull memory retry retry-delay network-alias ulimit dns dns-option dns-search group-add add-host tmpfs init env-host http-proxy
	read-only-tmpfs network sdnotify security-opt device cap-drop cap-add sysctl read-only user userns uidmap gidmap subuidname subgidname volume
	label expose publish env annotation env-file secret mount health-cmd health-interval health-on-failure health-log-destination
	health-max-log-count health-max-log-size health-retries health-start-period health-timeout health-startup-cmd health-startup-interval
	health-startup-retries health-startup-success health-startup-timeout pod rootfs`

func TestMissingRunFlags(t *testing.T) {
	set := newFlagSet("run")
	bindRunFlags(set, &spec.Container{})
	var missing []string
	for _, name := range strings.Fields(generated) {
		if set.Lookup(name) == nil {
			missing = append(missing, "--"+name)
		}
	}
	t.Logf("%d of the %d flags that unit files lead to are not there yet: %s", len(missing), len(strings.Fields(generated)), strings.Join(missing, " "))
}

func TestParseRun(t *testing.T) {
	c, err := parseRun(strings.Fields("--name web -d --rm --net none --healthcheck-command true --healthcheck-start-period=3s -e A=1 -e B --env=C=x,y -v a:/b --read-only-tmpfs=false --stop-timeout=-1 --dns-opt x image sh -c --name -d"))
	if err != nil {
		t.Fatal(err)
	}
	want := spec.Container{
		Name: "web", Detach: true, Remove: true, Networks: []string{"none"}, Environment: []string{"A=1", "B", "C=x,y"}, Volumes: []string{"a:/b"},
		StopTimeout: -time.Second, HTTPProxy: true, ProcessFlags: spec.ProcessFlags{SigProxy: true}, Accounts: spec.Accounts{Passwd: true}, DNSOptions: []string{"x"}, Image: "image", HealthFlags: spec.HealthFlags{HealthCmd: "true", HealthStart: "3s"}, Command: []string{"sh", "-c", "--name", "-d"},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if c, err := parseRun([]string{"image"}); err != nil || c.StopTimeout != engine.DefaultStopTimeout || !c.ReadOnlyTmpfs || c.Entrypoint != nil {
		t.Errorf("defaults: %+v, %v", c, err)
	}
	if c, err := parseRun([]string{"--entrypoint=", "image"}); err != nil || c.Entrypoint == nil || *c.Entrypoint != "" {
		t.Errorf("no entry point: %+v, %v", c.Entrypoint, err)
	}
}

func TestMountFlag(t *testing.T) {
	c, err := parse(t, "--mount", "type=bind,src=/a,dst=/b,ro", "--mount=type=tmpfs,target=/t,tmpfs-size=1m", "--mount=type=ramfs,target=/r")
	if err != nil || !reflect.DeepEqual(c.Volumes, []string{"/a:/b:ro"}) || !reflect.DeepEqual(c.Tmpfs, []string{"/t:size=1m"}) || !reflect.DeepEqual(c.Mounts, []string{"type=ramfs,target=/r"}) {
		t.Errorf("volumes %q, tmpfs %q, %v", c.Volumes, c.Tmpfs, err)
	}
}

func TestRelativeVolume(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "here"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(dir, "here"))
	c, err := parse(t, "-v=./a:/a", "-v=.:/b:ro", "-v=../c:/c", "-v=name:/d", "-v=/e:/e", "-v=/f", "--mount=type=bind,src=g,dst=/g")
	want := []string{dir + "/here/a:/a", dir + "/here:/b:ro", dir + "/c:/c", "name:/d", "/e:/e", "/f", dir + "/here/g:/g"}
	if err != nil || !slices.Equal(c.Volumes, want) {
		t.Errorf("volumes %q, %v; want %q", c.Volumes, err, want)
	}
}

// What the table calls a FILE or a DIR is one of the caller's working directory, also for whoever reads the container's record later.
func TestRelativeFiles(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, f := range runFlags {
		if f.arg != "FILE" && f.arg != "DIR" || slices.Contains([]string{"chrootdirs", "conmon-pidfile"}, f.name) { // of the container; no effect
			continue
		}
		var relative, absolute spec.Container
		if err := errors.Join(f.bind(&relative).Set("a/../b"), f.bind(&absolute).Set(dir+"/b")); err != nil || !reflect.DeepEqual(relative, absolute) {
			t.Errorf("--%s: %v, %v", f.name, changed(absolute, relative), err)
		}
	}
	for words, want := range map[string]string{
		"--security-opt=seccomp=a":          "[seccomp=" + dir + "/a] []",
		"--security-opt=seccomp:a":          "[seccomp=" + dir + "/a] []",
		"--security-opt=seccomp=unconfined": "[seccomp=unconfined] []",
		"--security-opt=mask=/a":            "[mask=/a] []",
		"--log-opt=path=a":                  "[] [path=" + dir + "/a]",
		"--log-opt=tag=a":                   "[] [tag=a]",
		"--hosts-file=image":                "[] [] image",
		"--hosts-file=none":                 "[] [] none",
		"--hosts-file=":                     "[] []",
		"--health-log-destination=local":    "[] [] local",
		"--env-file=-a":                     "[] [] [-" + dir + "/a]",
		"--env-file=-/a":                    "[] [] [-/a]",
	} {
		c, err := parse(t, words)
		got := fmt.Sprint(c.SecurityOpts, c.LogOpts, " "+c.HostsBase+c.HealthLogDir)
		if c.EnvFiles != nil {
			got += fmt.Sprint(c.EnvFiles)
		}
		if got = strings.TrimSpace(got); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", words, got, err, want)
		}
	}
}

func TestParseRunRefuses(t *testing.T) {
	for words, want := range map[string]string{
		"":                                  "no image is named: `berth run [OPTION…] IMAGE [COMMAND…]`",
		"--rm":                              "no image is named",
		"--no-such-flag image":              "unknown flag: --no-such-flag",
		"--name":                            "flag needs an argument",
		"--rm=maybe image":                  `"maybe" is neither true nor false`,
		"--stop-timeout=soon image":         `"soon" is not a number of seconds`,
		"--stop-timeout=-2 image":           "-1 means no limit",
		"--oom-score-adj=x image":           `"x" is not a number`,
		"--pull=often image":                "--pull=often: known are always, missing, newer, never",
		"--sdnotify=me image":               "known are conmon, container, healthy, ignore",
		"--cgroups=many image":              "known are split, enabled, disabled",
		"--restart=often image":             "known are no, always",
		"--rm --restart=on-failure:2 image": "exclude each other",
		"--log-driver=paper image":          "known are journald, k8s-file",
		"--log-opt=paper image":             "write NAME=VALUE",
		"--annotation org.systemd.property.ExecStart=x image": "[Service] section",
	} {
		if c, err := parseRun(strings.Fields(words)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want %q", words, c, err, want)
		}
	}
}

// call runs a command line and returns what it printed.
func call(words ...string) (string, error) {
	var out bytes.Buffer
	err := dispatch(context.Background(), &Env{Out: &out, Err: &out}, words)
	return out.String(), err
}

// emptyRun lets the state of this boot be a directory with nothing in it.
func emptyRun(t *testing.T) engine.Dirs {
	t.Helper()
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	t.Setenv("_CONTAINERS_USERNS_CONFIGURED", "done")
	dirs := runDirs()
	for _, dir := range []string{dirs.Run, dirs.Keep, dirs.KeepPods} {
		if !strings.HasPrefix(dir, os.TempDir()+"/") {
			t.Fatalf("%s is the machine's", dir)
		}
	}
	t.Cleanup(func() { // the library reads its configuration once
		if err := errors.Join(os.RemoveAll(dirs.Keep), os.RemoveAll(dirs.KeepPods)); err != nil {
			t.Error(err)
		}
	})
	return dirs
}

// sayNothing takes the flags before the verb back.
func sayNothing() {
	global.settings, global.words = config.Settings{}, nil
	readAnew()
}

// readAnew lets containers.conf be read again, as another process would.
func readAnew() { loadConfig, global.tell = sync.OnceValues(readConfig), nil }

// TestRefusedConf: what units do when they stop is done with the rest of the settings.
func TestRefusedConf(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "c.conf")
	if err := os.WriteFile(conf, []byte("[engine]\nruntime = \"own\"\nvolume_path = \"x\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINERS_CONF", conf)
	t.Cleanup(sayNothing)
	const sentence = `containers.conf: volume_path="x": the path must be absolute`
	var got config.Config
	for _, removes := range []bool{true, false} {
		readAnew()
		global.settings.Modules = []string{"/none.conf"}
		var out bytes.Buffer
		v := Verb{Removes: removes, Run: func(context.Context, *Env, []string) (err error) { got, err = loadConfig(); return err }}
		err := v.run(context.Background(), &Env{Out: &out, Err: &out}, nil)
		told := out.String()
		if !removes {
			told = fmt.Sprintln(err)
		}
		if removes != (err == nil) || told != "module \"/none.conf\": the host has no such file\n"+sentence+"\n" {
			t.Errorf("removes %t: %v, %q", removes, err, told)
		}
		if removes && (got.Engine.Runtime != "own" || got.Engine.VolumePath != "") {
			t.Errorf("it went on with %+v", got.Engine)
		}
	}
	var names []string
	var add func(list []Verb)
	add = func(list []Verb) {
		for _, v := range list {
			if v.Removes {
				names = append(names, v.Name)
			}
			add(v.Sub)
		}
	}
	add(verbs())
	want := []string{
		"stop", "kill", "container cleanup", "container prune", "rm", "system prune", "volume prune", "volume rm", "secret rm",
		"network disconnect", "network prune", "network rm", "pod down", "pod kill", "pod prune", "pod rm", "pod stop",
	}
	if !reflect.DeepEqual(names, want) {
		t.Errorf("it is so with %q, want %q", names, want)
	}
}

// TestItself: who calls berth hands the flags before the verb on.
func TestItself(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, f := range files {
		if f == "global.go" || strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for n, line := range strings.Split(string(text), "\n") {
			command := strings.Contains(line, "Path: selfPath()")
			words := strings.Contains(line, "Program: selfPath(), Args:") && !strings.Contains(line, "ownWords(")
			for _, key := range []string{"Start: ", "Stop: ", "Stop:  ", "StopPost: "} {
				words = words || strings.Contains(line, key+"[]string{")
			}
			if command || words {
				t.Errorf("%s:%d: use itself or ownWords: %s", f, n+1, strings.TrimSpace(line))
			}
		}
	}
}

func TestGlobalFlags(t *testing.T) {
	t.Cleanup(sayNothing)
	module := filepath.Join(t.TempDir(), "m.conf")
	if err := os.WriteFile(module, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	rest, err := globalFlags([]string{"--log-level", "debug", "--runtime=runc", "--syslog", "--module", module, "--hooks-dir", "/a", "--hooks-dir=/b", "run", "--runtime", "x"})
	if err != nil || strings.Join(rest, " ") != "run --runtime x" {
		t.Fatal(rest, err)
	}
	want := config.Settings{Runtime: "runc", Modules: []string{module}, HooksDirs: []string{"/a", "/b"}}
	if !reflect.DeepEqual(global.settings, want) {
		t.Errorf("got %+v, want %+v", global.settings, want)
	}
	if got := strings.Join(ownWords("start"), " "); got != "--runtime=runc --module="+module+" --hooks-dir=/a --hooks-dir=/b start" {
		t.Errorf("another berth would get %q", got)
	}
	if c := itself("rm", "x"); strings.Join(c.Args, " ") != "--runtime=runc --module="+module+" --hooks-dir=/a --hooks-dir=/b rm x" || c.Path != selfPath() {
		t.Errorf("another berth would be %+v", c)
	}
}

// A directory of the caller's is the same one for a berth that is started elsewhere.
func TestGlobalDirectories(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, f := range GlobalFlags() {
		if f.Value != "DIRECTORY" || f.set == nil || f.Text == "refused" {
			continue
		}
		sayNothing()
		if _, err := globalFlags([]string{"--" + f.Name, "a"}); err != nil || strings.Join(global.words, " ") != "--"+f.Name+"="+dir+"/a" || !strings.Contains(fmt.Sprint(global.settings), dir+"/a") {
			t.Errorf("--%s: %q, %+v, %v", f.Name, global.words, global.settings, err)
		}
	}
	for given, want := range map[string]string{"runc": "runc", "./own": dir + "/own"} {
		sayNothing()
		if _, err := globalFlags([]string{"--runtime=" + given}); err != nil || global.settings.Runtime != want || global.words[0] != "--runtime="+want {
			t.Errorf("--runtime=%s: %q, %+v, %v", given, global.words, global.settings, err)
		}
	}
	sayNothing()
}

func TestErrorSentences(t *testing.T) {
	emptyRun(t)
	for words, want := range map[string]string{
		"fly":                "unrecognized command `berth fly`; `berth --help` lists the commands",
		"--fly ps":           "unknown flag: --fly; `berth --help` lists the commands",
		"--module x.y ps":    `module "x.y": none of `,
		"--root /x ps":       "--root: say it in storage.conf",
		"--remote ps":        "--remote: berth has no service",
		"--log-level":        "--log-level needs a value",
		"ps --fly":           "unknown flag: --fly; see `berth ps --help`",
		"ps -y":              "unknown shorthand flag: 'y' in -y; see `berth ps --help`",
		"ps --format=xml":    `format "xml" is neither table nor json`,
		"rm":                 "no container is named",
		"rm nope":            `no such container: "nope"`,
		"rm a b":             "no such container: \"a\"\nno such container: \"b\"",
		"inspect":            "nothing is named",
		"rm --filter=a=b":    `filter "a=b" is not known; id, name`,
		"stop --filter=a":    `filter "a" is not KEY=VALUE`,
		"rm --filter=id=1 x": "--all and --filter take no names",
		"logs":               "no container is named",
		"logs nope":          `no such container: "nope"`,
		"logs -n 10 nope":    `no such container: "10"; -n is --names, and --tail=10 prints the last lines`,
		"rnu image":          "unrecognized command `berth rnu`; did you mean `berth run`?",
		"imagse":             "did you mean `berth images`?",
		"pod creat":          "unrecognized command `berth pod creat`; did you mean `berth pod create`?",
		"container fly":      "unrecognized command `berth container fly`",
		"kube play x.yaml":   "berth plays no Kubernetes YAML yet; write .pod and .container files instead",
		"build .":            "berth builds no images yet; what Podman or Buildah builds",
		"image build .":      "berth builds no images yet",
		"compose up":         "berth reads no compose files; write a .container file for each service",
		"run":                "no image is named",
		"run --fly image":    "unknown flag: --fly; see `berth run --help`",
		"version --verbose":  "unknown flag: --verbose",
	} {
		out, err := call(strings.Fields(words)...)
		sayNothing()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("berth %s: %v; want %q; printed %q", words, err, want, out)
		}
	}
}

func TestHelp(t *testing.T) {
	emptyRun(t)
	list, err := call("--help")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range verbs() {
		if v.Summary == "" || !strings.Contains(list, "  "+v.Name+" ") {
			t.Errorf("%s is not in the list of commands, or without a text", v.Name)
		}
		help, err := call(v.Name, "--help")
		if other, _ := call("help", v.Name); other != help {
			t.Errorf("berth help %s is not berth %s --help: %s", v.Name, v.Name, other)
		}
		if err != nil || !strings.HasPrefix(help, v.Summary+"\n\nUsage: berth "+v.Name) {
			t.Errorf("%s --help: %q, %v", v.Name, help, err)
		}
	}
	for _, words := range []string{"ps -h", "ps -a --help", "run --name web --help image", "rm -f -h"} {
		if help, err := call(strings.Fields(words)...); err != nil || !strings.Contains(help, "Usage: berth ") {
			t.Errorf("%s: %q, %v", words, help, err)
		}
	}
	if help, _ := call("run", "--help"); !strings.Contains(help, "--publish [[IP:]HOST:]PORT[/PROTOCOL]") || strings.Contains(help, " string[") {
		t.Errorf("run --help does not name the values:\n%s", help)
	}
}

func TestQuietWhenThereIsNone(t *testing.T) {
	emptyRun(t)
	for words, want := range map[string]string{
		"rm -v -f -i nope": "", "rm -i": "", "ps -q": "", "container ps -aq": "", "ps --format=json": "[]\n", "ps": psHeading,
		"--log-level=debug ps -q": "", "--log-level debug ps -q": "",
	} {
		if out, err := call(strings.Fields(words)...); err != nil || strings.Join(strings.Fields(out), " ") != strings.Join(strings.Fields(want), " ") {
			t.Errorf("berth %s: %q, %v", words, out, err)
		}
	}
	if out, err := call("container", "inspect", "nope"); err == nil || out != "[]\n" {
		t.Errorf("inspect: %q, %v", out, err)
	}
}

const psHeading = "CONTAINER ID  IMAGE  COMMAND  CREATED  STATUS  PORTS  NAMES\n"

func sample() *engine.State {
	return &engine.State{
		ID: strings.Repeat("ab", 32), Name: "web", Image: "docker.io/library/web:1\x1b[2J", ImageID: "sha", Created: time.Now().Add(-3 * time.Hour),
		Command: []string{"sh", "-c", "echo \x1b[31m and a long line of words"}, Unit: "web.service",
		Network:   engine.NetworkRequest{Networks: []string{"podman"}, Publish: []spec.PortMapping{{HostPort: 8080, ContainerPort: 80, Range: 2, Protocol: "tcp"}, {HostIP: "::1", HostPort: 5, ContainerPort: 6, Range: 1, Protocol: "udp"}}},
		Container: spec.Container{Labels: []string{"a=1", "b"}},
	}
}

func TestPsTable(t *testing.T) {
	var out bytes.Buffer
	if err := printList(&out, listing{}, []psRow{{State: sample(), status: "created"}}, psTable(psOptions{})); err != nil {
		t.Fatal(err)
	}
	want := "CONTAINER ID  IMAGE                         COMMAND                   CREATED      STATUS   PORTS                                           NAMES\n" +
		"abababababab  docker.io/library/web:1?[2J   sh -c echo ?[31m ...  3 hours ago  Created  0.0.0.0:8080-8081->80-81/tcp, [::1]:5->6/udp  web\n"
	if got := out.String(); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if strings.ContainsRune(out.String(), 0x1b) {
		t.Error("control characters reach the terminal")
	}
}

func TestPsJSON(t *testing.T) {
	var out bytes.Buffer
	if err := printList(&out, listing{format: "json"}, []psRow{{State: sample(), status: "created"}}, psTable(psOptions{})); err != nil {
		t.Fatal(err)
	}
	var list []map[string]any
	if err := json.Unmarshal(out.Bytes(), &list); err != nil || len(list) != 1 {
		t.Fatal(err, list)
	}
	for key, want := range map[string]string{"Names": "[web]", "Unit": "web.service", "State": "created", "Labels": "map[a:1 b:]", "Networks": "[podman]"} {
		if got := fmt.Sprint(list[0][key]); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "Less than a second", time.Second: "1 second", 59 * time.Second: "59 seconds", time.Minute: "About a minute", 3 * time.Minute: "3 minutes",
		70 * time.Minute: "About an hour", 119 * time.Minute: "2 hours", 49 * time.Hour: "2 days", 20 * 24 * time.Hour: "2 weeks",
		90 * 24 * time.Hour: "3 months", 800 * 24 * time.Hour: "2 years", -time.Hour: "Less than a second",
	} {
		if got := age(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

// TestLive: a container keeps its leases until nothing of it is left.
func TestLive(t *testing.T) {
	dirs := engine.Dirs{Run: t.TempDir()}
	live := dirs.Known
	for name, text := range map[string]string{"ended": `{"version":1,"init":{"pid":1073741824,"start":1}}`, "starting": `{"version":1}`, "newer": `{"version":9}`, "damaged": `{`} {
		if live(name) {
			t.Errorf("%s is live before it is there", name)
		}
		dir := dirs.Container(name)
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "state.json"), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		if !live(name) {
			t.Errorf("%s is not live", name)
		}
	}
}

func TestPull(t *testing.T) {
	var got proc.Command
	var result error
	env := &Env{Run: func(_ context.Context, c proc.Command) ([]byte, error) { got = c; return nil, result }}
	verify := "false"
	c := spec.Container{Image: "web", Retry: "3", RetryDelay: "5s", PullFlags: spec.PullFlags{
		Arch: "a", AuthFile: "b", CertDir: "c", Creds: "d:e", OS: "f", Platform: "g/h", Variant: "i", TLSVerify: &verify,
	}}
	if err := pull(context.Background(), env, c); err != nil {
		t.Fatal(err)
	}
	if words := strings.Join(got.Args, " "); !strings.HasSuffix(got.Path, "/berth-image") || words != "pull --quiet --policy missing --retry=3 --retry-delay=5s --arch=a --authfile=b --cert-dir=c --creds=d:e --os=f --platform=g/h --variant=i --tls-verify=false web" {
		t.Errorf("ran %s %s", got.Path, words)
	}
	result = &proc.ExitError{Program: "berth-image", Code: 125, Stderr: "Error: no registry knows it\n"}
	want := `image "web" is not in the store and cannot be fetched: no registry knows it; ` + "`berth load -i FILE`" + ` brings one in from an archive`
	if err := pull(context.Background(), env, c); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

// What containers.conf says of tries, archives and compression is for the verbs that have flags for it.
func TestImageDefaults(t *testing.T) {
	var conf config.Config
	if got := imageDefaults([]string{"pull", "web"}, conf); strings.Join(got, " ") != "pull web" {
		t.Errorf("nothing is said: %s", got)
	}
	none := uint(0)
	conf.Engine.Retry, conf.Engine.RetryDelay = &none, "2s"
	many, level := true, uint(3)
	conf.Engine.ManyInArchive, conf.Engine.CompressionFormat, conf.Engine.CompressionLevel, conf.Engine.AddCompression = &many, "zstd", &level, config.List{"gzip", "zstd"}
	for words, want := range map[string]string{
		"pull web":               "pull --retry=0 --retry-delay=2s web",
		"image pull --retry 5 w": "image pull --retry=0 --retry-delay=2s --retry 5 w",
		"push web":               "push --retry=0 --retry-delay=2s --compression-format=zstd --compression-level=3 web",
		"save -o f web":          "save --multi-image-archive=true -o f web",
		"artifact pull a":        "artifact pull --retry=0 --retry-delay=2s a",
		"images -a":              "images -a",
		"fly":                    "fly",
	} {
		if got := strings.Join(imageDefaults(strings.Fields(words), conf), " "); got != want {
			t.Errorf("%s: %s, want %s", words, got, want)
		}
	}
}

// TestFlagsOfAllVerbs: every flag has a text.
func TestFlagsOfAllVerbs(t *testing.T) {
	for _, v := range verbs() {
		if v.Flags == nil {
			continue
		}
		set := newFlagSet(v.Name)
		v.Flags(set)
		set.VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("berth %s --%s has no text", v.Name, f.Name)
			}
		})
	}
}

// FuzzRunWords: any words after `run` are a container or an error, the same each time.
func FuzzRunWords(f *testing.F) {
	for _, s := range []string{
		"-d\x00--name\x00web\x00image\x00a", "-p\x008080:80\x00-v\x00/a:/b:ro,U\x00i", "--mount\x00type=bind,source=/a,target=/b\x00i", "--health-cmd\x00[\x00i", "--memory=1g\x00--cpus\x00-1\x00i",
		"--userns=auto:size=\x00i", "--network=a,b\x00--ip\x00x\x00i", "--ulimit=core\x00i", "--", "-", "--label=\x00i", "--env=\x00i", "--sysctl=a=b=c\x00i", "--device=/dev/x:/y:rwmz\x00i", "--secret=,\x00i",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		words := strings.Split(s, "\x00")
		one, err := parseRun(words)
		two, err2 := parseRun(words)
		if fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Errorf("%q: %v, and then %v", words, err, err2)
		}
		if err == nil && !reflect.DeepEqual(one, two) {
			t.Errorf("%q: %+v, and then %+v", words, one, two)
		}
	})
}
