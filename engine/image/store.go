//go:build containers_image_openpgp

package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.podman.io/image/v5/types"
	"go.podman.io/storage"

	"github.com/berth-pods/berth/engine/atomicfile"
	"github.com/berth-pods/berth/engine/store/mend"
)

// Options say which store to work on and which of the system's settings to replace. The zero value is the caller's own
// store with the system's settings.
type Options struct {
	Root, RunRoot   string   // directories of the store; empty for those of storage.conf
	Driver          string   // storage driver; empty for that of storage.conf, else overlay
	DriverOptions   []string // KEY=VALUE; when not empty they replace those of storage.conf
	SignaturePolicy string   // policy.json to obey instead of the system's
	Report          func(Progress)
	Say             func(line string) // for people: what is being done, a line each
}

// Images works on one store. Its methods may not be used at the same time from several goroutines.
type Images struct {
	store  storage.Store
	sys    types.SystemContext
	report func(Progress)
	say    func(string)
	tmp    temporary
	begun  [2]time.Time // when the lists were last changed before this store was opened
}

// Open opens the store, which is made when it does not exist yet. Close it after use.
func Open(o Options) (*Images, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("open the image store: this program wants root, or the user namespace that berth gives a user's images: run berth, not berth-image")
	}
	so, err := storeOptions(o)
	if err != nil {
		return nil, fmt.Errorf("read storage.conf: %w", err)
	}
	mend.Store(so.GraphRoot, false)
	store, err := storage.GetStore(so)
	if err != nil {
		return nil, fmt.Errorf("open the image store %s: %w", so.GraphRoot, err)
	}
	images := &Images{
		store:  store,
		sys:    types.SystemContext{SignaturePolicyPath: o.SignaturePolicy, DockerRegistryUserAgent: "berth", BigFilesTemporaryDir: BigFiles()},
		report: o.Report,
		say:    o.Say,
	}
	images.begun = images.changed()
	// Where no directory can be made the store may still be looked at.
	if images.tmp, err = newTemporary(BigFiles()); err == nil {
		images.sys.BigFilesTemporaryDir = images.tmp.dir.Name()
	}
	if images.report == nil {
		images.report = func(Progress) {}
	}
	if images.say == nil {
		images.say = func(string) {}
	}
	return images, nil
}

// Close ends the use of the store and sees to it that what was changed survives a power cut. It does not touch the rest: the
// library's own Shutdown would take away the mount on which Podman's containers may stand.
func (im *Images) Close() error {
	err := im.settle()
	im.store.Free()
	return errors.Join(err, im.tmp.Close())
}

// lists are the directories with the lists of layers and of images, in the order in which they are written.
func (im *Images) lists() [2]string {
	driver := filepath.Join(im.store.GraphRoot(), im.store.GraphDriverName())
	return [2]string{driver + "-layers", driver + "-images"}
}

// changed tells when something was last renamed in the directories of lists.
func (im *Images) changed() (at [2]time.Time) {
	for i, dir := range im.lists() {
		if info, err := os.Stat(dir); err == nil {
			at[i] = info.ModTime()
		}
	}
	return at
}

// settle syncs the directories of the lists if they were changed: the library syncs each list and renames it, and no more, so
// that an image which somebody was told of might be gone after a power cut.
func (im *Images) settle() error {
	now := im.changed()
	for i, dir := range im.lists() {
		if now[i].Equal(im.begun[i]) {
			continue
		}
		if err := atomicfile.SyncDir(dir); err != nil {
			return fmt.Errorf("sync the image store: %w", err)
		}
	}
	im.begun = now
	return nil
}

func storeOptions(o Options) (storage.StoreOptions, error) {
	so, err := storage.DefaultStoreOptions()
	if err != nil {
		return so, err
	}
	if o.Root != "" {
		so.GraphRoot = o.Root
	}
	if o.RunRoot != "" {
		so.RunRoot = o.RunRoot
	}
	if o.Driver != "" && o.Driver != so.GraphDriverName {
		so.GraphDriverName, so.GraphDriverOptions = o.Driver, nil
	}
	if len(o.DriverOptions) > 0 {
		so.GraphDriverOptions = o.DriverOptions
	}
	so.GraphDriverOptions = durable(so.GraphDriverOptions)
	return so, nil
}

// syncOption is the overlay driver's.
const syncOption = "sync=filesystem"

// durable makes the overlay driver flush the store's file system before a new layer is written into the list of layers,
// unless the administrator has decided otherwise. Without it a power cut soon after a pull leaves an image in the list
// whose files are empty. It also keeps the driver from mounting its directory on itself, which helps programs that mount
// containers and would be left over here. Other drivers pass over options that begin with overlay.
func durable(options []string) []string {
	all := slices.Clone(options)
	for _, want := range []string{syncOption, "skip_mount_home=true"} {
		key, _, _ := strings.Cut(want, "=")
		if !hasOption(options, key) {
			all = append(all, "overlay."+want)
		}
	}
	return all
}

func hasOption(options []string, want string) bool {
	for _, o := range options {
		key, _, _ := strings.Cut(o, "=")
		key = strings.TrimSpace(key)
		if key[strings.LastIndexByte(key, '.')+1:] == want {
			return true
		}
	}
	return false
}

// BigFiles is where archives are unpacked: /tmp is often in memory, so it is $TMPDIR or /var/tmp.
func BigFiles() string {
	if dir := os.Getenv("TMPDIR"); dir != "" {
		return dir
	}
	return "/var/tmp"
}
