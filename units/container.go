package units

import (
	"slices"
	"strings"
)

// Container is [Container].
type Container struct {
	Shared
	Mapping
	Resolver

	AddCapability         Words
	AddDevice             Words
	AddHost               List
	Annotation            Pairs
	AppArmor              String
	AutoUpdate            String
	CgroupsMode           String
	ContainerName         String
	DropCapability        Words
	Entrypoint            String
	Environment           Pairs
	EnvironmentFile       Args
	EnvironmentHost       Bool
	Exec                  Command
	ExposeHostPort        List
	Group                 String
	GroupAdd              List
	HealthCmd             String
	HealthInterval        String
	HealthLogDestination  String
	HealthMaxLogCount     String
	HealthMaxLogSize      String
	HealthOnFailure       String
	HealthRetries         String
	HealthStartPeriod     String
	HealthStartupCmd      String
	HealthStartupInterval String
	HealthStartupRetries  String
	HealthStartupSuccess  String
	HealthStartupTimeout  String
	HealthTimeout         String
	HostName              String
	HTTPProxy             Bool
	Image                 String
	IP                    String
	IP6                   String
	Label                 Pairs
	LogDriver             String
	LogOpt                Words
	Mask                  Args
	Memory                String
	Mount                 Args
	Network               List
	NetworkAlias          List
	NoNewPrivileges       Bool
	Notify                String
	PidsLimit             String
	Pod                   String
	PublishPort           List
	Pull                  String
	ReadOnly              Bool
	ReadOnlyTmpfs         Bool
	ReloadCmd             Command
	ReloadSignal          String
	Retry                 String
	RetryDelay            String
	Rootfs                String
	RunInit               Bool
	SeccompProfile        String
	Secret                Args
	SecurityLabelDisable  Bool
	SecurityLabelFileType String
	SecurityLabelLevel    String
	SecurityLabelNested   Bool
	SecurityLabelType     String
	ShmSize               String
	StartWithPod          Bool
	StopSignal            String
	StopTimeout           String
	Sysctl                Words
	Timezone              String
	Tmpfs                 List
	Ulimit                List
	Unmask                Args
	User                  String
	VolatileTmp           Bool
	Volume                List
	WorkingDir            String
}

// updatePolicies are what the label io.containers.autoupdate may say.
var updatePolicies = []string{"registry", "image", "local", "disabled"}

func checkContainer(u *Unit, c *Container) {
	switch {
	case c.Image.Text == "" && c.Rootfs.Text == "":
		u.Errorf(u.sectionPos(), "no Image or Rootfs key specified")
	case c.Image.Text != "" && c.Rootfs.Text != "":
		u.Errorf(c.Rootfs.At, "the Image and Rootfs keys cannot both be set")
	}
	if c.Group.Text != "" && c.User.Text == "" {
		u.Errorf(c.Group.At, "invalid Group set without User")
	}
	if c.ReloadCmd.Given && len(c.ReloadCmd.Words) > 0 && c.ReloadSignal.Text != "" {
		u.Errorf(c.ReloadSignal.At, "ReloadCmd and ReloadSignal are mutually exclusive but both are set")
	}
	for _, port := range c.ExposeHostPort {
		if !isPortRange(port.Text) {
			u.Errorf(port.At, "invalid port format '"+port.Text+"'; use PORT, PORT-PORT, and /tcp or /udp after it")
		}
	}
	if _, ok := ParseBool(c.Notify.Text); !ok && c.Notify.Text != "" && !strings.EqualFold(c.Notify.Text, "healthy") {
		u.add(Finding{At: c.Notify.At, Severity: Warning, Message: "Notify=" + c.Notify.Text + " is neither yes, no nor healthy and counts as no",
			Hint: "healthy waits for HealthCmd="})
	}
	if p := c.AutoUpdate; p.Text != "" && !strings.Contains(p.Text, "%") && !slices.Contains(updatePolicies, p.Text) {
		u.add(Finding{At: p.At, Severity: Warning, Message: "AutoUpdate=" + p.Text + " is no policy, and the container is not updated", Hint: "use registry or local"})
	}
	checkMapping(u, &c.Mapping, true)
	checkSupervised(u)
	checkNotPod(u, c.Pod)
}

// checkNotPod: a pod is named by its unit file.
func checkNotPod(u *Unit, pod String) {
	if pod.Text == "" || KindOf(pod.Text) == KindPod {
		return
	}
	u.add(Finding{At: pod.At, Severity: Error, Message: "pod " + pod.Text + " is not Quadlet based",
		Hint: "did you mean Pod=" + pod.Text + ".pod?"})
}

// isPortRange matches 80, 80-90, 80/tcp, 80-90/udp.
func isPortRange(text string) bool {
	text = trimSpace(text)
	digits := func() bool {
		n := 0
		for n < len(text) && text[n] >= '0' && text[n] <= '9' {
			n++
		}
		text = text[n:]
		return n > 0
	}
	if !digits() {
		return false
	}
	if text != "" && text[0] == '-' {
		text = text[1:]
		if !digits() {
			return false
		}
	}
	return text == "" || text == "/tcp" || text == "/udp"
}
