#!/bin/sh
# A greeting, and then nothing until the container is stopped. The first process of a container gets no signal that it
# has not asked for, so it has to ask for SIGTERM; else a stop would last until SIGKILL.
trap 'echo "Goodbye."; exit 0' TERM INT
echo "Hello ${NAME:-world}! I am process $$ in container $(hostname), user $(id -u)."
while :; do
	sleep 3600 &
	wait $!
done
