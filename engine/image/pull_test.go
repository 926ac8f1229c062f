//go:build containers_image_openpgp

package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/types"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

// plain lets a pull talk to the test's registry, which has no TLS.
func plain(o PullOptions) PullOptions {
	no := false
	o.TLSVerify = &no
	o.RetryDelay = time.Millisecond
	return o
}

func pullOne(t *testing.T, im *Images, s string, o PullOptions) string {
	t.Helper()
	ids, err := im.Pull(t.Context(), s, plain(o))
	if err != nil || len(ids) != 1 {
		t.Fatalf("Pull(%q) = %q, %v; want one image", s, ids, err)
	}
	return ids[0]
}

func TestPull(t *testing.T) {
	var last Progress
	im := openStoreWith(t, Options{Report: func(p Progress) { last = p }})
	r := newRegistry(t)
	d := r.add(t, "team/web:1", twoLayers(t))
	id := pullOne(t, im, r.host()+"/team/web:1", PullOptions{})
	details, err := im.Inspect(r.host() + "/team/web:1")
	if err != nil {
		t.Fatal(err)
	}
	if details.ID != id || details.Digest != d || details.User != "7:8" || !slices.Contains(details.RepoDigests, r.host()+"/team/web@"+d) {
		t.Errorf("%+v", details)
	}
	if got := fileInImage(t, im, id, "lower"); got != strings.Repeat("one", 5000) {
		t.Errorf("a file of the lower layer has %d bytes, not those it had", len(got))
	}
	if last.Total == 0 || last.Done != last.Total || last.Blobs != 3 || last.Of != 3 || last.Image != r.host()+"/team/web:1" {
		t.Errorf("the last progress was %+v, want all of 3 blobs", last)
	}
	if found, _ := im.Exists(r.host() + "/team/web@" + d); !found {
		t.Error("it is not found by its digest")
	}
}

func TestPullByDigest(t *testing.T) {
	im, r := openStore(t), newRegistry(t)
	d := r.add(t, "web:1", twoLayers(t))
	pullOne(t, im, r.host()+"/web:other@"+d, PullOptions{})
	if found, _ := im.Exists(r.host() + "/web@" + d); !found {
		t.Error("it is not found by the name it was pulled by")
	}
}

func TestPullPlatform(t *testing.T) {
	im, r := openStore(t), newRegistry(t)
	arm, amd := twoLayers(t), twoLayers(t)
	arm.Arch, arm.Config.User = "arm64", "arm"
	r.addIndex(t, "web:1", map[string]string{"amd64": r.add(t, "a:1", amd), "arm64": r.add(t, "b:1", arm)})
	pullOne(t, im, r.host()+"/web:1", PullOptions{OS: "linux", Arch: "arm64"})
	if d, err := im.Inspect(r.host() + "/web:1"); err != nil || d.User != "arm" || d.Architecture != "arm64" {
		t.Errorf("%+v, %v; want the image for arm64", d, err)
	}
	pullOne(t, im, r.host()+"/web:1", PullOptions{OS: "linux", Arch: "amd64", Policy: Missing})
	if d, err := im.Inspect(r.host() + "/web:1"); err != nil || d.Architecture != "amd64" {
		t.Errorf("%+v, %v; want the image for amd64, as the other one is for another platform", d, err)
	}
}

func TestPullPolicy(t *testing.T) {
	im, r := openStore(t), newRegistry(t)
	r.add(t, "web:1", twoLayers(t))
	name := r.host() + "/web:1"
	_, err := im.Pull(t.Context(), name, plain(PullOptions{Policy: Never}))
	if !errors.Is(err, ErrMissing) || r.count("manifests") != 0 {
		t.Errorf("never: %v after %d requests, want ErrMissing after none", err, r.count("manifests"))
	}
	first := pullOne(t, im, name, PullOptions{Policy: Missing})
	asked, blobs := r.count("manifests"), r.count("blobs")
	for _, p := range []Policy{Never, Missing} {
		if id := pullOne(t, im, name, PullOptions{Policy: p}); id != first || r.count("manifests") != asked {
			t.Errorf("%s asks the registry for what is here", p)
		}
	}
	if id := pullOne(t, im, name, PullOptions{Policy: Newer}); id != first || r.count("manifests") == asked || r.count("blobs") != blobs {
		t.Errorf("newer: %d manifests and %d blobs asked for, want a look at the manifest alone", r.count("manifests")-asked, r.count("blobs")-blobs)
	}
	_, err = im.Pull(t.Context(), name, plain(PullOptions{Policy: Never, OS: "linux", Arch: "other"}))
	if want := fmt.Sprintf("image %q for linux/other: ", name); !errors.Is(err, ErrMissing) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("never, for another platform: %v", err)
	}
	changed := twoLayers(t)
	changed.Config.User = "changed"
	r.add(t, "web:1", changed)
	if id := pullOne(t, im, name, PullOptions{Policy: Missing}); id != first {
		t.Error("missing: fetched what was here")
	}
	second := pullOne(t, im, name, PullOptions{Policy: Newer})
	if second == first {
		t.Error("newer: did not fetch the new image")
	}
	r.Close()
	if id := pullOne(t, im, name, PullOptions{Policy: Newer}); id != second {
		t.Error("newer: did not make do with what is here when the registry was gone")
	}
	if _, err := im.Pull(t.Context(), name, plain(PullOptions{Policy: Always})); err == nil {
		t.Error("always: succeeded without the registry")
	}
}

func TestPullAllTags(t *testing.T) {
	im, r := openStore(t), newRegistry(t)
	r.add(t, "web:1", twoLayers(t))
	r.add(t, "web:2", twoLayers(t))
	ids, err := im.Pull(t.Context(), r.host()+"/web", plain(PullOptions{AllTags: true}))
	if err != nil || len(ids) != 2 {
		t.Errorf("%q, %v; want two images", ids, err)
	}
	if found, _ := im.Exists(r.host() + "/web:2"); !found {
		t.Error("web:2 is missing")
	}
}

func TestPullRetries(t *testing.T) {
	for _, c := range []struct {
		name   string
		refuse func(n int, w http.ResponseWriter)
		fails  int // requests that fail
		want   string
		tries  int // requests for manifests
	}{
		{"busy and then not", func(_ int, w http.ResponseWriter) { answer(w, http.StatusServiceUnavailable, "UNAVAILABLE") }, 2, "", 3},
		{"busy for ever", func(_ int, w http.ResponseWriter) { answer(w, http.StatusServiceUnavailable, "UNAVAILABLE") }, 99, "", 4},
		{"the link breaks", func(_ int, w http.ResponseWriter) { panic(http.ErrAbortHandler) }, 1, "", 2},
		{"no such image", func(_ int, w http.ResponseWriter) { answer(w, http.StatusNotFound, "MANIFEST_UNKNOWN") }, 99, "has no image of this name and tag", 1},
		{"no such repository", func(_ int, w http.ResponseWriter) { answer(w, http.StatusNotFound, "NAME_UNKNOWN") }, 99, "has no such image, or shows it only", 1},
		{"denied", func(_ int, w http.ResponseWriter) { answer(w, http.StatusForbidden, "DENIED") }, 99, "give --creds or --authfile", 1},
		{"unauthorized", func(_ int, w http.ResponseWriter) { answer(w, http.StatusUnauthorized, "UNAUTHORIZED") }, 99, "wants other credentials", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			im, r := openStore(t), newRegistry(t)
			r.add(t, "web:1", twoLayers(t))
			n := 0
			r.refuse = func(w http.ResponseWriter, q *http.Request) bool {
				if n++; n > c.fails {
					return false
				}
				c.refuse(n, w)
				return true
			}
			_, err := im.Pull(t.Context(), r.host()+"/web:1", plain(PullOptions{Retry: 3}))
			if failed := c.fails > 3; failed != (err != nil) || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if err != nil {
				t.Log(err)
				mustBeEmpty(t, im)
			}
			if got := r.count("manifests"); got != c.tries {
				t.Errorf("asked %d times, want %d", got, c.tries)
			}
		})
	}
}

// A layer whose transfer breaks in the middle is fetched again, and the image is whole in the end.
func TestPullSurvivesBrokenLayer(t *testing.T) {
	im, r := openStore(t), newRegistry(t)
	i := twoLayers(t)
	r.add(t, "web:1", i)
	broken := 0
	r.refuse = func(w http.ResponseWriter, q *http.Request) bool {
		if broken > 0 || !strings.HasSuffix(q.URL.Path, i.Layers[1].Digest()) {
			return false
		}
		broken++
		data := r.blobs[i.Layers[1].Digest()]
		w.Header().Set("Content-Length", "16384")
		_, _ = w.Write(data[:len(data)/2])
		panic(http.ErrAbortHandler)
	}
	id := pullOne(t, im, r.host()+"/web:1", PullOptions{Retry: 3})
	if got := fileInImage(t, im, id, "upper"); got != strings.Repeat("two", 5000) || broken != 1 {
		t.Errorf("after %d breaks the layer's file has %d bytes, not those it had", broken, len(got))
	}
}

func TestPullRefusesWrongBytes(t *testing.T) {
	im, r := openStore(t), newRegistry(t)
	i := twoLayers(t)
	r.add(t, "web:1", i)
	r.blobs[i.Layers[1].Digest()] = []byte("something else")
	_, err := im.Pull(t.Context(), r.host()+"/web:1", plain(PullOptions{}))
	if err == nil {
		t.Error("a layer with the wrong digest was accepted")
	}
	if images, _ := im.store.Images(); len(images) != 0 {
		t.Errorf("%d images are stored", len(images))
	}
}

func TestPullIsInterrupted(t *testing.T) {
	im, r := openStore(t), newRegistry(t)
	r.add(t, "web:1", twoLayers(t))
	ctx, cancel := context.WithCancel(t.Context())
	r.refuse = func(w http.ResponseWriter, q *http.Request) bool {
		if !strings.Contains(q.URL.Path, "/blobs/") {
			return false
		}
		cancel()
		<-q.Context().Done()
		return true
	}
	_, err := im.Pull(ctx, r.host()+"/web:1", plain(PullOptions{Retry: 3}))
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("error %v, want one that says interrupted", err)
	}
	mustBeEmpty(t, im)
}

func TestPullRefusedByPolicy(t *testing.T) {
	im := openStoreWith(t, Options{SignaturePolicy: writeFile(t, "policy.json", `{"default":[{"type":"reject"}]}`)})
	r := newRegistry(t)
	r.add(t, "web:1", twoLayers(t))
	for _, s := range []string{r.host() + "/web:1", "oci:" + imageFiles(t, archive.OCI, twoLayers(t)).dir(t)} {
		_, err := im.Pull(t.Context(), s, plain(PullOptions{Retry: 3}))
		if err == nil || !strings.Contains(err.Error(), "refused by the signature policy") {
			t.Errorf("pull %s: %v, want a refusal by the policy", s, err)
		}
		t.Log(err)
	}
	mustBeEmpty(t, im)
}

func TestPolicyFileMustBeReadable(t *testing.T) {
	for _, file := range []string{"/nonexistent/policy.json", writeFile(t, "policy.json", "{")} {
		im := openStoreWith(t, Options{SignaturePolicy: file})
		_, err := im.Load(t.Context(), writeFile(t, "x.tar", string(imageFiles(t, archive.OCI, twoLayers(t)).tar(t))))
		if err == nil || !strings.Contains(err.Error(), "policy") {
			t.Errorf("%s: %v, want an error about the policy", file, err)
		}
		mustBeEmpty(t, im)
	}
}

// A machine without any policy.json accepts images, as with the file that distributions install.
func TestNoPolicyFile(t *testing.T) {
	isolate(t)
	sys := &types.SystemContext{RootForImplicitAbsolutePaths: t.TempDir()}
	if _, err := policy(sys); err != nil {
		t.Error(err)
	}
	t.Setenv("CONTAINERS_POLICY_JSON", "/nonexistent/policy.json")
	if _, err := policy(&types.SystemContext{}); err == nil {
		t.Error("a policy that the environment names and that is missing was passed over")
	}
}

func TestPullNobodyAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	im := openStore(t)
	_, err = im.Pull(t.Context(), address+"/web", plain(PullOptions{Retry: 1}))
	if err == nil || !strings.Contains(err.Error(), "nothing answers at "+address) {
		t.Errorf("error %v, want one that says that nothing answers", err)
	}
}

func TestPullWithoutTLS(t *testing.T) {
	im, r := openStore(t), newRegistry(t)
	_, err := im.Pull(t.Context(), r.host()+"/web", PullOptions{})
	if err == nil || !strings.Contains(err.Error(), "--tls-verify=false") {
		t.Errorf("error %v, want one that names --tls-verify=false", err)
	}
}

func TestPullLocalName(t *testing.T) {
	im := openStore(t)
	_, err := im.Pull(t.Context(), "localhost/web", PullOptions{Retry: 3})
	if err == nil || !strings.Contains(err.Error(), "load it with berth load") {
		t.Errorf("error %v, want one that says to load it", err)
	}
}

func TestPullShortName(t *testing.T) {
	im, r := openStore(t), newRegistry(t)
	r.add(t, "web:1", twoLayers(t))
	setRegistries(t, "unqualified-search-registries=[\""+r.host()+"\"]\n[aliases]\n\"w\"=\""+r.host()+"/web\"\n")
	first := pullOne(t, im, "web:1", PullOptions{})
	if id := pullOne(t, im, "w:1", PullOptions{}); id != first {
		t.Error("the alias means another image than the search registry")
	}
	for _, s := range []string{"web:1", "w:1", r.host() + "/web:1", first, first[:12]} {
		if ok, err := im.Exists(s); !ok || err != nil {
			t.Errorf("%s is not found (%v)", s, err)
		}
	}
}

func TestPullFiles(t *testing.T) {
	i := twoLayers(t, "web:1", "web:2")
	oci, docker := imageFiles(t, archive.OCI, i), imageFiles(t, archive.Docker, i)
	im := openStore(t)
	for _, s := range []string{
		"oci:" + oci.dir(t), "oci:" + oci.dir(t) + ":web:1", "oci-archive:" + writeFile(t, "x.tar", string(oci.tar(t))) + ":web:2",
		"docker-archive:" + writeFile(t, "x.tar", string(docker.tar(t))), "docker-archive:" + writeFile(t, "x.tar", string(docker.tar(t))) + ":@0",
		"containers-storage:localhost/web:1", "containers-storage:web:2",
	} {
		pullOne(t, im, s, PullOptions{})
	}
	_, err := im.Pull(t.Context(), "oci:"+oci.dir(t)+":db", PullOptions{})
	if err == nil || !strings.Contains(err.Error(), `no image called "db" in it, but web:1, web:2`) {
		t.Errorf("error %v, want one that names what is there", err)
	}
}

func TestDelay(t *testing.T) {
	for _, c := range []struct {
		try    int
		fixed  time.Duration
		jitter float64
		want   time.Duration
	}{
		{0, 0, 0, time.Second}, {3, 0, 0, 8 * time.Second}, {3, 0, 1, 10 * time.Second}, {50, 0, 0, time.Minute},
		{0, 5 * time.Second, 0, 5 * time.Second}, {9, 4 * time.Second, 0.5, 4500 * time.Millisecond},
	} {
		if got := delay(c.try, c.fixed, c.jitter); got != c.want {
			t.Errorf("delay(%d, %s, %g) = %s, want %s", c.try, c.fixed, c.jitter, got, c.want)
		}
	}
}

// What a registry calls a digest and is none is said; taking it apart would panic.
func TestPullWithoutDigests(t *testing.T) {
	r := newRegistry(t)
	i := twoLayers(t, "web")
	good := r.add(t, "web:1", i)
	r.addIndex(t, "list:1", map[string]string{runtime.GOARCH: good})
	for _, c := range []struct{ name, tag, old string }{
		{"a layer", "web:1", i.Layers[0].Digest()},
		{"the config", "web:1", configDigest(t, r.blobs[good])},
		{"an image of a list", "list:1", good},
	} {
		data := bytes.Replace(r.blobs[r.tags[c.tag]], []byte(c.old), []byte("x"), 1)
		d := digest.FromBytes(data).String()
		r.blobs[d], r.types[d], r.tags["bad:1"] = data, r.types[r.tags[c.tag]], d
		im := openStore(t)
		_, err := im.Pull(t.Context(), r.host()+"/bad:1", plain(PullOptions{}))
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", c.name, err)
		}
		t.Logf("%s: %v", c.name, err)
		mustBeEmpty(t, im)
	}
}

func configDigest(t *testing.T, manifest []byte) string {
	t.Helper()
	var m struct{ Config descriptor }
	if err := json.Unmarshal(manifest, &m); err != nil {
		t.Fatal(err)
	}
	return m.Config.Digest.String()
}
