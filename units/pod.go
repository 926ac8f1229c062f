package units

// Pod is [Pod].
type Pod struct {
	Shared
	Mapping
	Resolver

	AddHost      List
	ExitPolicy   String
	HostName     String
	IP           String
	IP6          String
	Label        Pairs
	Network      List
	NetworkAlias List
	PodName      String
	PublishPort  List
	ShmSize      String
	StopTimeout  String
	Volume       List
}

func checkPod(u *Unit, p *Pod) {
	checkMapping(u, &p.Mapping, true)
}
