package cli

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine/config"
	"github.com/berth-pods/berth/engine/spec"
)

// withDefaults gives a container what containers.conf(5) says of those of which the command line, or the unit file, says nothing.
// A setting that does not go together with what is said is left out: it is meant for others.
func withDefaults(c *spec.Container, set *pflag.FlagSet, conf config.Config) error {
	d := conf.Containers
	silent := silentIn(set)
	own := c.Pod == "" && c.PodIDFile == "" // a pod's containers have the pod's network, name and hosts
	if own {
		networkDefaults(c, silent, conf)
		namespaceDefaults(c, silent, conf, func(string) bool { return true })
	}
	for _, t := range []struct {
		flag, value string
		field       *string
		fits        bool
	}{
		{"cgroupns", d.CgroupNS, &c.CgroupNS, true},
		{"ipc", d.IPCNS, &c.IPC, own},
		{"image-volume", conf.Engine.ImageVolumeMode, &c.ImageVolume, true},
		{"init-path", d.InitPath, &c.InitPath, true},
		{"log-driver", d.LogDriver, &c.LogDriver, d.LogDriver != spec.LogJournald}, // see keepsLog
		{"tz", d.Timezone, &c.Timezone, true},
		{"umask", d.Umask, &c.Umask, true},
		{"pids-limit", pidsLimit(d.PidsLimit), &c.PidsLimit, c.Cgroups != "disabled"},
		{"pull", conf.Engine.PullPolicy, &c.Pull, true},
		{"retry", times(conf.Engine.Retry), &c.Retry, true},
		{"retry-delay", conf.Engine.RetryDelay, &c.RetryDelay, true},
	} {
		if t.fits && t.value != "" && silent(t.flag) {
			*t.field = t.value
		}
	}
	for _, b := range []struct {
		flag  string
		value *bool
		field *bool
		fits  bool
	}{
		{"env-host", d.EnvHost, &c.EnvHost, true},
		{"http-proxy", d.HTTPProxy, &c.HTTPProxy, true},
		{"init", d.Init, &c.Init, silent("systemd")},
		{"privileged", d.Privileged, &c.Privileged, true},
		{"read-only", d.ReadOnly, &c.ReadOnly, true},
	} {
		if b.fits && b.value != nil && silent(b.flag) {
			*b.field = *b.value
		}
	}
	if d.OOMScoreAdj != nil && silent("oom-score-adj") {
		c.OOMScoreAdj = d.OOMScoreAdj
	}
	if len(d.CgroupConf) > 0 && silent("cgroup-conf") && c.Cgroups != "disabled" {
		c.CgroupConf = d.CgroupConf
	}
	c.NameAsHost = d.NameAsHost != nil && *d.NameAsHost
	if t := conf.Engine.StopTimeout; t != nil && silent("stop-timeout") {
		c.StopTimeout = time.Duration(*t) * time.Second
	}
	if d.ShmSize != "" && silent("shm-size") && (c.IPC == "" || c.IPC == "private" || c.IPC == "shareable") {
		c.ShmSize = d.ShmSize
	}
	if own {
		c.Sysctls = slices.Concat(fittingSysctls(c, d.Sysctls, func(string) bool { return true }), c.Sysctls)
	}
	return defaultLists(c, conf)
}

// podDefaults is withDefaults for a pod, which has what its containers share.
func podDefaults(p *spec.Pod, set *pflag.FlagSet, conf config.Config) {
	silent := silentIn(set)
	conf = withoutContainers(p, conf)
	if p.Shares("net") {
		networkDefaults(&p.Common, silent, conf)
	}
	namespaceDefaults(&p.Common, silent, conf, func(kind string) bool { return kind == "user" || p.Shares(kind) })
	if size := conf.Containers.ShmSize; size != "" && silent("shm-size") && p.Shares("ipc") {
		p.Common.ShmSize = size
	}
	p.Common.Sysctls = slices.Concat(fittingSysctls(&p.Common, conf.Containers.Sysctls, p.Shares), p.Common.Sysctls)
	if policy := conf.Engine.PodExitPolicy; policy != "" && silent("exit-policy") {
		p.ExitPolicy = policy
	}
}

// withoutContainers leaves out what only a container can have, and a pod is refused for (spec.CheckPod, engine.CreatePod).
func withoutContainers(p *spec.Pod, conf config.Config) config.Config {
	d := &conf.Containers
	for _, v := range []struct {
		value *string
		not   []string
	}{
		{&d.BaseHostsFile, []string{"image"}}, {&d.NetNS, []string{"container", "ns"}}, {&d.PIDNS, []string{"container"}}, {&d.UTSNS, []string{"container"}},
		{&d.UserNS, []string{"container"}},
	} {
		if mode, _, _ := strings.Cut(*v.value, ":"); slices.Contains(v.not, mode) {
			*v.value = ""
		}
	}
	if p.Shares("pid") && strings.HasPrefix(d.UserNS, "ns:") || d.UserNS == "nomap" && !rootlessMode() {
		d.UserNS = ""
	}
	return conf
}

// silentIn tells whether nothing is said about all of some flags.
func silentIn(set *pflag.FlagSet) func(flags ...string) bool {
	return func(flags ...string) bool { return !slices.ContainsFunc(flags, set.Changed) }
}

// networkDefaults are those of the network and of the files that say who is who on it. Name servers take the place of others.
func networkDefaults(c *spec.Container, silent func(flags ...string) bool, conf config.Config) {
	d := conf.Containers
	if d.NetNS != "" && d.NetNS != "private" && silent("network") {
		c.Networks = []string{d.NetNS}
	}
	if n := conf.Network.DefaultNetwork; n != "" && n != spec.DefaultNetwork && silent("network") && len(c.Networks) == 0 && !rootlessMode() {
		c.Networks = []string{n}
	}
	if conf.Network.RootlessProgram == "slirp4netns" && rootlessMode() && len(c.Networks) == 0 {
		c.Networks = []string{"slirp4netns"} // which says what is done instead
	}
	if d.BaseHostsFile != "" && silent("hosts-file", "no-hosts") {
		c.HostsBase = d.BaseHostsFile
	}
	if d.NoHosts != nil && silent("no-hosts", "add-host", "hosts-file") && c.HostsBase == "" {
		c.NoHosts = *d.NoHosts
	}
	if !ownNetwork(c.Networks) || slices.Contains(c.Networks, "none") {
		return
	}
	for _, l := range []struct {
		flag  string
		field *[]string
		value []string
	}{{"dns", &c.DNS, d.DNSServers}, {"dns-option", &c.DNSOptions, d.DNSOptions}, {"dns-search", &c.DNSSearch, d.DNSSearches}} {
		if silent(l.flag) && len(l.value) > 0 {
			*l.field = l.value
		}
	}
}

// namespaceDefaults are those of the namespaces that a pod may have as well; has tells which of them are at hand.
func namespaceDefaults(c *spec.Container, silent func(flags ...string) bool, conf config.Config, has func(kind string) bool) {
	d := conf.Containers
	if d.PIDNS != "" && has("pid") && silent("pid") {
		c.PID = d.PIDNS
	}
	if d.UTSNS != "" && has("uts") && silent("uts") && c.HostName == "" {
		c.UTS = d.UTSNS
	}
	if d.UserNS != "" && has("user") && silent("userns", "uidmap", "gidmap", "subuidname", "subgidname") {
		c.UserNS = d.UserNS
	}
}

// defaultLists puts the lists of containers.conf before those of the command line, which so has the last word.
func defaultLists(c *spec.Container, conf config.Config) error {
	d := conf.Containers
	c.DefaultEnvironment, c.DefaultCapabilities = d.Env, d.Capabilities
	if d.Capabilities != nil && len(d.Capabilities) == 0 && !c.Privileged { // none
		c.CapDrop = append([]string{"all"}, c.CapDrop...)
	}
	if n := d.LogSizeMax; n > 0 {
		c.LogOpts = append([]string{"max-size=" + number(n)}, c.LogOpts...)
	}
	if d.LogTag != "" && (c.LogDriver == "" || c.LogDriver == spec.LogJournald) {
		c.LogOpts = append([]string{"tag=" + d.LogTag}, c.LogOpts...)
	}
	more := spec.Container{}
	for _, m := range d.Mounts {
		if err := (mountValue{&more}).Set(m); err != nil {
			return fmt.Errorf("containers.conf: mounts: %w", err)
		}
	}
	for _, l := range []struct {
		field *[]string
		value []string
	}{
		{&c.Annotations, d.Annotations}, {&c.Devices, d.Devices}, {&c.Ulimits, d.Ulimits},
		{&c.Volumes, slices.Concat(d.Volumes, more.Volumes)}, {&c.Tmpfs, more.Tmpfs}, {&c.Mounts, more.Mounts},
	} {
		if len(l.value) > 0 {
			*l.field = slices.Concat(l.value, *l.field)
		}
	}
	return nil
}

// ownNetwork tells whether the container's network is no other's.
func ownNetwork(networks []string) bool {
	return !slices.ContainsFunc(networks, func(n string) bool {
		return n == "host" || strings.HasPrefix(n, "container:") || strings.HasPrefix(n, "ns:")
	})
}

// number is a number as the words of a command line have it; "" for none.
func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// times is a number of which 0 is one as well.
func times(n *uint) string {
	if n == nil {
		return ""
	}
	return strconv.FormatUint(uint64(*n), 10)
}

// pidsLimit is the limit where the machine can keep it; none is wanted by 0 and below.
func pidsLimit(n int64) string {
	controllers, _ := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	if n <= 0 || !slices.Contains(strings.Fields(string(controllers)), "pids") {
		return ""
	}
	return number(n)
}

// fittingSysctls are those of namespaces that the container has alone, or that the containers of a pod share.
func fittingSysctls(c *spec.Container, all []string, has func(kind string) bool) (list []string) {
	net := has("net") && ownNetwork(c.Networks)
	ipc := has("ipc") && (c.IPC == "" || c.IPC == "private" || c.IPC == "shareable")
	for _, s := range all {
		if isNet := strings.HasPrefix(s, "net."); isNet && net || !isNet && ipc {
			list = append(list, s)
		}
	}
	return list
}
