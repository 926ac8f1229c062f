package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
)

// psSample are containers that differ in what filters ask for.
func psSample() []psRow {
	hour := func(n int) time.Time { return time.Now().Add(-time.Duration(n) * time.Hour) }
	return []psRow{
		{status: "exited", State: &engine.State{
			ID: "aa" + strings.Repeat("0", 62), Name: "web-1", Image: "docker.io/library/nginx:1.27", ImageID: "feedbeef00", Created: hour(3), Started: hour(2), Finished: hour(1),
			Exit: &engine.Exit{Code: 3}, Command: []string{"/entry.sh", "nginx", "-g"}, Entry: 1, Mounts: []engine.VolumeMount{{Name: "data", Source: "/store/data", Destination: "/srv"}},
			Container: spec.Container{Labels: []string{"app=web", "tier=front"}, Restart: "on-failure:3"},
		}},
		{status: "running", restarts: 2, State: &engine.State{
			ID: "bb" + strings.Repeat("0", 62), Name: "db", Image: "registry.example:5000/team/db", ImageID: "0badcafe", Created: hour(2), Pod: "cc11", Command: []string{"db"},
			Container: spec.Container{Labels: []string{"app=db"}, Networks: []string{"back:ip=10.1.1.1"}, Restart: "always", Volumes: []string{"/etc/db:/etc:ro"}, Tmpfs: []string{"/t/:size=1m"}},
			Network:   engine.NetworkRequest{Networks: []string{"back:ip=10.1.1.1"}}, Mounts: []engine.VolumeMount{{Source: "/etc/db", Destination: "/etc"}},
		}},
		{status: "created", State: &engine.State{
			ID: "ab" + strings.Repeat("0", 62), Name: "job", Image: "localhost/busybox:latest", ImageID: "123456", Created: hour(1), Command: []string{"sh"},
			Container: spec.Container{Volumes: []string{"data:/d", "/only"}, Networks: []string{"host"}}, Network: engine.NetworkRequest{Networks: []string{"host"}, Mode: "host"},
		}},
	}
}

// TestPodColumns: `pod ps` has what was asked for of the containers in the place of their number.
func TestPodColumns(t *testing.T) {
	for want, o := range map[string]podPsOptions{
		"2":       {},
		"a,b":     {ids: true},
		"x,y":     {names: true},
		"a,b x,y": {ids: true, names: true},
		"up,done": {status: true},
	} {
		r := podRow{NumberOfContainers: 2, Containers: []podRowMember{{"a", "x", "up"}, {"b", "y", "done"}}, o: o}
		if got := strings.Join(o.cells(r)[5:], " "); got != want {
			t.Errorf("%+v: %q, want %q", o, got, want)
		}
	}
}

// TestPsPorts: ports that are noted but not published are told too, as Podman 5.4 does.
func TestPsPorts(t *testing.T) {
	emptyRun(t)
	for words, want := range map[string]string{
		"": "", "80": "80/tcp", "80 90-92/udp": "80/tcp, 90-92/udp", "5001 5000/udp 5000/tcp 5000": "5000-5001/tcp, 5000/udp",
		"7 no 80/icmp 70000": "7/tcp",
	} {
		s := engine.State{Container: spec.Container{Expose: strings.Fields(words)}}
		if got := (psRow{State: &s}).ports(); got != want {
			t.Errorf("%q: %q, want %q", words, got, want)
		}
	}
	s := engine.State{
		Container: spec.Container{Expose: []string{"91", "5000/tcp", "5000/udp", "93"}},
		Network:   engine.NetworkRequest{Publish: []spec.PortMapping{{HostPort: 18090, ContainerPort: 90, Range: 3, Protocol: "tcp"}}},
	}
	row := psRow{State: &s}
	if got, want := row.ports(), "0.0.0.0:18090-18092->90-92/tcp, 93/tcp, 5000/tcp, 5000/udp"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := fmt.Sprint(row.entry().ExposedPorts), "map[5000:[tcp udp] 91:[tcp] 93:[tcp]]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestPsFilters(t *testing.T) {
	emptyRun(t)
	for words, want := range map[string]string{
		"":                                  "web-1 db job",
		"id=a":                              "web-1 job",
		"id=aa id=bb":                       "web-1 db",
		"name=^web":                         "web-1",
		"name=b$":                           "db job",
		"label=app":                         "web-1 db",
		"label=app=web label=tier":          "web-1",
		"label=app=web label=app=db":        "",
		"label!=app":                        "job",
		"label!=app=web":                    "db job",
		"status=running status=created":     "db job",
		"status=stopped":                    "web-1",
		"status=paused":                     "",
		"exited=3":                          "web-1",
		"exited=0":                          "",
		"ancestor=nginx":                    "web-1",
		"ancestor=nginx:1.27":               "web-1",
		"ancestor=library/nginx":            "web-1",
		"ancestor=nginx:1":                  "",
		"ancestor=ginx":                     "",
		"ancestor=feedbeef":                 "web-1",
		"ancestor=team/db":                  "db",
		"ancestor=registry.example:5000":    "",
		"volume=data":                       "web-1 job",
		"volume=/etc/db":                    "db",
		"volume=/etc/db:/etc":               "db",
		"volume=/etc/db:/elsewhere":         "",
		"volume=/only":                      "job",
		"network=back":                      "db",
		"network=host":                      "job",
		"pod=cc":                            "db",
		"health=none":                       "web-1 db job",
		"health=healthy":                    "",
		"restart-policy=always":             "db",
		"restart-policy=no":                 "job",
		"restart-policy=on-failure":         "web-1",
		"until=90m":                         "web-1 db",
		"command=db command=sh":             "db job",
		"should-start-on-boot=true":         "db",
		"name=web label=app status=exited":  "web-1",
		"name=web label=app status=running": "",
		"error: exited=x":                   `"x" is not an exit status`,
		"error: status=up":                  `there is no state "up"; created, initialized,`,
		"error: health=ill":                 `there is no health "ill"; starting,`,
		"error: until=soon":                 `"soon" is neither a time such as`,
		"error: before=nope":                "no such container",
		"error: nope=1":                     `filter "nope=1" is not known; id, name, status,`,
		"error: name":                       `filter "name" is not KEY=VALUE`,
		"error: name=(":                     "missing closing )",
		"error: should-start-on-boot=maybe": `"maybe" is neither true nor false`,
	} {
		words, fails := strings.CutPrefix(words, "error: ")
		rows, err := filtered(psSample(), strings.Fields(words), psFilters())
		var names []string
		for _, r := range rows {
			names = append(names, r.Name)
		}
		switch {
		case fails && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: error %v, want one with %q", words, err, want)
		case !fails && (err != nil || strings.Join(names, " ") != want):
			t.Errorf("%s: %v, %v; want %s", words, names, err, want)
		}
	}
}

func TestPsForms(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--format={{.Names}}"}, "web-1 db job"},
		{[]string{"-q"}, "aa0000000000 bb0000000000 ab0000000000"},
		{[]string{`--format={{.ID}}|{{.Image}}|{{.Command}}|{{.State}}|{{.ExitCode}}|{{.Label "app"}}|{{.Networks}}|{{.Mounts}}|{{.Pod}}`},
			"aa0000000000|docker.io/library/nginx:1.27|nginx -g|exited|3|web|podman|[/srv]| bb0000000000|registry.example:5000/team/db|db|running|0|db|back|[/etc /t]|cc11 " +
				"ab0000000000|localhost/busybox:latest|sh|created|0|||[/d /only]|"},
		{[]string{"--format={{.RunningFor}},{{.Labels}}"}, "3 hours ago,map[app:web tier:front] 2 hours ago,map[app:db] About an hour ago,map[]"},
		{[]string{"--format={{.Restarts}}"}, "0 2 0"},
		{[]string{"--noheading", "--format=table {{.Names}} {{.ID}}"}, "web-1 aa0000000000 db bb0000000000 job ab0000000000"},
		{[]string{"--format=table {{.ID}} {{.RunningFor}}"}, "CONTAINER ID CREATED aa0000000000 3 hours ago bb0000000000 2 hours ago ab0000000000 About an hour ago"},
		{[]string{"--size", "--format={{.Size}}"}, "1.23MB (virtual 1.5GB) 0B (virtual 0B) 0B (virtual 0B)"},
		{[]string{"--ns"}, "CONTAINER ID NAMES PID CGROUPNS IPC MNT NET PIDNS USERNS UTS aa0000000000 web-1 0 bb0000000000 db 0 ab0000000000 job 0"},
		{[]string{"--ns", "--noheading", "--pod"}, "aa0000000000 web-1 0 bb0000000000 db 0 cc11 back ab0000000000 job 0"},
	} {
		o, err := parsePs(tt.args)
		if err != nil {
			t.Errorf("%s: %v", tt.args, err)
			continue
		}
		rows := psSample()
		for i := range rows {
			rows[i].o = o
		}
		rows[0].size, rows[1].podName = psSize{1234567, 1500000000}, "back"
		var out bytes.Buffer
		if err := printList(&out, o.listing, rows, psTable(o)); err != nil {
			t.Errorf("%s: %v", tt.args, err)
		}
		if got := strings.Join(strings.Fields(out.String()), " "); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.args, got, tt.want)
		}
	}
	for _, args := range []string{"x", "--size --ns", "-l -n 2", "-q --format=json", "--sort=age", "-w -1", "--format=nope"} {
		if out, err := call(append([]string{"ps"}, strings.Fields(args)...)...); err == nil {
			t.Errorf("ps %s was taken: %s", args, out)
		}
	}
	if _, err := parsePs([]string{"--namespace", "--notruncate", "--storage"}); err != nil {
		t.Errorf("the old names: %v", err)
	}
}

func TestHumanSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 999: "999B", 1000: "1kB", 1234567: "1.23MB", 999999: "1000kB", 22939: "22.9kB", 1 << 40: "1.1TB"} {
		if got := humanSize(n, 3); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	if got := humanSize(2175602, 4); got != "2.176MB" {
		t.Error(got)
	}
}

// A container has its networks also while it does not run, and whatever it wants of them.
func TestNetworkUsers(t *testing.T) {
	containers := []engine.State{
		{Name: "stopped", Network: engine.NetworkRequest{Networks: []string{"back", "front:ip=10.1.0.5"}}},
		{Name: "alone", Network: engine.NetworkRequest{Networks: []string{"host"}}},
		{Name: "running", Networked: true, Attached: []engine.Attached{{Network: "front"}}},
	}
	if got := strings.Join(networkContainers("front", containers), " "); got != "stopped running" {
		t.Errorf("got %q", got)
	}
	pods := []engine.Pod{
		{Name: "stopped", Network: engine.NetworkRequest{Networks: []string{"front"}}},
		{Name: "starting", Networked: true, Network: engine.NetworkRequest{Networks: []string{"front"}}},
		{Name: "running", Networked: true, Attached: []engine.Attached{{Network: "front"}}},
	}
	if got := strings.Join(networkPods("front", pods), ", "); got != "pod starting, pod running" {
		t.Errorf("got %q", got)
	}
}
