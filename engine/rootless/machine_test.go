package rootless

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	sysuser "github.com/moby/sys/user"
	"golang.org/x/sys/unix"
)

const userGroup = "sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/"

// ready is a machine on which nothing is to be done, path by path. A path that ends in / is a directory.
func ready() map[string]string {
	return map[string]string{
		"etc/subuid": "al:100000:65536\nbob:165536:65536\n", "etc/subgid": "1000:165536:65536\n",
		"etc/os-release":     "NAME=x\nID=debian\n",
		"usr/bin/newuidmap*": "", "usr/bin/newgidmap*": "", "usr/bin/pasta": "", "usr/bin/nsenter": "",
		"proc/sys/kernel/unprivileged_userns_clone":    "1\n",
		"proc/sys/user/max_user_namespaces":            "9000\n",
		"proc/sys/kernel/osrelease":                    "6.12.1-amd64\n",
		"proc/sys/net/ipv4/ip_unprivileged_port_start": "80\n",
		"var/lib/systemd/linger/bob":                   "",
		"run/user/1000/bus":                            "",
		"sys/fs/cgroup/cgroup.controllers":             "cpuset cpu io memory pids misc\n",
		userGroup + "cgroup.controllers":               "cpuset cpu io memory pids\n",
		"home/bob/":                                    "",
		"dev/net/tun":                                  "",
	}
}

func plant(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		p := filepath.Join(root, strings.TrimSuffix(name, "*"))
		dir, mode := filepath.Dir(p), os.FileMode(0o777)
		if strings.HasSuffix(name, "/") {
			dir = p
		}
		if strings.HasSuffix(name, "*") {
			mode |= os.ModeSetuid
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if dir == p {
			continue
		}
		if err := os.WriteFile(p, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func machine(root string) *Machine {
	return &Machine{
		Root: root, User: sysuser.User{Name: "bob", Uid: 1000, Gid: 1000, Home: "/home/bob"}, Runtime: "-",
		FileSystem: func(p string) (string, error) {
			if strings.HasPrefix(p, filepath.Join(root, "home")) {
				if text, err := os.ReadFile(filepath.Join(root, "home/kind")); err == nil {
					return string(text), nil
				}
			}
			return "ext4", nil
		},
	}
}

func TestExamineReady(t *testing.T) {
	for _, c := range machine(plant(t, ready())).Examine() {
		if c.State != CheckOK || c.Mend != "" || c.Found == "" {
			t.Errorf("nothing is to be done, but: %+v", c)
		}
	}
}

// TestExamine breaks one thing at a time; that one and no other is found, with what mends it.
func TestExamine(t *testing.T) {
	const gone = "\x00"
	for _, tt := range []struct{ name, file, text, state, found, mend string }{
		{"subuid", "etc/subuid", "al:1:5\n", CheckWrong, `/etc/subuid gives no range to "bob"`, "berth setup userns --user bob"},
		{"subuid", "etc/subuid", gone, CheckWrong, "no range", "berth setup userns --user bob"},
		{"subgid", "etc/subgid", "bob:100000:1000\n", CheckWrong, "1000 IDs", "line of bob in /etc/subgid"},
		{"subuid", "etc/subuid", "al:100000:65536\nbob:165535:65536\n", CheckWrong, `the range 165535:65536 is that of "al" too`, "/etc/subuid"},
		{"newuidmap", "usr/bin/newuidmap*", gone, CheckWrong, "not there", "apt-get install uidmap"},
		{"kernel.unprivileged_userns_clone", "proc/sys/kernel/unprivileged_userns_clone", "0", CheckWrong, "users may make no", "sysctl -p"},
		{"kernel.unprivileged_userns_clone", "proc/sys/kernel/unprivileged_userns_clone", gone, CheckOK, "not of this kernel", ""},
		{"user.max_user_namespaces", "proc/sys/user/max_user_namespaces", "0\n", CheckWrong, "no user namespaces", "user.max_user_namespaces=15000"},
		{"kernel.apparmor_restrict_unprivileged_userns", "proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n", CheckWrong, "AppArmor", "userns=0"},
		{"linger", "var/lib/systemd/linger/bob", gone, CheckWrong, "not set", "loginctl enable-linger bob"},
		{"XDG_RUNTIME_DIR", "run/user/1000/bus", gone, CheckWrong, "/run/user/1000 is not there", "loginctl enable-linger bob"},
		{"delegation", userGroup + "cgroup.controllers", "memory pids", CheckWrong, "no cpu:", "Delegate=cpu cpuset io memory pids"},
		{"delegation", userGroup + "cgroup.controllers", "cpu memory pids", CheckNote, "no cpuset io:", "Delegate="},
		{"delegation", userGroup + "cgroup.controllers", gone, CheckWrong, "does not run", "enable-linger"},
		{"delegation", "sys/fs/cgroup/cgroup.controllers", "", CheckWrong, "this machine itself lacks the controllers cpu memory pids", "host"},
		{"delegation", "sys/fs/cgroup/cgroup.controllers", gone, CheckWrong, "not those of version 2", "unified_cgroup_hierarchy"},
		{"storage", "home/kind", "nfs", CheckWrong, "/home/bob is on nfs", `graphroot = "/var/lib/containers-bob" below [storage] into /home/bob/.config/containers/storage.conf`},
		{"storage", "home/bob/", gone, CheckWrong, "/home/bob is not there", "mkhomedir_helper bob"},
		{"overlay", "proc/sys/kernel/osrelease", "5.10.0-1-amd64", CheckWrong, "does not let users", "apt-get install fuse-overlayfs"},
		{"overlay", "proc/sys/kernel/osrelease", "5.11.0", CheckOK, "lets users mount it", ""},
		{"/dev/net/tun", "dev/net/tun", gone, CheckWrong, "not there", "modprobe tun"},
		{"pasta", "usr/bin/pasta", gone, CheckWrong, "not there", "apt-get install passt"},
		{"net.ipv4.ip_unprivileged_port_start", "proc/sys/net/ipv4/ip_unprivileged_port_start", "1024\n", CheckNote, "below 1024", "=80"},
	} {
		files := ready()
		files[tt.file] = tt.text
		if tt.text == gone {
			delete(files, tt.file)
		}
		for _, c := range machine(plant(t, files)).Examine() {
			switch {
			case c.Name != tt.name:
				if c.State != CheckOK {
					t.Errorf("%s %q: found too: %+v", tt.file, tt.text, c)
				}
			case c.State != tt.state || !strings.Contains(c.Found, tt.found) || !strings.Contains(c.Mend, tt.mend):
				t.Errorf("%s %q: %+v", tt.file, tt.text, c)
			}
		}
	}
}

// TestNoUserNamespace: an error names the settings that forbid the namespace, and no others.
func TestNoUserNamespace(t *testing.T) {
	files := ready()
	if got := noUserNamespace(machine(plant(t, files)), unix.ENOSPC).Error(); !strings.Contains(got, "as many as user.max_user_namespaces allows") {
		t.Errorf("with good settings: %s", got)
	}
	files["proc/sys/kernel/unprivileged_userns_clone"] = "0"
	got := noUserNamespace(machine(plant(t, files)), unix.EPERM).Error()
	want := "make user namespace: operation not permitted; kernel.unprivileged_userns_clone is 0: users may make no user namespaces: root can mend that by `echo kernel.unprivileged_userns_clone=1 >>"
	if !strings.HasPrefix(got, want) || strings.Contains(got, "max_user_namespaces") {
		t.Errorf("got %s", got)
	}
}

// TestExamineMore is about what takes more than one file.
func TestExamineMore(t *testing.T) {
	one := func(m *Machine, name string) Check {
		for _, c := range m.Examine() {
			if c.Name == name {
				return c
			}
		}
		t.Fatalf("no check is named %s", name)
		return Check{}
	}
	files := ready()
	delete(files, "usr/bin/newgidmap*")
	files["usr/bin/newgidmap"] = ""
	files["proc/sys/kernel/apparmor_restrict_unprivileged_userns"] = "1"
	files["etc/apparmor.d/berth"] = "profile berth /usr/bin/berth flags=(unconfined) {\n  userns,\n}\n"
	files["home/kind"], files["home/bob/"+storageConf] = "nfs", "[storage]\n graphroot = \"/srv/bob\"\n"
	files[userGroup+"cgroup.controllers"], files[DelegationFile] = "pids", DelegationText
	m := machine(plant(t, files))
	if c := one(m, "newgidmap"); c.State != CheckWrong || c.Mend != "chmod u+s /usr/bin/newgidmap" {
		t.Errorf("a program without rights: %+v", c)
	}
	if c := one(m, "kernel.apparmor_restrict_unprivileged_userns"); c.State != CheckOK {
		t.Errorf("with a profile: %+v", c)
	}
	if c := one(m, "storage"); c.State != CheckOK || c.Found != "/srv/bob, on ext4" {
		t.Errorf("images elsewhere: %+v", c)
	}
	if c := one(m, "delegation"); c.State != CheckWrong || !strings.Contains(c.Mend, "systemctl restart user@1000.service") {
		t.Errorf("a drop-in that is not in force: %+v", c)
	}
	for runtime, want := range map[string]string{"": CheckWrong, "/run/user/0": CheckWrong, "/run/user/1000/": CheckOK} {
		m.Runtime = runtime
		if c := one(m, "XDG_RUNTIME_DIR"); c.State != want {
			t.Errorf("XDG_RUNTIME_DIR=%q: %+v", runtime, c)
		}
	}
}
