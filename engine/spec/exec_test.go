package spec

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestExec(t *testing.T) {
	umask := uint32(0o22)
	base := specs.Process{
		Args: []string{"/server"}, Cwd: "/srv", Env: []string{"A=1", "HOME=/root", "LISTEN_FDS=1", "NOTIFY_SOCKET=/run/x", "PATH=/bin"},
		User:         specs.User{UID: 0, GID: 0, AdditionalGids: []uint32{10}, Umask: &umask},
		Capabilities: &specs.LinuxCapabilities{Bounding: []string{"CAP_CHOWN"}, Effective: []string{"CAP_CHOWN"}, Permitted: []string{"CAP_CHOWN"}},
		Terminal:     true, ConsoleSize: &specs.Box{Width: 80}, NoNewPrivileges: true,
	}
	user := Process{UID: 7, GID: 8, Groups: []uint32{9}, Home: "/home/a"}
	tests := []struct {
		name string
		o    ExecOptions
		c    Container
		want string // cwd, user, environment, number of effective and bounding capabilities
	}{
		{"as the container", ExecOptions{}, Container{}, "/srv 0:0[10] A=1 HOME=/root PATH=/bin 1/1"},
		{"directory", ExecOptions{WorkDir: "/tmp"}, Container{}, "/tmp 0:0[10] A=1 HOME=/root PATH=/bin 1/1"},
		{"user", ExecOptions{User: "a"}, Container{}, "/srv 7:8[8 9] A=1 HOME=/home/a PATH=/bin 0/11"},
		{"user with a capability", ExecOptions{User: "a"}, Container{CapDrop: []string{"ALL"}, CapAdd: []string{"kill"}}, "/srv 7:8[8 9] A=1 HOME=/home/a PATH=/bin 1/1"},
		{"privileged", ExecOptions{Privileged: true}, Container{}, "/srv 0:0[10] A=1 HOME=/root PATH=/bin 41/41"},
		{"privileged user", ExecOptions{Privileged: true, User: "a"}, Container{}, "/srv 7:8[8 9] A=1 HOME=/home/a PATH=/bin 0/41"},
		{"variables", ExecOptions{Environment: []string{"A=2", "TOKEN", "HOME=/x", "UNSET"}}, Container{}, "/srv 0:0[10] A=2 HOME=/x PATH=/bin TOKEN=t 1/1"},
		{"terminal", ExecOptions{Terminal: true}, Container{}, "/srv 0:0[10] A=1 HOME=/root PATH=/bin TERM=vt100 1/1"},
		{"terminal with a variable", ExecOptions{Terminal: true, Environment: []string{"TERM=dumb"}}, Container{}, "/srv 0:0[10] A=1 HOME=/root PATH=/bin TERM=dumb 1/1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Command = []string{"true"}
			p, err := Exec(ExecInput{Options: tt.o, Container: tt.c, Base: base, Process: user, Host: map[string]string{"TOKEN": "t", "TERM": "vt100"}})
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join([]string{p.Cwd, userText(p.User), strings.Join(p.Env, " "), capsText(p.Capabilities)}, " ")
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if !slices.Equal(p.Args, tt.o.Command) || p.Terminal != tt.o.Terminal || p.ConsoleSize != nil || !p.NoNewPrivileges || p.User.Umask != &umask {
				t.Errorf("%+v", p)
			}
		})
	}
	if base.Args[0] != "/server" || base.Cwd != "/srv" || len(base.Env) != 5 {
		t.Errorf("the container's own process was changed: %+v", base)
	}
}

// An exec can give no capability that the one who calls it lacks: the runtime would fail.
func TestExecGivesWhatTheCallerHas(t *testing.T) {
	o := ExecOptions{Command: []string{"true"}, Privileged: true}
	p, err := Exec(ExecInput{Options: o, Bounding: []string{"CAP_CHOWN", "CAP_NET_ADMIN"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(p.Capabilities.Effective, " "); got != "CAP_CHOWN CAP_NET_ADMIN" {
		t.Error(got)
	}
}

func userText(u specs.User) string { return fmt.Sprintf("%d:%d%v", u.UID, u.GID, u.AdditionalGids) }

func capsText(c *specs.LinuxCapabilities) string {
	return fmt.Sprintf("%d/%d", len(c.Effective), len(c.Bounding))
}

func TestExecRefuses(t *testing.T) {
	if _, err := Exec(ExecInput{}); !errors.Is(err, ErrNoCommand) {
		t.Errorf("no command: %v", err)
	}
	for _, o := range []ExecOptions{{WorkDir: "/proc/self/fd/7"}, {WorkDir: "/x/../dev/fd/7"}, {WorkDir: "tmp"}, {Environment: []string{"=1"}}, {Privileged: true, User: "a", Environment: []string{"A=\x00"}}} {
		o.Command = []string{"true"}
		if p, err := Exec(ExecInput{Options: o}); err == nil {
			t.Errorf("%+v was taken: %+v", o, p)
		}
	}
}
