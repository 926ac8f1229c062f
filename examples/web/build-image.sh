#!/bin/sh
# Makes the image of web.container: busybox's web server and one page.
# Usage: build-image.sh [OUT.tar]
here=$(cd "$(dirname "$0")" && pwd)
examples=$here/..
out=$(realpath "${1:-web.tar}")
. "$examples/debian.sh"

add_busybox
add_user www 33
mkdir -p "$rootfs/tmp" && chmod 1777 "$rootfs/tmp"
install -D -m 0755 "$here/serve.sh" "$rootfs/usr/bin/serve"
install -D -m 0644 "$here/index.html" "$rootfs/www/index.html"

mkimage -name localhost/berth-web:latest \
	-label org.opencontainers.image.title=berth-web \
	-env PATH=/usr/bin:/bin -expose 80/tcp -workdir /www -cmd /usr/bin/serve \
	"$rootfs" "$out"
echo "$out"
