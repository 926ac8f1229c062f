package cli

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/spec"
)

// nameFilter takes a regular expression, as Podman's does.
func nameFilter[T any](of func(T) string) filter[T] {
	return filter[T]{key: "name", read: func(value string) (func(T) bool, error) {
		re, err := regexp.Compile(value)
		if err != nil {
			return nil, err
		}
		return func(r T) bool { return re.MatchString(of(r)) }, nil
	}}
}

func psFilterKeys() []string {
	var keys []string
	for _, f := range psFilters() {
		keys = append(keys, f.key)
	}
	return keys
}

// psStates are the values of the filter status. Those that a container of berth is never in are taken, too.
var psStates = []string{"created", "initialized", "running", "stopped", "paused", "exited", "removing", "stopping", "unknown"}

// psFilters are the filters of containers.
func psFilters() []filter[*psRow] {
	list := []filter[*psRow]{
		textFilter("id", strings.HasPrefix, func(r *psRow) string { return r.ID }),
		nameFilter(func(r *psRow) string { return r.Name }),
		{key: "status", read: readStatus},
		{key: "exited", read: func(value string) (func(*psRow) bool, error) {
			code, err := strconv.Atoi(value)
			if err != nil {
				return nil, fmt.Errorf("%q is not an exit status", value)
			}
			return func(r *psRow) bool { return r.status == "exited" && r.exitCode() == code }, nil
		}},
		textFilter("ancestor", isImage, func(r *psRow) string { return r.Image + " " + r.ImageID }),
		{key: "before", read: madeBeside(func(r psRow, other engine.State) bool { return r.Created.Before(other.Created) })},
		{key: "since", read: madeBeside(func(r psRow, other engine.State) bool { return r.Created.After(other.Created) })},
		{key: "volume", read: readVolume},
		{key: "network", read: readNetwork},
		{key: "pod", read: readPod},
		{key: "health", read: readHealth},
		textFilter("restart-policy", samePolicy, func(r *psRow) string { return r.Container.Restart }),
		textFilter("command", same, func(r *psRow) string { return strings.Join(r.words()[:min(1, len(r.words()))], "") }),
		untilFilter(func(r *psRow) time.Time { return r.Created }),
		boolFilter("should-start-on-boot", func(r *psRow) bool {
			return r.Container.Restart == "always" || r.Container.Restart == "unless-stopped"
		}),
	}
	return append(list, labelFilters(func(r *psRow) map[string]string { return spec.Labels(r.Container.Labels) })...)
}

func readStatus(value string) (func(*psRow) bool, error) {
	if !slices.Contains(psStates, value) {
		return nil, fmt.Errorf("there is no state %q; %s are", value, strings.Join(psStates, ", "))
	}
	if value == "stopped" {
		value = "exited"
	}
	return func(r *psRow) bool { return r.status == value }, nil
}

// isImage tells whether the value names the image: whole, without its tag, without its registry, or by its ID.
func isImage(image, value string) bool {
	name, id, _ := strings.Cut(image, " ")
	value = strings.TrimPrefix(value, "sha256:")
	if value == "" || len(value) >= 4 && strings.HasPrefix(id, value) || name == value {
		return value != ""
	}
	untagged := name
	if i := strings.LastIndexAny(name, ":@/"); i >= 0 && name[i] != '/' {
		untagged = name[:i]
	}
	return untagged == value || strings.HasSuffix(name, "/"+value) || strings.HasSuffix(untagged, "/"+value)
}

// madeBeside compares with another container, which must be there.
func madeBeside(fits func(r psRow, other engine.State) bool) func(string) (func(*psRow) bool, error) {
	return func(value string) (func(*psRow) bool, error) {
		other, err := findContainer(value)
		return func(r *psRow) bool { return fits(*r, other) }, err
	}
}

// readVolume takes a volume or a path of the host, and after a colon the place in the container.
func readVolume(value string) (func(*psRow) bool, error) {
	source, place, exact := strings.Cut(value, ":")
	return func(r *psRow) bool {
		return slices.ContainsFunc(mountsOf(*r.State), func(m engine.VolumeMount) bool {
			from := m.Name == source || m.Source == source
			return from && (!exact || m.Destination == place) || !exact && m.Destination == source
		})
	}, nil
}

// readNetwork takes the name of a network or the beginning of its ID.
func readNetwork(value string) (func(*psRow) bool, error) {
	return func(r *psRow) bool {
		if slices.Contains(shownNetworks(*r.State), value) {
			return true
		}
		return slices.ContainsFunc(r.Attached, func(a engine.Attached) bool { return len(value) >= 4 && strings.HasPrefix(a.NetworkID, value) })
	}, nil
}

func readPod(value string) (func(*psRow) bool, error) {
	id := value
	if p, err := runDirs().FindPod(value); err == nil {
		id = p.ID
	}
	return func(r *psRow) bool { return r.Pod != "" && strings.HasPrefix(r.Pod, id) }, nil
}

func readHealth(value string) (func(*psRow) bool, error) {
	if known := []string{"starting", "healthy", "unhealthy", "none"}; !slices.Contains(known, value) {
		return nil, fmt.Errorf("there is no health %q; %s are", value, strings.Join(known, ", "))
	}
	return func(r *psRow) bool {
		v := health(*r.State)
		if v == nil || r.status != "running" {
			return value == "none"
		}
		return v.Status == value
	}, nil
}

func samePolicy(policy, value string) bool {
	name, _, _ := strings.Cut(policy, ":")
	if name == "" {
		name = "no"
	}
	return name == value || policy == value
}

// shownNetworks are the networks that a container is on, or is to be on, or the mode that it has instead.
func shownNetworks(s engine.State) []string {
	list, mode := networksOf(s)
	if mode != "" {
		list = append(list, mode)
	}
	return list
}

// networksOf are the networks that a container is on, or is to be on. The mode is what it has instead, and "" if it has any.
func networksOf(s engine.State) (list []string, mode string) {
	list = []string{}
	if s.Networked && len(s.Attached) > 0 {
		for _, at := range s.Attached {
			list = append(list, at.Network)
		}
		return list, ""
	}
	n, err := spec.ParseNetworks(s.Network.Networks, "", "", "", nil)
	switch {
	case err != nil:
		return list, ""
	case n.Mode != "" && !n.Default:
		return list, n.Mode
	case n.Default && rootlessMode():
		return list, "pasta"
	}
	for _, a := range n.Attach {
		list = append(list, a.Network)
	}
	if len(list) == 0 {
		list = append(list, spec.DefaultNetwork)
	}
	return list, ""
}

// mountsOf are the volumes and paths of the host that a container sees, or, before its first start, is to see.
func mountsOf(s engine.State) []engine.VolumeMount {
	if len(s.Mounts) > 0 || !s.Started.IsZero() {
		return s.Mounts
	}
	var list []engine.VolumeMount
	for _, word := range s.Container.Volumes {
		v, err := spec.ParseVolume(word)
		if err != nil {
			continue
		}
		m := engine.VolumeMount{Source: v.Source, Destination: v.Destination, Options: v.Options, Anonymous: v.Source == ""}
		if v.Named() {
			m.Name, m.Source = v.Source, ""
		}
		list = append(list, m)
	}
	return list
}
