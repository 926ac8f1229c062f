package cli

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/keeper"
	"github.com/berth-pods/berth/engine/spec"
)

// inspected has the fields of Podman's `inspect`, in its order. Those that speak of what berth does not have, a monitor
// or locks, are there and empty, for programs that want them.
type inspected struct {
	ID                      string `json:"Id"`
	Created                 time.Time
	Path                    string
	Args                    []string
	State                   inspectedState
	Image                   string
	ImageDigest             string
	ImageName               string
	Rootfs                  string
	Pod                     string
	ResolvConfPath          string
	HostnamePath            string
	HostsPath               string
	StaticDir               string
	OCIConfigPath           string
	OCIRuntime              string
	ConmonPidFile           string
	PidFile                 string
	Name                    string
	RestartCount            int
	Driver                  string
	MountLabel              string
	ProcessLabel            string
	AppArmorProfile         string
	EffectiveCaps           []string
	BoundingCaps            []string
	ExecIDs                 []string
	GraphDriver             inspectedDriver
	SizeRw                  *int64 `json:",omitempty"`
	SizeRootFs              *int64 `json:",omitempty"`
	Mounts                  []inspectedMount
	Dependencies            []string
	NetworkSettings         inspectedNetwork
	Namespace               string
	IsInfra                 bool
	IsService               bool
	KubeExitCodePropagation string
	LockNumber              int `json:"lockNumber"`
	Config                  inspectedConfig
	HostConfig              inspectedHost
	UseImageHosts           bool
	UseImageHostname        bool
	Berth                   inspectedBerth
}

// Fields are the parts whose JSON leaves out what there is not. Templates find it, and that it is empty, as with Podman.
func (i inspected) Fields() map[string]any {
	mounts := []any{}
	for _, m := range i.Mounts {
		mounts = append(mounts, whole{m, map[string]any{"Name": ""}})
	}
	return map[string]any{
		"Mounts": mounts, "State": whole{i.State, map[string]any{"Health": nil, "ConmonPid": 0, "CgroupPath": "", "CheckpointPath": ""}},
		"Config": whole{i.Config, map[string]any{
			"StartupHealthCheck": nil, "Healthcheck": nil, "Timezone": "", "SystemdMode": false, "Secrets": []string{}, "ChrootDirs": []string{}, "sdNotifyMode": "",
			"ExposedPorts": map[string]string{},
		}},
		"HostConfig": whole{i.HostConfig, map[string]any{"IDMappings": nil}}, "SizeRw": i.SizeRw, "SizeRootFs": i.SizeRootFs,
	}
}

// whole is a value whose JSON leaves something out. Types and names of ours always have a JSON form.
type whole struct {
	value any
	left  map[string]any
}

func (w whole) MarshalJSON() ([]byte, error) { return json.Marshal(w.value) }

// Fields are those of the value's JSON, and what that leaves out.
func (w whole) Fields() map[string]any {
	data, _ := json.Marshal(w.value)
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	d.Decode(&w.left)
	return w.left
}

// inspectedBerth is what berth knows beside.
type inspectedBerth struct {
	Unit      string
	Cgroup    string
	IDs       spec.IDMaps `json:",omitzero"`
	Addresses []string
	Attached  []engine.Attached
	Container spec.Container
}

type inspectedState struct {
	OciVersion     string
	Status         string
	Running        bool
	Paused         bool
	Restarting     bool
	OOMKilled      bool
	Dead           bool
	Pid            int
	ConmonPid      int `json:",omitempty"`
	ExitCode       int
	Error          string
	StartedAt      time.Time
	FinishedAt     time.Time
	Health         *keeper.Verdict `json:",omitempty"`
	CgroupPath     string          `json:",omitempty"`
	CheckpointedAt time.Time
	RestoredAt     time.Time
}

type inspectedDriver struct {
	Name string
	Data map[string]string
}

type inspectedMount struct {
	Type        string
	Name        string `json:",omitempty"`
	Source      string
	Destination string
	Driver      string
	Mode        string
	Options     []string
	RW          bool
	Propagation string
}

// inspectedEndpoint is a container's place on a network.
type inspectedEndpoint struct {
	EndpointID          string
	Gateway             string
	IPAddress           string
	IPPrefixLen         int
	IPv6Gateway         string
	GlobalIPv6Address   string
	GlobalIPv6PrefixLen int
	MacAddress          string
}

type inspectedNetwork struct {
	inspectedEndpoint
	Bridge                 string
	SandboxID              string
	HairpinMode            bool
	LinkLocalIPv6Address   string
	LinkLocalIPv6PrefixLen int
	Ports                  map[string][]inspectedBinding
	SandboxKey             string
	Networks               map[string]inspectedAttachment
}

type inspectedAttachment struct {
	inspectedEndpoint
	NetworkID  string
	DriverOpts map[string]string
	IPAMConfig map[string]string
	Links      []string
	Aliases    []string
}

type inspectedBinding struct {
	HostIP   string `json:"HostIp"`
	HostPort string
}

type inspectedHealth struct {
	Test        []string
	StartPeriod time.Duration `json:",omitempty"`
	Interval    time.Duration `json:",omitempty"`
	Timeout     time.Duration `json:",omitempty"`
	Retries     int           `json:",omitempty"`
	Successes   int           `json:",omitempty"`
}

type inspectedSecretUse struct {
	Name string
	ID   string
	UID  uint32
	GID  uint32
	Mode uint32
}

type inspectedConfig struct {
	Hostname                   string
	Domainname                 string
	User                       string
	AttachStdin                bool
	AttachStdout               bool
	AttachStderr               bool
	Tty                        bool
	OpenStdin                  bool
	StdinOnce                  bool
	Env                        []string
	Cmd                        []string
	Image                      string
	Volumes                    map[string]struct{}
	WorkingDir                 string
	Entrypoint                 []string
	OnBuild                    *string
	Labels                     map[string]string
	Annotations                map[string]string
	StopSignal                 string
	StartupHealthCheck         *inspectedHealth `json:",omitempty"`
	Healthcheck                *inspectedHealth `json:",omitempty"`
	HealthcheckOnFailureAction string
	HealthLogDestination       string
	HealthcheckMaxLogCount     int
	HealthcheckMaxLogSize      int
	CreateCommand              []string
	Timezone                   string `json:",omitempty"`
	SystemdMode                bool   `json:",omitempty"`
	Umask                      string
	Secrets                    []inspectedSecretUse `json:",omitempty"`
	Timeout                    uint
	StopTimeout                uint
	Passwd                     bool
	ChrootDirs                 []string            `json:",omitempty"`
	SDNotifyMode               string              `json:"sdNotifyMode,omitempty"`
	ExposedPorts               map[string]struct{} `json:",omitempty"`
}

type inspectedLog struct {
	Type   string
	Config map[string]string
	Path   string
	Tag    string
	Size   string
}

type inspectedPolicy struct {
	Name              string
	MaximumRetryCount int
}

type inspectedDevice struct {
	PathOnHost        string
	PathInContainer   string
	CgroupPermissions string
}

type inspectedUlimit struct {
	Name       string
	Soft, Hard int64
}

type inspectedMaps struct {
	UIDMap []string `json:"UidMap"`
	GIDMap []string `json:"GidMap"`
}

type inspectedHost struct {
	Binds                []string
	CgroupManager        string
	CgroupMode           string
	ContainerIDFile      string
	LogConfig            inspectedLog
	NetworkMode          string
	PortBindings         map[string][]inspectedBinding
	RestartPolicy        inspectedPolicy
	AutoRemove           bool
	AutoRemoveImage      bool
	Annotations          map[string]string
	VolumeDriver         string
	VolumesFrom          []string
	CapAdd               []string
	CapDrop              []string
	DNS                  []string `json:"Dns"`
	DNSOptions           []string `json:"DnsOptions"`
	DNSSearch            []string `json:"DnsSearch"`
	ExtraHosts           []string
	HostsFile            string
	GroupAdd             []string
	IpcMode              string
	Cgroup               string
	Cgroups              string
	Links                []string
	OomScoreAdj          int
	PidMode              string
	Privileged           bool
	PublishAllPorts      bool
	ReadonlyRootfs       bool
	SecurityOpt          []string
	Tmpfs                map[string]string
	UTSMode              string
	UsernsMode           string
	IDMappings           *inspectedMaps `json:",omitempty"`
	ShmSize              int64
	Runtime              string
	ConsoleSize          [2]uint
	Isolation            string
	CPUShares            uint64 `json:"CpuShares"`
	Memory               int64
	NanoCpus             int64
	CgroupParent         string
	BlkioWeight          uint16
	BlkioWeightDevice    []string
	BlkioDeviceReadBps   []string
	BlkioDeviceWriteBps  []string
	BlkioDeviceReadIOps  []string
	BlkioDeviceWriteIOps []string
	CPUPeriod            uint64 `json:"CpuPeriod"`
	CPUQuota             int64  `json:"CpuQuota"`
	CPURealtimePeriod    uint64 `json:"CpuRealtimePeriod"`
	CPURealtimeRuntime   int64  `json:"CpuRealtimeRuntime"`
	CpusetCpus           string
	CpusetMems           string
	Devices              []inspectedDevice
	DiskQuota            uint64
	KernelMemory         int64
	MemoryReservation    int64
	MemorySwap           int64
	MemorySwappiness     int64
	OomKillDisable       bool
	Init                 bool
	PidsLimit            int64
	Ulimits              []inspectedUlimit
	CPUCount             uint64 `json:"CpuCount"`
	CPUPercent           uint64 `json:"CpuPercent"`
	IOMaximumIOps        uint64
	IOMaximumBandwidth   uint64
	CgroupConf           map[string]string
}
