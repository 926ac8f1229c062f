package units

// Section is the typed content of a unit's own section: *Container, *Pod, *Kube, *Network, *Volume, *Image, *Build,
// *Artifact, and *Quadlet and *Berth for the two that any file may have.
type Section interface {
	shared() *Shared
	reset()
}

// NewSection makes the empty section of a kind.
func NewSection(k Kind) Section {
	switch k {
	case KindContainer:
		return &Container{}
	case KindPod:
		return &Pod{}
	case KindKube:
		return &Kube{}
	case KindNetwork:
		return &Network{}
	case KindVolume:
		return &Volume{}
	case KindImage:
		return &Image{}
	case KindBuild:
		return &Build{}
	case KindArtifact:
		return &Artifact{}
	case KindQuadlet:
		return &Quadlet{}
	case KindBerth:
		return &Berth{}
	}
	return nil
}

// Shared are the keys of all eight kinds.
type Shared struct {
	ContainersConfModule List
	GlobalArgs           Args
	PodmanArgs           Args
	ServiceName          String
}

func (s *Shared) shared() *Shared { return s }

// SharedOf returns the keys that all eight kinds have.
func SharedOf(s Section) *Shared { return s.shared() }

// Mapping are the keys about user namespaces. The Remap keys are old; they exclude the others.
type Mapping struct {
	UserNS       String
	UIDMap       Words
	GIDMap       Words
	SubUIDMap    String
	SubGIDMap    String
	RemapUsers   Raw
	RemapUID     Words
	RemapGID     Words
	RemapUIDSize Number
}

func (m *Mapping) mapping() *Mapping { return m }

type mapped interface{ mapping() *Mapping }

// Resolver are the keys about name resolution inside a container, pod or build.
type Resolver struct {
	DNS       List
	DNSOption List
	DNSSearch List
}

func (r *Resolver) resolver() *Resolver { return r }

type resolved interface{ resolver() *Resolver }

// Fetch are the keys about getting something from a registry.
type Fetch struct {
	AuthFile      String
	CertDir       String
	Creds         String
	DecryptionKey String
	Retry         String
	RetryDelay    String
	TLSVerify     Bool
}

func (f *Fetch) fetch() *Fetch { return f }

type fetching interface{ fetch() *Fetch }

// Quadlet is [Quadlet]: how the file itself is to be treated.
type Quadlet struct {
	Shared
	DefaultDependencies Bool
}

// Berth is [X-Berth]: what only this generator knows.
type Berth struct {
	Shared
	UnknownKeys   String
	InitContainer Bool
	Override      Bool
	RestartOn     Words
}

func (c *Container) reset() { *c = Container{} }
func (p *Pod) reset()       { *p = Pod{} }
func (k *Kube) reset()      { *k = Kube{} }
func (n *Network) reset()   { *n = Network{} }
func (v *Volume) reset()    { *v = Volume{} }
func (i *Image) reset()     { *i = Image{} }
func (b *Build) reset()     { *b = Build{} }
func (a *Artifact) reset()  { *a = Artifact{} }
func (q *Quadlet) reset()   { *q = Quadlet{} }
func (b *Berth) reset()     { *b = Berth{} }
