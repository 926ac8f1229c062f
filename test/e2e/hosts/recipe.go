package hosts

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"runtime"
	"slices"
	"strings"
)

// suite is the Debian release of the machines: systemd 257, crun 1.21, netavark 1.14, podman 5.4.
const suite = "trixie"

// packages of the root tree, beyond Debian's essential ones.
var packages = []string{
	// the system
	"systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "udev", "kmod", "procps", "psmisc",
	"ca-certificates", "apparmor", "dmsetup", "e2fsprogs",
	// what berth calls
	"systemd-container", "crun", "runc", "criu", "libcriu2", "netavark", "aardvark-dns", "passt", "uidmap", "fuse-overlayfs", "catatonit",
	"nftables", "iptables", "iproute2",
	// what tests call, and what goes into test images
	"podman", "curl", "iputils-ping", "socat", "attr", "secilc", "jq", "strace", "time", "less", "busybox-static", "docker-registry", "nginx-light", "redis-server",
	// the emulator of the virtual machine, run from the tree: Debian 12's hangs its guests
	"qemu-system-x86", "qemu-utils", "seabios",
}

// tools are the programs that set-up needs on the build machine, and Debian's packages for them.
var tools = []struct{ program, pkg string }{
	{"systemd-nspawn", "systemd-container"},
	{"mmdebstrap", "mmdebstrap"},
	{"mke2fs", "e2fsprogs"},
	{"unshare", "util-linux"},
}

// customize finishes the tree; mmdebstrap runs it with the tree's path as its argument.
//
//go:embed customize.sh
var customize string

// diskSize is the size of the virtual machine's disk; the image is sparse.
const diskSize = "8G"

// packages are those of the recipe and the cache's own.
func (c Cache) packages() []string { return slices.Concat(packages, c.Packages) }

// recipeKey names the tree in the cache: any change to the recipe makes another.
func (c Cache) recipeKey() string {
	h := sha256.New()
	for _, part := range []string{suite, runtime.GOARCH, strings.Join(c.packages(), " "), customize, diskSize} {
		h.Write([]byte(part + "\x00"))
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}
