package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/berth-pods/berth/test/e2e/hosts/agent"
	"golang.org/x/sys/unix"
)

// Kind is a kind of machine.
type Kind string

// The kinds of machine. A Local one is the machine that the tests are started on, used as it is.
const (
	Nspawn Kind = "nspawn"
	VM     Kind = "vm"
	Local  Kind = "local"
)

// ParseKind reads a kind as a user writes it.
func ParseKind(s string) (Kind, error) {
	switch k := Kind(s); k {
	case Nspawn, VM, Local:
		return k, nil
	}
	return "", fmt.Errorf("unknown kind of machine %q: nspawn, vm or local", s)
}

// bootTime is how long a machine may take from power-on to the end of its boot before it is given up. The virtual machine
// needs 25 s with an emulated processor on a quiet computer, and several times that on a busy one.
const bootTime = 10 * time.Minute

// Machine is a machine that runs commands as root.
type Machine interface {
	// Run runs a command and returns its exit code; see agent.Client.Run.
	Run(ctx context.Context, cmd agent.Command, io agent.Streams) (int, error)
	// Reboot restarts the machine in good order and returns when it has booted.
	Reboot(ctx context.Context) error
	// PowerCut takes the power away at once, then boots the machine again from the disk as it was left.
	PowerCut(ctx context.Context) error
	// Close removes the machine and everything on it.
	Close() error
}

// Options are what a machine is made from.
type Options struct {
	Kind  Kind
	Cache Cache
	Repo  string // the checkout whose build is installed in the machine

	// BinAsIs takes the programs that lie in bin, instead of building and installing them with make.
	BinAsIs bool

	// Cold boots a virtual machine from the start, instead of waking one that has booted before.
	Cold bool

	// Record is a directory with a file disk.img, which a virtual machine has as its third disk, /dev/vdc. What it writes
	// there is recorded beside it, in writes.log (see test/powercut). Such a machine boots from the start.
	Record string

	// Kernel are words for the kernel's command line of a virtual machine, beside its usual ones. Such a machine boots from the start.
	Kernel string
}

// Start makes a machine and boots it.
func Start(ctx context.Context, o Options) (Machine, error) {
	if o.Kind == Local {
		return startLocal(ctx, o)
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("a %s machine needs root", o.Kind)
	}
	if o.Record != "" && o.Kind != VM {
		return nil, fmt.Errorf("a %s machine has no disk whose writes could be recorded", o.Kind)
	}
	if o.Kernel != "" && o.Kind != VM {
		return nil, fmt.Errorf("a %s machine has no kernel of its own", o.Kind)
	}
	base, err := o.Cache.Setup(ctx)
	if err != nil {
		return nil, fmt.Errorf("set up the test machines: %w", err)
	}
	m, err := newMachine(ctx, o)
	if err != nil {
		return nil, err
	}
	begin := m.startCold
	if o.Kind == VM && !o.Cold && o.Record == "" && o.Kernel == "" {
		begin = m.startWarm
	}
	if err := begin(ctx, o, base); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func newMachine(ctx context.Context, o Options) (*machine, error) {
	dir, lock, err := o.Cache.machineDir(ctx)
	if err != nil {
		return nil, fmt.Errorf("make a place for the machine: %w", err)
	}
	return &machine{dir: dir, lock: lock, log: o.Cache.stopwatch(), kind: o.Kind}, nil
}

// startCold boots the machine with all of its payload in place.
func (m *machine) startCold(ctx context.Context, o Options, base Base) error {
	p := payload{repo: o.Repo, kind: o.Kind, base: base, dir: filepath.Join(m.dir, "payload"), binAsIs: o.BinAsIs}
	err := p.stage(ctx, slices.Concat(p.settings(), p.content()))
	if err != nil {
		return err
	}
	m.log.say("%s machine: payload staged", o.Kind)
	switch o.Kind {
	case Nspawn:
		m.power, err = newNspawn(base, m.dir)
	case VM:
		m.power, err = newVM(base, m.dir, p.dir, o)
	}
	if err != nil {
		return err
	}
	return m.boot(ctx, m.power.on)
}

// power is the switch of a machine, and the line to its agent.
type power interface {
	// on boots the machine and returns the line to its agent; it may return before the agent is there.
	on(ctx context.Context) (io.ReadWriteCloser, error)
	// rebooted returns the line to the agent after the machine was told to reboot.
	rebooted(ctx context.Context) (io.ReadWriteCloser, error)
	// cut switches off without warning and returns when nothing of the machine runs.
	cut() error
	close()
}

// machine is a throw-away machine with an agent in it.
type machine struct {
	kind   Kind
	dir    string
	lock   *os.File
	log    stopwatch
	power  power
	line   io.Closer
	client *agent.Client
}

func (m *machine) Run(ctx context.Context, cmd agent.Command, io agent.Streams) (int, error) {
	return m.client.Run(ctx, cmd, io)
}

func (m *machine) Reboot(ctx context.Context) error {
	// The answer may be lost with the machine.
	_, err := m.client.Run(ctx, agent.Command{Args: []string{"systemctl", "--no-block", "reboot"}}, agent.Streams{})
	if err != nil && !errors.Is(err, agent.ErrGone) {
		return fmt.Errorf("reboot: %w", err)
	}
	return m.boot(ctx, m.power.rebooted)
}

func (m *machine) PowerCut(ctx context.Context) error {
	if err := m.power.cut(); err != nil {
		return fmt.Errorf("cut the power: %w", err)
	}
	return m.boot(ctx, m.power.on)
}

func (m *machine) Close() error {
	var errs []error
	if m.power != nil {
		errs = append(errs, m.power.cut())
		m.power.close()
	}
	if m.line != nil {
		m.line.Close()
	}
	errs = append(errs, discard(m.dir), m.lock.Close())
	return errors.Join(errs...)
}

// boot waits for the agent on the line that open returns, and for the end of the boot.
func (m *machine) boot(ctx context.Context, open func(context.Context) (io.ReadWriteCloser, error)) error {
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	line, err := open(ctx)
	if err != nil {
		return m.bootError(err)
	}
	if m.line != nil {
		m.line.Close()
	}
	m.line = line
	stop := context.AfterFunc(ctx, func() { line.Close() }) // ends a wait for an agent that never comes
	defer stop()
	if m.client, err = agent.Connect(line); err != nil {
		return m.bootError(errors.Join(err, ctx.Err()))
	}
	m.log.say("%s machine: answers", m.kind)
	state, err := m.awaitBoot(ctx)
	if err != nil {
		return m.bootError(err)
	}
	m.log.say("%s machine: %s", m.kind, state)
	return nil
}

// awaitBoot waits until systemd has finished the boot, and says what failed in it.
func (m *machine) awaitBoot(ctx context.Context) (string, error) {
	var out bytes.Buffer
	script := `systemctl is-system-running --wait; systemctl list-units --state=failed --plain --no-legend | cut -d " " -f 1`
	_, err := m.client.Run(ctx, agent.Command{Args: []string{"sh", "-c", script}}, agent.Streams{Stdout: &out, Stderr: &out})
	return strings.Join(strings.Fields(out.String()), " "), err
}

func (m *machine) bootError(err error) error {
	console, _ := os.ReadFile(filepath.Join(m.dir, "console.log"))
	return fmt.Errorf("boot the %s machine: %w\nthe end of its console:\n%s", m.kind, err, lastBytes(console, 4096))
}

func lastBytes(b []byte, n int) []byte {
	return b[max(0, len(b)-n):]
}

// machineDir makes a directory for a new machine, holding the lock that says it is in use, and removes what machines left
// whose program was killed.
func (c Cache) machineDir(ctx context.Context) (string, *os.File, error) {
	all := filepath.Join(c.Dir, "machines")
	if err := os.MkdirAll(all, 0o755); err != nil {
		return "", nil, err
	}
	global, err := c.lock(ctx, "machines.lock")
	if err != nil {
		return "", nil, err
	}
	defer global.Close()
	if err := sweep(all); err != nil {
		return "", nil, fmt.Errorf("remove machines of killed runs: %w", err)
	}
	dir, err := os.MkdirTemp(all, "berth-test-")
	if err != nil {
		return "", nil, err
	}
	lock, err := tryLock(filepath.Join(dir, "lock"))
	return dir, lock, err
}

func sweep(all string) error {
	dirs, err := filepath.Glob(filepath.Join(all, "*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		lock, err := tryLock(filepath.Join(dir, "lock"))
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue
		}
		if err == nil {
			err = errors.Join(discard(dir), lock.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tryLock returns EWOULDBLOCK when another process holds the file.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// discard removes all that a machine was, as far as it is there.
func discard(dir string) error {
	return errors.Join(removeCgroups(filepath.Base(dir)), removeTree(dir))
}
