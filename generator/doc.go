// Package generator turns Quadlet unit files into units of systemd. It is pure: files in, units, links and findings out;
// reading directories and writing units is berth-generator's part.
//
// A correct file gives the unit that Podman's generator gives, with the same flags in an order that does not change. What
// differs is what becomes of mistakes:
//
//   - A file with errors costs only itself. A stub of the same name is written: starting it prints the findings and
//     fails, systemctl status shows them, and the stop commands are kept, so that a container that still runs can be
//     stopped. In a dry run nothing is printed for it but the findings. The exit status is 1.
//   - A name is refused, and nothing written at all, when it is no name for a unit, or when the system has a unit of that
//     name itself: a stub would put that one out of service. Override=yes in [X-Berth] takes its place. Of two files for
//     one service the first in the order of generation counts, and the other one gets a warning.
//   - A link to /dev/null masks the files of that name in later directories.
//   - A drop-in that cannot be read is left out and reported; the unit is generated.
//   - A broken Exec=, ReloadCmd=, Environment=, Label= or other list of pairs is left out with a warning, as Podman does.
//     Other values with an unknown escape or an open quote are errors: without them the container would be less
//     confined, or another one.
//   - Words that are boolean to systemd (y, t, n, f) are so here; anything else is a warning and counts as no. An empty
//     boolean takes the key back. Empty words and single semicolons reach the program. \xHH and \OOO are bytes.
//   - A line that ends in two backslashes does not continue, as in systemd.
//   - EnvironmentFile=-PATH is passed on with the dash: the engine leaves the file out when it is not there.
//   - Templates and instances of volumes, networks and pods get names with %i, and units that systemd knows as instances
//     of one template.
//   - The directories below users/ are read by users' managers only, users/UID before users/.
//   - Targets in [Install] may be unit files.
//   - .quadlets bundles are read where they stand.
package generator
