package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	sysuser "github.com/moby/sys/user"
	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/procfs"
	"github.com/berth-pods/berth/engine/rootless"
)

func topVerb() Verb {
	return Verb{
		Name: "top", Usage: "[OPTION…] CONTAINER [DESCRIPTOR…|PS-OPTION…]", Summary: "list the processes of a container",
		Text: `The descriptors, with or without commas between them, are ` + strings.Join(procfs.Descriptors(), ", ") + `.
Those that begin with h are seen from the host. Other words are for the container's own ps.`,
		Flags: func(set *pflag.FlagSet) {
			set.BoolP("latest", "l", false, "of the container that was made last")
		},
		Program: true, Before: beforeTop, Run: runTop,
	}
}

func parseTop(args []string) (s engine.State, words []string, err error) {
	set := newFlagSet("top")
	set.SetInterspersed(false) // ps has options too
	latest := set.BoolP("latest", "l", false, "")
	if err := set.Parse(args); err != nil {
		return s, nil, err
	}
	words = set.Args()
	switch {
	case *latest:
		s, err = latestContainer()
	case len(words) == 0:
		err = errors.New("name one container")
	default:
		s, err = findContainer(words[0])
		words = words[1:]
	}
	if err == nil && !s.Running() {
		err = fmt.Errorf("%w: %q; `berth start %s` starts it", engine.ErrNotRunning, s.Name, s.Name)
	}
	return s, words, err
}

// descriptors reads the words as descriptors; nil when they are for ps.
func descriptors(words []string) ([]string, error) {
	if len(words) == 0 {
		return procfs.Usual, nil
	}
	list := strings.FieldsFunc(strings.Join(words, ","), func(r rune) bool { return r == ',' || r == ' ' })
	for _, w := range list {
		if procfs.Known(w) {
			continue
		}
		if forPs(words[0]) {
			return nil, nil
		}
		return nil, fmt.Errorf("%q is no descriptor (`berth top --help` lists them), and %q no option of ps", w, words[0])
	}
	return list, nil
}

// forPs tells whether a word is options of ps(1), with a dash or, as BSD's, without: letters of which only the last may want a value.
func forPs(word string) bool {
	const alone, withValue = "acefghHjlLmnrsSTuvVwxXZ", "kNoOpqtU"
	rest := strings.TrimLeft(word, alone)
	return strings.HasPrefix(word, "-") || rest == "" || len(rest) == 1 && strings.Contains(withValue, rest)
}

// beforeTop goes into the namespace that the container of a user was set up in: there its users have their numbers.
func beforeTop(_ context.Context, _ *Env, args []string) error {
	s, words, err := parseTop(args)
	if err != nil || !rootless.Needed() {
		return nil
	}
	if list, err := descriptors(words); err != nil || list == nil {
		return nil
	}
	return rootless.Enter(s.Init)
}

func runTop(ctx context.Context, env *Env, args []string) error {
	s, words, err := parseTop(args)
	if err != nil {
		return err
	}
	list, err := descriptors(words)
	if err != nil {
		return err
	}
	if list == nil {
		return topInside(ctx, env, s, words)
	}
	e, err := newEngine(env)
	if err != nil {
		return err
	}
	view, err := topView(e, s)
	if err != nil {
		return err
	}
	var found []procfs.Process
	for _, word := range processes(s) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			continue
		}
		if p, err := procfs.Read("/proc", pid); err == nil { // else it has ended
			found = append(found, p)
			view.Inner[p.PID] = p.InnerPID
		}
	}
	return printColumns(env.Out, procfs.Table(view, found, list))
}

func printColumns(w io.Writer, rows [][]string) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, r := range rows {
		for i := range r {
			r[i] = printable(r[i])
		}
		fmt.Fprintln(table, strings.Join(r, "\t"))
	}
	return table.Flush()
}

// topInside lets the container's own ps read words that are no descriptors.
func topInside(ctx context.Context, env *Env, s engine.State, words []string) error {
	ps := itself(append([]string{"exec", s.ID, "ps"}, words...)...)
	ps.Stdout, ps.Stderr = env.Out, env.Err
	_, err := env.Run(ctx, ps)
	var exit *proc.ExitError
	if errors.As(err, &exit) && (exit.Code == 126 || exit.Code == 127) {
		return &ExitError{Code: statusFailed, Err: fmt.Errorf("%q are no descriptors (`berth top --help` lists them), and container %q has no ps", strings.Join(words, " "), s.Name)}
	}
	if errors.As(err, &exit) { // which has said why
		return &ExitError{Code: statusFailed}
	}
	return err
}

// topView knows the names of users and groups, in the container and outside.
func topView(e *engine.Engine, s engine.State) (procfs.View, error) {
	files, err := e.Files(s)
	if err != nil {
		return procfs.View{}, err
	}
	defer files.Close()
	const limit = 1 << 20
	passwd, _ := files.Root.ReadFile("etc/passwd", limit)
	group, _ := files.Root.ReadFile("etc/group", limit)
	users, _ := sysuser.ParsePasswd(strings.NewReader(string(passwd)))
	groups, _ := sysuser.ParseGroup(strings.NewReader(string(group)))
	v := procfs.View{Uptime: uptime(), Now: time.Now(), Inner: map[int]int{}}
	v.User = func(id uint32) string { inside, _ := s.IDs.InsideIDs(id, 0); return userName(users, inside) }
	v.Group = func(id uint32) string { _, inside := s.IDs.InsideIDs(0, id); return groupName(groups, inside) }
	hostUsers, _ := sysuser.ParsePasswdFile("/etc/passwd")
	hostGroups, _ := sysuser.ParseGroupFile("/etc/group")
	uids, gids := outer("uid_map"), outer("gid_map")
	v.HostUser = func(id uint32) string { return userName(hostUsers, uids(id)) }
	v.HostGroup = func(id uint32) string { return groupName(hostGroups, gids(id)) }
	return v, nil
}

// outer maps an ID of this process's own user namespace to that of the machine (user_namespaces(7), uid_map).
func outer(file string) func(uint32) uint32 {
	text, _ := os.ReadFile("/proc/self/" + file)
	return func(id uint32) uint32 {
		for _, line := range strings.Split(string(text), "\n") {
			var inside, outside, count uint32
			if n, _ := fmt.Sscan(line, &inside, &outside, &count); n == 3 && id >= inside && id-inside < count {
				return outside + (id - inside)
			}
		}
		return id
	}
}

func userName(list []sysuser.User, id uint32) string {
	for _, u := range list {
		if u.Uid == int(id) {
			return u.Name
		}
	}
	return strconv.FormatUint(uint64(id), 10)
}

func groupName(list []sysuser.Group, id uint32) string {
	for _, g := range list {
		if g.Gid == int(id) {
			return g.Name
		}
	}
	return strconv.FormatUint(uint64(id), 10)
}

// uptime is how long the machine runs, as the start times of processes are counted (proc(5), /proc/uptime).
func uptime() time.Duration {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0
	}
	word, _, _ := strings.Cut(string(text), " ")
	seconds, _ := strconv.ParseFloat(word, 64)
	return time.Duration(seconds * float64(time.Second))
}
