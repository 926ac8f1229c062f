# Shell functions that build an image's root file system from Debian packages. Each example's build-image.sh reads this
# file; it is not run by itself.
#
# Packages come from $DEBS, a directory with .deb files, if that is set; else from apt's cache; else from apt. So a
# machine that has the packages needs no network.

set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rootfs=$work/rootfs
mkdir -p "$rootfs"

die() {
	echo "$0: $*" >&2
	exit 1
}

# find_deb PACKAGE prints the file of a package, and nothing when it is not on this machine.
find_deb() {
	for dir in "${DEBS:-/nonexistent}" /var/cache/apt/archives "$work/debs"; do
		for deb in "$dir/$1"_*.deb; do
			if [ -e "$deb" ]; then
				echo "$deb"
				return
			fi
		done
	done
}

# fetch PACKAGE… sees to it that the packages are on this machine, with one call of apt for all that are missing.
fetch() {
	missing=
	for package; do
		[ -n "$(find_deb "$package")" ] || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	mkdir -p "$work/debs"
	# shellcheck disable=SC2086 # one word per package
	(cd "$work/debs" && apt-get -qq -o APT::Sandbox::User=root download $missing >&2) ||
		die "cannot fetch the Debian packages$missing: run apt-get update, or put the .deb files into a directory and set DEBS to that"
}

# unpack DIR PACKAGE… puts the files of packages below DIR, without running their scripts.
unpack() {
	into=$1
	shift
	fetch "$@"
	for package; do
		deb=$(find_deb "$package")
		[ -n "$deb" ] || die "apt did not bring the package $package"
		dpkg-deb --extract "$deb" "$into"
	done
}

# add_busybox puts a static busybox into the image, with a link for each of its commands.
add_busybox() {
	mkdir -p "$rootfs/bin"
	if dpkg-query -W -f '${db:Status-Status}' busybox-static 2>/dev/null | grep -qx installed; then
		cp "$(command -v busybox)" "$rootfs/bin/busybox"
	else
		unpack "$work/busybox" busybox-static
		cp "$(find "$work/busybox" -type f -path '*/bin/busybox')" "$rootfs/bin/busybox"
	fi
	"$rootfs/bin/busybox" --list | while read -r command; do
		[ "$command" = busybox ] || ln -s busybox "$rootfs/bin/$command"
	done
}

# add_program TREE FILE puts a program from an unpacked tree into the image, with the libraries that it needs.
add_program() {
	tree=$1
	target=$(realpath "$tree/$2")
	install -D -m 0755 "$target" "$rootfs/$2"
	loader=$(find "$tree" -name 'ld-linux*.so.*' | head -n 1)
	[ -n "$loader" ] || die "no dynamic loader in $tree: libc6 is missing"
	paths=$(find "$tree" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
	"$loader" --library-path "$paths" --list "$target" >"$work/libraries" || die "cannot list the libraries of $2"
	if grep 'not found' "$work/libraries" >&2; then
		die "a library of $2 is missing"
	fi
	sed -n 's/.*=> \([^ ]*\) .*/\1/p' "$work/libraries" | while read -r library; do
		install -D -m 0755 "$library" "$rootfs/lib/$(basename "$library")"
	done
	# The program names its loader by path, and that one looks for libraries in /lib.
	interpreter=$(sed -n 's/^[[:space:]]*\(\/[^ ]*ld-linux[^ ]*\) .*/\1/p' "$work/libraries" | sed "s|^$tree||" | head -n 1)
	for place in "/lib64/$(basename "$loader")" "/lib/$(basename "$loader")" "$interpreter"; do
		[ -z "$place" ] || install -D -m 0755 "$loader" "$rootfs$place"
	done
}

# add_user NAME ID makes the image know root and one more user.
add_user() {
	mkdir -p "$rootfs/etc"
	printf 'root:x:0:0:root:/:/bin/sh\n%s:x:%s:%s::/:/bin/false\n' "$1" "$2" "$2" >"$rootfs/etc/passwd"
	printf 'root:x:0:\n%s:x:%s:\n' "$1" "$2" >"$rootfs/etc/group"
}

# mkimage ARGUMENTS… runs the archive writer beside this file, or the one named by $MKIMAGE on a machine without Go.
mkimage() {
	if [ -n "${MKIMAGE:-}" ]; then
		"$MKIMAGE" "$@"
	else
		CGO_ENABLED=0 go -C "$examples" run ./mkimage "$@"
	fi
}
