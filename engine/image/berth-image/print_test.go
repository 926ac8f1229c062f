//go:build containers_image_openpgp

package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-pods/berth/engine/image"
)

// What the verbs that need no registry print.
func TestPrinting(t *testing.T) {
	s := newShell(t)
	dir := t.TempDir()
	s.want(0, "Loaded image: localhost/web:1\nLoaded image: localhost/web:2\n", "", "load", "-q", "-i", write(t, filepath.Join(dir, "web.tar"), webImage(t)))
	for _, c := range []struct {
		args string
		want string // part of the output
		code int
	}{
		{"save -q -o " + dir + "/out.tar web:1 web:2", "", 0},
		{"save -q web:1", "manifest.json", 0},
		{"save -q --format oci-dir web:1", "say which with -o", 125},
		{"save --compress web:1", "--compress is for --format docker-dir", 125},
		{"history --format json web:1", "[", 0},
		{"history web:1", "CREATED BY", 0},
		{"history nope", "no such image", 125},
		{"image tree web:1", "No Image Layers", 0},
		{"image tree --whatrequires web:1", "No Image Layers", 0},
		{"history web:1", "ID          CREATED", 0},
		{"import -q -m a\x1b[2Jb\u009bc " + dir + "/web.tar evil", "", 0},
		{"history evil", "a?[2Jb?c", 0},
		{"images --history", "HISTORY", 0},
		{"images --format {{.Id}}/{{.SharedSize}}/{{.ParentId}}/{{.Arch}}", "/0//amd64", 0},
		{"image inspect web:1", `"Annotations": {}`, 0},
		{"image inspect --format {{.Labels.nope}} web:1", "<no value>", 0},
		{"images --filter until=x", "is no time", 125},
		{"images --filter manifest=x", "neither true nor false", 125},
		{"search --list-tags --filter stars=1 x.example/web", "--filter is about what a search finds", 125},
		{"login --secret x --password y host", "--secret has the password", 125},
		{"push --encryption-key x web:1 dir:" + dir + "/e", "--encryption-key x: write it as jwe:FILE", 125},
		{"push --encrypt-layer 0 web:1 dir:" + dir + "/e", "with which key? Give --encryption-key too", 125},
		{"push --encryption-key jwe:k --encrypt-layer 0,x web:1 dir:" + dir + "/e", "write the numbers of layers", 125},
		{"image prune", "Go on? [y/N]", 0},
		{"image exists web:1", "", 0},
		{"push web:1 web:9", "names no registry", 125},
		{"untag web:2", "", 0},
		{"login", "say which registry", 125},
		{"login --username me --password-stdin --password x host", "cannot be given together", 125},
		{"login host.example:1", "there is no terminal", 125},
		{"login --get-login --authfile " + dir + "/none host.example:1", "not logged in to host.example:1", 125},
		{"logout --authfile " + dir + "/none host.example:1", "not logged in to host.example:1", 125},
		{"search web", "names no registry", 125},
		{"search --filter colour=red x.example/web", "there are stars", 125},
		{"image trust", "unrecognized command", 125},
	} {
		out, err, code := s.run("", strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out+err, c.want) {
			t.Errorf("%s: exit %d, %q %q; want %d and %q", c.args, code, out, err, c.code, c.want)
		}
	}
	if _, err, code := s.run("y\n", "image", "prune", "-a"); code != 0 {
		t.Error(err)
	}
	s.want(1, "", "", "image", "exists", "web:1")
	s.want(0, "Loaded image: localhost/web:1\nLoaded image: localhost/web:2\n", "", "load", "-q", "-i", filepath.Join(dir, "out.tar"))
}

// Sizes and tables are as Podman prints them.
func TestPodmansForms(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 11331: "11.3 kB", 2175602: "2.18 MB", 1e9: "1 GB", 123456789: "123 MB"} {
		if got := sizeOf(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	var b strings.Builder
	if err := printRows(&b, "table {{.ID}} {{.Repository}}", []any{row{ID: "e500cddd5270", Repository: "localhost/two"}}, row{}, false); err != nil {
		t.Fatal(err)
	}
	if want := "IMAGE ID      REPOSITORY\ne500cddd5270  localhost/two\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	b.Reset()
	all := []image.Summary{{ID: "e500cddd5270", Names: []string{"localhost/two:1"}, Size: 1500, Created: time.Unix(7, 0), History: []string{"localhost/one:1"}}}
	if err := printImages(&b, all, listing{format: "{{json .}}", sort: "created"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"repository":"localhost/two","tag":"1"`, `"Repository":"localhost/two","Tag":"1"`, `"Created":7`, `"Size":1500`, `"History":["localhost/one:1"]`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s is not in %s", want, b.String())
		}
	}
}
