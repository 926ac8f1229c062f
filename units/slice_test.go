package units

import "testing"

func TestPodSlice(t *testing.T) {
	for _, tt := range []struct {
		pod, parent string
		user        bool
		want        string
	}{
		{"web", "", false, "system-berth_web.slice"},
		{"web-app", "", true, `app-berth_web\x2dapp.slice`},
		{"web", "big.slice", true, "big-berth_web.slice"},
		{"web", "-.slice", false, "berth_web.slice"},
	} {
		if got := PodSlice(tt.pod, tt.parent, tt.user); got != tt.want {
			t.Errorf("%+v: got %s", tt, got)
		}
	}
}

func TestLimitsIn(t *testing.T) {
	for _, tt := range []struct {
		words  []string
		found  bool
		parent string
	}{
		{nil, false, ""},
		{[]string{"--label=memory", "memory", "--share=net"}, false, ""},
		{[]string{"--memory=1g"}, true, ""}, {[]string{"-m", "1g"}, true, ""}, {[]string{"-c512"}, true, ""}, {[]string{"--cpus", "2"}, true, ""},
		{[]string{"--cgroup-parent=big.slice"}, true, "big.slice"}, {[]string{"--cgroup-parent", "big.slice", "--cpus=1"}, true, "big.slice"},
		{[]string{"--cgroup-parent"}, true, ""},
	} {
		var words Args
		for _, w := range tt.words {
			words = append(words, Word{Text: w})
		}
		if found, parent := LimitsIn(words); found != tt.found || parent != tt.parent {
			t.Errorf("%q: got %v, %q", tt.words, found, parent)
		}
	}
}
