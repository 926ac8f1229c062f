package units

import (
	"math/bits"
	"strings"
	"sync"
)

// Row describes a key in one kind or in several that mean the same by it.
type Row struct {
	Name  string
	Kinds Kind   // a set
	Flag  string // what it becomes on the command line; with a = at the end when flag and value are one word
	Group Group  // where a plain flag stands; Special when the generator has a rule of its own
	Since string // first release of Podman with the key; "5.0 kube:5.3" when kinds differ
	Doc   string // one line for the manual page
	Trait Trait

	field func(Section) Value
}

// Trait is what is special about a key; most have none.
type Trait uint8

const (
	// Old keys are accepted and not to be used in new files.
	Old Trait = iota + 1
	// Naming keys say what the unit is called or what it belongs to; other units depend on them.
	Naming
)

// Group is a run of plain flags on a command line. Inside a group flags stand in the order of the table.
type Group uint8

// The groups of plain flags.
const (
	Special Group = iota
	Strings
	Lists
	Booleans
	PairGroup
	Health
)

// SinceIn is the first release of Podman that knows the key in that kind; "berth" for keys of [X-Berth].
func (r *Row) SinceIn(k Kind) string {
	first, rest, _ := strings.Cut(r.Since, " ")
	for rest != "" {
		var one string
		one, rest, _ = strings.Cut(rest, " ")
		kind, since, _ := strings.Cut(one, ":")
		if "."+kind == k.Extension() {
			return since
		}
	}
	return first
}

// Value returns the row's field in a section, which must be of one of the row's kinds.
func (r *Row) Value(s Section) Value { return r.field(s) }

// Lookup returns the row of a key, or nil. Case counts.
func Lookup(k Kind, name string) *Row {
	if name == "" {
		return nil
	}
	ix := keyIndex()
	for i := ix.head[bucket(name)]; i != 0; i = ix.next[i-1] {
		if row := &Keys[i-1]; row.Kinds&k != 0 && row.Name == name {
			return row
		}
	}
	return nil
}

// RowsOf returns the rows of a kind in the order of the table.
func RowsOf(k Kind) []*Row {
	var rows []*Row
	for i := range Keys {
		if Keys[i].Kinds&k != 0 {
			rows = append(rows, &Keys[i])
		}
	}
	return rows
}

// GroupOf returns the rows of a kind whose plain flags stand together.
func GroupOf(k Kind, g Group) []*Row { return keyIndex().groups[bits.TrailingZeros16(uint16(k))][g] }

// index finds rows: head and next are chains of rows, counted from 1, whose names have the same bucket.
type index struct {
	head   [1 << bucketBits]uint8
	next   [len(Keys)]uint8
	groups [10][Health + 1][]*Row
}

const bucketBits = 8

func bucket(name string) uint8 {
	mid := name[len(name)/2]
	return uint8(len(name)*37) ^ name[0]*5 ^ name[len(name)-1]*3 ^ mid*11
}

// keyIndex is made once, when the first file is read: it is a function of Keys.
var keyIndex = sync.OnceValue(func() *index {
	ix := &index{}
	for i := len(Keys) - 1; i >= 0; i-- {
		row := &Keys[i]
		b := bucket(row.Name)
		ix.next[i], ix.head[b] = ix.head[b], uint8(i+1)
	}
	for i := range Keys {
		row := &Keys[i]
		for n := range ix.groups {
			if row.Group != Special && row.Kinds&(1<<n) != 0 {
				ix.groups[n][row.Group] = append(ix.groups[n][row.Group], row)
			}
		}
	}
	return ix
})

// Short names keep a row on one line.
const (
	inContainer = KindContainer
	inPod       = KindPod
	inKube      = KindKube
	inNetwork   = KindNetwork
	inVolume    = KindVolume
	inImage     = KindImage
	inBuild     = KindBuild
	inArtifact  = KindArtifact
	inAll       = inContainer | inPod | inKube | inNetwork | inVolume | inImage | inBuild | inArtifact
	inMapped    = inContainer | inPod | inKube
)

func container(f func(*Container) Value) func(Section) Value {
	return func(s Section) Value { return f(s.(*Container)) }
}
func pod(f func(*Pod) Value) func(Section) Value { return func(s Section) Value { return f(s.(*Pod)) } }
func kube(f func(*Kube) Value) func(Section) Value {
	return func(s Section) Value { return f(s.(*Kube)) }
}
func network(f func(*Network) Value) func(Section) Value {
	return func(s Section) Value { return f(s.(*Network)) }
}
func volume(f func(*Volume) Value) func(Section) Value {
	return func(s Section) Value { return f(s.(*Volume)) }
}
func image(f func(*Image) Value) func(Section) Value {
	return func(s Section) Value { return f(s.(*Image)) }
}
func build(f func(*Build) Value) func(Section) Value {
	return func(s Section) Value { return f(s.(*Build)) }
}
func artifact(f func(*Artifact) Value) func(Section) Value {
	return func(s Section) Value { return f(s.(*Artifact)) }
}
func shared(f func(*Shared) Value) func(Section) Value {
	return func(s Section) Value { return f(s.shared()) }
}
func mapping(f func(*Mapping) Value) func(Section) Value {
	return func(s Section) Value { return f(s.(mapped).mapping()) }
}
func resolver(f func(*Resolver) Value) func(Section) Value {
	return func(s Section) Value { return f(s.(resolved).resolver()) }
}
func fetch(f func(*Fetch) Value) func(Section) Value {
	return func(s Section) Value { return f(s.(fetching).fetch()) }
}

// Keys is the language: a row for every key. The order inside a group is the order of the flags.
var Keys = [...]Row{
	// Every kind.
	{"ContainersConfModule", inAll, "--module=", Special, "4.8 build:5.2 pod:5.0 artifact:5.7", "Load a containers.conf module before anything else.", 0, shared(func(s *Shared) Value { return &s.ContainersConfModule })},
	{"GlobalArgs", inAll, "", Special, "4.8 build:5.2 pod:5.0 artifact:5.7", "Arguments between the program and its verb, in every command of the unit.", 0, shared(func(s *Shared) Value { return &s.GlobalArgs })},
	{"PodmanArgs", inAll, "", Special, "4.6 container:4.4 image:4.8 build:5.2 pod:5.0 artifact:5.7", "Arguments put at the end of the options, for what has no key.", Naming, shared(func(s *Shared) Value { return &s.PodmanArgs })},
	{"ServiceName", inAll, "", Special, "5.3 artifact:5.7", "Name of the service to generate, without .service.", Naming, shared(func(s *Shared) Value { return &s.ServiceName })},

	// What is run.
	{"Image", inContainer, "", Special, "4.4", "Image to run: a full name, or the X.image or X.build unit that provides it.", Naming, container(func(c *Container) Value { return &c.Image })},
	{"Rootfs", inContainer, "--rootfs", Special, "4.5", "Directory to run as the root file system, in place of an image.", 0, container(func(c *Container) Value { return &c.Rootfs })},
	{"ContainerName", inContainer, "--name", Special, "4.4", "Name of the container; systemd-%N when absent.", Naming, container(func(c *Container) Value { return &c.ContainerName })},
	{"Exec", inContainer, "", Special, "4.4", "Command and arguments to run instead of the image's own.", 0, container(func(c *Container) Value { return &c.Exec })},
	{"Entrypoint", inContainer, "--entrypoint=", Special, "5.0", "Entry point instead of the image's; empty for none.", 0, container(func(c *Container) Value { return &c.Entrypoint })},
	{"Pod", inContainer, "--pod", Special, "5.0", "The X.pod unit whose pod the container joins.", Naming, container(func(c *Container) Value { return &c.Pod })},
	{"StartWithPod", inContainer, "", Special, "5.3", "Whether the pod's start also starts this container; yes when absent.", Naming, container(func(c *Container) Value { return &c.StartWithPod })},
	{"CgroupsMode", inContainer, "--cgroups", Special, "5.3", "How the container's cgroup is made; split when absent.", 0, container(func(c *Container) Value { return &c.CgroupsMode })},
	{"Notify", inContainer, "--sdnotify=", Special, "4.4", "Who reports that the service is ready: yes for the container itself, healthy for its health check.", 0, container(func(c *Container) Value { return &c.Notify })},
	{"AutoUpdate", inContainer, "--label", Special, "4.6", "Update policy, registry or local, kept as a label.", 0, container(func(c *Container) Value { return &c.AutoUpdate })},
	{"ReloadCmd", inContainer, "", Special, "5.5", "Command run inside the container to reload it.", 0, container(func(c *Container) Value { return &c.ReloadCmd })},
	{"ReloadSignal", inContainer, "", Special, "5.5", "Signal sent to the container to reload it.", 0, container(func(c *Container) Value { return &c.ReloadSignal })},
	{"LogDriver", inContainer, "--log-driver", Special, "4.5", "Where output goes: journald, k8s-file, json-file, passthrough, none.", 0, container(func(c *Container) Value { return &c.LogDriver })},
	{"LogOpt", inContainer, "--log-opt", Special, "5.2", "Options of the log driver, NAME=VALUE.", 0, container(func(c *Container) Value { return &c.LogOpt })},

	{"Timezone", inContainer, "--tz", Strings, "4.4", "Time zone inside the container; local for the host's.", 0, container(func(c *Container) Value { return &c.Timezone })},
	{"PidsLimit", inContainer, "--pids-limit", Strings, "4.7", "Most processes the container may have; -1 for no limit.", 0, container(func(c *Container) Value { return &c.PidsLimit })},
	{"ShmSize", inContainer, "--shm-size", Strings, "4.7", "Size of /dev/shm, with a unit: 64m.", 0, container(func(c *Container) Value { return &c.ShmSize })},
	{"WorkingDir", inContainer, "--workdir", Strings, "4.6", "Working directory inside the container.", 0, container(func(c *Container) Value { return &c.WorkingDir })},
	{"IP", inContainer, "--ip", Strings, "4.5", "Fixed IPv4 address.", 0, container(func(c *Container) Value { return &c.IP })},
	{"IP6", inContainer, "--ip6", Strings, "4.5", "Fixed IPv6 address.", 0, container(func(c *Container) Value { return &c.IP6 })},
	{"HostName", inContainer, "--hostname", Strings, "4.6", "Host name inside the container.", 0, container(func(c *Container) Value { return &c.HostName })},
	{"StopSignal", inContainer, "--stop-signal", Strings, "5.2", "Signal that asks the container to stop.", 0, container(func(c *Container) Value { return &c.StopSignal })},
	{"StopTimeout", inContainer, "--stop-timeout", Strings, "5.0", "Seconds from the stop signal to the kill.", 0, container(func(c *Container) Value { return &c.StopTimeout })},
	{"Pull", inContainer, "--pull", Strings, "4.6", "When to pull the image: always, missing, never, newer.", 0, container(func(c *Container) Value { return &c.Pull })},
	{"Memory", inContainer, "--memory", Strings, "5.5", "Most memory the container may use, with a unit: 512m.", 0, container(func(c *Container) Value { return &c.Memory })},
	{"Retry", inContainer, "--retry", Strings, "5.5", "How often a failed pull is tried again.", 0, container(func(c *Container) Value { return &c.Retry })},
	{"RetryDelay", inContainer, "--retry-delay", Strings, "5.5", "Time between two tries of a pull: 5s.", 0, container(func(c *Container) Value { return &c.RetryDelay })},

	{"NetworkAlias", inContainer, "--network-alias", Lists, "5.2", "Further name of the container on its networks.", 0, container(func(c *Container) Value { return &c.NetworkAlias })},
	{"Ulimit", inContainer, "--ulimit", Lists, "4.7", "Resource limit of the processes: nofile=1024:2048.", 0, container(func(c *Container) Value { return &c.Ulimit })},
	{"DNS", inContainer, "--dns", Lists, "4.7", "DNS server to use; none leaves resolv.conf to the image.", 0, resolver(func(r *Resolver) Value { return &r.DNS })},
	{"DNSOption", inContainer, "--dns-option", Lists, "4.7", "Option line for resolv.conf.", 0, resolver(func(r *Resolver) Value { return &r.DNSOption })},
	{"DNSSearch", inContainer, "--dns-search", Lists, "4.7", "Domain in which short names are looked up.", 0, resolver(func(r *Resolver) Value { return &r.DNSSearch })},
	{"GroupAdd", inContainer, "--group-add", Lists, "5.1", "Further group of the container's user; keep-groups for the caller's.", 0, container(func(c *Container) Value { return &c.GroupAdd })},
	{"AddHost", inContainer, "--add-host", Lists, "5.3", "Line for /etc/hosts: NAME:ADDRESS.", 0, container(func(c *Container) Value { return &c.AddHost })},
	{"Tmpfs", inContainer, "--tmpfs", Lists, "4.5", "Memory file system to mount: PATH or PATH:OPTIONS.", 0, container(func(c *Container) Value { return &c.Tmpfs })},

	{"RunInit", inContainer, "--init", Booleans, "4.4", "Run a small init in the container that reaps processes.", 0, container(func(c *Container) Value { return &c.RunInit })},
	{"EnvironmentHost", inContainer, "--env-host", Booleans, "4.4", "Pass the service's whole environment on.", 0, container(func(c *Container) Value { return &c.EnvironmentHost })},
	{"HttpProxy", inContainer, "--http-proxy", Booleans, "5.7", "Pass the proxy variables of the host on.", 0, container(func(c *Container) Value { return &c.HTTPProxy })},
	{"ReadOnlyTmpfs", inContainer, "--read-only-tmpfs", Booleans, "4.8", "With ReadOnly=, mount memory file systems on /tmp, /run and /var/tmp.", 0, container(func(c *Container) Value { return &c.ReadOnlyTmpfs })},

	{"Network", inContainer | inPod | inKube | inBuild, "--network", Special, "4.4 pod:5.0 build:5.2", "Network to join: host, none, a name, X.network or X.container, with options after a colon.", Naming, networkField},
	{"PublishPort", inContainer | inPod | inKube, "--publish", Special, "4.4 pod:5.0", "Port to publish on the host: [[ADDRESS:]PORT:]PORT[/PROTOCOL].", 0, publishField},
	{"Volume", inContainer | inPod | inBuild, "-v", Special, "4.4 pod:5.0 build:5.2", "Mount: SOURCE:PATH[:OPTIONS]; the source is a directory, a volume, or an X.volume unit.", 0, volumeField},
	{"NoNewPrivileges", inContainer, "--security-opt=no-new-privileges", Special, "4.4", "Keep processes from gaining privileges.", 0, container(func(c *Container) Value { return &c.NoNewPrivileges })},
	{"SecurityLabelDisable", inContainer, "--security-opt", Special, "4.5", "Switch SELinux separation off.", 0, container(func(c *Container) Value { return &c.SecurityLabelDisable })},
	{"SecurityLabelNested", inContainer, "--security-opt", Special, "4.6", "Let SELinux labels work inside the container.", 0, container(func(c *Container) Value { return &c.SecurityLabelNested })},
	{"SecurityLabelType", inContainer, "--security-opt", Special, "4.5", "SELinux type of the processes.", 0, container(func(c *Container) Value { return &c.SecurityLabelType })},
	{"SecurityLabelFileType", inContainer, "--security-opt", Special, "4.5", "SELinux type of the files.", 0, container(func(c *Container) Value { return &c.SecurityLabelFileType })},
	{"SecurityLabelLevel", inContainer, "--security-opt", Special, "4.5", "SELinux level of processes and files.", 0, container(func(c *Container) Value { return &c.SecurityLabelLevel })},
	{"AppArmor", inContainer, "--security-opt", Special, "5.8", "AppArmor profile of the processes.", 0, container(func(c *Container) Value { return &c.AppArmor })},
	{"AddDevice", inContainer, "--device", Special, "4.4", "Device to add: HOST[:PATH[:rwm]]; with a - in front only if it exists.", 0, container(func(c *Container) Value { return &c.AddDevice })},
	{"SeccompProfile", inContainer, "--security-opt", Special, "4.4", "Seccomp profile: a JSON file, or unconfined.", 0, container(func(c *Container) Value { return &c.SeccompProfile })},
	{"DropCapability", inContainer, "--cap-drop", Special, "4.4", "Capabilities to take away; all for all.", 0, container(func(c *Container) Value { return &c.DropCapability })},
	{"AddCapability", inContainer, "--cap-add", Special, "4.4", "Capabilities to add to the usual set.", 0, container(func(c *Container) Value { return &c.AddCapability })},
	{"Sysctl", inContainer, "--sysctl", Special, "4.6", "Kernel parameters of the container's namespaces, NAME=VALUE.", 0, container(func(c *Container) Value { return &c.Sysctl })},
	{"ReadOnly", inContainer, "--read-only", Special, "4.4", "Mount the root file system read-only.", 0, container(func(c *Container) Value { return &c.ReadOnly })},
	{"VolatileTmp", inContainer, "--tmpfs", Special, "4.4", "Mount a memory file system on /tmp; use Tmpfs= instead.", Old, container(func(c *Container) Value { return &c.VolatileTmp })},
	{"User", inContainer, "--user", Special, "4.4", "User, by name or number, that runs inside the container.", 0, container(func(c *Container) Value { return &c.User })},
	{"Group", inContainer, "--user", Special, "4.4", "Group, by name or number, that runs inside the container; needs User=.", 0, container(func(c *Container) Value { return &c.Group })},
	{"ExposeHostPort", inContainer, "--expose", Special, "4.4", "Port that the container offers, without publishing it.", 0, container(func(c *Container) Value { return &c.ExposeHostPort })},
	{"Environment", inContainer | inBuild, "--env", PairGroup, "4.4 build:5.2", "Environment variables, NAME=VALUE; NAME alone takes the value of the service.", 0, environmentField},
	{"Label", inContainer, "--label", PairGroup, "4.4", "Labels of the container, NAME=VALUE.", 0, container(func(c *Container) Value { return &c.Label })},
	{"Annotation", inContainer, "--annotation", PairGroup, "4.4", "Annotations of the container, NAME=VALUE.", 0, container(func(c *Container) Value { return &c.Annotation })},
	{"Mask", inContainer, "--security-opt", Special, "4.6", "Paths to hide inside the container, colons between them.", 0, container(func(c *Container) Value { return &c.Mask })},
	{"Unmask", inContainer, "--security-opt", Special, "4.6", "Usually hidden paths to show, colons between them; ALL for all.", 0, container(func(c *Container) Value { return &c.Unmask })},
	{"EnvironmentFile", inContainer, "--env-file", Special, "4.4", "File of NAME=VALUE lines; relative paths start at the unit file.", 0, container(func(c *Container) Value { return &c.EnvironmentFile })},
	{"Secret", inContainer | inBuild, "--secret", Special, "4.5 build:5.2", "Secret to pass: NAME[,OPTION=…].", 0, secretField},
	{"Mount", inContainer, "--mount", Special, "4.5", "Mount in long form: type=…,source=…,destination=….", 0, container(func(c *Container) Value { return &c.Mount })},

	{"HealthCmd", inContainer, "--health-cmd", Health, "4.5", "Command of the health check; none for no check.", 0, container(func(c *Container) Value { return &c.HealthCmd })},
	{"HealthInterval", inContainer, "--health-interval", Health, "4.5", "Time between two health checks; disable for none.", 0, container(func(c *Container) Value { return &c.HealthInterval })},
	{"HealthOnFailure", inContainer, "--health-on-failure", Health, "4.5", "What an unhealthy container leads to: none, kill, restart, stop.", 0, container(func(c *Container) Value { return &c.HealthOnFailure })},
	{"HealthLogDestination", inContainer, "--health-log-destination", Health, "5.3", "Where the results of checks are kept: local, events_logger or a directory.", 0, container(func(c *Container) Value { return &c.HealthLogDestination })},
	{"HealthMaxLogCount", inContainer, "--health-max-log-count", Health, "5.3", "How many results of checks are kept; 0 for all that 1 MB holds.", 0, container(func(c *Container) Value { return &c.HealthMaxLogCount })},
	{"HealthMaxLogSize", inContainer, "--health-max-log-size", Health, "5.3", "Most characters of a kept result; 0 for all.", 0, container(func(c *Container) Value { return &c.HealthMaxLogSize })},
	{"HealthRetries", inContainer, "--health-retries", Health, "4.5", "Failed checks in a row that make the container unhealthy.", 0, container(func(c *Container) Value { return &c.HealthRetries })},
	{"HealthStartPeriod", inContainer, "--health-start-period", Health, "4.5", "Time after the start in which failed checks do not count.", 0, container(func(c *Container) Value { return &c.HealthStartPeriod })},
	{"HealthTimeout", inContainer, "--health-timeout", Health, "4.5", "Time after which a check has failed.", 0, container(func(c *Container) Value { return &c.HealthTimeout })},
	{"HealthStartupCmd", inContainer, "--health-startup-cmd", Health, "4.5", "Command of the check that holds until it succeeds once.", 0, container(func(c *Container) Value { return &c.HealthStartupCmd })},
	{"HealthStartupInterval", inContainer, "--health-startup-interval", Health, "4.5", "Time between two startup checks.", 0, container(func(c *Container) Value { return &c.HealthStartupInterval })},
	{"HealthStartupRetries", inContainer, "--health-startup-retries", Health, "4.5", "Failed startup checks that restart the container.", 0, container(func(c *Container) Value { return &c.HealthStartupRetries })},
	{"HealthStartupSuccess", inContainer, "--health-startup-success", Health, "4.5", "Successful startup checks after which the usual check begins.", 0, container(func(c *Container) Value { return &c.HealthStartupSuccess })},
	{"HealthStartupTimeout", inContainer, "--health-startup-timeout", Health, "4.5", "Time after which a startup check has failed.", 0, container(func(c *Container) Value { return &c.HealthStartupTimeout })},

	// User namespaces.
	{"UserNS", inMapped, "--userns", Special, "4.5 pod:5.3", "User namespace: auto, keep-id, nomap, host, with options after a colon.", 0, mapping(func(m *Mapping) Value { return &m.UserNS })},
	{"UIDMap", inContainer | inPod, "--uidmap", Special, "4.8 pod:5.3", "Line of the user map: INSIDE:OUTSIDE[:COUNT].", 0, mapping(func(m *Mapping) Value { return &m.UIDMap })},
	{"GIDMap", inContainer | inPod, "--gidmap", Special, "4.8 pod:5.3", "Line of the group map: INSIDE:OUTSIDE[:COUNT].", 0, mapping(func(m *Mapping) Value { return &m.GIDMap })},
	{"SubUIDMap", inContainer | inPod, "--subuidname", Special, "4.8 pod:5.3", "Name in /etc/subuid whose range is used.", 0, mapping(func(m *Mapping) Value { return &m.SubUIDMap })},
	{"SubGIDMap", inContainer | inPod, "--subgidname", Special, "4.8 pod:5.3", "Name in /etc/subgid whose range is used.", 0, mapping(func(m *Mapping) Value { return &m.SubGIDMap })},
	{"RemapUsers", inMapped, "--userns", Special, "4.4 pod:5.3", "Way of mapping users: manual, auto or keep-id; use UserNS= instead.", Old, mapping(func(m *Mapping) Value { return &m.RemapUsers })},
	{"RemapUid", inMapped, "--uidmap", Special, "4.4 pod:5.3", "User map of RemapUsers=; use UIDMap= instead.", Old, mapping(func(m *Mapping) Value { return &m.RemapUID })},
	{"RemapGid", inMapped, "--gidmap", Special, "4.4 pod:5.3", "Group map of RemapUsers=; use GIDMap= instead.", Old, mapping(func(m *Mapping) Value { return &m.RemapGID })},
	{"RemapUidSize", inMapped, "--userns", Special, "4.4 pod:5.3", "Number of users of RemapUsers=auto; use UserNS=auto:size=N instead.", Old, mapping(func(m *Mapping) Value { return &m.RemapUIDSize })},

	// Pods.
	{"PodName", inPod, "--name", Special, "5.0", "Name of the pod; systemd- and the file's name when absent.", Naming, pod(func(p *Pod) Value { return &p.PodName })},
	{"ExitPolicy", inPod, "--exit-policy", Special, "5.6", "What follows when the last container ends: stop or continue; stop when absent.", 0, pod(func(p *Pod) Value { return &p.ExitPolicy })},
	{"StopTimeout", inPod, "--time=", Special, "5.7", "Seconds that the containers have to stop; 10 when absent.", 0, pod(func(p *Pod) Value { return &p.StopTimeout })},
	{"Label", inPod, "--label", Special, "5.6", "Labels of the pod, NAME=VALUE.", 0, pod(func(p *Pod) Value { return &p.Label })},
	{"IP", inPod, "--ip", Strings, "5.3", "Fixed IPv4 address.", 0, pod(func(p *Pod) Value { return &p.IP })},
	{"IP6", inPod, "--ip6", Strings, "5.3", "Fixed IPv6 address.", 0, pod(func(p *Pod) Value { return &p.IP6 })},
	{"ShmSize", inPod, "--shm-size", Strings, "5.4", "Size of the shared /dev/shm.", 0, pod(func(p *Pod) Value { return &p.ShmSize })},
	{"NetworkAlias", inPod, "--network-alias", Lists, "5.2", "Further name of the pod on its networks.", 0, pod(func(p *Pod) Value { return &p.NetworkAlias })},
	{"DNS", inPod, "--dns", Lists, "5.3", "DNS server to use.", 0, resolver(func(r *Resolver) Value { return &r.DNS })},
	{"DNSOption", inPod, "--dns-option", Lists, "5.3", "Option line for resolv.conf.", 0, resolver(func(r *Resolver) Value { return &r.DNSOption })},
	{"DNSSearch", inPod, "--dns-search", Lists, "5.3", "Domain in which short names are looked up.", 0, resolver(func(r *Resolver) Value { return &r.DNSSearch })},
	{"AddHost", inPod, "--add-host", Lists, "5.3", "Line for /etc/hosts: NAME:ADDRESS.", 0, pod(func(p *Pod) Value { return &p.AddHost })},
	{"HostName", inPod, "--hostname", Lists, "5.5", "Host name of the pod's containers.", 0, pod(func(p *Pod) Value { return &p.HostName })},

	// Kubernetes files.
	{"Yaml", inKube, "", Special, "4.4", "Kubernetes file to play; relative paths start at the unit file.", 0, kube(func(k *Kube) Value { return &k.Yaml })},
	{"ConfigMap", inKube, "--configmap", Special, "4.4", "File of a ConfigMap; relative paths start at the unit file.", 0, kube(func(k *Kube) Value { return &k.ConfigMap })},
	{"AutoUpdate", inKube, "--annotation=", Special, "4.7", "Update policy of all containers, or NAME/POLICY of one.", 0, kube(func(k *Kube) Value { return &k.AutoUpdate })},
	{"ExitCodePropagation", inKube, "--service-exit-code-propagation=", Special, "4.6", "Which failed containers fail the service: all, any, none.", 0, kube(func(k *Kube) Value { return &k.ExitCodePropagation })},
	{"KubeDownForce", inKube, "--force", Special, "4.8", "Remove volumes too when the service stops.", 0, kube(func(k *Kube) Value { return &k.KubeDownForce })},
	{"LogDriver", inKube, "--log-driver", Special, "4.5", "Where the output of the containers goes.", 0, kube(func(k *Kube) Value { return &k.LogDriver })},
	{"LogOpt", inKube, "--log-opt", Special, "5.2", "Options of the log driver, NAME=VALUE.", 0, kube(func(k *Kube) Value { return &k.LogOpt })},
	{"SetWorkingDirectory", inKube, "", Special, "4.7", "Working directory of the service: yaml or unit, for the directory of that file.", 0, kube(func(k *Kube) Value { return &k.SetWorkingDirectory })},

	// Networks.
	{"DisableDNS", inNetwork, "--disable-dns", Booleans, "4.4", "Offer no name resolution on the network.", 0, network(func(n *Network) Value { return &n.DisableDNS })},
	{"Internal", inNetwork, "--internal", Booleans, "4.4", "Give the network no way out.", 0, network(func(n *Network) Value { return &n.Internal })},
	{"IPv6", inNetwork, "--ipv6", Booleans, "4.4", "Give the network an IPv6 subnet.", 0, network(func(n *Network) Value { return &n.IPv6 })},
	{"Driver", inNetwork, "--driver", Strings, "4.4", "Network driver: bridge, macvlan, ipvlan.", 0, network(func(n *Network) Value { return &n.Driver })},
	{"IPAMDriver", inNetwork, "--ipam-driver", Strings, "4.4", "Who hands out addresses: host-local, dhcp, none.", 0, network(func(n *Network) Value { return &n.IPAMDriver })},
	{"InterfaceName", inNetwork, "--interface-name", Strings, "5.6", "Name of the bridge, or the parent interface.", 0, network(func(n *Network) Value { return &n.InterfaceName })},
	{"DNS", inNetwork, "--dns", Lists, "4.7", "DNS server of the network's resolver.", 0, network(func(n *Network) Value { return &n.DNS })},
	{"Subnet", inNetwork, "--subnet", Special, "4.4", "Subnet in CIDR form.", 0, network(func(n *Network) Value { return &n.Subnet })},
	{"Gateway", inNetwork, "--gateway", Special, "4.4", "Gateway of the subnet at the same place in the list.", 0, network(func(n *Network) Value { return &n.Gateway })},
	{"IPRange", inNetwork, "--ip-range", Special, "4.4", "Range to hand out of the subnet at the same place in the list.", 0, network(func(n *Network) Value { return &n.IPRange })},
	{"Options", inNetwork, "--opt", PairGroup, "4.4", "Options of the driver, NAME=VALUE.", 0, network(func(n *Network) Value { return &n.Options })},
	{"Label", inNetwork, "--label", PairGroup, "4.4", "Labels of the network, NAME=VALUE.", 0, network(func(n *Network) Value { return &n.Label })},
	{"NetworkName", inNetwork, "", Special, "4.7", "Name of the network; systemd- and the file's name when absent.", Naming, network(func(n *Network) Value { return &n.NetworkName })},
	{"NetworkDeleteOnStop", inNetwork, "", Special, "5.5", "Remove the network when the service stops.", 0, network(func(n *Network) Value { return &n.NetworkDeleteOnStop })},

	// Volumes.
	{"UID", inVolume, "--uid", Strings, "6.0", "User number that owns the volume.", 0, volume(func(v *Volume) Value { return &v.UID })},
	{"GID", inVolume, "--gid", Strings, "6.0", "Group number that owns the volume.", 0, volume(func(v *Volume) Value { return &v.GID })},
	{"Driver", inVolume, "--driver", Strings, "4.8", "Volume driver: local, or image for an image's content.", 0, volume(func(v *Volume) Value { return &v.Driver })},
	{"Image", inVolume, "--opt", Special, "4.8", "Image of Driver=image: a full name, X.image or X.build.", Naming, volume(func(v *Volume) Value { return &v.Image })},
	{"Copy", inVolume, "--opt", Special, "4.4", "Whether an empty volume is filled from the image.", 0, volume(func(v *Volume) Value { return &v.Copy })},
	{"Device", inVolume, "--opt", Special, "4.4", "What is mounted as the volume.", 0, volume(func(v *Volume) Value { return &v.Device })},
	{"Type", inVolume, "--opt", Special, "4.4", "File system of the device, as for mount.", 0, volume(func(v *Volume) Value { return &v.Type })},
	{"Options", inVolume, "--opt", Special, "4.4", "Mount options of the device.", 0, volume(func(v *Volume) Value { return &v.Options })},
	{"User", inVolume, "--opt", Special, "4.4", "User number for the mount option uid.", 0, volume(func(v *Volume) Value { return &v.User })},
	{"Group", inVolume, "--opt", Special, "4.4", "Group number for the mount option gid.", 0, volume(func(v *Volume) Value { return &v.Group })},
	{"Label", inVolume, "--label", PairGroup, "4.4", "Labels of the volume, NAME=VALUE.", 0, volume(func(v *Volume) Value { return &v.Label })},
	{"VolumeName", inVolume, "", Special, "4.7", "Name of the volume; systemd- and the file's name when absent.", Naming, volume(func(v *Volume) Value { return &v.VolumeName })},

	// Images, builds and artifacts.
	{"Image", inImage, "", Special, "4.8", "Image to pull.", Naming, image(func(i *Image) Value { return &i.Image })},
	{"ImageTag", inImage, "", Special, "4.8", "Name that other units get for the image; the value of Image= when absent.", Naming, image(func(i *Image) Value { return &i.ImageTag })},
	{"Artifact", inArtifact, "", Special, "5.7", "Artifact to pull.", Naming, artifact(func(a *Artifact) Value { return &a.Artifact })},
	{"Pull", inBuild, "--pull=", Special, "5.2", "When to pull base images: always, missing, never, newer.", 0, build(func(b *Build) Value { return &b.Pull })},
	{"Arch", inImage, "--arch", Strings, "4.8", "Architecture instead of the machine's.", 0, image(func(i *Image) Value { return &i.Arch })},
	{"Arch", inBuild, "--arch", Strings, "5.2", "Architecture to build for.", 0, build(func(b *Build) Value { return &b.Arch })},
	{"AuthFile", inImage | inBuild | inArtifact, "--authfile", Strings, "4.8 build:5.2 artifact:5.7", "File with the credentials of registries.", 0, fetch(func(f *Fetch) Value { return &f.AuthFile })},
	{"CertDir", inImage | inArtifact, "--cert-dir", Strings, "4.8 artifact:5.7", "Directory with certificates for the registry.", 0, fetch(func(f *Fetch) Value { return &f.CertDir })},
	{"Creds", inImage | inArtifact, "--creds", Strings, "4.8 artifact:5.7", "USER:PASSWORD for the registry.", 0, fetch(func(f *Fetch) Value { return &f.Creds })},
	{"DecryptionKey", inImage | inArtifact, "--decryption-key", Strings, "4.8 artifact:5.7", "Key that decrypts the layers: FILE[:PASSPHRASE].", 0, fetch(func(f *Fetch) Value { return &f.DecryptionKey })},
	{"IgnoreFile", inBuild, "--ignorefile", Strings, "5.7", "File that lists what is left out of the context.", 0, build(func(b *Build) Value { return &b.IgnoreFile })},
	{"OS", inImage, "--os", Strings, "4.8", "Operating system instead of the machine's.", 0, image(func(i *Image) Value { return &i.OS })},
	{"Policy", inImage, "--policy", Strings, "5.6", "When to pull: always, missing, never, newer.", 0, image(func(i *Image) Value { return &i.Policy })},
	{"Target", inBuild, "--target", Strings, "5.2", "Stage of the Containerfile to build.", 0, build(func(b *Build) Value { return &b.Target })},
	{"Variant", inImage, "--variant", Strings, "4.8", "Variant of the architecture: v7.", 0, image(func(i *Image) Value { return &i.Variant })},
	{"Variant", inBuild, "--variant", Strings, "5.2", "Variant of the architecture: v7.", 0, build(func(b *Build) Value { return &b.Variant })},
	{"Retry", inImage | inBuild | inArtifact, "--retry", Strings, "5.5 artifact:5.7", "How often a failed pull is tried again.", 0, fetch(func(f *Fetch) Value { return &f.Retry })},
	{"RetryDelay", inImage | inBuild | inArtifact, "--retry-delay", Strings, "5.5 artifact:5.7", "Time between two tries of a pull: 5s.", 0, fetch(func(f *Fetch) Value { return &f.RetryDelay })},
	{"AllTags", inImage, "--all-tags", Booleans, "4.8", "Pull all tags of the repository.", 0, image(func(i *Image) Value { return &i.AllTags })},
	{"Quiet", inArtifact, "--quiet", Booleans, "5.7", "Say nothing while pulling.", 0, artifact(func(a *Artifact) Value { return &a.Quiet })},
	{"TLSVerify", inImage | inBuild | inArtifact, "--tls-verify", Booleans, "4.8 build:5.2 artifact:5.7", "Whether the registry must have a valid certificate.", 0, fetch(func(f *Fetch) Value { return &f.TLSVerify })},
	{"ForceRM", inBuild, "--force-rm", Booleans, "5.2", "Remove intermediate containers also when the build fails.", 0, build(func(b *Build) Value { return &b.ForceRM })},
	{"DNS", inBuild, "--dns", Lists, "5.2", "DNS server to use while building.", 0, resolver(func(r *Resolver) Value { return &r.DNS })},
	{"DNSOption", inBuild, "--dns-option", Lists, "5.2", "Option line for resolv.conf while building.", 0, resolver(func(r *Resolver) Value { return &r.DNSOption })},
	{"DNSSearch", inBuild, "--dns-search", Lists, "5.2", "Domain in which short names are looked up while building.", 0, resolver(func(r *Resolver) Value { return &r.DNSSearch })},
	{"GroupAdd", inBuild, "--group-add", Lists, "5.2", "Further group of the building user.", 0, build(func(b *Build) Value { return &b.GroupAdd })},
	{"ImageTag", inBuild, "--tag", Lists, "5.2", "Name of the built image; X.build stands for the first.", Naming, build(func(b *Build) Value { return &b.ImageTag })},
	{"BuildArg", inBuild, "--build-arg", PairGroup, "5.7", "Build arguments, NAME=VALUE.", 0, build(func(b *Build) Value { return &b.BuildArg })},
	{"Label", inBuild, "--label", PairGroup, "5.2", "Labels of the image, NAME=VALUE.", 0, build(func(b *Build) Value { return &b.Label })},
	{"Annotation", inBuild, "--annotation", PairGroup, "5.2", "Annotations of the image, NAME=VALUE.", 0, build(func(b *Build) Value { return &b.Annotation })},
	{"File", inBuild, "--file", Special, "5.2", "Containerfile to build: a path or a URL.", 0, build(func(b *Build) Value { return &b.File })},
	{"SetWorkingDirectory", inBuild, "", Special, "5.2", "Build context: unit, file, a path or a URL.", 0, build(func(b *Build) Value { return &b.SetWorkingDirectory })},

	// The sections beside.
	{"DefaultDependencies", KindQuadlet, "", Special, "5.3", "Whether the unit waits for the network; yes when absent.", 0, func(s Section) Value { return &s.(*Quadlet).DefaultDependencies }},
	{"UnknownKeys", KindBerth, "", Special, "berth", "What an unknown key is: error (when absent) or warn.", 0, func(s Section) Value { return &s.(*Berth).UnknownKeys }},
	{"RestartOn", KindBerth, "", Special, "berth", "Files and directories of the host whose change restarts the unit while it runs.", 0, func(s Section) Value { return &s.(*Berth).RestartOn }},
	{"InitContainer", KindBerth, "", Special, "berth", "Whether the container of a pod runs to its end before the pod's other containers start; when it fails, the pod stops.", 0, func(s Section) Value { return &s.(*Berth).InitContainer }},
	{"Override", KindBerth, "", Special, "berth", "Whether the unit may take the place of one that the system has.", 0, func(s Section) Value { return &s.(*Berth).Override }},
}

func networkField(s Section) Value {
	switch s := s.(type) {
	case *Pod:
		return &s.Network
	case *Kube:
		return &s.Network
	case *Build:
		return &s.Network
	}
	return &s.(*Container).Network
}

func publishField(s Section) Value {
	switch s := s.(type) {
	case *Pod:
		return &s.PublishPort
	case *Kube:
		return &s.PublishPort
	}
	return &s.(*Container).PublishPort
}

func volumeField(s Section) Value {
	switch s := s.(type) {
	case *Pod:
		return &s.Volume
	case *Build:
		return &s.Volume
	}
	return &s.(*Container).Volume
}

func environmentField(s Section) Value {
	if b, ok := s.(*Build); ok {
		return &b.Environment
	}
	return &s.(*Container).Environment
}

func secretField(s Section) Value {
	if b, ok := s.(*Build); ok {
		return &b.Secret
	}
	return &s.(*Container).Secret
}
