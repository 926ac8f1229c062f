package units

import "testing"

func TestCheckTarget(t *testing.T) {
	f, _ := parse("[Container]\nImage=docker.io/library/a\nMemory=1g\nAppArmor=x\nUnknown=1\n")
	for release, want := range map[string]int{"5.4": 2, "5.5": 1, "5.7.3": 1, "5.8": 0, "5.10": 0, "6": 0, "4": 3} {
		u := Load("a.container", f, nil)
		before := len(u.Findings)
		if !u.CheckTarget(release) || len(u.Findings)-before != want {
			t.Errorf("%s: %v", release, u.Findings[before:])
		}
	}
	u := Load("a.container", f, nil)
	for _, release := range []string{"", "x", "5.x", "-1", "5.-1"} {
		if u.CheckTarget(release) {
			t.Errorf("%q is taken for a release", release)
		}
	}
	u.Findings = nil
	u.CheckTarget("5.4")
	if got, want := u.Findings[0].String(), "f:3: Podman 5.4 does not know Memory=; it came with 5.5"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
