package script

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/berth-pods/berth/test/e2e/hosts"
	"github.com/berth-pods/berth/test/e2e/hosts/agent"
)

// exitSkip is the exit code of a script that cannot be run on its machine.
const exitSkip = 77

// Result is how a test went.
type Result struct {
	Outcome Outcome
	Reason  string // why it was skipped, or which part failed and how
	Output  []byte // all that the parts printed
	Took    time.Duration
}

// Outcome is one of the three ends of a test.
type Outcome int

// The ends of a test.
const (
	Passed Outcome = iota
	Failed
	Skipped
)

func (o Outcome) String() string {
	return [...]string{"passed", "failed", "skipped"}[o]
}

// Runner runs scripts on one machine. Where is the directory in which the machine finds lib.sh.
type Runner struct {
	Machine hosts.Machine
	Kind    hosts.Kind
	Where   string
	Echo    io.Writer // sees the output as it comes; may be nil
	// Torture tells scripts, by BERTH_TORTURE=1, to take every case instead of some, and gives them the time for it.
	Torture bool
	// Settings are NAME=VALUE, for the scripts: how much of what they do is to be done.
	Settings []string
}

// tortureTime is how many times as long a script may take then.
const tortureTime = 60

// Run runs the parts of a script one after the other.
func (r Runner) Run(ctx context.Context, s Script) Result {
	start := time.Now()
	var out bytes.Buffer
	result := func(o Outcome, reason string) Result {
		return Result{o, reason, out.Bytes(), time.Since(start)}
	}
	for _, p := range s.Parts {
		code, err := r.part(ctx, p, &out)
		switch {
		case err != nil:
			return result(Failed, fmt.Sprintf("%s: %v", p.File, err))
		case code == exitSkip:
			return result(Skipped, lastLine(out.String()))
		case code != 0:
			return result(Failed, fmt.Sprintf("%s: exit code %d", p.File, code))
		}
		if err := r.then(ctx, p.Then); err != nil {
			return result(Failed, fmt.Sprintf("%s after %s: %v", p.Then, p.File, err))
		}
	}
	return result(Passed, "")
}

func (r Runner) part(ctx context.Context, p Part, out *bytes.Buffer) (int, error) {
	env := append([]string{"BERTH_E2E=" + r.Where, "BERTH_HOST=" + string(r.Kind)}, r.Settings...)
	limit := p.Timeout
	if r.Torture {
		env = append(env, "BERTH_TORTURE=1")
		limit *= tortureTime
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not finished after %s", limit))
	defer cancel()
	var w io.Writer = out
	if r.Echo != nil {
		w = io.MultiWriter(out, r.Echo)
	}
	cmd := agent.Command{Args: []string{"bash", "-c", p.Text, p.File}, Env: env}
	return r.Machine.Run(ctx, cmd, agent.Streams{Stdout: w, Stderr: w})
}

func (r Runner) then(ctx context.Context, t Then) error {
	switch t {
	case Nothing:
		return nil
	case Reboot:
		return r.Machine.Reboot(ctx)
	case PowerOff:
		return r.Machine.PowerCut(ctx)
	}
	return errors.New("unknown")
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
