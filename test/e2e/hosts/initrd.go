package hosts

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// initScript is the first program of the virtual machine. At the first boot it copies the payload from the second disk to the
// first, and waits for that, so that a power cut right after the boot loses nothing of it.
const initScript = `#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t devtmpfs devtmpfs /dev
$bb insmod /virtio_blk.ko
until [ -b /dev/vda ] && [ -b /dev/vdb ]; do $bb usleep 1000; done
$bb mount -t ext4 /dev/vda /root || $bb poweroff -f
if [ ! -e /root/etc/.berth-payload ]; then
	$bb tar -x -f /dev/vdb -C /root
	$bb touch -d @1 /root/usr # see payload.date
	$bb touch /root/etc/.berth-payload
	$bb sync
fi
exec $bb switch_root /root /sbin/init
`

// writeInitrd writes the virtual machine's first file system.
func writeInitrd(to, tree string) error {
	busybox, err := os.ReadFile(filepath.Join(tree, "usr/bin/busybox"))
	if err != nil {
		return err
	}
	driver, err := readModule(tree, "kernel/drivers/block/virtio_blk.ko.xz")
	if err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := bufio.NewWriter(f)
	c := cpio{w: buf}
	for _, dir := range []string{"bin", "dev", "root"} {
		c.dir(dir, 0o755)
	}
	c.file("bin/busybox", 0o755, busybox)
	c.file("virtio_blk.ko", 0o644, driver)
	c.file("init", 0o755, []byte(initScript))
	c.close()
	if c.err != nil {
		return c.err
	}
	return buf.Flush()
}

// readModule unpacks a module of the tree's one kernel with the tree's busybox, which is static.
func readModule(tree, name string) ([]byte, error) {
	found, err := filepath.Glob(filepath.Join(tree, "usr/lib/modules", "*", name))
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("one module %s expected in the tree, found %d", name, len(found))
	}
	data, err := exec.Command(filepath.Join(tree, "usr/bin/busybox"), "xzcat", found[0]).Output()
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", name, err)
	}
	return data, nil
}

// cpio writes an archive in the form that the kernel unpacks ("newc", Documentation/driver-api/early-userspace). All
// entries belong to root. The first error stays in err.
type cpio struct {
	w     io.Writer
	inode int
	err   error
}

func (c *cpio) dir(name string, mode fs.FileMode) {
	c.entry(name, 0o040000|uint32(mode.Perm()), nil)
}

func (c *cpio) file(name string, mode fs.FileMode, data []byte) {
	c.entry(name, 0o100000|uint32(mode.Perm()), data)
}

func (c *cpio) close() {
	c.entry("TRAILER!!!", 0, nil)
}

func (c *cpio) entry(name string, mode uint32, data []byte) {
	if c.err != nil {
		return
	}
	c.inode++
	const links, zero = 1, 0
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		c.inode, mode, zero, zero, links, zero, len(data), zero, zero, zero, zero, len(name)+1, zero)
	for _, part := range [][]byte{padded([]byte(header+name+"\x00"), 4), padded(data, 4)} {
		if _, err := c.w.Write(part); err != nil {
			c.err = err
			return
		}
	}
}

// padded returns b with zeros up to a multiple of n.
func padded(b []byte, n int) []byte {
	if rest := len(b) % n; rest != 0 {
		return append(b[:len(b):len(b)], make([]byte, n-rest)...)
	}
	return b
}
