// Package store adapts containers/storage, which Podman uses too: the same images, layers and container records, in the
// same place. It is the only package of the engine that knows that library.
package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	imgspec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/reexec"
	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/image/name"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/store/mend"
)

// Init handles a call of this program by the storage library itself; when it returns true, main returns at once. It also
// keeps the library from telling the journal of each start what went as planned.
func Init() bool {
	logrus.SetLevel(logrus.WarnLevel)
	return reexec.Init()
}

// Store is an engine.Store. It opens the library's store on first use: some commands end without needing it.
type Store struct {
	store storage.Store
	boot  string // in which it was opened
}

func (s *Store) open() (storage.Store, error) {
	if s.store != nil {
		return s.store, nil
	}
	options, err := storage.DefaultStoreOptions()
	if err != nil {
		return nil, fmt.Errorf("storage configuration: %w", err)
	}
	// The library would mount its directory on itself, so that containers' mounts do not spread; ours cannot, they are in a
	// mount namespace of their own, and that mount would be left over.
	if options.GraphDriverName == "" || options.GraphDriverName == "overlay" {
		options.GraphDriverOptions = append(options.GraphDriverOptions, "overlay.skip_mount_home=true")
	}
	if s.boot, err = bootID(); err != nil {
		return nil, err
	}
	mend.Store(options.GraphRoot, !swept(options.RunRoot, s.boot))
	store, err := storage.GetStore(options)
	if err != nil {
		return nil, fmt.Errorf("open image store %s: %w", options.GraphRoot, err)
	}
	s.store = store
	return store, nil
}

// reopen forgets what the library has in memory. After a write that has failed, that is not what it reads from the disk.
func (s *Store) reopen() (storage.Store, error) {
	s.store.Free()
	s.store = nil
	return s.open()
}

// Root is the directory that the store lies in.
func (s *Store) Root() (string, error) {
	options, err := storage.DefaultStoreOptions()
	return options.GraphRoot, err
}

// Image finds an image by ID, full name or short name; a short name is tried as Podman would write it out.
func (s *Store) Image(text string) (engine.Image, error) {
	st, err := s.open()
	if err != nil {
		return engine.Image{}, err
	}
	for _, candidate := range candidates(text) {
		image, err := lookUp(st, candidate)
		if errors.Is(err, storage.ErrImageUnknown) {
			continue
		}
		if err != nil {
			return engine.Image{}, fmt.Errorf("image %q: %w", text, err)
		}
		found, err := readConfig(st, image.ID)
		if err != nil {
			return engine.Image{}, fmt.Errorf("image %q: %w", text, err)
		}
		found.Name = candidate
		return found, nil
	}
	return engine.Image{}, fmt.Errorf("%w: %q", engine.ErrNoImage, text)
}

// lookUp finds one full name. An image that was fetched by a tag is found by its digest too, as long as one of its names is
// of the same repository.
func lookUp(st storage.Store, full string) (*storage.Image, error) {
	image, err := st.Image(full)
	repository, d, byDigest := strings.Cut(full, "@")
	if !byDigest || !errors.Is(err, storage.ErrImageUnknown) || digest.Digest(d).Validate() != nil {
		return image, err
	}
	all, listErr := st.ImagesByDigest(digest.Digest(d))
	if listErr != nil {
		return nil, listErr
	}
	for _, image := range all {
		if isOf(image.Names, repository) {
			return image, nil
		}
	}
	return nil, err
}

// isOf tells whether one of the full names is of the repository.
func isOf(names []string, repository string) bool {
	for _, s := range names {
		rest, ok := strings.CutPrefix(s, repository)
		if ok && (strings.HasPrefix(rest, "@") || strings.HasPrefix(rest, ":") && !strings.Contains(rest, "/")) {
			return true
		}
	}
	return false
}

// candidates are the names under which the store may know an image, the most likely first: as it stands, for an ID, and
// written out. What registries.conf says of short names counts when an image is fetched, not here.
func candidates(text string) []string {
	list := []string{text}
	full, err := name.LocalCandidates(text, name.Registries{Search: []string{"docker.io"}})
	if err != nil {
		return list
	}
	for _, n := range full {
		if s := n.String(); s != text {
			list = append(list, s)
		}
	}
	return list
}

// readConfig reads the image's configuration: a blob whose key is the digest that the manifest names. Of a list of images it
// is that of the image for this machine, whose ID it returns too.
func readConfig(st storage.Store, id string) (engine.Image, error) {
	data, err := st.ImageBigData(id, storage.ImageDigestBigDataKey)
	if err != nil {
		return engine.Image{}, fmt.Errorf("manifest: %w", err)
	}
	var manifest struct {
		Config    imgspec.Descriptor   `json:"config"`
		Manifests []imgspec.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(data, &manifest); err != nil {
		return engine.Image{}, fmt.Errorf("manifest: %w", err)
	}
	if manifest.Config.Digest == "" {
		one, err := inList(st, manifest.Manifests)
		if err != nil {
			return engine.Image{}, err
		}
		return readConfig(st, one)
	}
	data, err = st.ImageBigData(id, manifest.Config.Digest.String())
	if err != nil {
		return engine.Image{}, fmt.Errorf("configuration: %w", err)
	}
	image, err := parseConfig(data)
	image.ID = id
	return image, err
}

// inList finds the image for this machine. One that is a list itself is passed over, so that no list leads in a circle.
func inList(st storage.Store, all []imgspec.Descriptor) (string, error) {
	missing := ""
	for _, m := range all {
		if m.Platform == nil || m.Platform.OS != "linux" || m.Platform.Architecture != runtime.GOARCH {
			continue
		}
		images, err := st.ImagesByDigest(m.Digest)
		if err != nil {
			return "", err
		}
		for _, i := range images {
			if i.TopLayer != "" {
				return i.ID, nil
			}
		}
		missing = m.Digest.String()
	}
	if missing != "" {
		return "", fmt.Errorf("it is a list, whose image for this machine, %s, is not in the store: pull it", missing)
	}
	return "", fmt.Errorf("it is no image that can be run: it is an artifact, or a list without an image for linux/%s", runtime.GOARCH)
}

func parseConfig(data []byte) (engine.Image, error) {
	var image imgspec.Image
	if err := json.Unmarshal(data, &image); err != nil {
		return engine.Image{}, fmt.Errorf("configuration: %w", err)
	}
	var docker struct {
		Config struct{ Healthcheck *spec.ImageHealth } `json:"config"`
	}
	if err := json.Unmarshal(data, &docker); err != nil {
		return engine.Image{}, fmt.Errorf("configuration: health check: %w", err)
	}
	c := image.Config
	config := spec.ImageConfig{
		Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: c.Env, User: c.User, WorkingDir: c.WorkingDir, StopSignal: c.StopSignal, SeccompProfile: c.Labels["io.containers.seccomp.profile"],
		Health:  docker.Config.Healthcheck,
		Volumes: spec.SortedKeys(c.Volumes), Exposed: spec.SortedKeys(c.ExposedPorts),
	}
	var labels []string
	for _, name := range spec.SortedKeys(c.Labels) {
		labels = append(labels, name+"="+c.Labels[name])
	}
	return engine.Image{Config: config, Labels: labels}, nil
}

// Create makes the record and the writable layer; engine.ErrNoImage says that the image has been removed since it was found. A volatile container's record lies in the run root and is gone after
// a reboot, and its layer is not synced: it is thrown away with the container.
func (s *Store) Create(id, name string, image engine.Image, o engine.CreateOptions) error {
	st, err := s.open()
	if err != nil {
		return err
	}
	if err := sweepOnce(st, s.boot); err != nil {
		return fmt.Errorf("remove what an earlier boot has left in the store: %w", err)
	}
	sweepFiles(st.GraphRoot(), st.RunRoot())
	options := &storage.ContainerOptions{Volatile: o.Volatile}
	if !o.IDs.Empty() && !o.IDs.Identity() {
		options.IDMappingOptions.UIDMap, options.IDMappingOptions.GIDMap = libraryMaps(o.IDs.UIDs), libraryMaps(o.IDs.GIDs)
	}
	if o.Label.Process != "" { // else the library would make labels of its own
		options.Flags = map[string]any{"ProcessLabel": o.Label.Process, "MountLabel": o.Label.File}
	} else {
		options.LabelOpts = []string{spec.LabelDisable}
	}
	// The layer has the container's ID: the library makes it before the record, and without one it must be found too.
	create := func(names ...string) error {
		_, err := st.CreateContainer(id, names, image.ID, id, mark(s.boot, o.Volatile), options)
		return err
	}
	err = create(name)
	if errors.Is(err, storage.ErrDuplicateName) && renamed(st, name) {
		err = create()
	}
	if errors.Is(err, storage.ErrDuplicateName) {
		return fmt.Errorf("container %q: the name is in use in the store, by Podman or Buildah: `podman ps -a --external` tells, `podman rm -f %s` removes it there", name, name)
	}
	if errors.Is(err, storage.ErrImageUnknown) {
		err = fmt.Errorf("%w: %q", engine.ErrNoImage, image.ID)
	}
	if err != nil {
		return fmt.Errorf("container %q: make its file system: %w", name, err)
	}
	return nil
}

// renamed tells whether the container that has a name in the store is one of ours. It has another by now: which names are taken the
// engine knows.
func renamed(st storage.Store, name string) bool {
	c, err := st.Container(name)
	return err == nil && marked(c.Metadata)
}

// mark is the metadata of our records. It tells them from Podman's and says which boot they are of.
func mark(boot string, volatile bool) string {
	if !volatile {
		return "{}"
	}
	return volatileMark + boot
}

const volatileMark = "berth volatile, boot "

// marked tells whether a record's metadata is ours.
func marked(metadata string) bool {
	return metadata == mark("", false) || strings.HasPrefix(metadata, volatileMark)
}

// sweep removes the volatile containers of earlier boots. After a power cut their records and layers are still there,
// but no container can be.
func sweep(st storage.Store, boot string) error {
	containers, err := st.Containers()
	if err != nil {
		return err
	}
	for _, c := range containers {
		of, ours := strings.CutPrefix(c.Metadata, volatileMark)
		if !ours || of == boot {
			continue
		}
		err := st.DeleteContainer(c.ID)
		if err != nil && !unknown(err) {
			return fmt.Errorf("container %v: %w", c.Names, err)
		}
	}
	return nil
}

// staleAge is when a file that the library writes beside another must belong to a killed process: one that lives renames
// it after milliseconds.
const staleAge = 10 * time.Minute

// sweepFiles removes such files from the places where the library keeps its lists. What cannot be removed now can be the
// next time.
func sweepFiles(roots ...string) {
	for _, root := range roots {
		for _, list := range []string{"overlay-images", "overlay-layers", "overlay-containers"} {
			dir := filepath.Join(root, list)
			entries, _ := os.ReadDir(dir)
			for _, e := range entries {
				if !strings.HasPrefix(e.Name(), ".tmp-") {
					continue
				}
				info, err := e.Info()
				if err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > staleAge {
					os.Remove(filepath.Join(dir, e.Name()))
				}
			}
		}
	}
}

// Mount mounts the container's root file system.
func (s *Store) Mount(id string) (string, error) {
	st, err := s.open()
	if err != nil {
		return "", err
	}
	path, err := st.Mount(id, "")
	if unknown(err) {
		return "", fmt.Errorf("the files of container %[1]s are not in the store any more; `berth rm %[1]s` removes what is left: %[2]w", id[:12], err)
	}
	if err != nil {
		return "", fmt.Errorf("mount root file system: %w", err)
	}
	return path, nil
}

// Dir is the directory that the library has for a container's files on the disk.
func (s *Store) Dir(id string) (string, error) {
	st, err := s.open()
	if err != nil {
		return "", err
	}
	return st.ContainerDirectory(id)
}

// Remove forgets the container and its layer; nil when there is none.
func (s *Store) Remove(id string) error {
	st, err := s.open()
	if err != nil {
		return err
	}
	err = st.DeleteContainer(id)
	if full(err) { // The library writes down what goes before it takes it away. What fills the disk may be the container's own files.
		if err := empty(filepath.Join(st.GraphRoot(), "overlay", id, "diff")); err != nil {
			return err
		}
		if st, err = s.reopen(); err != nil {
			return err
		}
		err = st.DeleteContainer(id)
	}
	if !unknown(err) {
		return err
	}
	if err := st.DeleteLayer(id); !unknown(err) { // Create was killed before it had written the record
		return err
	}
	return nil
}

// full reports whether there was no room to write.
func full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// empty removes what is in a directory, which stays, if it is there.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return errors.Join(errs...)
}

// unknown reports whether the library says that it has no such thing.
func unknown(err error) bool {
	for _, e := range []error{storage.ErrContainerUnknown, storage.ErrNotAContainer, storage.ErrLayerUnknown, storage.ErrNotALayer, os.ErrNotExist} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Names lists the names of all containers in the store, sorted.
func (s *Store) Names() ([]string, error) {
	st, err := s.open()
	if err != nil {
		return nil, err
	}
	containers, err := st.Containers()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range containers {
		names = append(names, c.Names...)
	}
	sort.Strings(names)
	return names, nil
}
