package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// floorUnit is a service without any container.
const floorUnit = `[Service]
Type=exec
ExecStart=/bin/sleep 1000000
`

// The floor of a row "systemctl start, …" is the row with these around "start".
const (
	floorPrefix = "floor: systemctl "
	floorSuffix = ", no container"
)

// measureFloor measures what no manager of containers can be faster than:
// systemd starting and stopping a plain process, and the bare OCI runtime.
// Their `run` creates, starts, waits for a program that ends at once, deletes.
func measureFloor(ctx context.Context, b *bench) error {
	b.say("floor: systemd without a container, crun without a manager, %d rounds", b.rounds)
	bundle := filepath.Join(b.dir, "bundle")
	if err := b.makeBundle(ctx, bundle, "/bin/true"); err != nil {
		return err
	}
	if err := b.installFiles("/etc/systemd/system", map[string]string{"bench-floor.service": floorUnit}); err != nil {
		return err
	}
	if _, err := output(ctx, "systemctl", "daemon-reload"); err != nil {
		return err
	}
	floors := []struct {
		what, side string
		argv       []string
		samples    []sample
	}{
		{floorPrefix + "start" + floorSuffix, "systemd", []string{"systemctl", "start", "bench-floor.service"}, nil},
		{floorPrefix + "stop" + floorSuffix, "systemd", []string{"systemctl", "stop", "bench-floor.service"}, nil},
		{"floor: run of /bin/true", "crun", []string{"crun", "run", "--bundle", bundle, "bench-floor"}, nil},
		{"floor: run of /bin/true", "runc", []string{"runc", "run", "--bundle", bundle, "bench-floor"}, nil},
	}
	defer func() { _, _ = output(context.Background(), "systemctl", "stop", "bench-floor.service") }()
	for range b.rounds {
		for i := range floors {
			s, err := measure(ctx, floors[i].argv...)
			if err != nil {
				return err
			}
			floors[i].samples = append(floors[i].samples, s)
		}
	}
	for _, f := range floors {
		b.add(f.what, f.side, f.samples)
	}
	return nil
}

// makeBundle unpacks the image's root, and lets crun write its own default
// configuration, without a terminal.
func (b *bench) makeBundle(ctx context.Context, bundle string, args ...string) error {
	rootfs := filepath.Join(bundle, "rootfs")
	if err := os.MkdirAll(rootfs, 0o755); err != nil {
		return err
	}
	script := fmt.Sprintf("c=$(podman create %s /bin/true) && podman export $c | tar -x -C %s; podman rm $c", image, rootfs)
	if _, err := output(ctx, "sh", "-c", script); err != nil {
		return err
	}
	if _, err := output(ctx, "sh", "-c", "cd "+bundle+" && crun spec"); err != nil {
		return err
	}
	path := filepath.Join(bundle, "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal(data, &config); err != nil {
		return err
	}
	process, ok := config["process"].(map[string]any)
	if !ok {
		return fmt.Errorf("%s has no process", path)
	}
	process["terminal"] = false
	process["args"] = args
	delete(process, "rlimits") // raising them is not permitted in a namespace machine
	if data, err = json.Marshal(config); err != nil {
		return err
	}
	return writeFiles(bundle, map[string]string{"config.json": string(data)})
}
