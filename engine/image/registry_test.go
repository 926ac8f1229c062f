//go:build containers_image_openpgp

package image

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

// A registry answers the pull half of the distribution protocol from memory and counts what it is asked for.
type registry struct {
	*httptest.Server
	mu     sync.Mutex
	blobs  map[string][]byte // by digest
	tags   map[string]string // repository:tag → digest
	types  map[string]string // digest → media type
	asked  map[string]int    // manifests, blobs, tags
	refuse func(http.ResponseWriter, *http.Request) bool
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{blobs: map[string][]byte{}, tags: map[string]string{}, types: map[string]string{}, asked: map[string]int{}}
	r.Server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.Close)
	return r
}

// host is how image names on this registry begin.
func (r *registry) host() string { return strings.TrimPrefix(r.URL, "http://") }

// add puts an image in under repository:tag and returns its manifest's digest.
func (r *registry) add(t *testing.T, repositoryTag string, i archive.Image) string {
	t.Helper()
	f := imageFiles(t, archive.OCI, i)
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, data := range f {
		if strings.HasPrefix(n, "blobs/") {
			r.blobs[digest.FromBytes(data).String()] = data
		}
	}
	d := digest.FromBytes(f[manifestOf(t, f)]).String()
	r.tags[repositoryTag] = d
	r.types[d] = "application/vnd.oci.image.manifest.v1+json"
	return d
}

// addIndex puts in a list of images, by platform architecture, under repository:tag.
func (r *registry) addIndex(t *testing.T, repositoryTag string, byArch map[string]string) {
	t.Helper()
	type entry = map[string]any
	var all []entry
	for arch, d := range byArch {
		all = append(all, entry{"mediaType": r.types[d], "digest": d, "size": len(r.blobs[d]), "platform": entry{"os": "linux", "architecture": arch}})
	}
	data, err := json.Marshal(entry{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": all})
	if err != nil {
		t.Fatal(err)
	}
	d := digest.FromBytes(data).String()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blobs[d], r.tags[repositoryTag], r.types[d] = data, d, "application/vnd.oci.image.index.v1+json"
}

func (r *registry) serve(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	path := strings.TrimPrefix(q.URL.Path, "/v2/")
	if path == "" {
		return
	}
	kind, repository, reference := split(path)
	r.asked[kind]++
	if r.refuse != nil && r.refuse(w, q) {
		return
	}
	switch kind {
	case "manifests":
		if d, ok := r.tags[repository+":"+reference]; ok {
			reference = d
		}
		r.send(w, reference, "MANIFEST_UNKNOWN")
	case "blobs":
		r.send(w, reference, "BLOB_UNKNOWN")
	case "tags":
		var tags []string
		for t := range r.tags {
			tags = append(tags, strings.TrimPrefix(t, repository+":"))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"name": repository, "tags": tags})
	}
}

func split(path string) (kind, repository, reference string) {
	for _, kind := range []string{"manifests", "blobs", "tags"} {
		if repository, reference, ok := strings.Cut(path, "/"+kind+"/"); ok {
			return kind, repository, reference
		}
	}
	return "", "", ""
}

func (r *registry) send(w http.ResponseWriter, d, unknown string) {
	data, ok := r.blobs[d]
	if !ok {
		answer(w, http.StatusNotFound, unknown)
		return
	}
	if mediaType := r.types[d]; mediaType != "" {
		w.Header().Set("Content-Type", mediaType)
	}
	w.Header().Set("Docker-Content-Digest", d)
	_, _ = w.Write(data)
}

func answer(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`{"errors":[{"code":"` + code + `","message":"no"}]}`))
}

func (r *registry) count(kind string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked[kind]
}
