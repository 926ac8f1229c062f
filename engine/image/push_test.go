//go:build containers_image_openpgp

package image

import (
	"archive/tar"
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.podman.io/image/v5/signature/sigstore"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

func (r realRegistry) access() Registry {
	return Registry{CertDir: r.certs, User: user, Password: password}
}

func (r realRegistry) pull() PullOptions {
	return PullOptions{CertDir: r.certs, User: user, Password: password}
}

func loadWeb(t *testing.T, im *Images) string {
	t.Helper()
	l, err := im.LoadStream(t.Context(), bytes.NewReader(imageFiles(t, archive.OCI, twoLayers(t, "web")).tar(t)), "web")
	if err != nil {
		t.Fatal(err)
	}
	return l[0].ID
}

// What was pushed in any form is the same image when it comes back.
func TestPush(t *testing.T) {
	r := startRegistry(t)
	im := openStore(t)
	loadWeb(t, im)
	nine := 9
	for _, c := range []struct {
		tag  string
		o    PushOptions
		want string // media type of the layers
	}{
		{"plain", PushOptions{}, "application/vnd.oci.image.layer.v1.tar+gzip"},
		{"docker", PushOptions{Format: "v2s2", Level: &nine}, "application/vnd.docker.image.rootfs.diff.tar.gzip"},
		{"zstd", PushOptions{Compression: "zstd", ForceCompression: true}, "application/vnd.oci.image.layer.v1.tar+zstd"},
		{"chunked", PushOptions{Compression: "zstd:chunked", ForceCompression: true}, "application/vnd.oci.image.layer.v1.tar+zstd"},
	} {
		t.Run(c.tag, func(t *testing.T) {
			c.o.Registry = r.access()
			name := r.host + "/team/web:" + c.tag
			d, err := im.Push(t.Context(), "web", name, c.o)
			if err != nil {
				t.Fatal(err)
			}
			other := openStore(t)
			if _, err := other.Pull(t.Context(), name, r.pull()); err != nil {
				t.Fatal(err)
			}
			img, _, err := other.lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			m, err := other.manifest(img)
			if err != nil || m.Layers[0].MediaType != c.want || img.Digest != d {
				t.Errorf("layer type %q, digest %s, %v; want %q and %s", m.Layers[0].MediaType, img.Digest, err, c.want, d)
			}
			if got := fileInImage(t, other, img.ID, "upper"); got != strings.Repeat("two", 5000) {
				t.Errorf("a file has %d bytes", len(got))
			}
		})
	}
	for _, c := range []struct {
		dest string
		o    PushOptions
		want string
	}{
		{"web", PushOptions{}, "names no registry"},
		{r.host + "/x", PushOptions{Format: "squash"}, "use oci, v2s2 or v2s1"},
		{r.host + "/x", PushOptions{Compression: "zstd", Format: "v2s2"}, "has no zstd"},
		{"docker-daemon:x", PushOptions{}, "nothing is written there"},
		{r.host + "/x", PushOptions{}, "wants other credentials"},
	} {
		o := c.o
		o.CertDir = r.certs
		if _, err := im.Push(t.Context(), "web", c.dest, o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("push to %s: %v, want %q", c.dest, err, c.want)
		}
	}
}

// Each format that can be saved can be loaded, and is the same image.
func TestSave(t *testing.T) {
	im := openStore(t)
	id := loadWeb(t, im)
	if err := im.Tag("web", []string{"web:2"}); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"docker-archive", "oci-archive", "oci-dir", "docker-dir"} {
		t.Run(format, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "out")
			names := []string{"web", "web:2"}
			if format != "docker-archive" {
				names = names[:1]
			}
			if err := im.Save(t.Context(), names, path, SaveOptions{Format: format}); err != nil {
				t.Fatal(err)
			}
			other := openStore(t)
			loaded, err := other.Load(t.Context(), path)
			if err != nil || len(loaded) != 1 {
				t.Fatalf("%v, %v", loaded, err)
			}
			if format == "docker-archive" && !slices.Equal(loaded[0].Names, []string{"localhost/web:latest", "localhost/web:2"}) {
				t.Errorf("names %q", loaded[0].Names)
			}
			if got := fileInImage(t, other, loaded[0].ID, "upper"); got != strings.Repeat("two", 5000) {
				t.Errorf("a file has %d bytes", len(got))
			}
		})
	}
	path := filepath.Join(t.TempDir(), "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := im.Save(ctx, []string{id}, path, SaveOptions{Format: "docker-archive"}); err == nil || exists(path) {
		t.Errorf("%v; an interrupted save must leave no archive", err)
	}
	if left, _ := filepath.Glob(filepath.Dir(path) + "/.*"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if err := im.Save(t.Context(), []string{"web"}, t.TempDir()+"/no/such", SaveOptions{Format: "oci-archive"}); err == nil {
		t.Error("no error for a directory that is not there")
	}
}

func TestImport(t *testing.T) {
	im := openStore(t)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: "hello", Size: 2, Mode: 0o644})
	_, _ = w.Write([]byte("hi"))
	_ = w.Close()
	file := writeFile(t, "root.tar", b.String())
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(file))))
	defer server.Close()
	changes := []string{`CMD ["/web","-x"]`, "ENV A=b", `LABEL a="b"`, "EXPOSE 80", "USER 7", "WORKDIR /w", "ENTRYPOINT /start", "VOLUME /data", "STOPSIGNAL=9"}
	for source, in := range map[string]string{file: "", "-": b.String(), server.URL + "/root.tar": ""} {
		id, err := im.Import(t.Context(), source, strings.NewReader(in), ImportOptions{Name: "root:1", Changes: changes, Message: "by hand"})
		if err != nil {
			t.Fatal(err)
		}
		d, err := im.Inspect("root:1")
		c := d.Config
		if err != nil || d.ID != id || !slices.Equal(c.Cmd, []string{"/web", "-x"}) || c.Env[0] != "A=b" || c.Labels["a"] != "b" || c.User != "7" ||
			c.WorkingDir != "/w" || !slices.Equal(c.Entrypoint, []string{"/start"}) || len(c.Volumes) != 1 || c.StopSignal != "9" || d.Os != "linux" {
			t.Errorf("%s: %+v, %v", source, d, err)
		}
		if fileInImage(t, im, id, "hello") != "hi" {
			t.Errorf("%s: the file is not there", source)
		}
	}
	old := time.Unix(1e9, 0)
	if err := os.Chtimes(file, old, old); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for range 2 { // the same archive is the same image
		id, err := im.Import(t.Context(), file, nil, ImportOptions{})
		ids = append(ids, id)
		if d, err2 := im.Inspect(id); err != nil || err2 != nil || !d.Created.Equal(old) || id != ids[0] {
			t.Errorf("%s, %v, %v, %+v", id, err, err2, d)
		}
	}
	for source, want := range map[string]string{"/no/such": "no file", server.URL + "/none": "404"} {
		if _, err := im.Import(t.Context(), source, nil, ImportOptions{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", source, err, want)
		}
	}
	if _, err := im.Import(t.Context(), file, nil, ImportOptions{Changes: []string{"RUN x"}}); err == nil || !strings.Contains(err.Error(), "use CMD") {
		t.Errorf("%v", err)
	}
}

func TestHistoryAndTree(t *testing.T) {
	im := openStore(t)
	id := loadWeb(t, im)
	_, nodes, err := im.Tree("web")
	if err != nil || len(nodes) != 2 || !slices.Equal(nodes[0].Tops, []string{"localhost/web:latest"}) || len(nodes[1].Tops) != 0 {
		t.Errorf("%+v, %v", nodes, err)
	}
	based := twoLayers(t, "based")
	based.Layers = append(based.Layers, layer(t, "third", "x"))
	if _, err := im.LoadStream(t.Context(), bytes.NewReader(imageFiles(t, archive.OCI, based).tar(t)), "based"); err != nil {
		t.Fatal(err)
	}
	_, nodes, err = im.Requires("web")
	if err != nil || len(nodes) != 1 || nodes[0].Tops[0] != "localhost/web:latest" || len(nodes[0].Kids) != 1 || nodes[0].Kids[0].Tops[0] != "localhost/based:latest" {
		t.Errorf("%+v, %v", nodes, err)
	}
	steps, err := im.History("web")
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) > 0 && steps[0].ID != id {
		t.Errorf("%+v", steps)
	}
}

func TestPrune(t *testing.T) {
	im := openStore(t)
	loadWeb(t, im)
	now := time.Now()
	names := func() []string { // of the images that are there
		all, err := im.List(nil)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range all {
			names = append(names, strings.Join(s.Names, " "))
		}
		return names
	}
	prune := func(o PruneOptions) int {
		t.Helper()
		o.Now = now
		removed, err := im.Prune(o)
		if err != nil {
			t.Fatal(err)
		}
		return len(removed)
	}
	if n := prune(PruneOptions{}); n != 0 {
		t.Errorf("%d images with names were removed", n)
	}
	if n := prune(PruneOptions{All: true, Filters: []string{"label=app=other"}}) + prune(PruneOptions{All: true, Filters: []string{"label!=app"}}); n != 0 {
		t.Errorf("%d images were removed that do not match", n)
	}
	if err := im.Tag("web", []string{LastGood + "x"}); err != nil {
		t.Fatal(err)
	}
	if n := prune(PruneOptions{All: true}); n != 0 {
		t.Errorf("the last good image of a unit was removed: %v", names())
	}
	if err := im.Untag("web", nil); err != nil {
		t.Fatal(err)
	}
	if n := prune(PruneOptions{Filters: []string{"until=2000-01-01"}}); n != 0 {
		t.Errorf("an image was removed that is not so old")
	}
	if n := prune(PruneOptions{Filters: []string{"until=1h"}}); n != 0 {
		t.Error("an image was removed that is younger than an hour")
	}
	now = now.Add(2 * time.Hour)
	if n := prune(PruneOptions{Filters: []string{"until=1h"}}); n != 1 || len(names()) != 0 {
		t.Errorf("%d were removed, left %v", n, names())
	}
	if _, err := im.Prune(PruneOptions{Filters: []string{"colour=red"}}); err == nil {
		t.Error("an unknown filter was taken")
	}
}

func TestLogin(t *testing.T) {
	r := startRegistry(t)
	isolate(t)
	a := OpenAccounts()
	file := filepath.Join(t.TempDir(), "auth.json")
	access := Registry{CertDir: r.certs, AuthFile: file, User: user, Password: "wrong"}
	if _, err := a.Login(t.Context(), r.host, access); err == nil || !strings.Contains(err.Error(), "does not take this user and password") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("wrong credentials were stored")
	}
	access.Password = password
	if _, err := a.Login(t.Context(), "https://"+r.host, access); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: others can read the password", info, err)
	}
	access.User, access.Password = "", ""
	if got, err := a.User(r.host, access); err != nil || got != user {
		t.Errorf("%q, %v", got, err)
	}
	im := openStore(t)
	r.push(t, "team/web", "1", twoLayers(t))
	if _, err := im.Pull(t.Context(), r.host+"/team/web:1", PullOptions{CertDir: r.certs, AuthFile: file}); err != nil {
		t.Errorf("pull with the stored credentials: %v", err)
	}
	if found, err := a.Search(t.Context(), r.host+"/web", 5, access); err != nil || len(found) != 1 || found[0].Name != r.host+"/team/web" {
		t.Errorf("search: %+v, %v", found, err)
	}
	if tags, err := a.Tags(t.Context(), r.host+"/team/web", 5, access); err != nil || len(tags) != 1 || tags[0].Tag != "1" {
		t.Errorf("tags: %+v, %v", tags, err)
	}
	t.Setenv("REGISTRY_AUTH_FILE", file)
	if d, err := a.Digest(t.Context(), r.host+"/team/web:1", Registry{CertDir: r.certs}); err != nil || !strings.HasPrefix(d, "sha256:") {
		t.Errorf("with $REGISTRY_AUTH_FILE: %q, %v", d, err)
	}
	if err := a.Logout(r.host, access); err != nil {
		t.Fatal(err)
	}
	if err := a.Logout(r.host, access); err == nil || !strings.Contains(err.Error(), "not logged in") {
		t.Errorf("%v", err)
	}
}

// A policy that wants a signature by a key refuses what is unsigned, signed by another key or tampered with, before a
// layer is fetched, and takes what is signed.
func TestSigstorePolicy(t *testing.T) {
	r := startRegistry(t)
	im := openStore(t)
	loadWeb(t, im)
	im.sys.RegistriesDirPath = filepath.Dir(writeFile(t, "all.yaml", "default-docker:\n  use-sigstore-attachments: true\n"))
	mine, public := keyPair(t)
	theirs, _ := keyPair(t)
	push := func(tag, key string) {
		t.Helper()
		if _, err := im.Push(t.Context(), "web", r.host+"/web:"+tag, PushOptions{Registry: r.access(), SigstoreKey: key, Passphrase: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	push("signed", mine)
	other := twoLayers(t, "other")
	other.Config.User = "9"
	if _, err := im.LoadStream(t.Context(), bytes.NewReader(imageFiles(t, archive.OCI, other).tar(t)), "x"); err != nil {
		t.Fatal(err)
	}
	for tag, key := range map[string]string{"unsigned": "", "wrong-key": theirs} {
		if _, err := im.Push(t.Context(), "other", r.host+"/"+tag+":1", PushOptions{Registry: r.access(), SigstoreKey: key, Passphrase: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	r.moveSignature(t, "web", "signed", "tampered")
	strict := `{"default":[{"type":"sigstoreSigned","keyPath":"` + public + `","signedIdentity":{"type":"matchRepository"}}]}`
	for _, c := range []struct{ image, want string }{
		{"/unsigned:1", "signature was required"},
		{"/wrong-key:1", "refused by the signature policy: cryptographic"},
		{"/tampered:1", "refused by the signature policy"},
		{"/web:signed", ""},
	} {
		t.Run(c.image[1:], func(t *testing.T) {
			to := openStoreWith(t, Options{SignaturePolicy: writeFile(t, "policy.json", strict)})
			to.sys.RegistriesDirPath = im.sys.RegistriesDirPath
			_, err := to.Pull(t.Context(), r.host+c.image, r.pull())
			t.Log(err)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				checkSigned(t, to, r.host+c.image)
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			mustBeEmpty(t, to)
		})
	}
}

// checkSigned sees to it that the signature is kept with the image.
func checkSigned(t *testing.T, im *Images, s string) {
	t.Helper()
	img, _, err := im.lookup(s)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(img.BigDataNames, func(n string) bool { return strings.HasPrefix(n, "signature") && img.BigDataSizes[n] > 0 }) {
		t.Errorf("the signature is not kept: %v", img.BigDataSizes)
	}
}

// keyPair makes a key pair of sigstore's kind with the passphrase x.
func keyPair(t *testing.T) (private, public string) {
	t.Helper()
	k, err := sigstore.GenerateKeyPair([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "key", string(k.PrivateKey)), writeFile(t, "key.pub", string(k.PublicKey))
}
