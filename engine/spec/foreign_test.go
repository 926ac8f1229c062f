package spec

import (
	"path"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// FuzzCDI: the file of a device's maker is read or refused, and what it adds to the configuration is at absolute paths.
func FuzzCDI(f *testing.F) {
	for _, text := range []string{
		`{"kind":"a/b","devices":[{"name":"x","containerEdits":{"env":["A=b"],"deviceNodes":[{"path":"/dev/null","permissions":"rw"}],"mounts":[{"hostPath":"/usr","containerPath":"/u"}],"hooks":[{"hookName":"createContainer","path":"/bin/true"}],"additionalGids":[5]}}]}`,
		`{"kind":"a/b","devices":[{"name":"x","containerEdits":{"deviceNodes":[{"path":"null"}]}}]}`,
		`{"kind":"a/b","devices":[{"name":"x","containerEdits":{"hooks":[{"hookName":"x"}]}}],"containerEdits":{"mounts":[{}]}}`, `{"kind":"a"}`, `null`, ``,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := ParseCDI("x.json", data)
		if err != nil {
			return
		}
		for _, d := range file.Devices {
			edits, err := FindCDI([]string{file.Kind + "=" + d.Name}, []CDISpec{file})
			if err != nil && !strings.Contains(file.Kind, "=") {
				t.Errorf("%s: device %q is not found: %v", data, d.Name, err)
			}
			for _, e := range edits {
				for _, rootless := range []bool{false, true} {
					checkEdits(t, e, rootless)
				}
			}
		}
	})
}

func checkEdits(t *testing.T, e CDIEdits, rootless bool) {
	s := specs.Spec{Process: &specs.Process{}, Linux: &specs.Linux{Resources: &specs.LinuxResources{}}, Hooks: &specs.Hooks{}}
	if e.apply(&s, rootless) != nil {
		return
	}
	for _, m := range s.Mounts {
		if !path.IsAbs(m.Destination) {
			t.Errorf("a mount on %q", m.Destination)
		}
	}
	for _, d := range s.Linux.Devices {
		if !path.IsAbs(d.Path) {
			t.Errorf("a device at %q", d.Path)
		}
	}
	for _, h := range slices.Concat(s.Hooks.CreateRuntime, s.Hooks.CreateContainer, s.Hooks.StartContainer, s.Hooks.Poststart, s.Hooks.Poststop) {
		if !path.IsAbs(h.Path) {
			t.Errorf("a hook %q", h.Path)
		}
	}
}

// FuzzHook: the file of a hook is read or refused; one that was read can be asked whether it applies, and has an environment of
// its own.
func FuzzHook(f *testing.F) {
	for _, text := range []string{
		`{"version":"1.0.0","hook":{"path":"/bin/true"},"when":{"always":true},"stages":["prestart"]}`,
		`{"version":"1.0.0","hook":{"path":"/h"},"when":{"annotations":{"^a$":".*"},"commands":["sh$"],"hasBindMounts":false},"stages":["poststop"]}`,
		`{"version":"1.0.0","hook":{"path":"/h"},"when":{"commands":["("]},"stages":["poststop"]}`, `{"version":"2"}`, `null`, ``,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := ParseHook("x.json", data)
		if err != nil {
			return
		}
		if h.Hook.Env == nil || !path.IsAbs(h.Hook.Path) {
			t.Errorf("%s: %+v", data, h.Hook)
		}
		h.Applies(&specs.Spec{Process: &specs.Process{Args: []string{"sh"}}, Annotations: map[string]string{"a": "b"}}, false)
		h.Applies(&specs.Spec{Process: &specs.Process{}}, true)
	})
}

// FuzzIDMapOption: the maps of a volume's owners are read or refused; those read are such that the kernel takes them.
func FuzzIDMapOption(f *testing.F) {
	for _, s := range []string{
		"uids=0-1000-1;gids=0-1000-1", "uids=@0-0-10#10-20-5;gids=0-0-1", "uids=0-0-4294967295;gids=1-1-1", "uids=0-0-1", "gids=;uids=", "x=0-0-1", "uids=0-0-0;gids=0-0-0",
		"uids=4294967295-0-2;gids=0-0-1", "uids=0-@5-1;gids=0-@5-1", "",
	} {
		f.Add(s)
	}
	container := IDMaps{UIDs: []IDMap{{Inside: 0, Outside: 100000, Count: 65536}}, GIDs: []IDMap{{Inside: 0, Outside: 100000, Count: 65536}}}
	f.Fuzz(func(t *testing.T, s string) {
		maps, err := ParseIDMapOption(s, container)
		if err != nil {
			return
		}
		for _, list := range [][]IDMap{maps.UIDs, maps.GIDs} {
			for i, m := range list {
				if m.Count == 0 || uint64(m.Inside)+uint64(m.Count) > 1<<32 || uint64(m.Outside)+uint64(m.Count) > 1<<32 {
					t.Errorf("%q: %+v goes beyond what there is", s, m)
				}
				for _, o := range list[:i] {
					if uint64(m.Inside) < uint64(o.Inside)+uint64(o.Count) && uint64(o.Inside) < uint64(m.Inside)+uint64(m.Count) {
						t.Errorf("%q: %+v and %+v are for the same IDs", s, m, o)
					}
				}
			}
		}
	})
}
