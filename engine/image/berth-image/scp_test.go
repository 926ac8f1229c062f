//go:build containers_image_openpgp

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-pods/berth/engine/proc"
)

func TestScpArgs(t *testing.T) {
	for typed, want := range map[string]string{
		"web":               "|web|",
		"web a@localhost::": "|web|a@localhost",
		"a@localhost::web":  "a@localhost|web|",
		"a@localhost::h:5/web:1 root@localhost::": "a@localhost|h:5/web:1|root@localhost",
		"web a@elsewhere::":                       "|web|a@elsewhere",
		"elsewhere:2222::web there::":             "elsewhere:2222|web|there",
		"a@[fd00::1]:22::h/web:1":                 "a@[fd00::1]:22|h/web:1|",
		"[fd00::1]::web":                          "[fd00::1]|web|",
		"fd00::1::web":                            "fd00|1::web|",
		"-oProxyCommand=x::web":                   "write a machine as [USER@]HOST[:PORT]::",
		"a;b::web":                                "write a machine as",
		"a@-x::web":                               "write a machine as",
		"::web":                                   "write a machine as",
		"web other":                               "write the destination as [USER@]HOST::",
		"web a@b::c":                              "write the destination as [USER@]HOST::",
		"a@localhost::":                           "say which image",
	} {
		from, image, to, err := scpArgs(strings.Fields(typed))
		got := string(from) + "|" + image + "|" + string(to)
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%s: %s, want %s", typed, got, want)
		}
	}
}

// standIns are programs that print what they are called with; ssh runs the command here.
func standIns(t *testing.T, names ...string) {
	t.Helper()
	dir := t.TempDir()
	for _, n := range names {
		text := "#!/bin/sh\nprintf '%s' " + n + "; printf ' <%s>' \"$@\"\n"
		if n == "ssh" {
			text = "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\n[ \"$2\" != away ] || { echo no route >&2; exit 255; }\nshift 2\nexec /bin/sh -c \"$*\"\n"
		}
		if err := os.WriteFile(filepath.Join(dir, n), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/bin/sh", filepath.Join(dir, "sh")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
}

// On the other machine berth is called, else Podman, and no word is read by a shell.
func TestScpOverSSH(t *testing.T) {
	const odd = "it's $(id) a\"b"
	for _, c := range []struct{ there, want string }{
		{"ssh berth podman", "berth <save> <" + odd + ">"},
		{"ssh podman", "podman <save> <" + odd + ">"},
		{"ssh", "on me@far:22: neither berth nor podman is there"},
		{"", "ssh is not there, which reaches me@far:22: install the package openssh-client"},
	} {
		standIns(t, strings.Fields(c.there)...)
		s := seat("me@far:22")
		cmd, err := s.command("save", odd)
		var said []byte
		if err == nil {
			said, err = proc.Run(t.Context(), cmd)
		}
		if err != nil {
			said = []byte(s.explain(err).Error())
		}
		if string(said) != c.want {
			t.Errorf("%s: %q, want %q", c.there, said, c.want)
		}
	}
	standIns(t, "ssh")
	cmd, _ := seat("away").command("load")
	_, err := proc.Run(t.Context(), cmd)
	if err = seat("away").explain(err); err == nil || err.Error() != "away cannot be reached by ssh: no route" {
		t.Errorf("%v", err)
	}
	if cmd, _ := seat("[fd00::1%eth0]:7").command("load"); strings.Join(cmd.Args[:5], " ") != "-T -p 7 -- fd00::1%eth0" {
		t.Errorf("%q", cmd.Args)
	}
}
