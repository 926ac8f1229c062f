package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/cgroup"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/store"
)

type psOptions struct {
	listing
	all, latest, size, namespaces, pod, external bool
	last, watch                                  int
	sort                                         string
}

func (o *psOptions) flags(set *pflag.FlagSet) {
	o.listing.flags(set, "IDs", strings.Join(psFilterKeys(), ", "))
	set.BoolVarP(&o.all, "all", "a", false, "list those that do not run too")
	set.BoolVar(&o.external, "external", false, "list the containers of others in the same store too: Podman's, Buildah's")
	set.BoolVarP(&o.latest, "latest", "l", false, "list the container that was made last, whether it runs or not")
	set.IntVarP(&o.last, "last", "n", -1, "list the `N` containers that were made last, whether they run or not")
	set.BoolVar(&o.noHeading, "noheading", false, "print no line of headings")
	set.BoolVar(&o.noTrunc, "no-trunc", false, "print whole IDs and commands")
	set.BoolVar(&o.namespaces, "ns", false, "print the numbers of the namespaces")
	set.BoolVarP(&o.pod, "pod", "p", false, "print the pod that each is in")
	set.BoolVarP(&o.size, "size", "s", false, "print how much each has written, and how large it is with its image; this looks at all its files")
	set.StringVar(&o.sort, "sort", "created", "`ORDER`: command, created, id, image, names, runningfor, size or status")
	set.Bool("sync", false, "accepted for Podman's sake: what is printed is always true")
	set.IntVarP(&o.watch, "watch", "w", 0, "print again every `SECONDS`")
	set.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		for old, now := range map[string]string{"namespace": "ns", "notruncate": "no-trunc", "storage": "external"} {
			if name == old {
				name = now
			}
		}
		return pflag.NormalizedName(name)
	})
}

func psVerb() Verb {
	var o psOptions
	return Verb{
		Name: "ps", Usage: "[OPTION…]", Summary: "list containers",
		Text: `Reads a small file for each container and asks nobody: it never waits for a start or a stop.

Of several filters of one kind one must fit, of label all; of each kind one. The filter status lists those that do not run
too. A template has Podman's fields, among them .ID, .Names, .Image, .Command, .Status, .State, .Ports, .Networks, .Mounts,
.Labels, .Label "NAME", .Pod, .PodName, .Pid, .ExitCode, .CreatedAt, .RunningFor, .Size and .Unit.`,
		Flags: o.flags, Userns: psNeedsUserns, Run: runPs,
	}
}

// psNeedsUserns: files of a user's containers are counted, and the store is read, in the user's namespace only.
func psNeedsUserns(args []string) bool {
	o, err := parsePs(args)
	return err == nil && (o.size || o.external) && rootless.Needed()
}

func parsePs(args []string) (psOptions, error) {
	var o psOptions
	set := newFlagSet("ps")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return o, err
	}
	switch {
	case set.NArg() > 0:
		return o, fmt.Errorf("ps takes no names: `berth ps --filter name=%s` lists one container", set.Arg(0))
	case o.size && o.namespaces:
		return o, errors.New("--size and --ns exclude each other")
	case o.latest && o.last >= 0:
		return o, errors.New("--latest and --last exclude each other")
	case o.quiet && set.Changed("format"):
		return o, errors.New("--quiet and --format exclude each other")
	case o.watch < 0:
		return o, errors.New("--watch takes a number of seconds")
	case psOrders[o.sort] == nil:
		return o, fmt.Errorf("--sort=%s is not known; command, created, id, image, names, runningfor, size and status are", o.sort)
	}
	if o.latest {
		o.last = 1
	}
	return o, nil
}

func runPs(ctx context.Context, env *Env, args []string) error {
	o, err := parsePs(args)
	if err != nil {
		return err
	}
	if o.watch == 0 {
		return listContainers(ctx, env, env.Out, o)
	}
	for {
		var page strings.Builder
		if err := listContainers(ctx, env, &page, o); err != nil {
			return err
		}
		// The screen is cleared and the page written at once, so that it does not flicker (console_codes(4)).
		if _, err := io.WriteString(env.Out, "\x1b[H\x1b[2J"+page.String()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(o.watch) * time.Second):
		}
	}
}

func listContainers(ctx context.Context, env *Env, w io.Writer, o psOptions) error {
	rows, err := psRows(env.Err, o)
	if err != nil {
		return err
	}
	if o.format == "json" || strings.Contains(o.format, "Restarts") {
		var list []*engine.State
		for _, r := range rows {
			list = append(list, r.State)
		}
		for i, n := range restartCounts(ctx, env, list) {
			rows[i].restarts = n
		}
	}
	return printList(w, o.listing, rows, psTable(o))
}

// psRows are the containers that are wanted, in order. Those that cannot be read are told of.
func psRows(warn io.Writer, o psOptions) ([]psRow, error) {
	passes, err := compileFilters(o.filters, psFilters())
	if err != nil {
		return nil, err
	}
	if filtersBy(o.filters, "status") || o.last >= 0 {
		o.all = true
	}
	all, unread, err := runDirs().Listed(o.all)
	if err != nil {
		return nil, err
	}
	if unread != nil {
		fmt.Fprintln(warn, unread)
	}
	if o.external {
		others, err := (&store.Store{}).Others()
		if err != nil {
			return nil, err
		}
		all = append(all, others...)
	}
	rows := []psRow{}
	for i := range all {
		r := psRow{State: &all[i], status: status(all[i]), o: o}
		if (o.all || r.running()) && passes(&r) {
			rows = append(rows, r)
		}
	}
	if o.last >= 0 {
		rows = rows[len(rows)-min(o.last, len(rows)):]
	}
	if err := complete(rows, o); err != nil {
		return nil, err
	}
	sort.SliceStable(rows, func(i, j int) bool { return psOrders[o.sort](rows[i], rows[j]) })
	return rows, nil
}

// complete adds what is asked for and takes longer.
func complete(rows []psRow, o psOptions) error {
	images := &store.Store{}
	pods := map[string]string{}
	for i := range rows {
		r := &rows[i]
		if r.Pod != "" {
			if _, known := pods[r.Pod]; !known {
				p, err := runDirs().FindPod(r.Pod)
				if err == nil {
					pods[r.Pod] = p.Name
				}
			}
			r.podName = pods[r.Pod]
		}
		if o.size && !r.Container.Rootfs {
			var err error
			if r.size.Written, r.size.Whole, err = images.Sizes(r.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func filtersBy(words []string, key string) bool {
	for _, w := range words {
		if strings.HasPrefix(w, key+"=") {
			return true
		}
	}
	return false
}

// psOrders are what --sort knows.
var psOrders = map[string]func(a, b psRow) bool{
	"command":    func(a, b psRow) bool { return strings.Join(a.words(), " ") < strings.Join(b.words(), " ") },
	"created":    func(a, b psRow) bool { return a.Created.Before(b.Created) },
	"id":         func(a, b psRow) bool { return a.ID < b.ID },
	"image":      func(a, b psRow) bool { return a.Image < b.Image },
	"names":      func(a, b psRow) bool { return a.Name < b.Name },
	"runningfor": func(a, b psRow) bool { return a.Started.Before(b.Started) },
	"size":       func(a, b psRow) bool { return a.size.Written < b.size.Written },
	"status":     func(a, b psRow) bool { return a.status < b.status },
}

// psTable says which columns there are.
func psTable(o psOptions) table[psRow] {
	t := table[psRow]{
		key:      func(r psRow) string { return shortID(r.ID, o.noTrunc) },
		headings: []string{"CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"},
		cells:    psRow.cells,
		names: map[string]string{
			"ID": "CONTAINER ID", "ImageID": "IMAGE ID", "PodName": "PODNAME", "Pod": "POD ID", "RunningFor": "CREATED", "CreatedHuman": "CREATED", "Labels": "LABELS",
		},
	}
	if o.namespaces {
		t.headings = []string{"CONTAINER ID", "NAMES", "PID", "CGROUPNS", "IPC", "MNT", "NET", "PIDNS", "USERNS", "UTS"}
		t.cells = psRow.namespaceCells
	}
	if o.pod {
		t.headings = append(t.headings, "POD ID", "PODNAME")
	}
	if o.size {
		t.headings = append(t.headings, "SIZE")
	}
	return t
}

// psRow is a container in the list.
type psRow struct {
	*engine.State // it is large
	o             psOptions
	status        string
	podName       string
	restarts      int
	size          psSize
}

// psSize is what a container has written, and how large it is with its image.
type psSize struct {
	Written int64 `json:"rwSize"`
	Whole   int64 `json:"rootFsSize"`
}

func (r psRow) running() bool { return r.status == "running" || r.status == "paused" }

// words are the command without its entry point, as Podman's.
func (r psRow) words() []string { return r.Command[min(r.Entry, len(r.Command)):] }

func (r psRow) command() string {
	command := printable(strings.Join(r.words(), " "))
	if letters := []rune(command); !r.o.noTrunc && len(letters) > 20 {
		command = string(letters[:17]) + "..."
	}
	return command
}

func (r psRow) cells() []string {
	return r.more([]string{
		shortID(r.ID, r.o.noTrunc), printable(r.Image), r.command(), age(time.Since(r.Created)) + " ago", r.statusAndHealth(),
		r.ports(), r.Name,
	})
}

func (r psRow) namespaceCells() []string {
	cells := []string{shortID(r.ID, r.o.noTrunc), r.Name, strconv.Itoa(r.pid())}
	for _, kind := range psNamespaces {
		cells = append(cells, r.namespace(kind.file))
	}
	return r.more(cells)
}

// more adds the cells of columns that were asked for.
func (r psRow) more(cells []string) []string {
	if r.o.pod {
		cells = append(cells, shortID(r.Pod, r.o.noTrunc), r.podName)
	}
	if r.o.size {
		cells = append(cells, r.sizeText())
	}
	return cells
}

func (r psRow) sizeText() string {
	return humanSize(r.size.Written, 3) + " (virtual " + humanSize(r.size.Whole, 3) + ")"
}

func (r psRow) pid() int {
	if r.running() {
		return r.Init.PID
	}
	return 0
}

// psNamespaces are Podman's names for the kinds of namespaces, in its order, and those of the kernel.
var psNamespaces = []struct{ name, file string }{
	{"Cgroup", "cgroup"}, {"IPC", "ipc"}, {"MNT", "mnt"}, {"NET", "net"}, {"PIDNS", "pid"}, {"User", "user"}, {"UTS", "uts"},
}

// namespace is the number of one of the container's namespaces (namespaces(7)); "" when it does not run.
func (r psRow) namespace(kind string) string {
	if r.pid() == 0 {
		return ""
	}
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", r.pid(), kind))
	if err != nil {
		return ""
	}
	_, number, _ := strings.Cut(link, "[")
	return strings.TrimSuffix(number, "]")
}

// psEntry has the names of Podman's `ps --format json`.
type psEntry struct {
	AutoRemove   bool
	Command      []string
	CreatedAt    string
	CIDFile      string
	Exited       bool
	ExitedAt     int64
	ExitCode     int
	ExposedPorts map[string][]string
	ID           string `json:"Id"`
	Image        string
	ImageID      string
	IsInfra      bool
	Labels       map[string]string
	Mounts       []string
	Names        []string
	Namespaces   map[string]string
	Networks     []string
	Pid          int
	Pod          string
	PodName      string
	Ports        []spec.PortMapping
	Restarts     int
	Size         *psSize
	StartedAt    int64
	State        string
	Status       string
	Created      int64
	Unit         string
}

func (r psRow) entry() psEntry {
	networks, _ := networksOf(*r.State)
	e := psEntry{
		AutoRemove: r.Container.Remove, Command: r.words(), CreatedAt: age(time.Since(r.Created)) + " ago", CIDFile: r.Container.CIDFile,
		Exited: r.status == "exited", ExitedAt: r.Finished.Unix(), ExitCode: r.exitCode(), ID: r.ID, Image: r.Image, ImageID: r.ImageID,
		Labels: spec.Labels(r.Container.Labels), Mounts: r.mounts(), Names: []string{r.Name}, Namespaces: map[string]string{}, Networks: networks,
		Pid: r.pid(), Pod: r.Pod, PodName: r.podName, Ports: publishedOf(*r.State), Restarts: r.restarts, StartedAt: r.Started.Unix(), State: r.status,
		Status: r.statusAndHealth(), Created: r.Created.Unix(), Unit: r.Unit,
	}
	for _, p := range exposed(*r.State) {
		if e.ExposedPorts == nil {
			e.ExposedPorts = map[string][]string{}
		}
		key := strconv.Itoa(p.number)
		e.ExposedPorts[key] = append(e.ExposedPorts[key], p.protocol)
	}
	if r.o.namespaces {
		for _, kind := range psNamespaces {
			e.Namespaces[kind.name] = r.namespace(kind.file)
		}
	}
	if r.o.size {
		e.Size = &r.size
	}
	return e
}

// MarshalJSON writes what Podman does.
func (r psRow) MarshalJSON() ([]byte, error) { return marshal(r.entry()) }

// Fields are Podman's fields of templates, where they are not those of JSON.
func (r psRow) Fields() map[string]any {
	ago := age(time.Since(r.Created)) + " ago"
	size := ""
	if r.o.size {
		size = r.sizeText()
	}
	e := r.entry()
	return map[string]any{
		"ID": shortID(r.ID, r.o.noTrunc), "ImageID": shortID(r.ImageID, r.o.noTrunc), "Names": r.Name, "Command": r.command(), "Ports": r.ports(),
		"Networks": strings.Join(e.Networks, ","), "Labels": e.Labels, "RunningFor": ago, "CreatedHuman": ago, "CreatedAt": r.Created.String(), "Created": r.Created.String(),
		"Pod": shortID(r.Pod, r.o.noTrunc), "Size": size, "Namespaces": e.Namespaces, "Mounts": e.Mounts,
		"Cgroup": e.Namespaces["Cgroup"], "IPC": e.Namespaces["IPC"], "MNT": e.Namespaces["MNT"], "NET": e.Namespaces["NET"],
		"PIDNS": e.Namespaces["PIDNS"], "UserNS": e.Namespaces["User"], "UTS": e.Namespaces["UTS"],
	}
}

// mounts are the places in the container that something is mounted on.
func (r psRow) mounts() []string {
	list := []string{}
	for _, m := range mountsOf(*r.State) {
		list = append(list, m.Destination)
	}
	for _, t := range r.Container.Tmpfs {
		if m, err := spec.ParseTmpfs(t); err == nil {
			list = append(list, m.Destination)
		}
	}
	return list
}

// statusAndHealth is statusText with what the probes of the container say.
func (r psRow) statusAndHealth() string {
	if r.running() {
		if v := health(*r.State); v != nil {
			return r.statusText() + " (" + v.Status + ")"
		}
	}
	return r.statusText()
}

// exitCode is the exit status of one that has ended; 255 when nobody has seen its end, 0 of one that has not.
func (r psRow) exitCode() int {
	switch {
	case r.Exit != nil:
		return r.Exit.Code
	case r.status == "exited":
		return 255
	}
	return 0
}

// status says what the container does.
func status(s engine.State) string {
	switch {
	case s.Running() && s.Cgroup != "" && cgroup.Frozen(s.Cgroup):
		return "paused"
	case s.Running():
		return "running"
	case s.Checked:
		return "initialized"
	case s.Started.IsZero() && s.Exit == nil:
		return "created"
	}
	return "exited"
}

// exitCode is psRow.exitCode for those who have not asked what the container does.
func exitCode(s engine.State) int { return psRow{State: &s, status: status(s)}.exitCode() }

// statusText says what the container does and since when.
func (r psRow) statusText() string {
	switch r.status {
	case "created":
		return "Created"
	case "initialized":
		return "Initialized"
	case "running":
		return "Up " + age(time.Since(r.Started))
	case "paused":
		return "Paused"
	}
	if r.Finished.IsZero() {
		return fmt.Sprintf("Exited (%d)", r.exitCode())
	}
	return fmt.Sprintf("Exited (%d) %s ago", r.exitCode(), age(time.Since(r.Finished)))
}

// ports writes where the host has the container's ports, and after that those that it listens on besides.
func (r psRow) ports() string {
	published := publishedOf(*r.State)
	var words []string
	if len(published) > 0 {
		words = append(words, ports(published))
	}
	taken := map[port]bool{}
	for _, m := range published {
		for i := range max(m.Range, 1) {
			taken[port{m.Protocol, int(m.ContainerPort + i)}] = true
		}
	}
	var left []port
	for _, p := range exposed(*r.State) {
		if !taken[p] {
			left = append(left, p)
		}
	}
	for len(left) > 0 {
		n := 1
		for n < len(left) && left[n] == (port{left[0].protocol, left[0].number + n}) {
			n++
		}
		words, left = append(words, span(uint16(left[0].number), uint16(n))+"/"+left[0].protocol), left[n:]
	}
	return strings.Join(words, ", ")
}

// port is one that a container listens on.
type port struct {
	protocol string
	number   int
}

// exposed are the ports that the image and the caller have noted, by their protocols. A word of the image that is none is passed over.
func exposed(s engine.State) (all []port) {
	noted := map[port]bool{}
	for _, word := range s.Container.Expose {
		list, err := spec.ParsePublish(word)
		if err != nil || strings.Contains(word, ":") {
			continue
		}
		for _, m := range list {
			for i := range max(m.Range, 1) {
				p := port{m.Protocol, int(m.ContainerPort + i)}
				if !noted[p] {
					noted[p], all = true, append(all, p)
				}
			}
		}
	}
	sort.Slice(all, func(i, j int) bool {
		a, b := all[i], all[j]
		return a.protocol < b.protocol || a.protocol == b.protocol && a.number < b.number
	})
	return all
}

// ports writes mappings as ADDRESS:PORT->PORT/PROTOCOL.
func ports(list []spec.PortMapping) string {
	words := make([]string, 0, len(list))
	for _, m := range list {
		host := m.HostIP
		if host == "" {
			host = "0.0.0.0"
		}
		words = append(words, fmt.Sprintf("%s->%s/%s", net.JoinHostPort(host, span(m.HostPort, m.Range)), span(m.ContainerPort, m.Range), m.Protocol))
	}
	return strings.Join(words, ", ")
}

// span writes count ports from first on.
func span(first, count uint16) string {
	if count <= 1 {
		return strconv.Itoa(int(first))
	}
	return fmt.Sprintf("%d-%d", first, first+count-1)
}
