//go:build containers_image_openpgp

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"go.podman.io/storage/pkg/unshare"

	"github.com/berth-pods/berth/engine/proc"
)

// A seat is a user on this machine or on another one, as typed in front of two colons; empty for the caller.
type seat string

// user is set for a user of this machine.
func (s seat) user() (name string, local bool) {
	name, host, found := strings.Cut(string(s), "@")
	if !found {
		name, host = "", string(s)
	}
	return name, s == "" || host == "localhost"
}

// scpArgs divides [[USER@]HOST::]IMAGE [[USER@]HOST::].
func scpArgs(args []string) (from seat, image string, to seat, err error) {
	if from, image, err = cutSeat(args[0]); err != nil {
		return "", "", "", err
	}
	if len(args) > 1 {
		var rest string
		if to, rest, err = cutSeat(args[1]); err != nil {
			return "", "", "", err
		}
		if to == "" || rest != "" {
			return "", "", "", fmt.Errorf("image scp: %q: write the destination as [USER@]HOST::", args[1])
		}
	}
	if image == "" {
		return "", "", "", errors.New("image scp: say which image")
	}
	return from, image, to, nil
}

// hostName is what may stand for a machine: what ssh would take for a flag, and what a shell would, may not.
var hostName = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9._-]*@)?([A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?\])(:[0-9]{1,5})?$`)

// cutSeat takes what stands in front of two colons off. An IPv6 address is in brackets.
func cutSeat(s string) (seat, string, error) {
	from := strings.IndexByte(s, ']') + 1 // 0 when there is none
	if i := strings.IndexByte(s, '['); i < 0 || i > 0 && s[i-1] != '@' {
		from = 0
	}
	i := strings.Index(s[from:], "::")
	if i < 0 {
		return "", s, nil
	}
	host, rest := s[:from+i], s[from+i+2:]
	if !hostName.MatchString(host) {
		return "", "", fmt.Errorf("image scp: %q: write a machine as [USER@]HOST[:PORT]::, and an IPv6 address in brackets", host+"::")
	}
	return seat(host), rest, nil
}

// runScp lets the one user's berth save into a pipe from which the other's loads.
func runScp(ctx context.Context, c call) error {
	from, image, to, err := scpArgs(c.args)
	if err != nil {
		return err
	}
	save, err := from.command("save", "--quiet", "--format", "oci-archive", image)
	if err != nil {
		return fmt.Errorf("image scp: %w", err)
	}
	load, err := to.command("load", "--quiet")
	if err != nil {
		return fmt.Errorf("image scp: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	save.Stdout, load.Stdin = w, r
	saved := make(chan error, 1)
	go func() {
		_, err := proc.Run(ctx, save)
		saved <- errors.Join(err, w.Close())
	}()
	out, err := proc.Run(ctx, load)
	io.Copy(io.Discard, r) // when loading has failed, the other one need not
	if saveErr := errors.Join(<-saved, r.Close()); saveErr != nil {
		return fmt.Errorf("image scp: %s: %w", image, from.explain(saveErr)) // of an archive that is cut short the load complains too
	}
	if err != nil {
		return fmt.Errorf("image scp: %s: %w", image, to.explain(err))
	}
	if !c.flags.yes("quiet") {
		_, err = c.Out.Write(out)
	}
	return err
}

// explain says on which machine something has failed, and with all that was said there.
func (s seat) explain(err error) error {
	var exit *proc.ExitError
	if _, local := s.user(); local || !errors.As(err, &exit) {
		return err
	}
	said := strings.Join(strings.Fields(exit.Stderr), " ")
	if exit.Code == 255 { // ssh's own
		return fmt.Errorf("%s cannot be reached by ssh: %s", s, cmp.Or(said, "it does not say why"))
	}
	return fmt.Errorf("on %s: %s", s, cmp.Or(strings.TrimPrefix(said, "Error: "), exit.Error()))
}

// command is berth as the user starts it. Only root can be somebody else here; on another machine ssh decides.
func (s seat) command(words ...string) (proc.Command, error) {
	name, local := s.user()
	if !local {
		return s.overSSH(words)
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return proc.Command{}, err
	}
	c := proc.Command{Path: path, Args: words}
	if name == "" {
		return c, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return c, fmt.Errorf("there is no user %q here", name)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return c, err
	}
	if own := unshare.GetRootlessUID(); own != 0 || os.Getuid() == uid {
		if own != uid {
			return c, fmt.Errorf("only root can work on the images of another user, here %s", name)
		}
		return c, nil
	}
	c.Env = []string{"HOME=" + u.HomeDir, "USER=" + name, "LOGNAME=" + name, "XDG_RUNTIME_DIR=/run/user/" + u.Uid, "PATH=" + os.Getenv("PATH")}
	c.Attr = &syscall.SysProcAttr{Credential: &syscall.Credential{}}
	return c, s.become(c.Attr.Credential, u)
}

// overSSH lets the other machine's berth do it, or its podman. The login shell there may be any: it gets one word for sh.
func (s seat) overSSH(words []string) (proc.Command, error) {
	path, err := exec.LookPath("ssh")
	if err != nil {
		return proc.Command{}, fmt.Errorf("ssh is not there, which reaches %s: install the package openssh-client", s)
	}
	host, args := string(s), []string{"-T"}
	if i := strings.LastIndexByte(host, ':'); i > strings.IndexByte(host, ']') {
		host, args = host[:i], append(args, "-p", host[i+1:])
	}
	var typed strings.Builder
	for _, w := range words {
		typed.WriteString(" " + quoted(w))
	}
	script := fmt.Sprintf(`for p in %s podman; do command -v $p >/dev/null 2>&1 && exec $p%s; done; echo "neither %s nor podman is there" >&2; exit 127`, program, typed.String(), program)
	args = append(args, "--", strings.NewReplacer("[", "", "]", "").Replace(host), "sh -c "+quoted(script))
	return proc.Command{Path: path, Args: args}, nil
}

// quoted is a word as every shell reads it.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func (s seat) become(to *syscall.Credential, u *user.User) error {
	groups, err := u.GroupIds()
	if err != nil {
		return err
	}
	groups = slices.Insert(groups, 0, u.Gid)
	for i, g := range append([]string{u.Uid}, groups...) {
		n, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return err
		}
		switch i {
		case 0:
			to.Uid = uint32(n)
		case 1:
			to.Gid = uint32(n)
		default:
			to.Groups = append(to.Groups, uint32(n))
		}
	}
	return nil
}
