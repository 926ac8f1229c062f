// Package spec decides what a container is: it turns the typed container, the image's configuration and the facts of the
// host into the config.json of an OCI runtime. It is pure: nothing here opens a file, starts a process or asks the clock.
package spec

import "time"

// Container is what `berth run` was asked for. The flag table of engine/cli fills it, one field a flag, and nothing is
// worked out yet: an empty field means "not said". Flags that belong together are in a struct of their own, beside what is
// made of them.
type Container struct {
	Name        string   `json:"name"`
	Image       string   `json:"image,omitempty"`       // reference, or the directory when Rootfs is set
	Command     []string `json:"command,omitempty"`     // words after the image; empty: the image's
	Entrypoint  *string  `json:"entrypoint,omitempty"`  // nil: the image's; "": none; "[…]": a JSON array
	Environment []string `json:"environment,omitempty"` // NAME=VALUE, or NAME to copy it from the caller
	EnvFiles    []string `json:"envFiles,omitempty"`
	// DefaultEnvironment are variables that those of the image replace.
	DefaultEnvironment []string `json:"defaultEnvironment,omitempty"`
	EnvHost            bool     `json:"envHost,omitempty"`
	HTTPProxy          bool     `json:"httpProxy,omitempty"` // copy the caller's proxy variables
	Init               bool     `json:"init,omitempty"`      // PID 1 is an init that reaps and hands signals on
	WorkDir            string   `json:"workDir,omitempty"`
	User               string   `json:"user,omitempty"`
	Groups             []string `json:"groups,omitempty"`
	HostName           string   `json:"hostName,omitempty"`
	NameAsHost         bool     `json:"nameAsHost,omitempty"` // HostName is the container's name when nothing is said
	Labels             []string `json:"labels,omitempty"`
	Annotations        []string `json:"annotations,omitempty"`

	Volumes     []string `json:"volumes,omitempty"`
	Tmpfs       []string `json:"tmpfs,omitempty"`
	Mounts      []string `json:"mounts,omitempty"` // --mount of the types that --volume and --tmpfs do not have
	Secrets     []string `json:"secrets,omitempty"`
	UserNS      string   `json:"userns,omitempty"`
	UIDMaps     []string `json:"uidMaps,omitempty"`
	GIDMaps     []string `json:"gidMaps,omitempty"`
	SubUIDName  string   `json:"subUIDName,omitempty"`
	SubGIDName  string   `json:"subGIDName,omitempty"`
	VolumesFrom []string `json:"volumesFrom,omitempty"`
	ImageVolume string   `json:"imageVolume,omitempty"` // anonymous, bind (the same), tmpfs, ignore
	Devices     []string `json:"devices,omitempty"`
	ReadOnly    bool     `json:"readOnly,omitempty"`
	// ReadOnlyTmpfs puts a tmpfs on /run, /tmp and /var/tmp of a read-only container.
	ReadOnlyTmpfs bool   `json:"readOnlyTmpfs,omitempty"`
	Rootfs        bool   `json:"rootfs,omitempty"`
	ShmSize       string `json:"shmSize,omitempty"`

	Networks   []string `json:"networks,omitempty"`
	Publish    []string `json:"publish,omitempty"`
	Expose     []string `json:"expose,omitempty"`
	PublishAll bool     `json:"publishAll,omitempty"` // the ports that the image and Expose name, to any free ones
	IP         string   `json:"ip,omitempty"`
	IP6        string   `json:"ip6,omitempty"`
	MAC        string   `json:"mac,omitempty"`
	AddHosts   []string `json:"addHosts,omitempty"`
	DNS        []string `json:"dns,omitempty"`
	DNSSearch  []string `json:"dnsSearch,omitempty"`
	DNSOptions []string `json:"dnsOptions,omitempty"`
	NoHosts    bool     `json:"noHosts,omitempty"`
	HostsBase  string   `json:"hostsBase,omitempty"` // what /etc/hosts begins with: a file of the host's, image or none
	Requires   []string `json:"requires,omitempty"`  // containers that must run when it starts
	Aliases    []string `json:"aliases,omitempty"`   // other names on the networks

	CapAdd  []string `json:"capAdd,omitempty"`
	CapDrop []string `json:"capDrop,omitempty"`
	// DefaultCapabilities are in the place of those that containers have; empty for these.
	DefaultCapabilities []string `json:"defaultCapabilities,omitempty"`
	SecurityOpts        []string `json:"securityOpts,omitempty"`
	Privileged          bool     `json:"privileged,omitempty"`
	Sysctls             []string `json:"sysctls,omitempty"`
	Ulimits             []string `json:"ulimits,omitempty"`
	Umask               string   `json:"umask,omitempty"`
	OOMScoreAdj         *int     `json:"oomScoreAdj,omitempty"`
	Timezone            string   `json:"timezone,omitempty"`

	Limits
	Namespaces
	SystemdFlags
	DeviceFlags
	ProcessFlags
	Accounts
	PullFlags
	HealthFlags

	StopSignal  string        `json:"stopSignal,omitempty"`
	StopTimeout time.Duration `json:"stopTimeout"`
	SDNotify    string        `json:"sdnotify,omitempty"`  // conmon, container, ignore
	Cgroups     string        `json:"cgroups,omitempty"`   // split, enabled, disabled
	LogDriver   string        `json:"logDriver,omitempty"` // journald, k8s-file, passthrough, none
	LogOpts     []string      `json:"logOpts,omitempty"`

	InitCtr   string `json:"initCtr,omitempty"` // always or once: it runs before the others of its pod
	Pod       string `json:"pod,omitempty"`     // name or ID; new:NAME makes one
	PodIDFile string `json:"podIDFile,omitempty"`

	Detach     bool   `json:"detach,omitempty"`
	Remove     bool   `json:"remove,omitempty"`
	Restart    string `json:"restart,omitempty"` // no, always, unless-stopped, on-failure[:N]
	Replace    bool   `json:"replace,omitempty"`
	Pull       string `json:"pull,omitempty"` // always, missing, newer, never
	CIDFile    string `json:"cidFile,omitempty"`
	PIDFile    string `json:"pidFile,omitempty"`
	Retry      string `json:"retry,omitempty"`
	RetryDelay string `json:"retryDelay,omitempty"`

	// NoEffect names the flags given that mean nothing on this system.
	NoEffect []string `json:"-"`

	// CreateCommand is the command line that was typed, with berth as its first word.
	CreateCommand []string `json:"createCommand,omitempty"`
}

// PullFlags are the flags about how a missing image is fetched. Credentials are not kept.
type PullFlags struct {
	Arch           string   `json:"arch,omitempty"`
	AuthFile       string   `json:"-"`
	CertDir        string   `json:"-"`
	Creds          string   `json:"-"`
	DecryptionKeys []string `json:"-"`
	OS             string   `json:"os,omitempty"`
	Platform       string   `json:"platform,omitempty"`
	TLSVerify      *string  `json:"-"`
	Variant        string   `json:"variant,omitempty"`
}

// ImageConfig is the part of an image's configuration that a container may take over. Nothing else of an image's
// metadata reaches the runtime: labels and annotations of an image are data, never settings.
type ImageConfig struct {
	Entrypoint []string
	Cmd        []string
	Env        []string
	User       string
	WorkingDir string
	Volumes    []string // sorted
	StopSignal string
	Health     *ImageHealth
	// SeccompProfile is the image's own profile. It counts only for who asks for it with --seccomp-policy=image.
	SeccompProfile string
	Exposed        []string // "80/tcp", sorted
}
