package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

const eventRows = `{"__REALTIME_TIMESTAMP":"1795647794474062","BERTH_EVENT":"create,start","BERTH_TYPE":"container","BERTH_ID":"abcdefabcdef0123","BERTH_NAME":"web","BERTH_IMAGE":"localhost/web:latest","BERTH_ATTRIBUTES":"{\"app\":\"w\",\"b\":\"\\u001b[2J\"}"}
{"__REALTIME_TIMESTAMP":"1795647795000000","BERTH_EVENT":"health_status","BERTH_TYPE":"container","BERTH_ID":"abcdefabcdef0123","BERTH_NAME":"web","BERTH_HEALTH":"healthy"}
{"__REALTIME_TIMESTAMP":"1795647796000000","BERTH_EVENT":"died,remove","BERTH_TYPE":"container","BERTH_ID":"abcdefabcdef0123","BERTH_NAME":"web","BERTH_EXIT_CODE":"3"}
{"__REALTIME_TIMESTAMP":"1795647797000000","BERTH_EVENT":"create","BERTH_TYPE":"volume","BERTH_NAME":"data"}
{"__REALTIME_TIMESTAMP":"1795647798000000","BERTH_EVENT":"create","BERTH_TYPE":"network","BERTH_ID":"0123","BERTH_NAME":"n1","BERTH_NETWORK":"n1"}
{"__REALTIME_TIMESTAMP":"1795647799000000","BERTH_EVENT":"pull","BERTH_TYPE":"image","BERTH_ID":"feed","BERTH_NAME":"localhost/web:latest"}
{"__REALTIME_TIMESTAMP":"1795647799000000","BERTH_EVENT":[1,2],"BERTH_TYPE":null,"BERTH_NAME":"forged"}
`

// TestEvents: one entry may tell of several things; the writer gets the entries in pieces of any size.
func TestEvents(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"", `2026-11-25 23:03:14.474062 +0000 UTC container create abcdefabcdef0123 (image=localhost/web:latest, name=web, app=w, b=?[2J)
2026-11-25 23:03:14.474062 +0000 UTC container start abcdefabcdef0123 (image=localhost/web:latest, name=web, app=w, b=?[2J)
2026-11-25 23:03:15.000000 +0000 UTC container health_status abcdefabcdef0123 (name=web, health_status=healthy)
2026-11-25 23:03:16.000000 +0000 UTC container died abcdefabcdef0123 (name=web, exit_code=3)
2026-11-25 23:03:16.000000 +0000 UTC container remove abcdefabcdef0123 (name=web)
2026-11-25 23:03:17.000000 +0000 UTC volume create data
2026-11-25 23:03:18.000000 +0000 UTC network create 0123 (name=n1)
2026-11-25 23:03:19.000000 +0000 UTC image pull feed localhost/web:latest
`},
		{"--filter=type=container --filter=event=start --no-trunc=false", "2026-11-25 23:03:14.474062 +0000 UTC container start abcdefabcdef (image=localhost/web:latest, name=web, app=w, b=?[2J)\n"},
		{"--format={{.Type}}/{{.Status}}/{{.Name}}/{{.ContainerExitCode}} --filter=event=die --filter=event=destroy", "container/died/web/3\ncontainer/remove/web/\n"},
		{"--format={{.Time}}-{{.Status}} --filter=label=app=w", "1795647794-create\n1795647794-start\n"},
		{"--format={{.Status}} --filter=container=abcdef --filter=event=start --filter=event=died", "start\ndied\n"},
		{"--format={{.Status}}/{{.Type}} --filter=image=web", "create/container\nstart/container\npull/image\n"},
		{"--format={{.Network}} --filter=network=n1", "n1\n"},
		{"--format=json --filter=event=died", `{"ContainerExitCode":3,"ID":"abcdefabcdef0123","Name":"web","Status":"died","time":1795647796,"timeNano":1795647796000000000,"Type":"container","Attributes":null}` + "\n"},
		{"--format=json --filter=volume=data", `{"Name":"data","Status":"create","time":1795647797,"timeNano":1795647797000000000,"Type":"volume","Attributes":null}` + "\n"},
	} {
		o, err := parseEvents(strings.Fields(tt.args))
		if err != nil {
			t.Fatal(tt.args, err)
		}
		passes, err := compileFilters(o.filters, eventFilters())
		if err != nil {
			t.Fatal(tt.args, err)
		}
		for _, piece := range []int{1, 100, len(eventRows)} {
			var out bytes.Buffer
			w := &eventWriter{out: &out, o: o, passes: passes}
			for rest := []byte(eventRows); len(rest) > 0; {
				n := min(piece, len(rest))
				if _, err := w.Write(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if out.String() != tt.want {
				t.Errorf("%s, by %d bytes:\ngot\n%swant\n%s", tt.args, piece, out.String(), tt.want)
			}
		}
	}
	for _, args := range []string{"web", "--since=soon", "--until=x", "--format=xml", "--format={{.Nope", "--filter=colour=red"} {
		if _, err := call(append([]string{"events"}, strings.Fields(args)...)...); err == nil {
			t.Errorf("events %s was taken", args)
		}
	}
}

func TestEventArgs(t *testing.T) {
	for _, tt := range []struct {
		args   string
		follow bool
		want   string
	}{
		{"", true, "--lines=0 --follow"},
		{"--stream=false", false, ""},
		{"--since=1795647794", true, "--since=@1795647794.000000 --follow --no-tail"},
		{"--since=1795647794.5 --until=2026-11-25T23:10:00Z", false, "--since=@1795647794.500000 --until=@1795648200.000000"},
	} {
		o, err := parseEvents(strings.Fields(tt.args))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(eventArgs(o, tt.follow, 7), " ")
		if _, got, _ = strings.Cut(got, "_UID=7"); strings.TrimSpace(got) != tt.want {
			t.Errorf("%s: %s, want %s", tt.args, got, tt.want)
		}
	}
	o, err := parseEvents([]string{"--until=10m"})
	if left := time.Until(o.to); err != nil || left < 9*time.Minute || left > 11*time.Minute {
		t.Errorf("until in ten minutes: %v, %v", left, err)
	}
}
