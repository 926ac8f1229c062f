package main

import "fmt"

// keeperPage is berth-keeper(8).
func keeperPage() Page {
	r := newPage("berth-keeper", 8, "read what containers write")
	r.section("SYNOPSIS")
	fmt.Fprintf(r, "%s\n.br\n%s\n", bold("berth-keeper.service"), bold("berth-keeper.socket"))
	r.section("DESCRIPTION")
	r.paragraphs(keeperText)
	r.section("FILES")
	for _, f := range keeperFiles {
		r.item(bold(f[0]), f[1])
	}
	r.seeAlso(reference("berth", 1), reference("berth-run", 1), reference("berth-logs", 1), reference("berth.unit", 5), reference("journalctl", 1))
	return r.page("berth-keeper", 8)
}

const keeperText = `The standard output and standard error of a container are pipes, so that a program may open /dev/stdout or
/proc/self/fd/1 anew. This program reads all of them and hands the lines on: to the journal in the container's name, or to a
file. There is one for the system and one for each user who runs containers; systemd starts it when a container needs it.

A line goes to the journal with the priority 6 (info) when it comes from standard output and 3 (err) from standard error, or with
the one that the program sets before it as <N>, see sd-daemon(3). Its fields are CONTAINER_NAME, CONTAINER_ID, CONTAINER_ID_FULL,
CONTAINER_TAG, IMAGE_NAME and those of the option label of --log-opt. The limits of the container's unit, LogRateLimitIntervalSec= and
LogRateLimitBurst=, hold for its lines.

A line is handed on when it has ended. One that is longer than 48 KiB, or fills its pipe before it ends, comes in parts, and all but the
last have CONTAINER_PARTIAL_MESSAGE; so has what a program wrote last without an end of line. In a file such a part is marked P, and
all else F. Who is attached sees what is written at once.

It may be killed, restarted and replaced by a newer one at any moment: ` + "`systemctl restart berth-keeper`" + `. The pipes lie in
systemd's file-descriptor store too. A line is taken out of its pipe only after it has been handed on, so that none is lost or
torn; those that were being handed on in the moment of a kill may come twice. While there is no keeper, containers go on
until a pipe is full, which holds 64 KiB.

A log file that cannot be written, on a full disk for instance, does not hold its container up: the lines are lost, and a
message in the journal says so.`

var keeperFiles = [][2]string{
	{"/run/berth/keeper.sock, $XDG_RUNTIME_DIR/berth/keeper.sock", "The sockets that berth hands pipes over through."},
	{"/run/berth-users/keeper.sock", "The same for units of the system's that have User=, see berth.unit(5). What they say of a container counts only as far as it is in a unit of that user's."},
	{"GRAPHROOT/overlay-containers/ID/userdata/ctr.log", "The file of the log driver k8s-file when no path= is given; it ends with the container."},
	{"ctr.log.1", "The one before it. When a file has reached max-size= it gets this name, and another is begun."},
}
