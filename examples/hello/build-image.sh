#!/bin/sh
# Makes the image of hello.container: a greeting in a shell script, and busybox to run it.
# Usage: build-image.sh [OUT.tar]
here=$(cd "$(dirname "$0")" && pwd)
examples=$here/..
out=$(realpath "${1:-hello.tar}")
. "$examples/debian.sh"

add_busybox
add_user hello 1000
install -D -m 0755 "$here/hello.sh" "$rootfs/usr/bin/hello"

mkimage -name localhost/berth-hello:latest \
	-label org.opencontainers.image.title=berth-hello \
	-env PATH=/usr/bin:/bin -user 1000:1000 -cmd /usr/bin/hello \
	"$rootfs" "$out"
echo "$out"
