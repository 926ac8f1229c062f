package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/autoupdate"
	"github.com/berth-pods/berth/engine/keeper"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/sd"
	"github.com/berth-pods/berth/engine/spec"
)

type autoUpdateOptions struct {
	authFile  string
	dryRun    bool
	format    string
	history   bool
	rollback  bool
	settle    time.Duration
	tlsVerify bool
}

func (o *autoUpdateOptions) flags(set *pflag.FlagSet) {
	set.StringVar(&o.authFile, "authfile", "", "credentials `FILE` for the registries, instead of auth.json")
	set.BoolVar(&o.dryRun, "dry-run", false, "say what would be updated, and do nothing")
	set.StringVar(&o.format, "format", "", "`FORM` of the output: table, json, or a template such as {{.Unit}}; table before a template makes columns of it")
	set.BoolVar(&o.history, "history", false, "print what earlier updates did, and do nothing")
	set.BoolVar(&o.rollback, "rollback", true, "go back to the image that worked when a unit does not come up with the new one")
	set.DurationVar(&o.settle, "settle", 5*time.Second, "how long a unit must have stayed up after it was ready to count as working (`TIME`)")
	set.BoolVar(&o.tlsVerify, "tls-verify", true, "ask for valid certificates")
}

func autoUpdateVerb() Verb {
	var o autoUpdateOptions
	return Verb{
		Name: "auto-update", Usage: "[OPTION…]", Summary: "update the images of units, and go back when they do not work",
		Text: `Containers that run and have the label io.containers.autoupdate are looked at; AutoUpdate= in a unit file sets it. With
registry the registry is asked for the digest of the image's name; with local the image of that name in the store counts, which
was built or loaded anew. Where there is another image it is fetched and the unit is restarted. The unit must become ready, and
stay up for a while, and its container become healthy where it has a health check. Otherwise the name goes back to the image
that worked, and the unit is restarted with it. An image that did not work is not tried again. One is when somebody else has
stopped or restarted the unit meanwhile; a unit that was stopped stays so.

The image that works is kept under a name below localhost/berth-last-good, so that no prune removes it as long as there is the unit. What was done is in
the journal, and --history prints it. berth-auto-update.timer runs this command once a day when it is enabled.

Exit status: 0 when every container is as it should be; 125 when one could not be updated or was rolled back`,
		Flags: o.flags, Run: runAutoUpdate,
	}
}

func runAutoUpdate(ctx context.Context, env *Env, args []string) error {
	var o autoUpdateOptions
	set := newFlagSet("auto-update")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return errors.New("auto-update takes no arguments: it looks at all containers that run")
	}
	history, err := updateHistory()
	if err != nil {
		return err
	}
	if o.history {
		return printHistory(env.Out, history, o.format)
	}
	unlock, err := history.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	past, err := history.Load()
	if err != nil {
		return err
	}
	h := updateHost{env: env, authFile: o.authFile, settle: o.settle}
	list, refused, err := h.updatable(ctx, runDirs())
	if err != nil {
		return err
	}
	if set.Changed("tls-verify") {
		h.tls = []string{"--tls-verify=" + strconv.FormatBool(o.tlsVerify)}
	}
	u := &autoupdate.Updater{Host: h, DryRun: o.dryRun, Rollback: o.rollback, Past: past, Log: updateLog(env), Now: time.Now, Record: history.Add,
		Gone: h.gone, Forget: h.forget}
	return errors.Join(printUpdates(env, u.Run(ctx, list), o.format), errors.Join(refused...))
}

// updateHistory is the file with what was done: a machine's or a user's.
func updateHistory() (autoupdate.History, error) {
	if !rootlessMode() {
		return autoupdate.History{Path: "/var/lib/berth/auto-update.json"}, nil
	}
	dir := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return autoupdate.History{}, err
		}
		dir = filepath.Join(home, ".local/state")
	}
	return autoupdate.History{Path: filepath.Join(dir, "berth/auto-update.json")}, nil
}

// updateLog tells the journal, and who looks on.
func updateLog(env *Env) func(string) {
	inJournal := sd.InJournal(os.Stderr)
	return func(line string) {
		fmt.Fprintln(env.Err, line)
		if !inJournal {
			_ = sd.Journal("berth-auto-update", line) // without a journal there is nobody to tell
		}
	}
}

// updatable are the containers that run and have the label, and why some of them cannot be updated.
func (h updateHost) updatable(ctx context.Context, dirs engine.Dirs) (list []autoupdate.Container, refused []error, err error) {
	states, err := dirs.List()
	if err != nil {
		return nil, nil, err
	}
	for _, s := range states {
		labels := spec.Labels(s.Container.Labels)
		policy := labels[autoupdate.Label]
		if !s.Running() || policy == "" || policy == "disabled" {
			continue
		}
		unit := s.Unit
		if unit == "" {
			unit = labels[autoupdate.LabelUnit]
		}
		if err := h.canRenew(ctx, s, unit); err != nil {
			refused = append(refused, fmt.Errorf("update container %q: %w; let a unit file run it, or take its label %s away", s.Name, err, autoupdate.Label))
			continue
		}
		list = append(list, autoupdate.Container{
			ID: s.ID, Name: s.Name, Unit: unit, Image: s.Image, ImageID: s.ImageID, Policy: policy, AuthFile: labels[autoupdate.LabelAuthFile],
		})
	}
	return list, refused, nil
}

// canRenew says why a restart of the unit would not make the container anew, of another image.
func (h updateHost) canRenew(ctx context.Context, s engine.State, unit string) error {
	switch {
	case s.ImageID == "":
		return errors.New("it is made of a directory, not of an image")
	case unit == "":
		return errors.New("it has no unit that systemd could restart")
	case s.Existing:
		return fmt.Errorf("a restart of %s starts the container that is there, with the image it has", unit)
	}
	known, err := h.show(ctx, unit)
	switch {
	case err != nil:
		return err
	case known["LoadState"] != "loaded":
		return fmt.Errorf("systemd cannot restart %s, which is %s", unit, known["LoadState"])
	case known["CanStart"] != "yes": // a scope, which is what runs in the foreground, is never started again
		return fmt.Errorf("systemd cannot restart %s, which it does not start", unit)
	}
	return nil
}

// An updateHost does it by berth's own commands, which know how to work for a user, and by systemctl.
type updateHost struct {
	env      *Env
	authFile string
	tls      []string
	settle   time.Duration
}

func (h updateHost) berth(ctx context.Context, args ...string) (string, error) {
	out, err := h.env.Run(ctx, itself(args...))
	var exit *proc.ExitError
	if errors.As(err, &exit) {
		return "", errors.New(strings.TrimPrefix(strings.TrimSpace(exit.Stderr), "Error: "))
	}
	return strings.TrimSpace(string(out)), err
}

func (h updateHost) registryFlags(c autoupdate.Container) []string {
	file := c.AuthFile
	if file == "" {
		file = h.authFile
	}
	if file == "" {
		return h.tls
	}
	return append([]string{"--authfile", file}, h.tls...)
}

func (h updateHost) Remote(ctx context.Context, c autoupdate.Container) (string, error) {
	return h.berth(ctx, append(append([]string{"image", "remote-digest"}, h.registryFlags(c)...), c.Image)...)
}

func (h updateHost) Local(ctx context.Context, image string) (autoupdate.Local, error) {
	out, err := h.berth(ctx, "image", "inspect", image)
	if err != nil {
		return autoupdate.Local{}, err
	}
	var list []struct {
		ID          string   `json:"Id"`
		Digest      string   `json:"Digest"`
		RepoDigests []string `json:"RepoDigests"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 {
		return autoupdate.Local{}, fmt.Errorf("inspect image %s: %d answers, %w", image, len(list), err)
	}
	l := autoupdate.Local{ID: list[0].ID, Digests: []string{list[0].Digest}}
	for _, d := range list[0].RepoDigests {
		if _, digest, ok := strings.Cut(d, "@"); ok {
			l.Digests = append(l.Digests, digest)
		}
	}
	return l, nil
}

func (h updateHost) Pull(ctx context.Context, c autoupdate.Container) (string, error) {
	return h.berth(ctx, append(append([]string{"pull", "--quiet"}, h.registryFlags(c)...), c.Image)...)
}

func (h updateHost) Tag(ctx context.Context, image, name string) error {
	_, err := h.berth(ctx, "tag", image, name)
	return err
}

// gone tells whether systemd has neither a file of the unit nor its processes.
func (h updateHost) gone(ctx context.Context, unit string) bool {
	known, err := h.show(ctx, unit)
	return err == nil && known["LoadState"] == "not-found" && slices.Contains([]string{"inactive", "failed"}, known["ActiveState"])
}

// forget takes a name away; the image goes with the next prune if it has no other.
func (h updateHost) forget(ctx context.Context, name string) error {
	if _, err := h.berth(ctx, "image", "exists", name); err != nil {
		return nil // most often it is gone since an earlier update
	}
	_, err := h.berth(ctx, "untag", name, name)
	return err
}

// Restart restarts a unit whatever its StartLimitBurst= says: an update is no crash, and the way back from an image that was
// started again and again until the limit must be open.
func (h updateHost) Restart(ctx context.Context, unit string, how autoupdate.How) error {
	before, err := h.show(ctx, unit)
	if err != nil {
		return err
	}
	verb := "restart"
	if !how.Down {
		if verb = "try-restart"; slices.Contains([]string{"inactive", "failed", "deactivating"}, before["ActiveState"]) {
			return fmt.Errorf("%s: %w", unit, autoupdate.ErrStopped)
		}
	}
	l := life{unit: unit, before: before["InvocationID"], since: time.Now()}
	if _, err := systemctl(ctx, h.env, "reset-failed", unit); err != nil {
		return fmt.Errorf("reset the start limit of %s: %w", unit, unseen(ctx, err))
	}
	if _, err := systemctl(ctx, h.env, verb, unit); err != nil {
		after, _ := h.show(ctx, unit)
		if result := after["Result"]; result != "" && result != "success" {
			err = fmt.Errorf("%s, %w", result, err)
		}
		return h.ended(ctx, l, fmt.Errorf("restart %s: %w", unit, unseen(ctx, err)))
	}
	if how.Hurry {
		return nil
	}
	return h.settled(ctx, l)
}

// life is that of a unit since a restart of ours.
type life struct {
	unit   string
	before string // the invocation that we have ended
	since  time.Time
}

// stopping is the journal's mark of a unit that systemd begins to stop or restart because it is told to. One that ends by
// itself, also to be restarted, has none (systemd.journal-fields(7), SD_MESSAGE_UNIT_STOPPING).
const stopping = "de5b426a63be47a7b6ac3eaac82e2f6f"

// ended makes ErrStopped of why a unit is not up any more when somebody has told systemd to stop or restart it. systemd itself
// forgets such a unit at once, the journal does not.
func (h updateHost) ended(ctx context.Context, l life, why error) error {
	field := "UNIT="
	if rootlessMode() {
		field = "USER_UNIT="
	}
	_, _ = h.env.Run(ctx, proc.Command{Path: "/usr/bin/journalctl", Args: []string{"--sync"}}) // which only root may
	out, err := h.env.Run(ctx, proc.Command{Path: "/usr/bin/journalctl", Args: []string{"--quiet", "--output=json",
		fmt.Sprintf("--since=@%d", l.since.Unix()), "MESSAGE_ID=" + stopping, field + l.unit}})
	if err != nil {
		return why
	}
	for line := range bytes.Lines(out) {
		var entry struct {
			Time   string `json:"__REALTIME_TIMESTAMP"`
			System string `json:"INVOCATION_ID"`
			User   string `json:"USER_INVOCATION_ID"`
		}
		err := json.Unmarshal(line, &entry)
		micro, _ := strconv.ParseInt(entry.Time, 10, 64)
		if id := entry.System + entry.User; err == nil && id != l.before && micro >= l.since.UnixMicro() {
			return fmt.Errorf("%w (%w)", autoupdate.ErrStopped, why)
		}
	}
	return why
}

// unseen tells a systemctl apart that failed from one that was ended: the signal that is to end this update goes to all of its
// processes, and may come to this one last.
func unseen(ctx context.Context, err error) error {
	var exit *proc.ExitError
	if ctx.Err() != nil || errors.As(err, &exit) && exit.Code > 128 {
		return fmt.Errorf("%w: %w", autoupdate.ErrUnseen, err)
	}
	return err
}

// settled watches a unit that has become ready. A main process that ends soon, to be restarted or not, did not work, nor did
// a container that has a health check and is not healthy: what it needs for that is its own matter, as long as its probes
// have not given it up.
func (h updateHost) settled(ctx context.Context, l life) error {
	started, err := h.show(ctx, l.unit)
	if err != nil {
		return err
	}
	begin := time.Now()
	probed := false
	for {
		now, err := h.show(ctx, l.unit)
		if err != nil {
			return err
		}
		if why := down(l.unit, started, now); why != nil && probed {
			return why
		} else if why != nil {
			return h.ended(ctx, l, why)
		}
		states, err := runDirs().List()
		if err != nil {
			return fmt.Errorf("%w: %w", autoupdate.ErrUnseen, err)
		}
		if now["ActiveState"] != "deactivating" { // what comes of that is seen when it is over
			list := ofUnit(states, l.unit)
			probed = probed || slices.ContainsFunc(list, probesEndUnit)
			waiting, err := waitForHealth(list, health, time.Since(begin)-h.settle)
			if err != nil || !waiting && time.Since(begin) > h.settle {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", autoupdate.ErrUnseen, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// down says why a unit is not up as it was when it was ready.
func down(unit string, started, now map[string]string) error {
	switch {
	case now["ActiveState"] == "failed", now["Result"] != "success" && now["Result"] != "":
		return fmt.Errorf("%s did not stay up: %s", unit, now["Result"])
	case now["InvocationID"] != started["InvocationID"] && now["InvocationID"] != "": // systemd may have forgotten it
		return fmt.Errorf("%s ended and was started again", unit)
	case now["ActiveState"] != "active" && now["ActiveState"] != "deactivating" && now["Type"] != "oneshot":
		return fmt.Errorf("%s did not stay up: it is %s", unit, now["ActiveState"])
	}
	return nil
}

// probesEndUnit tells whether the keeper stops or restarts the container's unit when probes fail: as an administrator does it.
func probesEndUnit(s engine.State) bool {
	return s.Health != nil && (s.Health.OnFailure == "restart" || s.Health.OnFailure == "stop" || s.Health.Startup != nil && s.Health.Startup.Retries > 0)
}

// ofUnit are the containers of a unit that run.
func ofUnit(states []engine.State, unit string) []engine.State {
	var list []engine.State
	for _, s := range states {
		if s.Running() && (s.Unit == unit || spec.Labels(s.Container.Labels)[autoupdate.LabelUnit] == unit) {
			list = append(list, s)
		}
	}
	return list
}

// waitForHealth tells whether one of the containers is not healthy yet, and fails when one will not be: it is unhealthy, or
// has had all the time that its probes give it and more. One that is only probed when somebody asks is not waited for.
func waitForHealth(states []engine.State, verdict func(engine.State) *keeper.Verdict, waited time.Duration) (bool, error) {
	waiting := false
	for _, s := range states {
		v := verdict(s)
		if v == nil || s.Health.Interval == 0 || v.Status == keeper.Healthy {
			continue
		}
		if v.Status == keeper.Unhealthy {
			return false, fmt.Errorf("container %q is unhealthy%s", s.Name, lastProbe(v))
		}
		if waited > healthLimit(s.Health) {
			return false, fmt.Errorf("container %q is still not healthy, it is %s%s", s.Name, v.Status, lastProbe(v))
		}
		waiting = true
	}
	return waiting, nil
}

// healthLimit is how long it takes at most until the probes have a verdict.
func healthLimit(h *spec.Health) time.Duration {
	limit := h.StartPeriod + time.Duration(h.Retries+1)*(h.Interval+h.Timeout)
	if s := h.Startup; s != nil {
		limit += time.Duration(s.Retries+s.Success+1) * (s.Interval + s.Timeout)
	}
	return limit
}

// lastProbe is what the last probe said.
func lastProbe(v *keeper.Verdict) string {
	if len(v.Log) == 0 {
		return ""
	}
	p := v.Log[len(v.Log)-1]
	said := fmt.Sprintf(": the probe ended with status %d", p.ExitCode)
	if out := strings.TrimSpace(p.Output); out != "" {
		said += " and said " + strconv.Quote(out[:min(len(out), 200)])
	}
	return said
}

// show reads what systemd knows of a unit.
func (h updateHost) show(ctx context.Context, unit string) (map[string]string, error) {
	out, err := systemctl(ctx, h.env, "show", "--property=ActiveState,CanStart,InvocationID,LoadState,Result,Type", "--", unit)
	if err != nil {
		return nil, fmt.Errorf("%w: ask systemd for %s: %w", autoupdate.ErrUnseen, unit, err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			all[key] = value
		}
	}
	return all, nil
}

// updateRow has the names of Podman's `auto-update --format`.
type updateRow struct {
	Unit, Container, ContainerName, ContainerID, Image, Policy, Updated string
}

func printUpdates(env *Env, results []autoupdate.Result, template string) error {
	rows := make([]updateRow, 0, len(results))
	var errs []error
	for _, r := range results {
		rows = append(rows, updateRow{
			Unit: r.Unit, Container: shortID(r.ID, false) + " (" + r.Name + ")", ContainerName: r.Name, ContainerID: r.ID,
			Image: r.Image, Policy: r.Policy, Updated: r.Updated,
		})
		if r.Err != nil && (len(errs) == 0 || errs[len(errs)-1].Error() != r.Err.Error()) {
			errs = append(errs, r.Err)
		}
	}
	return errors.Join(append([]error{printUpdateRows(env.Out, rows, template)}, errs...)...)
}

func printUpdateRows(w io.Writer, rows []updateRow, template string) error {
	return printList(w, listing{format: template}, rows, table[updateRow]{
		headings: []string{"UNIT", "CONTAINER", "IMAGE", "POLICY", "UPDATED"},
		cells: func(r updateRow) []string {
			return []string{r.Unit, r.Container, printable(r.Image), r.Policy, r.Updated}
		},
	})
}

func printHistory(w io.Writer, h autoupdate.History, template string) error {
	events, err := h.Load()
	if err != nil {
		return err
	}
	if events == nil {
		events = []autoupdate.Event{}
	}
	return printList(w, listing{format: template}, events, table[autoupdate.Event]{
		headings: []string{"TIME", "UNIT", "IMAGE", "FROM", "TO", "RESULT", "REASON"},
		cells: func(e autoupdate.Event) []string {
			result := e.Result
			if result == autoupdate.Yes {
				result = "updated"
			}
			return []string{e.Time.Local().Format(time.DateTime), e.Unit, printable(e.Image), shortID(e.From, false), shortID(e.To, false), result, printable(e.Reason)}
		},
	})
}
