// Package images defines the small container images that the end-to-end tests run. They are made without a network and
// without a container tool. Same input, same bytes.
package images

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"time"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

// created is the date of every image and file: 2024-01-01.
var created = time.Unix(1704067200, 0).UTC()

// file is one entry of a layer.
type file struct {
	path string      // without a leading slash
	mode fs.FileMode // type and permission bits: a directory, a symbolic link or a regular file
	link string      // target of a symbolic link
	data []byte
	uid  int // and gid
}

// Busybox is an image of a static busybox with a link in /bin for each of its applets, a user "app" (1000) besides root,
// and a page for its web server in /var/www.
func Busybox(program []byte, applets []string) (archive.Image, error) {
	var layer bytes.Buffer
	if err := writeLayer(&layer, busyboxFiles(program, applets)); err != nil {
		return archive.Image{}, err
	}
	return archive.Image{
		Names:   []string{"localhost/busybox:latest"},
		Arch:    runtime.GOARCH,
		Created: created,
		Config: archive.Config{
			Cmd: []string{"sh"},
			Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		},
		Layers: []archive.Blob{archive.Bytes(layer.Bytes())},
	}, nil
}

const (
	busyboxUsers = `root:x:0:0:root:/root:/bin/sh
www-data:x:33:33::/var/www:/bin/false
app:x:1000:1000::/home/app:/bin/sh
nobody:x:65534:65534::/:/bin/false
`
	busyboxGroups = `root:x:0:
www-data:x:33:
app:x:1000:
extra:x:2000:app
nogroup:x:65534:
`
)

func busyboxFiles(program []byte, applets []string) []file {
	files := []file{
		{path: "bin", mode: fs.ModeDir | 0o755},
		{path: "bin/busybox", mode: 0o755, data: program},
		{path: "dev", mode: fs.ModeDir | 0o755},
		{path: "etc", mode: fs.ModeDir | 0o755},
		{path: "etc/group", mode: 0o644, data: []byte(busyboxGroups)},
		{path: "etc/passwd", mode: 0o644, data: []byte(busyboxUsers)},
		{path: "home", mode: fs.ModeDir | 0o755},
		{path: "home/app", mode: fs.ModeDir | 0o755, uid: 1000},
		{path: "proc", mode: fs.ModeDir | 0o555},
		{path: "root", mode: fs.ModeDir | 0o700},
		{path: "run", mode: fs.ModeDir | 0o755},
		{path: "sys", mode: fs.ModeDir | 0o555},
		{path: "tmp", mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{path: "var", mode: fs.ModeDir | 0o755},
		{path: "var/www", mode: fs.ModeDir | 0o755},
		{path: "var/www/index.html", mode: 0o644, data: []byte("hello from busybox\n")},
	}
	for _, name := range applets {
		if name != "busybox" {
			files = append(files, file{path: "bin/" + name, mode: fs.ModeSymlink | 0o777, link: "busybox"})
		}
	}
	return files
}

func writeLayer(w io.Writer, files []file) error {
	t := tar.NewWriter(w)
	for _, f := range files {
		h, err := f.header()
		if err != nil {
			return err
		}
		if err := t.WriteHeader(h); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		if _, err := t.Write(f.data); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
	}
	return t.Close()
}

func (f file) header() (*tar.Header, error) {
	h := &tar.Header{
		Name: f.path, Mode: int64(f.mode.Perm()), Uid: f.uid, Gid: f.uid,
		ModTime: created, Size: int64(len(f.data)), Linkname: f.link, Format: tar.FormatPAX,
	}
	if f.mode&fs.ModeSticky != 0 {
		h.Mode |= 0o1000
	}
	switch f.mode.Type() {
	case fs.ModeDir:
		h.Typeflag, h.Name = tar.TypeDir, f.path+"/"
	case fs.ModeSymlink:
		h.Typeflag = tar.TypeSymlink
	case 0:
		h.Typeflag = tar.TypeReg
	default:
		return nil, fmt.Errorf("%s: a file of type %v cannot be in a test image", f.path, f.mode.Type())
	}
	return h, nil
}
