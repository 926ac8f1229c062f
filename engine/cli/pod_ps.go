package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/format"
	"github.com/berth-pods/berth/engine/spec"
)

type podPsOptions struct {
	quiet, noTrunc, noHeading, ids, names, status bool
	format                                        string
	filters                                       []string
}

func (o *podPsOptions) flags(set *pflag.FlagSet) {
	set.BoolVarP(&o.quiet, "quiet", "q", false, "print IDs only")
	set.BoolVar(&o.noTrunc, "no-trunc", false, "print whole IDs")
	set.BoolVarP(&o.noHeading, "noheading", "n", false, "print no line of headings")
	set.BoolVar(&o.ids, "ctr-ids", false, "print the IDs of the containers too")
	set.BoolVar(&o.names, "ctr-names", false, "print the names of the containers too")
	set.BoolVar(&o.status, "ctr-status", false, "print the states of the containers too")
	set.StringVar(&o.format, "format", "table", "`FORM` of the output: table, json, or a template such as {{.Name}}")
	set.StringArrayVarP(&o.filters, "filter", "f", nil, "list some only, `KEY=VALUE`: id, name, status, label, network, ctr-ids, ctr-names, ctr-number, ctr-status, until")
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
	set := newFlagSet("ps")
	o.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	rows, err := podRows(o)
	if err != nil {
		return err
	}
	switch {
	case o.quiet:
		for _, r := range rows {
			fmt.Fprintln(env.Out, shortID(r.ID, o.noTrunc))
		}
		return nil
	case o.format == "json":
		return printJSON(env.Out, rows)
	case o.format != "table":
		return format.Rows(env.Out, o.format, rows)
	}
	table := tabwriter.NewWriter(env.Out, 0, 8, 2, ' ', 0)
	if !o.noHeading {
		fmt.Fprintln(table, "POD ID\tNAME\tSTATUS\tCREATED\tINFRA ID"+o.more("\tIDS", "\tNAMES", "\tSTATUS")+"\t# OF CONTAINERS")
	}
	for _, r := range rows {
		var ids, names, states []string
		for _, m := range r.Containers {
			ids, names, states = append(ids, shortID(m.ID, o.noTrunc)), append(names, m.Names), append(states, m.Status)
		}
		more := o.more("\t"+strings.Join(ids, ","), "\t"+strings.Join(names, ","), "\t"+strings.Join(states, ","))
		fmt.Fprintf(table, "%s\t%s\t%s\t%s ago\t%s%s\t%d\n", shortID(r.ID, o.noTrunc), r.Name, r.Status, age(time.Since(r.Created)), r.InfraID, more, r.NumberOfContainers)
	}
	return table.Flush()
}

// more picks the columns that were asked for.
func (o podPsOptions) more(ids, names, states string) string {
	text := ""
	for _, c := range []struct {
		wanted bool
		text   string
	}{{o.ids, ids}, {o.names, names}, {o.status, states}} {
		if c.wanted {
			text += c.text
		}
	}
	return text
}

func podRows(o podPsOptions) ([]podRow, error) {
	pods, err := runDirs().Pods()
	if err != nil {
		return nil, err
	}
	rows := []podRow{}
	for _, p := range pods {
		r, err := podRowOf(p)
		if err != nil {
			return nil, err
		}
		passes := true
		for _, f := range o.filters {
			ok, err := podPasses(r, f)
			if err != nil {
				return nil, err
			}
			passes = passes && ok
		}
		if passes {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

func podRowOf(p engine.Pod) (podRow, error) {
	members, err := runDirs().Members(p)
	if err != nil {
		return podRow{}, err
	}
	r := podRow{
		ID: p.ID, Name: p.Name, Created: p.Created, Status: podState(p, members), Labels: spec.Labels(p.Spec.Common.Labels),
		Networks: []string{}, Containers: []podRowMember{}, NumberOfContainers: len(members), Unit: p.Unit,
	}
	for _, at := range p.Attached {
		r.Networks = append(r.Networks, at.Network)
	}
	for _, s := range members {
		r.Containers = append(r.Containers, podRowMember{ID: s.ID, Names: s.Name, Status: stateOf(s)})
	}
	return r, nil
}

func podPasses(r podRow, filter string) (bool, error) {
	key, value, ok := strings.Cut(filter, "=")
	if !ok {
		return false, fmt.Errorf("filter %q is not KEY=VALUE", filter)
	}
	any := func(f func(podRowMember) bool) bool {
		for _, m := range r.Containers {
			if f(m) {
				return true
			}
		}
		return false
	}
	switch key {
	case "id":
		return strings.HasPrefix(r.ID, value), nil
	case "name":
		return strings.Contains(r.Name, value), nil
	case "status":
		return strings.EqualFold(r.Status, value), nil
	case "label", "label!":
		name, want, hasValue := strings.Cut(value, "=")
		got, there := r.Labels[name]
		return (there && (!hasValue || got == want)) == (key == "label"), nil
	case "network":
		for _, n := range r.Networks {
			if n == value {
				return true, nil
			}
		}
		return false, nil
	case "ctr-ids":
		return any(func(m podRowMember) bool { return strings.HasPrefix(m.ID, value) }), nil
	case "ctr-names":
		return any(func(m podRowMember) bool { return strings.Contains(m.Names, value) }), nil
	case "ctr-status":
		return any(func(m podRowMember) bool { return m.Status == value }), nil
	case "ctr-number":
		return fmt.Sprint(r.NumberOfContainers) == value, nil
	case "until":
		limit, err := parseUntil(value)
		return r.Created.Before(limit), err
	}
	return false, fmt.Errorf("filter %q is not known; id, name, status, label, network, ctr-ids, ctr-names, ctr-number, ctr-status and until are", key)
}

func podInspectVerb() Verb {
	return Verb{
		Name: "pod inspect", Usage: "[OPTION…] POD…", Summary: "show all that is known of pods, as JSON",
		Flags: podInspectFlags, Run: runPodInspect,
	}
}

func podInspectFlags(set *pflag.FlagSet) {
	set.StringP("format", "f", "json", "`FORM` of the output: json, or a template such as {{.Name}}")
}

// inspectedPod has the names of Podman's `pod inspect`, as far as there is something to say.
type inspectedPod struct {
	ID               string            `json:"Id"`
	Name             string            `json:"Name"`
	Created          time.Time         `json:"Created"`
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
	PortBindings map[string][]inspectedPort
	HostNetwork  bool
	Networks     []string
	IPAddresses  []string
	Attached     []engine.Attached
	DNSServer    []string
	HostAdd      []string
}

type inspectedPort struct{ HostIP, HostPort string }

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
	if set.NArg() == 0 {
		return errors.New("no pod is named")
	}
	list := []inspectedPod{}
	var errs []error
	for _, name := range set.Args() {
		p, err := runDirs().FindPod(name)
		if err == nil {
			var i inspectedPod
			if i, err = inspectPod(p); err == nil {
				list = append(list, i)
			}
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if form := set.Lookup("format").Value.String(); form != "json" {
		return errors.Join(append(errs, format.Rows(env.Out, form, list))...)
	}
	return errors.Join(append(errs, printJSON(env.Out, list))...)
}

func inspectPod(p engine.Pod) (inspectedPod, error) {
	r, err := podRowOf(p)
	if err != nil {
		return inspectedPod{}, err
	}
	i := inspectedPod{
		ID: p.ID, Name: p.Name, Created: p.Created, ExitPolicy: p.Spec.ExitPolicy, State: r.Status, Labels: r.Labels,
		SharedNamespaces: p.Spec.Share, NumContainers: r.NumberOfContainers, Containers: []inspectedPart{}, Unit: p.Unit,
		InfraConfig: inspectedInfra{
			PortBindings: map[string][]inspectedPort{}, HostNetwork: p.Network.Mode == "host", Networks: r.Networks,
			IPAddresses: p.Addresses, Attached: p.Attached, DNSServer: p.Spec.Common.DNS, HostAdd: p.Spec.Common.AddHosts,
		},
	}
	if p.Spec.Shares("uts") {
		i.Hostname = p.Spec.HostName()
	}
	if p.Holder.Running() {
		i.Pid = p.Holder.PID
	}
	for _, m := range p.Network.Publish {
		for n := range m.Range {
			key := fmt.Sprintf("%d/%s", m.ContainerPort+n, m.Protocol)
			i.InfraConfig.PortBindings[key] = append(i.InfraConfig.PortBindings[key], inspectedPort{m.HostIP, fmt.Sprint(m.HostPort + n)})
		}
	}
	for _, m := range r.Containers {
		i.Containers = append(i.Containers, inspectedPart{m.ID, m.Names, m.Status})
	}
	return i, nil
}
