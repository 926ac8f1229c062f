set -x
berth load --quiet -i /usr/share/berth-test/busybox.tar
systemd-run -q --unit=probe --service-type=notify -p NotifyAccess=all -p Delegate=yes berth run --name w --cgroups=split -d --network none localhost/busybox:latest sleep 1000
ls -la /run/berth/ /run/berth/runtime; d=$(ls -d /run/berth/????????????????????????????????????????????????????????????????); id=$(basename $d)
cat /run/berth/runtime/$id/status
cat > /tmp/p.json <<P
{"args":["sh","-c","cat /proc/self/cgroup; readlink /proc/self/ns/*; cat /proc/1/cgroup;ls -l /proc/self/fd; exit 3"],"cwd":"/","env":["PATH=/bin"],"user":{"uid":0,"gid":0},"capabilities":{}}
P
unshare -m sh -c "mount --bind /sys/fs/cgroup/system.slice/probe.service /sys/fs/cgroup; crun --root /run/berth/runtime exec --process /tmp/p.json $id; echo code=\$?"
for a in '"nope"' '"/nope"' '"/etc/passwd"' '"/etc"'; do
echo "{\"args\":[$a],\"cwd\":\"/\",\"env\":[\"PATH=/bin\"],\"user\":{\"uid\":0,\"gid\":0},\"capabilities\":{}}" > /tmp/p2.json
crun --root /run/berth/runtime exec --process /tmp/p2.json $id; echo code=$?
crun --root /run/berth/runtime exec --process /tmp/p2.json -d --pid-file /tmp/pid $id; echo code=$?; cat /tmp/pid
done
podman load -q -i /usr/share/berth-test/busybox.tar
podman run -d --name p --network none localhost/busybox:latest sleep 1000
podman exec p nope; echo $?
podman exec p /etc; echo $?
podman exec p /etc/passwd; echo $?
podman exec -w /nope p true; echo $?
podman exec -u nope p true; echo $?
podman exec nope true; echo $?
podman exec p; echo $?
podman exec -d p sleep 10; echo $?
podman exec -t p env; echo $?
podman exec p env
podman exec -u 1234 p env
podman exec -u 1234 p id
podman exec p sh -c 'kill -9 $$'; echo $?
podman pause p; podman exec p true; echo $?; podman unpause p
podman stop -t 0 p;  podman exec p true; echo $?
podman ps -a; podman inspect p
which nsenter runc
