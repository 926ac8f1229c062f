package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/berth-pods/berth/engine/cli"
	"github.com/berth-pods/berth/units"
)

// Pages makes all manual pages, in a fixed order.
func Pages(commands []cli.Command, keys []units.Row) []Page {
	pages := []Page{overviewPage(commands)}
	for _, c := range commands {
		pages = append(pages, commandPage(c, commands))
	}
	return append(pages, unitPage(keys), generatorPage(), keeperPage())
}

// pageName is the name of a command's page.
func pageName(command string) string { return "berth-" + strings.ReplaceAll(command, " ", "-") }

// overviewPage is berth(1).
func overviewPage(commands []cli.Command) Page {
	r := newPage("berth", 1, "run containers and pods under systemd")
	r.section("SYNOPSIS")
	fmt.Fprintf(r, "%s %s [%s\\[u2026]] [%s\\[u2026]]\n", bold("berth"), placeholder("COMMAND"), placeholder("OPTION"), placeholder("ARGUMENT"))
	r.section("DESCRIPTION")
	r.paragraphs(overviewText)
	r.section("COMMANDS")
	for _, c := range commands {
		if !c.Group {
			r.item(reference(pageName(c.Name), 1), sentence(c.Summary))
		}
	}
	r.section("OPTIONS")
	r.item(bold("--help"), "Print the list of commands; after a command, what it does and its options.")
	r.item(bold("--version"), "Print the version.")
	for _, f := range cli.GlobalFlags() {
		name := bold("--" + f.Name)
		if f.Value != "" {
			name += " " + placeholder(f.Value)
		}
		r.item(name, sentence(f.Text))
	}
	r.section("EXIT STATUS")
	r.paragraphs("0 when the work was done; 125 when it could not be done; 130 or 143 when SIGINT or SIGTERM has ended it. `berth run` also ends with the status of the container, " +
		"`berth lint` and `berth generate` have their own: see there.")
	r.section("FILES")
	for _, f := range overviewFiles {
		r.item(placeholder(f[0]), f[1])
	}
	r.section("SETTINGS")
	r.paragraphs("containers.conf(5) is read as Podman reads it. These of its keys change nothing:")
	for _, s := range idleSettings {
		r.item(bold(s[0]), s[1])
	}
	r.section("ENVIRONMENT")
	for _, v := range overviewVariables {
		r.item(bold(v[0]), v[1])
	}
	r.seeAlso(reference("berth.unit", 5), reference("berth-generator", 8), reference("systemd.unit", 5), reference("systemctl", 1))
	return r.page("berth", 1)
}

// commandPage is the page of one command.
func commandPage(c cli.Command, all []cli.Command) Page {
	name := pageName(c.Name)
	r := newPage(name, 1, c.Summary)
	r.section("SYNOPSIS")
	for i, spelling := range append([]string{c.Name}, c.Aliases...) {
		if i > 0 {
			r.WriteString(".br\n")
		}
		fmt.Fprintln(r, strings.TrimSpace(bold("berth "+spelling)+" "+escape(c.Usage)))
	}
	description, status := splitStatus(c.Text)
	r.section("DESCRIPTION")
	if description == "" {
		description = sentence(c.Summary)
	}
	r.paragraphs(description)
	if c.Group {
		r.section("COMMANDS")
		for _, sub := range all {
			if strings.HasPrefix(sub.Name, c.Name+" ") {
				r.item(reference(pageName(sub.Name), 1), sentence(sub.Summary))
			}
		}
	}
	if len(c.Flags) > 0 {
		r.section("OPTIONS")
		for _, f := range c.Flags {
			r.item(flagTag(f), flagText(f))
		}
	}
	if status != "" {
		r.section("EXIT STATUS")
		r.paragraphs(status)
	}
	r.seeAlso(relatives(c, all)...)
	return r.page(name, 1)
}

// splitStatus takes the paragraph about the exit status out of a text.
func splitStatus(text string) (description, status string) {
	var rest []string
	for _, p := range strings.Split(text, "\n\n") {
		if s, ok := strings.CutPrefix(p, "Exit status: "); ok {
			status = sentence(s)
		} else {
			rest = append(rest, p)
		}
	}
	return strings.TrimSpace(strings.Join(rest, "\n\n")), status
}

func flagTag(f cli.CommandFlag) string {
	tag := bold("--" + f.Name)
	if f.Short != "" {
		tag = bold("-"+f.Short) + ", " + tag
	}
	if f.Value != "" {
		tag += " " + placeholder(f.Value)
	}
	return tag
}

func flagText(f cli.CommandFlag) string {
	text := f.Doc
	if f.Default != "" {
		text += " (default: " + f.Default + ")"
	}
	return sentence(text)
}

// sentence begins with a capital and ends with a full stop. A word that is a name, as in "split: …", stays as it is.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	first, _, _ := strings.Cut(text, " ")
	if !strings.HasSuffix(first, ":") && !strings.HasSuffix(first, ",") {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	if strings.HasSuffix(text, ".") {
		return text
	}
	return text + "."
}

// relatives are the pages that have to do with a command.
func relatives(c cli.Command, all []cli.Command) []string {
	list := []string{reference("berth", 1)}
	top, _, _ := strings.Cut(c.Name, " ")
	for _, other := range all {
		first, _, below := strings.Cut(other.Name, " ")
		if first == top && other.Name != c.Name && (below || other.Group) {
			list = append(list, reference(pageName(other.Name), 1))
		}
	}
	if slices.Contains([]string{"lint", "generate", "quadlet"}, top) {
		list = append(list, reference("berth.unit", 5), reference("berth-generator", 8))
	}
	return list
}

const overviewText = `berth runs containers and pods with systemd as the manager. Unit files such as web.container are put into
/etc/containers/systemd; ` + "`berth-generator`" + `(8) turns each into an ordinary service; its start calls ` + "`berth run`" + `, which
sets the container up, hands its first process to systemd and ends. There is no daemon and no process that stays beside a
container: systemctl(1), journalctl(1) and systemd-cgtop(1) show containers as they show any service.

The unit files are those of Podman's Quadlet and are explained in ` + "`berth.unit`" + `(5). Images, volumes and networks that
Podman has made are found and used.

As a user, the same files go into ~/.config/containers/systemd and the same commands work without root.`

var overviewFiles = [][2]string{
	{"/etc/containers/systemd/", "The administrator's unit files."},
	{"~/.config/containers/systemd/", "A user's unit files."},
	{"/run/berth/", "The state of the containers of this boot; of a user's, $XDG_RUNTIME_DIR/berth."},
	{"/etc/containers/containers.conf, storage.conf, registries.conf, policy.json", "Settings, in the places and forms that Podman has."},
}

// idleSettings are the keys of containers.conf(5) without a meaning here, and why.
var idleSettings = [][2]string{
	{"cgroup_manager, cgroups", "The manager is systemd, and a container is in the control group of its unit; `berth run --cgroups=disabled` makes none."},
	{"conmon_env_vars, conmon_path, exit_command_delay", "There is no monitor."},
	{"infra_command, infra_image", "A pod has no infra container."},
	{"database_backend, lock_type, namespace, num_locks, static_dir, tmp_dir", "There is no database, and nothing is counted."},
	{"active_service, remote, service_destinations, service_timeout, compat_api_enforce_docker_hub", "There is no service."},
	{"events_logger, events_logfile_path, events_logfile_max_size, events_container_create_inspect_data, healthcheck_events", "Events are entries of the journal."},
	{"default_rootless_network_cmd = slirp4netns, network_cmd_path, network_cmd_options", "pasta connects the container instead, and says so."},
	{"network_backend, cni_plugin_dirs, netavark_plugin_dirs", "Networks are netavark's own."},
	{"enable_port_reservation", "Ports are leased among containers; no process stays that could hold one."},
	{"prepare_volume_on_create", "A volume comes into being, with what the image has there, when its first container starts: as a whole or not at all."},
	{"volume_plugins, volume_plugin_timeout", "There are no plugins for volumes."},
	{"ipcns of pods", "The containers of a pod share an IPC namespace of the pod's own, or have one each."},
	{"image_copy_tmp_dir", "Archives are unpacked in $TMPDIR, which env= of [engine] may set, or /var/tmp; what is fetched is in the store."},
	{"image_default_transport, image_parallel_copies, image_default_format", "A name without a transport is a registry's; how many layers are fetched at once is fixed; images are not built."},
	{"runtime_supports_json, runtime_supports_kvm, runtime_supports_nocgroups, platform_to_oci_runtime", "What a runtime can do is known by its name, crun or runc."},
	{"[machine], [farms], [podmansh], compose_providers, compose_warning_logs, kube_generate_type", "The commands are not there."},
}

var overviewVariables = [][2]string{
	{"QUADLET_UNIT_DIRS", "Directories of unit files, colons between them, in place of all others. The first is where unit files are installed."},
	{"XDG_CONFIG_HOME, XDG_RUNTIME_DIR, HOME", "Where a user's files lie."},
}
