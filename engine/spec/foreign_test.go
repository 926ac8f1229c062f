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
