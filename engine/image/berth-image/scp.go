//go:build containers_image_openpgp

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"go.podman.io/storage/pkg/unshare"

	"github.com/berth-pods/berth/engine/proc"
)

// A seat is a user on this machine, as typed in front of two colons; empty for the caller.
type seat string

// scpArgs divides [USER@localhost::]IMAGE [USER@localhost::].
func scpArgs(args []string) (from seat, image string, to seat, err error) {
	image = args[0]
	if host, rest, found := strings.Cut(image, "::"); found {
		from, image = seat(host), rest
	}
	if len(args) > 1 {
		host, rest, found := strings.Cut(args[1], "::")
		if !found || rest != "" {
			return "", "", "", fmt.Errorf("image scp: %q: write the destination as USER@localhost::", args[1])
		}
		to = seat(host)
	}
	if image == "" {
		return "", "", "", errors.New("image scp: say which image")
	}
	for _, s := range []seat{from, to} {
		if _, host, found := strings.Cut(string(s), "@"); s != "" && (!found || host != "localhost") {
			return "", "", "", fmt.Errorf("image scp: %q: images are copied between users of this machine only (USER@localhost::); to another one: %s save %s | ssh HOST %s load", s+"::", program, image, program)
		}
	}
	return from, image, to, nil
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
		return fmt.Errorf("image scp: %s: %w", image, saveErr) // of an archive that is cut short the load complains too
	}
	if err != nil {
		return fmt.Errorf("image scp: %s: %w", image, err)
	}
	if !c.flags.yes("quiet") {
		_, err = c.Out.Write(out)
	}
	return err
}

// command is berth as the user starts it. Only root can be somebody else.
func (s seat) command(words ...string) (proc.Command, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return proc.Command{}, err
	}
	c := proc.Command{Path: path, Args: words}
	name, _, _ := strings.Cut(string(s), "@")
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
