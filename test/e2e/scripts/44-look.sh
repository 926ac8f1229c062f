# hosts: nspawn
# timeout: 4m
# The commands that look: what ps and the others print of containers, beside what Podman prints of its own.
. "$BERTH_E2E/berth.sh"

needs podman jq

load_image
warm_up
# What Podman and the name server leave for good is there before the snapshot.
podman create --quiet --name e2e-theirs --cgroups=disabled --network none $IMAGE true >/dev/null
podman ps -a --format json >"$tmp/theirs.json"
podman inspect e2e-theirs >"$tmp/their-inspect.json"
berth network create e2e-look-net >/dev/null
berth run --rm --network e2e-look-net $IMAGE true
berth network rm e2e-look-net >/dev/null
wait_for 20 no_scope
no_name_server() { [ "$(property berth-dns ActiveState)" = inactive ] && ! pgrep -x aardvark-dns; }
wait_for 20 no_name_server
leak_snapshot
defer podman rm e2e-theirs

# lines joins the lines of a command's output by spaces.
lines() { "$@" | paste -sd' '; }

say "ps: three containers in different states"
berth network create e2e-look-net >/dev/null
defer berth network rm -f e2e-look-net
berth run -d --name e2e-one --label app=web --label tier=front --network e2e-look-net -p 8099:80 -v e2e-look-vol:/data $IMAGE sh -c "$IDLE" >/dev/null
berth run -d --name e2e-two --label app=db --network none --health-cmd true $IMAGE sh -c "$IDLE" >/dev/null
berth create --name e2e-three --network none --restart always $IMAGE sh -c 'exit 3' >/dev/null
names() { lines berth ps "$@" --format '{{.Names}}'; }
assert_eq "those that run" "$(names)" "e2e-one e2e-two"
assert_eq "all, by their names" "$(names -a --sort names)" "e2e-one e2e-three e2e-two"
assert_eq "the last" "$(names -l)" "e2e-three"
assert_eq "the last two" "$(names -n 2)" "e2e-two e2e-three"
assert_eq "headings" "$(berth ps --filter name=nobody | tr -s ' ')" "CONTAINER ID IMAGE COMMAND CREATED STATUS PORTS NAMES"
assert_eq "none" "$(berth ps --noheading --filter name=nobody)" ""
assert_match "a row" "$(berth ps -p --filter name=one)" '^[0-9a-f]{12} +localhost/busybox:latest +sh -c trap .*\.\.\. .* ago +Up .* 0\.0\.0\.0:8099->80/tcp +e2e-one'
assert_match "namespaces" "$(berth ps --ns --filter name=two)" "e2e-two +$(property e2e-two MainPID)( +[0-9]{10}){7}"
assert_match "sizes" "$(berth ps -s --filter name=one)" 'B \(virtual [0-9.]+MB\)$'
assert_match "whole IDs" "$(berth ps -q --no-trunc --filter name=one)" '^[0-9a-f]{64}$'
assert_match "a template with columns" "$(berth ps --format 'table {{.ID}}\t{{.Names}}\t{{.Label "app"}}' --sync)" '^[0-9a-f]{12}  e2e-one  web$'

say "ps: filters"
healthy() { [ "$(names --filter health=healthy)" = e2e-two ]; }
wait_for 60 healthy
while read -r want filters; do
	assert_eq "ps -a $filters" "$(names -a $(printf -- '--filter %s ' $filters))" "${want//,/ }"
done <<'F'
e2e-one,e2e-two label=app
e2e-one label=app=web label=tier
e2e-three label!=app
e2e-one,e2e-two status=running
e2e-one,e2e-three name=one name=three
e2e-one volume=e2e-look-vol
e2e-one network=e2e-look-net
e2e-one before=e2e-two
e2e-three since=e2e-two
e2e-three restart-policy=always
e2e-one,e2e-two,e2e-three ancestor=busybox
e2e-one,e2e-three health=none
e2e-one,e2e-two,e2e-three command=sh
F
assert_eq "status lists those that do not run" "$(names --filter status=created)" e2e-three
assert_eq "made long ago" "$(names -a --filter until=24h)" ""
berth update --restart no e2e-three >/dev/null
berth start -a e2e-three >/dev/null 2>&1 || true
ended() { [ "$(names -a --filter exited=3)" = e2e-three ]; }
wait_for 60 ended
assert_match "an unknown filter" "$(must_fail berth ps --filter colour=red)" 'filter "colour=red" is not known; id, name'
assert_eq "its status" "$(exit_code berth ps --filter colour=red)" 125

say "ps: again and again, and JSON"
assert_match "watch" "$(timeout 1 berth ps --watch 30 --noheading | tail -n 1 || true)" 'e2e-two'
json=$(berth ps -a --format json --filter name=one)
assert_eq "JSON" "$(jq -r '.[0] | [.Names[0], .State, .Labels.app, .Networks[0], .Mounts[0], (.Ports[0] | .host_port, .container_port, .protocol), .Exited, .Image] | join(" ")' <<<"$json")" \
	"e2e-one running web e2e-look-net /data 8099 80 tcp false localhost/busybox:latest"
missing=$(jq -r --argjson ours "$json" '[.[0] | keys[]] - [$ours[0] | keys[]] | join(" ")' "$tmp/theirs.json")
assert_eq "keys that Podman has and berth has not" "$missing" ""
assert_eq "of others" "$(names -a --external --filter name=theirs)" e2e-theirs
assert_eq "not those of others" "$(names -a --filter name=theirs)" ""

say "inspect"
printf canary-value | berth secret create --label a=1 e2e-look-secret - >/dev/null
defer berth secret rm -i e2e-look-secret
inspect=$(berth inspect e2e-one)
assert_eq "what Podman has and berth has not" "$(jq -r --argjson ours "$inspect" '
	def fields: [paths | select(length < 4 and all(.[]; type == "string"))];
	(.[0] | del(.Config.Annotations, .HostConfig.Annotations, .HostConfig.PortBindings, .State.ConmonPid, .GraphDriver, .NetworkSettings.Networks) | fields) - ($ours[0] | fields)
	| map(join(".")) | join(" ")' "$tmp/their-inspect.json")" ""
shown() { berth inspect --format "$1" e2e-one; }
ip=$(berth network inspect e2e-look-net | jq -r '.[0].containers[].interfaces.eth0.subnets[0].ipnet')
assert_eq "state" "$(shown '{{.State.Status}} {{.State.Running}} {{.State.Pid}} {{.RestartCount}}')" "running true $(property e2e-one MainPID) 0"
assert_eq "address" "$(shown '{{range $name, $net := .NetworkSettings.Networks}}{{$name}}={{$net.IPAddress}}/{{$net.IPPrefixLen}}{{end}}')" "e2e-look-net=$ip"
assert_eq "port" "$(shown '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}{{if .State.Health}} healthy{{end}}')" 8099
assert_eq "mount" "$(shown '{{range .Mounts}}{{.Type}} {{.Name}} {{.Source}} {{.Destination}} {{.RW}}{{end}}')" \
	"volume e2e-look-vol /var/lib/containers/storage/volumes/e2e-look-vol/_data /data true"
assert_eq "configuration" "$(shown '{{index .Config.Labels "tier"}} {{.Config.Image}} {{.HostConfig.NetworkMode}} {{.HostConfig.RestartPolicy.Name}} {{slice (join .Config.Cmd ",") 0 5}}')" \
	"front $IMAGE bridge no sh,-c"
assert_eq "as typed" "$(shown '{{slice (join .Config.CreateCommand " ") 0 27}}')" "berth run -d --name e2e-one"
assert_match "environment" "$(shown '{{json .Config.Env}}')" '"PATH=.*"HOSTNAME=|"HOSTNAME=.*"PATH='
assert_match "layers" "$(shown '{{.GraphDriver.Data.UpperDir}}')" "/overlay/$(berth ps -q --no-trunc --filter name=one)/diff\$"
assert_match "size" "$(berth inspect -s -f '{{.SizeRootFs}}' e2e-one)" '^[0-9]{6,}$'
assert_eq "one that has ended" "$(berth inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.Pid}} {{.HostConfig.RestartPolicy.Name}}' e2e-three)" "exited 3 0 no"
assert_match "one that has ended" "$(berth inspect -f '{{json .Config.Env}}' e2e-three)" '"PATH='
assert_eq "health" "$(berth inspect e2e-two | jq -r '.[0] | .State.Health.Status + " " + (.Config.Healthcheck.Test | join(" "))')" "healthy CMD-SHELL true"
assert_eq "the last" "$(berth inspect -l -f '{{.Name}}')" e2e-three
for kind in "image $IMAGE Id" "volume e2e-look-vol Name" "network e2e-look-net name"; do
	set -- $kind
	assert_eq "$1 by its name" "$(berth inspect "$2" | jq -r ".[0].$3")" "$(berth inspect --type "$1" "$2" | jq -r ".[0].$3")"
	assert_match "$1 is no container" "$(must_fail berth container inspect "$2")" 'no such container'
done
code=0
out=$(berth inspect nothing-such e2e-one nor-this 2>"$tmp/err") || code=$?
assert_eq "the one that is there, and the status" "$(jq -r '.[].Name' <<<"$out") $code" "e2e-one 125"
assert_eq "the ones that are not" "$(grep -c 'no such object: "no' "$tmp/err")" 2
berth run -d --rm --name e2e-secret --network none --secret e2e-look-secret,type=env,target=CANARY --secret e2e-look-secret $IMAGE sh -c "$IDLE" >/dev/null
wait_for 20 berth exec e2e-secret grep -q canary-value /proc/1/environ # its own environment is there when it is the program
assert_no_match "and not shown" "$(berth inspect e2e-secret)" 'canary-value'
assert_match "but named" "$(berth inspect -f '{{range .Config.Secrets}}{{.Name}} {{end}}' e2e-secret)" '^e2e-look-secret e2e-look-secret '
berth rm -f e2e-secret >/dev/null

say "one form for all lists"
assert_eq "networks" "$(berth network ls --filter name=^e2e-look --format '{{.Name}} {{.Driver}}')" "e2e-look-net bridge"
assert_eq "volumes" "$(berth volume ls --filter name=e2e-look --format json | jq -r '.[0].Name + " " + .[0].Scope')" "e2e-look-vol local"
assert_match "volumes" "$(berth volume ls --format 'table {{.Driver}} {{.Name}}')" '^DRIVER +VOLUME NAME$'
assert_eq "volume inspect" "$(berth volume inspect e2e-look-vol --format '{{.Mountpoint}}')" /var/lib/containers/storage/volumes/e2e-look-vol/_data
assert_match "secrets" "$(berth secret ls --filter label=a --format '{{.Name}} {{.Driver}} {{.CreatedAt}}')" '^e2e-look-secret file .* ago$'
assert_eq "secret inspect" "$(berth secret inspect e2e-look-secret --format '{{.Spec.Name}} {{.Spec.Labels.a}}')" "e2e-look-secret 1"

say "events"
began=$(date +%s.%N)
events() { berth events --stream=false --since "$began" --format '{{.Status}}' "$@" 2>&1 | paste -sd' '; }
timeout 200 berth events --format '{{.Type}} {{.Status}} {{.Label "a"}} {{.Name}}' >"$tmp/live" &
follower=$!
# That it has come to the end of the journal is known when it shows something that has happened now.
follows() {
	berth volume create e2e-mark && berth volume rm e2e-mark
	grep -q e2e-mark "$tmp/live"
}
wait_for 60 follows
berth create --name e2e-event --label a=1 --network none $IMAGE sh -c 'exit 3' >/dev/null
berth start -a e2e-event >/dev/null || true
berth rm e2e-event >/dev/null
berth run -d --name e2e-event --network none --health-cmd true $IMAGE sh -c "$IDLE" >/dev/null
judged() { [ "$(events --filter container=e2e-event --filter event=health_status)" = health_status ]; }
wait_for 60 judged
berth exec e2e-event true
berth export e2e-event >/dev/null
berth mount e2e-event >/dev/null
assert_eq "unmounted" "$(berth unmount e2e-event)" e2e-event
berth update --restart=no e2e-event >/dev/null 2>&1
berth commit -q e2e-event localhost/e2e-committed >/dev/null
berth rename e2e-event e2e-event2
berth rename e2e-event2 e2e-event
berth pause e2e-event >/dev/null
berth unpause e2e-event >/dev/null
berth stop e2e-event >/dev/null
has_died() { [ "$(events --filter container=e2e-event --filter event=died)" = "died died" ]; }
wait_for 60 has_died
berth rm e2e-event >/dev/null
berth run -d --rm --name e2e-event --network none $IMAGE true >/dev/null
berth volume create e2e-event >/dev/null
berth volume rm e2e-event >/dev/null
berth tag $IMAGE localhost/e2e-event
berth rmi localhost/e2e-event localhost/e2e-committed >/dev/null
complete() {
	happened=$(events --filter container=e2e-event)
	echo "$happened"
	[ "$happened" = "create start died remove create start health_status exec export mount unmount update commit rename pause unpause stop died remove create start died remove" ]
}
wait_for 60 complete
seen() { [ "$(grep -c '^container .* e2e-event$' "$tmp/live")" = 23 ]; }
wait_for 60 seen
assert_eq "what was seen at once, with a label" "$(grep ' e2e-event$' "$tmp/live" | head -n 2 | paste -sd' ')" "container create 1 e2e-event container start 1 e2e-event"
kill "$follower"
wait "$follower" || true
assert_eq "exit statuses" "$(berth events --stream=false --since "$began" -f event=died --format '{{.ContainerExitCode}}' | paste -sd' ')" "3 0 0"
assert_eq "by a label" "$(events --filter label=a=1)" "create start died remove"
assert_eq "volumes" "$(events --filter volume=e2e-event)" "create remove"
assert_eq "images" "$(events --filter type=image)" "tag untag untag remove"
assert_eq "JSON" "$(berth events --stream=false --since "$began" --format json | jq -rs '[.[] | select(.Type == "container" and .Status == "start") | .Name] | unique | join(" ")')" e2e-event
assert_eq "nothing before" "$(berth events --stream=false --until "$began" --since "$began")" ""
assert_no_match "no event is a line of the container" "$(berth logs e2e-one)" 'container|create'
as_tester berth volume create e2e-event >/dev/null
theirs() { [ "$(as_tester berth events --stream=false --since "$began" --format '{{.Status}} {{.Name}}')" = "create e2e-event" ]; }
wait_for 60 theirs
as_tester berth volume rm e2e-event >/dev/null

say "nothing is left"
berth rm -f -v e2e-one e2e-two e2e-three >/dev/null
berth secret rm e2e-look-secret >/dev/null
berth volume rm -f e2e-look-vol >/dev/null
berth network rm e2e-look-net >/dev/null
wait_for 20 no_scope
wait_for 20 no_name_server
rm -f "$tmp/err" "$tmp/live"
systemctl reset-failed 2>/dev/null || true
leak_check

say "containers.conf means the same for both"
cat >"$tmp/containers.conf" <<F
[containers]
base_hosts_file = "none"
default_capabilities = ["CHOWN", "NET_RAW"]
default_sysctls = ["net.ipv4.ping_group_range=0 7", "kernel.msgmax=4096"]
default_ulimits = ["nofile=100:200"]
devices = ["/dev/null:/dev/mine"]
env = ["FROM_CONF=1", "PATH=/image/has/another"]
host_containers_internal_ip = "192.0.2.77"
http_proxy = false
mounts = ["type=tmpfs,target=/mnt,tmpfs-size=1m"]
pids_limit = 0
read_only = true
umask = "0027"
volumes = ["$tmp:/vol:ro"]
[network]
default_subnet_pools = [{"base" = "172.29.0.0/16", "size" = 26}]
F
export http_proxy=http://proxy.example
for b in podman berth; do
	as_set() { CONTAINERS_CONF=$tmp/containers.conf $b "$@"; }
	as_set run --rm --network none -e GIVEN=1 --ulimit nproc=50 $IMAGE sh -c '
		sysctl -n net.ipv4.ping_group_range kernel.msgmax; ulimit -n; ulimit -Hn; grep CapEff /proc/self/status; test -c /dev/mine || echo missing
		echo $FROM_CONF $GIVEN $PATH $http_proxy; grep " /mnt " /proc/mounts | grep -o size=[0-9]*k; touch /x 2>&1; umask; test -e /vol/containers.conf || echo missing
		sed "s/.*podman.*//;s/.*e2e.*//" /etc/hosts | grep -c localhost; grep containers.internal /etc/hosts' >"$tmp/$b.said" 2>&1
	as_set network create e2e-pool >/dev/null
	$b network inspect e2e-pool | jq -r '.[0].subnets[0].subnet' >>"$tmp/$b.said"
	$b network rm e2e-pool >/dev/null
done
unset http_proxy
CONTAINERS_CONF=$tmp/containers.conf berth pod create e2e-conf >/dev/null
assert_match "in a pod" "$(berth run --rm --pod e2e-conf $IMAGE sh -c 'sysctl -n net.ipv4.ping_group_range | xargs; cat /etc/hosts')" '^0 7
127'
berth pod rm e2e-conf >/dev/null
assert_eq "beside Podman" "$(cat "$tmp/berth.said")" "$(cat "$tmp/podman.said")"
assert_match "what that is" "$(xargs <"$tmp/berth.said")" '^0 7 4096 100 200 CapEff: 0000000000002001 1 1 /usr/local/sbin.* size=1024k touch: /x: Read-only file system 0027 [0-9]+ 192.0.2.77 host.containers.internal host.docker.internal 172.29.0.0/26$'
printf '[containers]\nlog_driver = "k8s-file"\nlog_path = "%s/log"\n[engine]\nvolume_path = "%s/vols"\n' "$tmp" "$tmp" >"$tmp/containers.conf"
id=$(CONTAINERS_CONF=$tmp/containers.conf berth run -d --name e2e-conf --network none -v e2e-conf:/etc $IMAGE echo logged)
berth wait e2e-conf >/dev/null
assert_match "places" "$(cat "$tmp/log/$id/ctr.log" && CONTAINERS_CONF=$tmp/containers.conf berth volume ls -q && cat "$tmp/vols/e2e-conf/_data/passwd")" 'logged
e2e-conf
root:'
berth rm e2e-conf >/dev/null
printf '[containers]\nutsns = "host"\nnetns = "host"\nenv_host = true\n' >"$tmp/containers.conf"
assert_eq "namespaces of the machine" "$(FROM_HOST=1 CONTAINERS_CONF=$tmp/containers.conf berth run --rm $IMAGE sh -c 'readlink /proc/self/ns/uts; readlink /proc/self/ns/net; echo $FROM_HOST')" \
	"$(readlink /proc/self/ns/uts; readlink /proc/self/ns/net; echo 1)"
