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
assert_eq "headings" "$(berth ps | head -n 1 | tr -s ' ')" "CONTAINER ID IMAGE COMMAND CREATED STATUS PORTS NAMES"
assert_eq "none" "$(berth ps --noheading --filter name=nobody)" ""
assert_match "a row" "$(berth ps -p --filter name=one)" '^[0-9a-f]{12} +localhost/busybox:latest +sh -c trap .*\.\.\. .* ago +Up .* 0\.0\.0\.0:8099->80/tcp +e2e-one'
assert_match "namespaces" "$(berth ps --ns --filter name=two)" "e2e-two +$(property e2e-two MainPID)( +[0-9]{10}){7}"
assert_match "sizes" "$(berth ps -s --filter name=one)" 'B \(virtual [0-9.]+MB\)$'
assert_match "whole IDs" "$(berth ps -q --no-trunc --filter name=one)" '^[0-9a-f]{64}$'
assert_match "a template with columns" "$(berth ps --format 'table {{.ID}}\t{{.Names}}\t{{.Label "app"}}' --sync)" '^[0-9a-f]{12}  e2e-one  web$'

say "ps: filters"
healthy() { [ "$(names --filter health=healthy)" = e2e-two ]; }
wait_for 20 healthy
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
berth start -a e2e-three >/dev/null 2>&1 || true
ended() { [ "$(names -a --filter exited=3)" = e2e-three ]; }
wait_for 30 ended
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

say "one form for all lists"
assert_eq "networks" "$(berth network ls --filter name=^e2e-look --format '{{.Name}} {{.Driver}}')" "e2e-look-net bridge"
assert_eq "volumes" "$(berth volume ls --filter name=e2e-look --format json | jq -r '.[0].Name + " " + .[0].Scope')" "e2e-look-vol local"
assert_match "volumes" "$(berth volume ls --format 'table {{.Driver}} {{.Name}}')" '^DRIVER +VOLUME NAME$'
assert_eq "volume inspect" "$(berth volume inspect e2e-look-vol --format '{{.Mountpoint}}')" /var/lib/containers/storage/volumes/e2e-look-vol/_data
printf secret | berth secret create --label a=1 e2e-look-secret - >/dev/null
defer berth secret rm -i e2e-look-secret
assert_match "secrets" "$(berth secret ls --filter label=a --format '{{.Name}} {{.Driver}} {{.CreatedAt}}')" '^e2e-look-secret file .* ago$'
assert_eq "secret inspect" "$(berth secret inspect e2e-look-secret --format '{{.Spec.Name}} {{.Spec.Labels.a}}')" "e2e-look-secret 1"

say "nothing is left"
berth rm -f -v e2e-one e2e-two e2e-three >/dev/null
berth secret rm e2e-look-secret >/dev/null
berth volume rm -f e2e-look-vol >/dev/null
berth network rm e2e-look-net >/dev/null
wait_for 20 no_scope
wait_for 20 no_name_server
systemctl reset-failed 2>/dev/null || true
leak_check
