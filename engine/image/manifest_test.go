//go:build containers_image_openpgp

package image

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	imgspecv1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

// loadArch loads an image for an architecture under a name.
func loadArch(t *testing.T, im *Images, name, arch string) digest.Digest {
	t.Helper()
	i := twoLayers(t, name)
	i.Arch, i.Layers = arch, []archive.Blob{layer(t, "arch", arch)}
	if _, err := im.Load(t.Context(), writeFile(t, "i.tar", string(imageFiles(t, archive.OCI, i).tar(t)))); err != nil {
		t.Fatal(err)
	}
	img, _, err := im.lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return img.Digest
}

func mustList(t *testing.T, im *Images, s string, images ...string) string {
	t.Helper()
	id, err := im.CreateList(s, false, nil)
	for _, i := range images {
		if err == nil {
			_, err = im.AddToList(t.Context(), s, Addition{Image: i})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// platforms are the images of a list in short.
func platforms(t *testing.T, im *Images, s string) []string {
	t.Helper()
	index, err := im.Index(s)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range index.Manifests {
		all = append(all, strings.Trim(m.Platform.OS+"/"+m.Platform.Architecture+"/"+m.Platform.Variant, "/"))
	}
	return all
}

// A list is made, changed and removed, and the images in it stay.
func TestManifestList(t *testing.T) {
	im := openStore(t)
	amd, arm := loadArch(t, im, "amd", "amd64"), loadArch(t, im, "arm", "arm64")
	id := mustList(t, im, "both", "amd", "arm", "amd")
	if got := platforms(t, im, "both"); !slices.Equal(got, []string{"linux/arm64", "linux/amd64"}) {
		t.Errorf("the list has %v", got)
	}
	if _, err := im.AnnotateList("both", string(arm), Platform{Variant: "v8", OSVersion: "7", Annotations: map[string]string{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := im.AnnotateIndex(t.Context(), "both", IndexChange{Annotations: map[string]string{"whole": "yes"}}); err != nil {
		t.Fatal(err)
	}
	index, _ := im.Index("both")
	if m := index.Manifests[0]; m.Platform.Variant != "v8" || m.Platform.OSVersion != "7" || m.Annotations["a"] != "b" || index.Annotations["whole"] != "yes" {
		t.Errorf("annotated: %+v", index)
	}
	var from map[string]string
	data, err := im.store.ImageBigData(id, instancesKey)
	if err == nil {
		err = json.Unmarshal(data, &from)
	}
	img, _, _ := im.lookup("amd")
	if err != nil || from[""] != id || !strings.HasSuffix(from[amd.String()], "]@"+img.ID) || strings.Contains(from[amd.String()], "sync=") {
		t.Errorf("where the images come from: %s, %v", data, err)
	}
	if one, _, err := im.lookupImage("both"); err != nil || one.ID != img.ID {
		t.Errorf("the image for this machine: %v, %v", one, err)
	}
	if d, err := im.Inspect("both"); err != nil || d.ID != img.ID {
		t.Errorf("inspect: %v, %v", d.ID, err)
	}
	if _, err := im.RemoveFromList("both", "amd"); err != nil {
		t.Fatal(err)
	}
	if r, err := im.RemoveList("both", RemoveOptions{}); err != nil || r.Deleted != id {
		t.Errorf("removed %+v, %v", r, err)
	}
	if all, err := im.List(nil); err != nil || len(all) != 2 {
		t.Errorf("%d images are left: %v", len(all), err)
	}
}

func TestManifestListErrors(t *testing.T) {
	im := openStore(t)
	loadArch(t, im, "amd", "amd64")
	mustList(t, im, "l")
	for want, f := range map[string]func() error{
		"give --amend":           func() error { _, err := im.CreateList("l", false, nil); return err },
		"there is an image":      func() error { _, err := im.CreateList("amd", false, nil); return err },
		"not a list of images":   func() error { _, err := im.CreateList("amd", true, nil); return err },
		"it is an image, not":    func() error { _, err := im.RemoveList("amd", RemoveOptions{}); return err },
		"no such image":          func() error { _, err := im.Index("nothing"); return err },
		"it has no image sha256": func() error { _, err := im.RemoveFromList("l", digest.FromString("x").String()); return err },
		"names no registry":      func() error { _, err := im.AddToList(t.Context(), "l", Addition{Image: "nothing"}); return err },
		"it is a list of images": func() error { _, _, err := im.lookupImage("l"); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if there, err := im.ListExists("nothing"); there || err != nil {
		t.Errorf("%t, %v", there, err)
	}
	if _, err := im.ListExists("amd"); !errors.Is(err, ErrNotList) {
		t.Errorf("%v", err)
	}
}

// Two who add at the same time both find their image in the list.
func TestManifestListLock(t *testing.T) {
	im := openStore(t)
	id := mustList(t, im, "l")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			d := digest.FromBytes([]byte{byte(i)})
			if err := im.changeList(id, func(l *list) error {
				l.index.Manifests = append(l.index.Manifests, imgspecv1.Descriptor{Digest: d})
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if index, err := im.Index("l"); err != nil || len(index.Manifests) != 20 {
		t.Errorf("%d of 20 are there: %v", len(index.Manifests), err)
	}
}

// A list goes to a registry with its images, and comes back as the image that was asked for. What is added from there
// goes on with it, by digest, even when the tag has moved.
func TestManifestListPush(t *testing.T) {
	r := startRegistry(t)
	im := openStore(t)
	loadArch(t, im, "amd", "amd64")
	loadArch(t, im, "arm", "arm64")
	mustList(t, im, "both", "amd", "arm")
	all := ListPushOptions{PushOptions: PushOptions{Registry: r.access(), All: true}}
	d, err := im.PushList(t.Context(), "both", r.host+"/both:1", all)
	if err != nil {
		t.Fatal(err)
	}
	raw, mime, err := im.RemoteManifest(t.Context(), r.host+"/both:1", r.access())
	if err != nil || !IsList(mime) || digest.FromBytes(raw) != d {
		t.Fatalf("%s, %s, %v, want %s", mime, raw, err, d)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		o := r.pull()
		o.OS, o.Arch = "linux", arch
		other := openStore(t)
		ids, err := other.Pull(t.Context(), r.host+"/both:1", o)
		if err != nil {
			t.Fatal(err)
		}
		if got := fileInImage(t, other, ids[0], "arch"); got != arch {
			t.Errorf("%s got the files of %q", arch, got)
		}
	}
	if _, err := im.CreateList("far", false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := im.AddToList(t.Context(), "far", Addition{Image: r.host + "/both:1", Platform: Platform{Arch: "arm64"}, Registry: r.access()}); err != nil {
		t.Fatal(err)
	}
	if got := platforms(t, im, "far"); !slices.Equal(got, []string{"linux/arm64"}) {
		t.Errorf("far has %v", got)
	}
	if _, err := im.Push(t.Context(), "amd", r.host+"/both:1", PushOptions{Registry: r.access()}); err != nil {
		t.Fatal(err)
	}
	if _, err := im.PushList(t.Context(), "far", r.host+"/far:1", all); err != nil {
		t.Errorf("with the tag moved: %v", err)
	}
	if _, err := im.Pull(t.Context(), r.host+"/both:1", r.pull()); err != nil {
		t.Fatal(err)
	}
	mustList(t, im, "pulled", r.host+"/both:1")
	if _, err := im.PushList(t.Context(), "pulled", r.host+"/pulled:1", all); err != nil {
		t.Errorf("what was pulled, and is kept unpacked: %v", err)
	}
	ours, _ := pushDestination(r.host+"/far", "", nil)
	other, _ := pushDestination("elsewhere.example/far", "", nil)
	sys := im.registryContext(r.access())
	if sourceContext(sys, ours, ours).DockerAuthConfig == nil || sourceContext(sys, other, ours).DockerAuthConfig != nil {
		t.Error("credentials for the destination are for this registry and no other")
	}
}

// What the policy does not allow to be pulled is not pushed on.
func TestManifestListPushPolicy(t *testing.T) {
	im := openStore(t)
	loadArch(t, im, "amd", "amd64")
	dir := t.TempDir()
	if _, err := im.Push(t.Context(), "amd", "oci:"+dir+":x", PushOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := im.CreateList("l", false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := im.AddToList(t.Context(), "l", Addition{Image: "oci:" + dir + ":x"}); err != nil {
		t.Fatal(err)
	}
	o := ListPushOptions{PushOptions: PushOptions{All: true}}
	if _, err := im.PushList(t.Context(), "l", "dir:"+t.TempDir(), o); err != nil {
		t.Errorf("with a policy that accepts: %v", err)
	}
	im.sys.SignaturePolicyPath = writeFile(t, "policy.json", `{"default":[{"type":"reject"}]}`)
	if _, err := im.PushList(t.Context(), "l", "dir:"+t.TempDir(), o); err == nil || !strings.Contains(err.Error(), "refused by the signature policy") {
		t.Errorf("with a policy that rejects: %v", err)
	}
}
