package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/berth-pods/berth/test/e2e/hosts"
	"github.com/berth-pods/berth/test/e2e/hosts/agent"
)

// bootSide is who starts the units at a boot. prepare is a shell script that makes $1 units which are enabled, the same files
// for both managers, each read by the manager's own generator.
type bootSide struct{ name, prepare string }

// bootScript is what the sides have in common: the other side's generator is masked, and its units are gone.
const bootScript = `
set -eu
generators=/etc/systemd/system-generators
mkdir -p $generators /etc/containers/systemd
rm -f /etc/containers/systemd/bench-boot-* /etc/systemd/system/bench-boot-* /etc/systemd/system/multi-user.target.wants/bench-boot-*
ln -sf /dev/null $generators/podman-system-generator
ln -sf /dev/null $generators/berth-system-generator
quadlets() {
	for n in $(seq "$1"); do
		printf '%s' "$2" >/etc/containers/systemd/bench-boot-$n.container
	done
}
`

func bootSides() []bootSide {
	file := unitFile(network{"bridge", "podman"}) + "[Install]\nWantedBy=multi-user.target\n"
	quoted := "'" + strings.ReplaceAll(file, "'", `'\''`) + "'"
	return []bootSide{
		{"berth", bootScript + "rm $generators/berth-system-generator; quadlets $1 " + quoted},
		{peer, bootScript + "rm $generators/podman-system-generator; quadlets $1 " + quoted},
		{"systemd", bootScript + `
for n in $(seq "$1"); do
	printf '` + strings.ReplaceAll(floorUnit, "\n", `\n`) + `' >/etc/systemd/system/bench-boot-$n.service
	ln -s ../bench-boot-$n.service /etc/systemd/system/multi-user.target.wants
done
`},
	}
}

// bootTimes prints a line for each unit: its state, and when it became active, in microseconds of the kernel's clock; and one for
// the manager: when it was started.
const bootTimes = `
set -eu
for n in $(seq "$1"); do
	echo "$(systemctl show -P ActiveState bench-boot-$n) $(systemctl show -P ActiveEnterTimestampMonotonic bench-boot-$n)"
done
echo "manager $(systemctl show -P UserspaceTimestampMonotonic)"
`

// boots measures from outside: a program in the machine would not outlive the boot.
type boots struct {
	machine hosts.Machine
	kind    hosts.Kind
	units   int
	log     io.Writer
}

// measureBoots boots the machine with so many enabled units, the sides in turns, and measures the time from the kernel's start until
// all are active; a namespace machine has no kernel of its own, there it is systemd's start.
func measureBoots(ctx context.Context, b boots, rounds int) (*report, error) {
	r := &report{Method: []string{fmt.Sprintf(
		"wall: from the start of the kernel (in a namespace machine: of systemd) until the last of %d units has become active, in ms, by systemd's own clock.", b.units)}}
	sides := bootSides()
	all := make([]stat, len(sides))
	times := make([][]float64, len(sides))
	err := turns(rounds, len(sides), func(round, i int) error {
		fmt.Fprintf(b.log, "bench: boot of %d units, %s, round %d of %d\n", b.units, sides[i].name, round+1, rounds)
		t, err := b.boot(ctx, sides[i])
		times[i] = append(times[i], t)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, s := range sides {
		all[i] = sum(times[i])
		r.Rows = append(r.Rows, row{What: bootWhat(b.units, s.name), Side: s.name, Unit: "ms", Wall: all[i]})
	}
	r.compare()
	return r, nil
}

func bootWhat(units int, side string) string {
	if side == "systemd" {
		return fmt.Sprintf("floor: boot of %d services without a container", units)
	}
	return fmt.Sprintf("boot of %d enabled units, Network=bridge", units)
}

func (b boots) boot(ctx context.Context, s bootSide) (float64, error) {
	if _, err := b.run(ctx, s.prepare); err != nil {
		return 0, fmt.Errorf("prepare the units of %s: %w", s.name, err)
	}
	if err := b.machine.Reboot(ctx); err != nil {
		return 0, err
	}
	out, err := b.run(ctx, bootTimes)
	if err != nil {
		return 0, err
	}
	t, err := lastActive(out, b.kind == hosts.VM)
	if err != nil {
		return 0, fmt.Errorf("boot with the units of %s: %w", s.name, err)
	}
	return t, nil
}

// run runs a script in the machine; its $1 is the number of units.
func (b boots) run(ctx context.Context, script string) (string, error) {
	var out, problem bytes.Buffer
	args := []string{"bash", "-c", script, "bench", strconv.Itoa(b.units)}
	code, err := b.machine.Run(ctx, agent.Command{Args: args}, agent.Streams{Stdout: &out, Stderr: &problem})
	if err != nil || code != 0 {
		return "", errors.Join(err, fmt.Errorf("exit status %d: %s", code, strings.TrimSpace(problem.String())))
	}
	return out.String(), nil
}

// lastActive reads what bootTimes printed and returns when the last unit became active, in ms since the kernel's start, or the
// manager's.
func lastActive(text string, kernel bool) (float64, error) {
	var last, from float64
	for n, line := range strings.Split(strings.TrimSpace(text), "\n") {
		state, at, _ := strings.Cut(line, " ")
		us, err := strconv.ParseFloat(at, 64)
		switch {
		case err != nil:
			return 0, fmt.Errorf("unit %d: %q is no time", n+1, at)
		case state == "manager":
			if !kernel {
				from = us
			}
		case state != "active":
			return 0, fmt.Errorf("unit %d is %s", n+1, state)
		default:
			last = max(last, us)
		}
	}
	if last == 0 {
		return 0, errors.New("no unit became active")
	}
	return (last - from) / 1000, nil
}
