package main

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
)

// podMembers is how many containers the pod has.
const podMembers = 3

// measurePods starts and stops a pod with its members.
func measurePods(ctx context.Context, b *bench) error {
	what := fmt.Sprintf("a pod of %d", podMembers)
	var all []*cycles
	for _, s := range b.readySides(ctx, what, podFiles) {
		c := &cycles{side: s.name}
		for _, file := range slices.Sorted(maps.Keys(podFiles(s))) {
			c.units = append(c.units, serviceOf(file))
		}
		all = append(all, c)
	}
	defer func() { // Podman's builds it for the infra container of a pod
		_, _ = output(context.WithoutCancel(ctx), "sh", "-c", "podman images -q localhost/podman-pause | xargs -r podman rmi --force")
	}()
	return b.measureCycles(ctx, "systemctl", what, all)
}

func podFiles(s side) map[string]string {
	files := map[string]string{s.unit("pod") + ".pod": "[Pod]\nPodName=" + s.unit("pod") + "\n"}
	for i := range podMembers {
		files[fmt.Sprintf("%s-%d.container", s.unit("member"), i)] = strings.Replace(unitFile(network{}),
			"Network=\n", "Pod="+s.unit("pod")+".pod\n", 1)
	}
	return files
}

// benchUser is the user whose containers are measured: the throw-away machines have one, with subordinate ids and a manager.
const benchUser = "tester"

// measureUser starts and stops a user's container with pasta, and without a network.
func measureUser(ctx context.Context, b *bench) error {
	u, err := user.Lookup(benchUser)
	if err != nil {
		b.note("containers of a user are left out: %v", err)
		return nil
	}
	// setpriv costs all sides the same, about a millisecond.
	as := []string{"setpriv", "--reuid=" + u.Uid, "--regid=" + u.Gid, "--init-groups", "env", "-i", "-C", "/", "HOME=" + u.HomeDir,
		"USER=" + u.Username, "PATH=/usr/bin:/bin", "XDG_RUNTIME_DIR=/run/user/" + u.Uid}
	if err := b.importUserImage(ctx, as); err != nil {
		b.note("containers of a user are left out: %v", err)
		return nil
	}
	defer func() {
		ctx := context.WithoutCancel(ctx)
		for _, words := range [][]string{{"podman", "rmi", "--force", image}, {"podman", "system", "migrate"}} { // migrate ends Podman's pause process
			if _, err := output(ctx, slices.Concat(as, words)...); err != nil {
				b.say("clean up: %v", err)
			}
		}
	}()
	for _, n := range []network{{"pasta", "pasta"}, {"none", "none"}} {
		var all []*cycles
		for _, s := range sides() {
			c := &cycles{side: s.name, as: as, units: []string{serviceOf(s.unit("user-"+n.name) + ".container")}}
			if err := b.readyUser(ctx, c, map[string]string{s.unit("user-"+n.name) + ".container": unitFile(n)}); err != nil {
				b.note("Network=%s of a user: %s is left out: %v", n.name, s.name, err)
				continue
			}
			all = append(all, c)
		}
		if err := b.measureCycles(ctx, "systemctl --user", "Network="+n.name, all); err != nil {
			return err
		}
	}
	return nil
}

// readyUser installs a user's unit files and tries the unit once. The files are root's, which a manager of a user reads too.
func (b *bench) readyUser(ctx context.Context, c *cycles, files map[string]string) error {
	dir, units := "/etc/containers/systemd/users", files
	if c.side == peer {
		var err error
		if units, err = b.generatePeer(ctx, files, "--user"); err != nil {
			return err
		}
		dir = "/etc/systemd/user"
	}
	if err := b.installFiles(dir, units); err != nil {
		return err
	}
	if _, err := output(ctx, slices.Concat(c.as, []string{"systemctl", "--user", "daemon-reload"})...); err != nil {
		return err
	}
	try := cycles{as: c.as, units: c.units}
	return try.measure(ctx)
}

// importUserImage gives the user the image that root has.
func (b *bench) importUserImage(ctx context.Context, as []string) error {
	pipe := fmt.Sprintf("podman save --quiet %s | \"$@\" podman load --quiet", image)
	_, err := output(ctx, slices.Concat([]string{"sh", "-c", pipe, "sh"}, as)...)
	return err
}

// bare are ways to run a container with no manager but systemd. The unit is
// ready when the container's program runs, as it is with the managers.
var bare = []struct{ side, unit string }{
	{"crun", bareRuntime("crun")},
	{"runc", bareRuntime("runc")},
	{"systemd-nspawn", `[Service]
Type=notify
Delegate=yes
ExecStart=systemd-nspawn --quiet --keep-unit --register=no --private-network --read-only --directory=BUNDLE/rootfs /bin/sh -c "trap 'exit 0' TERM; sleep 1000000 & wait"
`},
}

func bareRuntime(program string) string {
	return strings.ReplaceAll(`[Service]
Type=forking
Delegate=yes
PIDFile=/run/bench-RUNTIME.pid
ExecStart=RUNTIME run --detach --pid-file=/run/bench-RUNTIME.pid --bundle=BUNDLE bench-RUNTIME
ExecStopPost=-RUNTIME delete --force bench-RUNTIME
`, "RUNTIME", program)
}

// bareSides makes the units of those that are there, and tries them.
func (b *bench) bareSides(ctx context.Context) []*cycles {
	bundle := filepath.Join(b.dir, "bare")
	if err := b.makeBundle(ctx, bundle, "/bin/sh", "-c", "trap 'exit 0' TERM; sleep 1000000 & wait"); err != nil {
		b.note("start, Network=none: bare runtimes are left out: %v", err)
		return nil
	}
	var ready []*cycles
	for _, s := range bare {
		unit := "bench-bare-" + s.side + ".service"
		_, err := exec.LookPath(s.side)
		if err == nil {
			err = b.installFiles("/etc/systemd/system", map[string]string{unit: strings.ReplaceAll(s.unit, "BUNDLE", bundle)})
		}
		if err == nil {
			_, err = output(ctx, "systemctl", "daemon-reload")
		}
		if err == nil {
			err = tryUnit(ctx, unit)
		}
		if err != nil {
			b.note("start, Network=none: %s is left out: %v", s.side, err)
			continue
		}
		ready = append(ready, &cycles{side: s.side, units: []string{unit}})
	}
	return ready
}
