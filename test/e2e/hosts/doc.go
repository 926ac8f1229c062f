// Package hosts makes the throw-away machines that the end-to-end tests run on: a systemd-nspawn machine, which boots in
// about a second on any Linux with root, and a QEMU virtual machine, which has a kernel, resource limits and a power switch
// of its own. Both come from one Debian root tree that Setup builds with mmdebstrap and keeps under .cache/hosts.
package hosts
