#!/bin/sh
# Makes the image of db.container: Debian's Redis with the libraries it needs, and busybox.
# Usage: build-image.sh [OUT.tar]
here=$(cd "$(dirname "$0")" && pwd)
examples=$here/..
out=$(realpath "${1:-db.tar}")
. "$examples/debian.sh"

# Of all that redis-tools depends on, programs need the libraries only.
libraries=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
	--no-enhances redis-tools | grep -E '^lib[a-z0-9.+-]+$' | grep -v -E '^lib(elogind|crypt-dev)' | sort -u)
tree=$work/tree
# shellcheck disable=SC2086 # one word per package
unpack "$tree" redis-tools $libraries

add_busybox
add_user redis 999
# redis-server is a link to redis-check-rdb: one program that looks at the name it was called by.
add_program "$tree" usr/bin/redis-check-rdb
add_program "$tree" usr/bin/redis-cli
ln -s redis-check-rdb "$rootfs/usr/bin/redis-server"
install -D -m 0644 "$here/redis.conf" "$rootfs/etc/redis.conf"
mkdir -p "$rootfs/data" "$rootfs/tmp" && chmod 1777 "$rootfs/tmp" && chmod 0700 "$rootfs/data"

mkimage -name localhost/berth-db:latest \
	-label org.opencontainers.image.title=berth-db \
	-env PATH=/usr/bin:/bin -user 999:999 -owner data=999:999 -workdir /data -volume /data -expose 6379/tcp \
	-cmd /usr/bin/redis-server -cmd /etc/redis.conf \
	"$rootfs" "$out"
echo "$out"
