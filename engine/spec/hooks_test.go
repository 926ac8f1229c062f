package spec

import (
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestParseHookRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{`: "unexpected end",
		`{"version":"0.1.0","hook":{"path":"/x"},"stages":["prestart"]}`:                                       "1.0.0 is known",
		`{"version":"1.0.0","hook":{"path":"x"},"stages":["prestart"]}`:                                        "not absolute",
		`{"version":"1.0.0","hook":{"path":"/x"}}`:                                                             "no stages",
		`{"version":"1.0.0","hook":{"path":"/x"},"stages":["later"]}`:                                          `unknown stage "later"`,
		`{"version":"1.0.0","hook":{"path":"/x"},"when":{"commands":["("]},"stages":["prestart"]}`:             "missing closing",
		`{"version":"1.0.0","hook":{"path":"/x"},"when":{"annotations":{"a":"["}},"stages":["createRuntime"]}`: "missing closing",
	} {
		if _, err := ParseHook("h.json", []byte(text)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "h.json") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestHookConditions(t *testing.T) {
	config := &specs.Spec{Process: &specs.Process{Args: []string{"/usr/bin/app"}}, Annotations: map[string]string{"com.example.gpu": "yes"}}
	for when, want := range map[string]bool{
		`{}`: false, `{"always":true}`: true, `{"always":false}`: false,
		`{"hasBindMounts":true}`: true, `{"hasBindMounts":false}`: false,
		`{"commands":["^/usr/bin/a.*"]}`: true, `{"commands":["^x","app$"]}`: true, `{"commands":["^x"]}`: false,
		`{"annotations":{"^com\\.example":"yes|no"}}`: true, `{"annotations":{"^com":"no"}}`: false, `{"annotations":{"^org":".*"}}`: false,
		`{"always":true,"commands":["^x"]}`:                             false, // all that are set must hold
		`{"annotations":{"gpu":"y","nope":"."}}`:                        false,
		`{"always":true,"hasBindMounts":true,"annotations":{"gpu":""}}`: true,
	} {
		h, err := ParseHook("h.json", []byte(`{"version":"1.0.0","hook":{"path":"/x"},"when":`+when+`,"stages":["prestart"]}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := h.Applies(config, true); got != want {
			t.Errorf("%s: %v", when, got)
		}
	}
}

func TestAddHooks(t *testing.T) {
	h, err := ParseHook("h.json", []byte(`{"version":"1.0.0","hook":{"path":"/x","args":["x","1"]},"when":{"always":true},
		"stages":["precreate","prestart","createRuntime","createContainer","startContainer","poststart","poststop"]}`))
	if err != nil {
		t.Fatal(err)
	}
	s := mustBuild(t, plain())
	precreate := AddHooks(s, []Hook{h}, false)
	k := s.Hooks
	if len(precreate) != 1 || len(k.Prestart) != 1 || len(k.CreateRuntime) != 1 || len(k.CreateContainer) != 1 || len(k.StartContainer) != 1 || len(k.Poststart) != 1 || len(k.Poststop) != 1 {
		t.Errorf("precreate %v, hooks %+v", precreate, k)
	}
	// Nothing of the image or the caller reaches a hook (CVE-2025-23266).
	if env := k.CreateContainer[0].Env; len(env) != 1 || env[0] != "PATH="+DefaultPath {
		t.Errorf("the hook's environment is %q", env)
	}
	none := mustBuild(t, plain())
	if AddHooks(none, nil, false); none.Hooks != nil {
		t.Errorf("hooks out of nothing: %+v", none.Hooks)
	}
}
