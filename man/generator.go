package main

import "fmt"

// generatorFlags are the flags of berth-generator, which has a parser of its own to stay small. A test sees that they are
// those that it takes.
var generatorFlags = [][2]string{
	{"-dryrun", "Print the units to standard output, each after a line ---NAME---, and messages to standard error. Nothing is written, and no output directory is needed."},
	{"-user", "Read a user's unit directories. So does a program whose name has user in it, or that stands in a directory user-generators; -user=false turns that off."},
	{"-v", "Say what is read and written."},
	{"-no-kmsg-log", "Write messages to standard error and not to the kernel log."},
	{"-version", "Print the version."},
	{"-h, -help", "Print a summary of the options."},
}

// generatorPage is berth-generator(8).
func generatorPage() Page {
	r := newPage("berth-generator", 8, "turn unit files of containers into units of systemd")
	r.section("SYNOPSIS")
	fmt.Fprintf(r, "%s [%s\\[u2026]] %s [%s %s]\n.br\n", placeholder("/usr/lib/systemd/system-generators/berth-system-generator"), placeholder("OPTION"),
		placeholder("NORMAL-DIR"), placeholder("EARLY-DIR"), placeholder("LATE-DIR"))
	fmt.Fprintf(r, "%s [%s\\[u2026]] %s [%s %s]\n", placeholder("/usr/lib/systemd/user-generators/berth-user-generator"), placeholder("OPTION"),
		placeholder("NORMAL-DIR"), placeholder("EARLY-DIR"), placeholder("LATE-DIR"))
	r.section("DESCRIPTION")
	r.paragraphs(generatorText)
	r.section("OPTIONS")
	r.WriteString("One dash or two; booleans take =true and =false.\n")
	for _, f := range generatorFlags {
		r.item(bold(f[0]), f[1])
	}
	r.section("EXIT STATUS")
	r.paragraphs("0 when there are no errors, 1 when a file has errors or a unit cannot be written, 2 when an option is wrong.")
	r.section("ENVIRONMENT")
	for _, v := range generatorVariables {
		r.item(bold(v[0]), v[1])
	}
	r.seeAlso(reference("berth", 1), reference("berth-generate", 1), reference("berth-lint", 1), reference("berth.unit", 5), reference("systemd.generator", 7))
	return r.page("berth-generator", 8)
}

const generatorText = `systemd runs this program at boot, before any file system but the root is sure to be there, and at each
` + "`systemctl daemon-reload`" + `. It reads the unit directories that ` + "`berth.unit`" + `(5) lists and writes a service for each file, and links for
its [Install] section, to NORMAL-DIR. To see what it would write, use ` + "`berth-generate`" + `(1).

A file with errors costs only itself. Of such a file, of one that cannot be read, and of one that needs another file that is
not there, a service of the same name is made whose start fails with what is wrong; it keeps the stop commands, so that a
container that still runs can be stopped. A name that would leave the output directory is refused, and so is one that
a unit of the system has already, unless [X-Berth] has Override=yes.

Of a container or pod that runs and whose file has been removed, or makes another unit now, a service of the old name is written to
LATE-DIR, where it gives way to any other: it stops what runs as before, and does not start. For that the program reads which units
the containers and pods of this boot belong to.

Units are written beside and renamed. Messages go to the kernel log; at boot there is no other.`

var generatorVariables = [][2]string{
	{"QUADLET_UNIT_DIRS", "Directories of unit files, colons between them, in place of all others."},
	{"BERTH, PODMAN", "The program in the command lines; /usr/bin/berth when neither is set."},
	{"XDG_RUNTIME_DIR, XDG_CONFIG_HOME, HOME", "Where a user's unit files lie."},
}
