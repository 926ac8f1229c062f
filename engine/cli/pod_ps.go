package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
)

type podPsOptions struct {
	listing
	ids, names, status, latest, namespaces bool
	sort                                   string
}

func (o *podPsOptions) flags(set *pflag.FlagSet) {
	o.listing.flags(set, "IDs", "id, name, status, label, network, ctr-ids, ctr-names, ctr-number, ctr-status, until")
	set.BoolVar(&o.noTrunc, "no-trunc", false, "print whole IDs")
	set.BoolVarP(&o.noHeading, "noheading", "n", false, "print no line of headings")
	set.BoolVar(&o.ids, "ctr-ids", false, "print the IDs of the containers too")
	set.BoolVar(&o.names, "ctr-names", false, "print the names of the containers too")
	set.BoolVar(&o.status, "ctr-status", false, "print the states of the containers too")
	set.BoolVarP(&o.latest, "latest", "l", false, "list the pod that was made last only")
	set.BoolVar(&o.namespaces, "ns", false, "print the pod's slice and the kinds of namespaces that its containers share")
	set.StringVar(&o.sort, "sort", "created", "`ORDER`: created (the newest first), id, name, number (of containers) or status")
}

func podPsVerb() Verb {
	var o podPsOptions
	return Verb{
		Name: "pod ps", Aliases: []string{"ls", "list"}, Usage: "[OPTION…]", Summary: "list pods",
		Flags: o.flags, Run: runPodPs,
	}
}

// podRow has the names of Podman's `pod ps --format json`.
type podRow struct {
	Cgroup             string            `json:"Cgroup"`
	Containers         []podRowMember    `json:"Containers"`
	Created            time.Time         `json:"Created"`
	ID                 string            `json:"Id"`
	InfraID            string            `json:"InfraId"`
	Name               string            `json:"Name"`
	Networks           []string          `json:"Networks"`
	Status             string            `json:"Status"`
	Labels             map[string]string `json:"Labels"`
	NumberOfContainers int               `json:"NumberOfContainers"`
	Unit               string            `json:"Unit,omitempty"`

	share string // kinds of namespaces
	o     podPsOptions
}

// Fields are Podman's fields of templates, where they are not those of JSON.
func (r podRow) Fields() map[string]any {
	ids, names, states := r.members()
	return map[string]any{
		"ID": shortID(r.ID, r.o.noTrunc), "Id": shortID(r.ID, r.o.noTrunc), "InfraID": r.InfraID, "Created": age(time.Since(r.Created)) + " ago", "Labels": r.Labels,
		"ContainerIds": ids, "ContainerNames": names, "ContainerStatuses": states, "Networks": strings.Join(r.Networks, ","), "Restarts": 0, "Namespace": "",
	}
}

// members are the IDs, names and states of the containers, each in a list.
func (r podRow) members() (ids, names, states string) {
	var list [3][]string
	for _, m := range r.Containers {
		for i, text := range []string{shortID(m.ID, r.o.noTrunc), m.Names, m.Status} {
			list[i] = append(list[i], text)
		}
	}
	return strings.Join(list[0], ","), strings.Join(list[1], ","), strings.Join(list[2], ",")
}

// podOrders are the orders of --sort.
var podOrders = map[string]func(a, b podRow) bool{
	"created": func(a, b podRow) bool { return a.Created.After(b.Created) },
	"id":      func(a, b podRow) bool { return a.ID < b.ID },
	"name":    func(a, b podRow) bool { return a.Name < b.Name },
	"number":  func(a, b podRow) bool { return a.NumberOfContainers < b.NumberOfContainers },
	"status":  func(a, b podRow) bool { return a.Status < b.Status },
}

type podRowMember struct {
	ID     string `json:"Id"`
	Names  string `json:"Names"`
	Status string `json:"Status"`
}

// stateOf says what the container does.
func stateOf(s engine.State) string {
	if frozen(s) {
		return "paused"
	}
	return status(s)
}

func runPodPs(_ context.Context, env *Env, args []string) error {
	var o podPsOptions
	set := newFlagSet("pod ps")
	o.flags(set)
	if err := parseAlone(set, args); err != nil {
		return err
	}
	rows, err := podRows(o)
	if err != nil {
		return err
	}
	headings := []string{"POD ID", "NAME", "STATUS", "CREATED", "INFRA ID"}
	if o.namespaces {
		headings = append(headings, "CGROUP", "NAMESPACES")
	}
	headings = append(headings, o.more("IDS", "NAMES", "STATUS", "# OF CONTAINERS")...)
	return printList(env.Out, o.listing, rows, table[podRow]{
		key: func(r podRow) string { return r.ID }, cells: o.cells, headings: headings,
		names: map[string]string{"ID": "POD ID", "Id": "POD ID", "NumberOfContainers": "# OF CONTAINERS"},
	})
}

func (o podPsOptions) cells(r podRow) []string {
	cells := []string{shortID(r.ID, o.noTrunc), r.Name, r.Status, age(time.Since(r.Created)) + " ago", r.InfraID}
	if o.namespaces {
		cells = append(cells, r.Cgroup, r.share)
	}
	ids, names, states := r.members()
	return append(cells, o.more(ids, names, states, fmt.Sprint(r.NumberOfContainers))...)
}

// more picks the columns on containers that were asked for; without one it is their number, as with Podman.
func (o podPsOptions) more(ids, names, states, number string) (list []string) {
	for _, c := range []struct {
		wanted bool
		text   string
	}{{o.ids, ids}, {o.names, names}, {o.status, states}} {
		if c.wanted {
			list = append(list, c.text)
		}
	}
	if list == nil {
		return []string{number}
	}
	return list
}

func podRows(o podPsOptions) ([]podRow, error) {
	order, known := podOrders[o.sort]
	if !known {
		return nil, fmt.Errorf("--sort=%s is not known; created, id, name, number and status are", o.sort)
	}
	pods, err := runDirs().Pods()
	if err != nil {
		return nil, err
	}
	if o.latest && len(pods) > 0 {
		pods = pods[len(pods)-1:]
	}
	rows := []podRow{}
	for _, p := range pods {
		r, err := podRowOf(p)
		if err != nil {
			return nil, err
		}
		r.o = o
		rows = append(rows, r)
	}
	sort.SliceStable(rows, func(i, j int) bool { return order(rows[i], rows[j]) })
	return filtered(rows, o.filters, podFilters())
}

func podRowOf(p engine.Pod) (podRow, error) {
	members, err := runDirs().Members(p)
	if err != nil {
		return podRow{}, err
	}
	r := podRow{
		ID: p.ID, Name: p.Name, Created: p.Created, Status: podState(p, members), Labels: spec.Labels(p.Spec.Common.Labels),
		Cgroup: podSlice(p), Networks: []string{}, Containers: []podRowMember{}, NumberOfContainers: len(members), Unit: p.Unit,
		share: strings.Join(p.Spec.Share, ","),
	}
	for _, at := range p.Attached {
		r.Networks = append(r.Networks, at.Network)
	}
	for _, s := range members {
		r.Containers = append(r.Containers, podRowMember{ID: s.ID, Names: s.Name, Status: stateOf(s)})
	}
	return r, nil
}

func podFilters() []filter[*podRow] {
	member := func(key string, fits func(m podRowMember, value string) bool) filter[*podRow] {
		return filter[*podRow]{key: key, read: func(value string) (func(*podRow) bool, error) {
			return func(r *podRow) bool {
				return slices.ContainsFunc(r.Containers, func(m podRowMember) bool { return fits(m, value) })
			}, nil
		}}
	}
	list := []filter[*podRow]{
		textFilter("id", strings.HasPrefix, func(r *podRow) string { return r.ID }),
		nameFilter(func(r *podRow) string { return r.Name }),
		textFilter("status", strings.EqualFold, func(r *podRow) string { return r.Status }),
		{key: "network", read: func(value string) (func(*podRow) bool, error) {
			return func(r *podRow) bool { return slices.Contains(r.Networks, value) }, nil
		}},
		member("ctr-ids", func(m podRowMember, value string) bool { return strings.HasPrefix(m.ID, value) }),
		member("ctr-names", func(m podRowMember, value string) bool { return strings.Contains(m.Names, value) }),
		textFilter("ctr-number", same, func(r *podRow) string { return fmt.Sprint(r.NumberOfContainers) }),
		member("ctr-status", func(m podRowMember, value string) bool { return m.Status == value }),
		untilFilter(func(r *podRow) time.Time { return r.Created }),
	}
	return append(list, labelFilters(func(r *podRow) map[string]string { return r.Labels })...)
}

func podInspectVerb() Verb {
	return Verb{
		Name: "pod inspect", Usage: "[OPTION…] POD…", Summary: "show all that is known of pods, as JSON",
		Flags: podInspectFlags, Run: runPodInspect,
	}
}

func podInspectFlags(set *pflag.FlagSet) {
	set.StringP("format", "f", "json", "`FORM` of the output: json, or a template such as {{.Name}}")
	set.BoolP("latest", "l", false, "the pod that was made last")
}

// inspectedPod has the names of Podman's `pod inspect`, as far as there is something to say.
type inspectedPod struct {
	ID               string            `json:"Id"`
	Name             string            `json:"Name"`
	Created          time.Time         `json:"Created"`
	CreateCommand    []string          `json:"CreateCommand"`
	CgroupParent     string            `json:"CgroupParent"`
	CgroupPath       string            `json:"CgroupPath"` // the pod's slice; "" when it has none
	Limits           []string          `json:"Limits"`     // properties of that
	ExitPolicy       string            `json:"ExitPolicy"`
	State            string            `json:"State"`
	Hostname         string            `json:"Hostname"`
	Labels           map[string]string `json:"Labels"`
	CreateInfra      bool              `json:"CreateInfra"`
	InfraContainerID string            `json:"InfraContainerID"`
	InfraConfig      inspectedInfra    `json:"InfraConfig"`
	SharedNamespaces []string          `json:"SharedNamespaces"`
	NumContainers    int               `json:"NumContainers"`
	Containers       []inspectedPart   `json:"Containers"`
	Unit             string            `json:"Unit,omitempty"`
	Pid              int               `json:"Pid"` // of the process that holds namespaces; 0 when there is none
}

// inspectedInfra is what an infra container would have.
type inspectedInfra struct {
	PortBindings map[string][]inspectedBinding
	HostNetwork  bool
	Networks     []string
	IPAddresses  []string
	Attached     []engine.Attached
	DNSServer    []string
	HostAdd      []string
	PidNS        string `json:"pid_ns"`
	UserNS       string `json:"userns"`
	UtsNS        string `json:"uts_ns"`
}

type inspectedPart struct {
	ID    string `json:"Id"`
	Name  string `json:"Name"`
	State string `json:"State"`
}

func runPodInspect(_ context.Context, env *Env, args []string) error {
	set := newFlagSet("inspect")
	podInspectFlags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	latest, _ := set.GetBool("latest")
	pods, err := (&podTargets{latest: latest}).find(set.Args())
	if err != nil && len(pods) == 0 && !errors.Is(err, engine.ErrNoPod) {
		return err
	}
	list := []inspectedPod{}
	for _, p := range pods {
		i, failed := inspectPod(p)
		if failed == nil {
			list = append(list, i)
		}
		err = errors.Join(err, failed)
	}
	return errors.Join(err, printInspected(env.Out, set.Lookup("format").Value.String(), list))
}

func inspectPod(p engine.Pod) (inspectedPod, error) {
	r, err := podRowOf(p)
	if err != nil {
		return inspectedPod{}, err
	}
	limits, err := p.Spec.SliceProperties()
	if err != nil {
		return inspectedPod{}, err
	}
	i := inspectedPod{
		CgroupParent: p.Spec.Common.CgroupParent, CgroupPath: r.Cgroup, Limits: append([]string{}, limits...),
		ID: p.ID, Name: p.Name, Created: p.Created, CreateCommand: orEmpty(p.Spec.Common.CreateCommand), ExitPolicy: p.Spec.ExitPolicy, State: r.Status, Labels: r.Labels,
		SharedNamespaces: p.Spec.Share, NumContainers: r.NumberOfContainers, Containers: []inspectedPart{}, Unit: p.Unit,
		InfraConfig: inspectedInfra{
			PortBindings: bindings(p.Network.Publish), HostNetwork: p.Network.Mode == "host", Networks: r.Networks,
			IPAddresses: p.Addresses, Attached: p.Attached, DNSServer: p.Spec.Common.DNS, HostAdd: p.Spec.Common.AddHosts,
			PidNS: cmp.Or(p.Spec.Elsewhere("pid"), "private"), UserNS: userNSOf(p), UtsNS: cmp.Or(p.Spec.Elsewhere("uts"), "private"),
		},
	}
	if p.Spec.Shares("uts") && p.Spec.Elsewhere("uts") == "" {
		i.Hostname = p.Spec.HostName()
	}
	if p.Holder.Running() {
		i.Pid = p.Holder.PID
	}
	for _, m := range r.Containers {
		i.Containers = append(i.Containers, inspectedPart{m.ID, m.Names, m.Status})
	}
	return i, nil
}

// userNSOf is what Podman calls the user namespace of a pod.
func userNSOf(p engine.Pod) string {
	switch mode := p.Spec.Common.UserNS; {
	case !p.Spec.Shares("user"):
		return "host"
	case strings.HasPrefix(mode, "ns:"):
		return mode
	}
	return "private"
}
