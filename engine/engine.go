// Package engine sets a container up, hands its PID 1 to systemd, and takes it away again. It decides the order of the
// steps and what is undone when one fails; the steps themselves are behind the small interfaces below.
package engine

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/berth-pods/berth/engine/events"
	"github.com/berth-pods/berth/engine/keeper"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
)

// Image is an image of the store.
type Image struct {
	ID     string
	Name   string // the full name that was found
	Config spec.ImageConfig
	Labels []string // NAME=VALUE, sorted by name; words for people, never settings
}

// ErrNoImage says that the store has no image of that name.
var ErrNoImage = errors.New("image not known")

// CreateOptions say what a container's file system is like.
type CreateOptions struct {
	Volatile bool        // it is forgotten at reboot
	IDs      spec.IDMaps // the owners of its files are mapped
	Label    spec.Label  // of SELinux
}

// Store keeps images and the root file systems of containers.
type Store interface {
	// Image finds an image by name or ID; ErrNoImage when there is none.
	Image(name string) (Image, error)
	// Create makes the record and the writable layer of a container; ErrNoImage when the image has been removed.
	Create(id, name string, image Image, o CreateOptions) error
	// Mount mounts the root file system in the mount namespace of the calling thread, and returns its path.
	Mount(id string) (string, error)
	// UsedIDs are the ranges that containers in the store have for themselves, Podman's too.
	UsedIDs() ([]spec.IDRange, error)
	// HasMapped reports whether the image is there with its owners mapped on the disk.
	HasMapped(image Image, ids spec.IDMaps) bool
	// UserNS makes a user namespace and returns a handle on it.
	UserNS(ids spec.IDMaps) (*os.File, error)
	// Dir is a directory of the container's on the disk, which goes with it.
	Dir(id string) (string, error)
	// Remove unmounts and forgets the container; nil when there is none.
	Remove(id string) error
}

// VolumeRequest names a volume. An anonymous one belongs to a container; a volatile one ends with the boot at the latest, unless another
// container has it then.
type VolumeRequest struct {
	Name                string
	Anonymous, Volatile bool
	Unused              func(name string) error // of other volumes: an error when a container has it
}

// VolumeSource is where a volume lies. One with a type is a file system that is to be mounted, as mount(8) takes it; a layer
// is taken by WithLayer.
type VolumeSource struct {
	Path                  string
	Layer                 bool
	Type, Device, Options string
}

// ErrNoVolume says that there is no volume of that name.
var ErrNoVolume = errors.New("no such volume")

// Volumes keeps named volumes.
type Volumes interface {
	// Ensure returns the directory of a volume. A new one is filled before anybody sees it, with the image's content unless it was
	// made to stay empty: it is there as a whole or not at all.
	Ensure(r VolumeRequest, fill func(dir string, content bool) error) (VolumeSource, error)
	// WithLayer calls f with the layer of a volume of the driver image, while nobody else mounts or unmounts it.
	WithLayer(name string, f func(Layer) error) error
	// Remove deletes a volume; ErrNoVolume when there is none. It asks unused while no container can take the volume, and does nothing
	// when that returns an error.
	Remove(name string, unused func() error) error
}

// Layer is the writable layer of an image that a volume consists of. It can be mounted only once, so that it is mounted on the
// volume's directory, where the host sees it, as long as a container has it.
type Layer interface {
	// Take mounts the layer unless it is mounted, and returns a copy of the mount that is nowhere yet (open_tree(2)).
	Take() (tree int, err error)
	// Release unmounts the layer unless it is held.
	Release() error
	// Hold keeps the layer mounted, or ends that.
	Hold(on bool) error
}

// Bundle is what a runtime needs to create a container.
type Bundle struct {
	ID     string
	Dir    string // holds config.json, or for an exec process.json, and the runtime's log
	Stdin  *os.File
	Stdout *os.File
	Stderr *os.File
	Extra  []*os.File // from file descriptor 3 on
	Cgroup bool       // the container has a cgroup of its own; else it stays in the caller's
	// RuntimeRoot is where the runtime keeps the state of all containers. crun also keeps translated seccomp profiles
	// there, which saves half of a start.
	RuntimeRoot string
	// ConsoleSocket is where the runtime sends the terminal that it makes; "" without a terminal.
	ConsoleSocket string
}

// Runtime is an OCI runtime.
type Runtime interface {
	// Check refuses what this runtime cannot do for a container.
	Check(c spec.Container) error
	// Create makes the container up to the point before its own program starts and returns the PID of its PID 1.
	Create(ctx context.Context, b Bundle) (pid int, err error)
	// Words are the runtime's program and the words that come before those of a command of it.
	Words(b Bundle) []string
	// Start lets the container's program run.
	Start(ctx context.Context, b Bundle) error
	// Exec starts another process in the container, as process.json in the bundle's directory says, and returns its PID. The
	// process is an orphan when Exec returns.
	Exec(ctx context.Context, b Bundle) (pid int, err error)
}

// ErrCommandNotFound, ErrCommandNotRunnable and ErrNoUser say why a container's program could not be started.
var (
	ErrCommandNotFound    = errors.New("there is no such command in the container")
	ErrCommandNotRunnable = errors.New("the container cannot run this command")
	ErrNoUser             = errors.New("give numbers, or names of the image's /etc/passwd and /etc/group")
)

// Cgroups divides the unit's control group.
type Cgroups interface {
	// Divide begins to make room for the container with this ID in the unit's group and returns the container's group, which no
	// other container gets, and its name for the runtime. The calling thread sees only the unit's group from then on. A process can be put into the container's group
	// when wait, which is to be called once, has returned nil.
	Divide(unit, id string) (group, inside string, wait func() error, err error)
	// Enter shows the calling thread, which must be in a mount namespace of its own, the unit's group as Divide did for the
	// container whose group this is.
	Enter(group string) error
	// Thaw lets the processes of a container's group go on that were frozen; nil when there is no such group.
	Thaw(group string) error
	// Remove kills what is left in the container's group and removes it, unless the manager is about to remove it with a
	// scope that has no process left; nil when there is none.
	Remove(ctx context.Context, group string) error
}

// HeldError says that another container or pod has the address or port that is wanted.
type HeldError struct {
	Holder string // its ID
	Reason string
}

func (e *HeldError) Error() string { return e.Reason }

// NetworkRequest says how a container is connected. Its zero value is "no network but a loopback device".
type NetworkRequest struct {
	ID, Name string
	Dir      string   // the container's state directory: what has been set up is recorded there first
	Networks []string // as spec.ParseNetworks reads them
	Mode     string   `json:",omitempty"` // of spec.Networks
	Peer     string   `json:",omitempty"` // its argument
	Publish  []spec.PortMapping
	IP       string
	IP6      string `json:",omitempty"`
	MAC      string `json:",omitempty"`
	Aliases  []string
	DNS      []string `json:",omitempty"` // servers that the network's own one asks for this container
	// NetNS is the path of the network namespace; for Teardown "" when it is gone already.
	NetNS string `json:"-"`
}

// Attached is a network that a container is on.
type Attached struct {
	Network   string   `json:"network"`
	NetworkID string   `json:"networkID,omitempty"`
	Interface string   `json:"interface"`
	Addresses []string `json:"addresses,omitempty"` // with prefix length
	Gateways  []string `json:"gateways,omitempty"`
	MAC       string   `json:"mac,omitempty"`
	Aliases   []string `json:"aliases,omitempty"`
}

// NetworkStatus is what came of it.
type NetworkStatus struct {
	Addresses  []string // of the container, without prefix length
	Host       []string // where the container finds the machine, the best first
	DNSServers []string
	Search     []string // domain of the names that the servers know; nil when they know none of containers
	Attached   []Attached
	Published  []spec.PortMapping // with the ports that were chosen; nil leaves those asked for
}

// Network connects network namespaces.
type Network interface {
	// Plan picks addresses and reserves ports and records both, so that Teardown finds them whatever happens next. It fails with a
	// HeldError when another one has what was asked for.
	Plan(ctx context.Context, r NetworkRequest) (NetworkStatus, error)
	// Setup connects the namespace as planned.
	Setup(ctx context.Context, r NetworkRequest) error
	// Teardown undoes Plan and Setup, as far as they got.
	Teardown(ctx context.Context, r NetworkRequest) error
	// Connect puts a running container on one more network. It returns the status of all its networks.
	Connect(ctx context.Context, r NetworkRequest, a spec.Attachment) (NetworkStatus, error)
	// Disconnect takes a running container off a network.
	Disconnect(ctx context.Context, r NetworkRequest, network string) (NetworkStatus, error)
}

// Manager is the service manager that the engine was started by.
type Manager interface {
	// Notify sends a state (sd_notify(3)) and returns when the manager has taken it; nothing happens without one.
	Notify(state string) error
}

// Keeping is a connection to the keeper, which reads what containers write.
type Keeping interface {
	// Keep sends the read ends of a container's output, one for each stream of the record.
	Keep(r keeper.Record, files ...*os.File) error
	// Wait returns when the keeper has them and cannot lose them any more; keeper.ErrLost when it ended instead.
	Wait(ctx context.Context) error
	// Guard is for a container of which the keeper keeps nothing: Started is owed for it all the same.
	Guard(pid int, start uint64) error
	// Started says that the container's program runs: the keeper kills a container whose engine ends before it says so.
	Started() error
	// AwaitHealthy returns when the container has become healthy.
	AwaitHealthy(ctx context.Context, id string) error
	Close() error
}

// Engine runs and removes containers.
type Engine struct {
	Store   Store
	Volumes Volumes
	Secrets Secrets
	Runtime Runtime
	Cgroups Cgroups
	Network Network
	Manager Manager
	SELinux SELinux // nil where there is none
	Dirs    Dirs
	Host    Host
	// Pull brings a missing image into the store; policy is always, missing, newer or never.
	Pull func(ctx context.Context, c spec.Container) error
	// Seccomp returns the text of the seccomp profile: of the file named, or the default one for "".
	Seccomp func(path string) ([]byte, error)
	Warn    io.Writer
	// Event is told what has happened; nil for nobody. It must not wait.
	Event func(events.Event)
	// Keeper connects to the keeper; nil for none.
	Keeper func() (Keeping, error)
	// Logs is the directory for the log file of a container.
	Logs func(id string) string
	// SubIDs reads /etc/subuid and /etc/subgid.
	SubIDs SubIDs
	// Programs runs the programs that mount volumes.
	Programs proc.Runner
	// HookDirs and CDIDirs have files that describe hooks and devices; a later directory counts more.
	HookDirs, CDIDirs []string
	// RemoveImage removes an image that nobody uses any more.
	RemoveImage func(ctx context.Context, id string) error
	// RuntimeProgram is the path of the OCI runtime.
	RuntimeProgram string
	// StagingDir is an empty directory of the installation that mounts can be made on; where it is not there, one below
	// Dirs.Run is made.
	StagingDir string
	// HostAddress is where containers are told to find the host: an IP address, none, or "" for the gateways of their networks.
	HostAddress string
	// InitProgram is the host's program for containers that want an init.
	InitProgram string
}

// Host holds the facts that Build needs from the running machine.
type Host struct {
	UID, GID    uint32 // of the user whose containers these are, on the machine
	UserName    string
	Rootless    bool
	Service     bool     // of a user, by units of the system's manager: its keeper reads what they write, and does no more for them
	Main        int      // the process that the manager has started: this one, or the one that started it in a namespace
	Cgroup      string   // the caller's own cgroup, below the root of the cgroup2 file system; "" when it may not be divided
	Controllers []string // of the caller's cgroup
	Swap        bool     // memory.swap.max is there
	Environment map[string]string
	ListenFDs   int
	AppArmor    string // the default profile for containers; "" where there is none
	HostsFile   string // text of the host's /etc/hosts
	ResolvConf  string // text of the host's resolv.conf
	Journal     string // namespace of the journal that the unit writes to
	OOMScoreAdj int    // of this process, which those that it starts have as well
}
