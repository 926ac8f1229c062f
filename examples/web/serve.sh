#!/bin/sh
# The web server on port 80, with a line per request on standard error. The first process of a container gets no signal
# that it has not asked for, and httpd does not ask for SIGTERM: this shell does, and takes httpd along when it ends.
trap 'exit 0' TERM INT
httpd -f -v -p 80 -h /www &
echo "serving /www on port 80"
wait $!
