package main

import (
	"fmt"
	"strings"

	"github.com/berth-pods/berth/units"
)

// sectionOrder is the order of the page: what people look up most comes first, the kinds before the other sections.
var sectionOrder = []units.Kind{
	units.KindContainer, units.KindPod, units.KindVolume, units.KindNetwork, units.KindImage, units.KindBuild,
	units.KindArtifact, units.KindKube, units.KindQuadlet, units.KindBerth,
}

// unitPage is berth.unit(5).
func unitPage(keys []units.Row) Page {
	r := newPage("berth.unit", 5, "unit files of containers, pods, volumes, networks, images and builds")
	r.section("SYNOPSIS")
	for i, k := range sectionOrder[:len(units.Kinds)] {
		if i > 0 {
			r.WriteString(".br\n")
		}
		fmt.Fprintf(r, "%s%s\n", placeholder("NAME"), bold(k.Extension()))
	}
	r.section("DESCRIPTION")
	r.paragraphs(unitText)
	r.section("FILES AND THEIR UNITS")
	for _, k := range sectionOrder[:len(units.Kinds)] {
		r.item(bold("x"+k.Extension()), "Section ["+k.String()+"]; becomes x"+k.Suffix()+".service.")
	}
	r.paragraphs(unitNames)
	r.section("DIRECTORIES")
	r.paragraphs(unitDirectories)
	r.section("VALUES")
	r.paragraphs(unitValues)
	r.section("KEYS OF ALL KINDS")
	r.WriteString("These stand in the section of each kind.\n")
	for i := range keys {
		if everyKind(&keys[i]) {
			r.key(&keys[i], allKinds)
		}
	}
	for _, k := range sectionOrder {
		r.kind(k, keys)
	}
	r.section("SECTIONS OF SYSTEMD")
	r.paragraphs(unitSystemd)
	r.section("EXAMPLE")
	r.paragraphs(unitExample)
	r.seeAlso(reference("berth", 1), reference("berth-lint", 1), reference("berth-generate", 1), reference("berth-quadlet", 1),
		reference("berth-generator", 8), reference("systemd.unit", 5), reference("systemd.service", 5), reference("systemd.syntax", 7))
	return r.page("berth.unit", 5)
}

const allKinds = units.KindContainer | units.KindPod | units.KindVolume | units.KindNetwork | units.KindImage | units.KindBuild |
	units.KindArtifact | units.KindKube

func everyKind(row *units.Row) bool { return row.Kinds&allKinds == allKinds }

// kind writes the keys of one section.
func (r *roff) kind(k units.Kind, keys []units.Row) {
	r.section("[" + k.String() + "]")
	r.paragraphs(kindText[k])
	for i := range keys {
		if row := &keys[i]; row.Kinds&k != 0 && !everyKind(row) {
			r.key(row, k)
		}
	}
}

// key writes one key: what it does, in which section it also is, what it becomes, since when.
func (r *roff) key(row *units.Row, k units.Kind) {
	facts := []string{row.Doc}
	if k != allKinds {
		if row.Value(units.NewSection(k)).Grammar().Repeatable {
			facts = append(facts, "May be given several times; an empty value forgets what was given before.")
		}
		if also := otherSections(row, k); also != "" {
			facts = append(facts, "Also in "+also+".")
		}
	}
	if row.Flag != "" {
		facts = append(facts, "Becomes `"+strings.TrimSuffix(row.Flag, "=")+"`.")
	}
	if row.Trait == units.Old {
		facts = append(facts, "Old: not for new files.")
	}
	facts = append(facts, since(row, k))
	r.item(bold(row.Name+"="), strings.Join(facts, " "))
}

func otherSections(row *units.Row, k units.Kind) string {
	var list []string
	for _, other := range sectionOrder {
		if other != k && row.Kinds&other != 0 {
			list = append(list, "["+other.String()+"]")
		}
	}
	return strings.Join(list, ", ")
}

// since tells which release of Podman has the key: other generators refuse files with keys that they do not know.
func since(row *units.Row, k units.Kind) string {
	if k != allKinds {
		if release := row.SinceIn(k); release != "berth" {
			return "Since Podman " + release + "."
		}
		return "Podman passes it over."
	}
	var order []string
	kinds := map[string][]string{}
	for _, k := range sectionOrder {
		if row.Kinds&k == 0 {
			continue
		}
		release := row.SinceIn(k)
		if kinds[release] == nil {
			order = append(order, release)
		}
		kinds[release] = append(kinds[release], strings.TrimPrefix(k.Extension(), "."))
	}
	if len(order) == 1 {
		return "Since Podman " + order[0] + "."
	}
	var list []string
	for _, release := range order {
		list = append(list, release+" ("+strings.Join(kinds[release], ", ")+")")
	}
	return "Since Podman " + strings.Join(list, ", ") + "."
}

const unitText = `A unit file describes one container, pod, volume, network, image, build or artifact, or a Kubernetes file, in the
syntax of systemd. ` + "`berth-generator`" + `(8) reads it at boot and at each ` + "`systemctl daemon-reload`" + ` and makes a service of it, which
is started, stopped, enabled and looked at like any other.

The language is that of Podman's Quadlet: files that work there work here unchanged. A file with mistakes costs only itself:
its service is there, its start fails, and ` + "`systemctl status`" + ` shows each mistake with file and line. ` + "`berth-lint`" + `(1) shows
them before that.`

const unitNames = `The service is called as above unless ServiceName= says otherwise. A file x@.container is a template, from which
systemctl start x@blue makes an instance; a link, or a file, x@blue.container is such an instance.

A file of ending .quadlets holds several unit files, with lines of --- between them. Each has a line # FileName=NAME, without
the ending, which follows from its section.`

const unitDirectories = `For the system: /run/containers/systemd, /etc/containers/systemd and /usr/share/containers/systemd, with the
directories below them but users/. For a user: $XDG_RUNTIME_DIR/containers/systemd, ~/.config/containers/systemd, and in
/etc/containers/systemd/users and /usr/share/containers/systemd/users first the directory of the user's number, then the
directory itself. Of several files of one name the first counts; a link to /dev/null hides those after it.

Drop-ins, files *.conf in directories web.container.d and container.d beside a file web.container, are merged into it in
the order of their names; for a-b.container also those in a-.container.d.

QUADLET_UNIT_DIRS, a list with colons, takes the place of all these directories.`

const unitValues = `A line that ends in a backslash goes on in the next one. Lines that begin with # or ; are comments; a # after a value is
a part of the value. Specifiers such as %i and %n are resolved by systemd. Booleans are yes, true, on, 1 and no, false,
off, 0. Where a value is a list of words, quotes and backslashes work as in ExecStart= of systemd.service(5).

Other files are referred to by their names: Image=x.image, Volume=data.volume:/data, Network=lan.network, Pod=all.pod. The
service is then started after theirs and uses what they made.`

const unitSystemd = `[Unit], [Service] and [Install] are passed on to systemd, so that After=, Restart=, OnFailure=, WantedBy= and all else
work as in any unit. Dependencies may name unit files: After=db.container. Limits such as MemoryMax= and CPUQuota= in
[Service] hold for the container.

User= in [Container] is whom the processes in the container run as. User= in the [Service] of a file of the system's makes the whole
container that user's: images, volumes and secrets are those of his home, and root in the container is he. He needs subordinate
IDs, see subuid(5), and a home, but no session, no lingering and no manager. The system's manager supervises the container, its limits
hold, and the system's journal has its lines. Such a container is on no bridge: its Network= is none, host or pasta, which is what it
has without one; it can have no terminal, and writes to the journal. What he is to see of his containers he asks for
as himself: sudo -u USER berth ps. Give such a user no containers of a manager of his own beside these. With DynamicUser= nothing
of this works.`

const unitExample = `A web server with a volume, started at boot, in /etc/containers/systemd/web.container:

    [Unit]
    Description=The web site

    [Container]
    Image=docker.io/library/nginx:1.27
    PublishPort=8080:80
    Volume=site.volume:/usr/share/nginx/html:ro

    [Service]
    Restart=always

    [Install]
    WantedBy=multi-user.target

beside it site.volume, which needs no more than its section:

    [Volume]

and then:

    # systemctl daemon-reload
    # systemctl start web`

var kindText = map[units.Kind]string{
	units.KindContainer: "A container. Image= or Rootfs= must be there.",
	units.KindPod:       "A pod: containers that share namespaces. They join it with Pod=.",
	units.KindVolume:    "A volume, made when it is first needed and never removed by its service.",
	units.KindNetwork:   "A network, made when it is first needed.",
	units.KindImage:     "An image to fetch. Image= must be there.",
	units.KindBuild:     "An image to build. ImageTag=, and File= or SetWorkingDirectory=, must be there.",
	units.KindArtifact:  "An OCI artifact to fetch. Artifact= must be there.",
	units.KindKube:      "A Kubernetes file to run. Yaml= must be there.",
	units.KindQuadlet:   "How the file itself is treated; for all kinds.",
	units.KindBerth:     "What only berth knows; for all kinds. Podman and systemd pass over this section.",
}
