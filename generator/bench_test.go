package generator

import (
	"fmt"
	"testing"
)

// benchFile is a file of usual size: 25 lines, 14 keys.
const benchFile = `[Unit]
Description=Web application %[1]d
After=network-online.target

[Container]
Image=docker.io/library/nginx:1.27
ContainerName=web%[1]d
PublishPort=%[1]d:80
Volume=/srv/web%[1]d:/usr/share/nginx/html:ro
Environment=TZ=Europe/Berlin MODE=prod
Environment=NAME="web %[1]d"
Label=app=web tier=front
Network=host
User=33
ReadOnly=yes
NoNewPrivileges=true
DropCapability=all
AddCapability=NET_BIND_SERVICE
HealthCmd=curl -f http://localhost/
Exec=nginx -g "daemon off;"

[Service]
Restart=always

[Install]
WantedBy=multi-user.target
`

func benchSet(n int) Set {
	var set Set
	for i := range n {
		name := fmt.Sprintf("web%d.container", i)
		set.Files = append(set.Files, Source{Name: name, Path: "/etc/containers/systemd/" + name, Text: fmt.Sprintf(benchFile, i)})
	}
	return set
}

func BenchmarkGenerate1(b *testing.B)    { benchGenerate(b, 1) }
func BenchmarkGenerate1000(b *testing.B) { benchGenerate(b, 1000) }
func BenchmarkGenerate5000(b *testing.B) { benchGenerate(b, 5000) }

func benchGenerate(b *testing.B, n int) {
	set := benchSet(n)
	b.ReportAllocs()
	for b.Loop() {
		Generate(Config{Engine: "/usr/bin/berth"}, set, func(out *Output) {
			if out.Stub {
				b.Fatal(out.Findings)
			}
		})
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/file")
}
