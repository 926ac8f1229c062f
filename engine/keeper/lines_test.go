package keeper

import (
	"fmt"
	"strings"
	"testing"
)

func TestCut(t *testing.T) {
	long := strings.Repeat("x", lineMax)
	tests := []struct {
		name        string
		data        string
		ended, full bool
		want        string // lines in brackets, parts of one with a +
		used        int
	}{
		{"nothing", "", false, false, "", 0},
		{"lines", "a\nb\n\nc\n", false, false, "[a][b][][c]", 7},
		{"one without an end", "a\nb", false, false, "[a]", 2},
		{"only one without an end", "b", false, false, "", 0},
		{"the last one, without an end", "a\nb", true, false, "[a][b+]", 3},
		{"the last one of a full pipe", "a\nb", true, true, "[a][b+]", 3},
		{"the last one, with an end", "a\nb\n", true, false, "[a][b]", 4},
		{"full", "ab", false, true, "[ab+]", 2},
		{"full, but a line is there", "a\nb", false, true, "[a]", 2},
		{"as long as may be", long + "\n", false, false, "[" + long + "]", lineMax + 1},
		{"too long", long + "y\n", false, false, "[" + long + "+][y]", lineMax + 2},
		{"too long without an end", long + "y", false, false, "[" + long + "+]", lineMax},
		{"too long at the end", long + "y", true, false, "[" + long + "+][y+]", lineMax + 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lines, used := cut(nil, []byte(tt.data), tt.ended, tt.full)
			got := ""
			for _, l := range lines {
				mark := ""
				if l.partial {
					mark = "+"
				}
				got += fmt.Sprintf("[%s%s]", l.text, mark)
			}
			if got != tt.want || used != tt.used || length(lines, []byte(tt.data)) != used {
				t.Errorf("%.80s, %d (by lines %d), want %.80s, %d", got, used, length(lines, []byte(tt.data)), tt.want, tt.used)
			}
		})
	}
}

func TestPriority(t *testing.T) {
	for text, want := range map[string]string{
		"a": "6 a", "": "6 ", "<3>a": "3 a", "<0>": "0 ", "<8>a": "6 <8>a", "<3": "6 <3", "<31>a": "6 <31>a", "<x>a": "6 <x>a",
	} {
		prio, rest := line{text: []byte(text)}.priority(prioInfo)
		if got := fmt.Sprintf("%d %s", prio, rest); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if _, rest := (line{text: []byte("<3>a"), rest: true}).priority(prioInfo); string(rest) != "<3>a" {
		t.Errorf("within a line: %q", rest)
	}
}

func TestCheckRecord(t *testing.T) {
	id := strings.Repeat("0a", 32)
	two := []Stream{{Name: "stdout"}, {Name: "stderr"}}
	tests := []struct {
		name string
		r    Record
		want string
	}{
		{"good", Record{ID: id, Driver: Journald, Streams: two}, ""},
		{"file", Record{ID: id, Driver: K8sFile, Path: "/x", Streams: two}, ""},
		{"newer", Record{Version: recordVersion + 1, ID: id, Driver: Journald, Streams: two}, "restart it"},
		{"ID", Record{ID: "../x", Driver: Journald, Streams: two}, "not the ID"},
		{"ID in capitals", Record{ID: strings.ToUpper(id), Driver: Journald, Streams: two}, "not the ID"},
		{"files", Record{ID: id, Driver: Journald, Streams: two[:1]}, "2 files for 1 streams"},
		{"twice", Record{ID: id, Driver: Journald, Streams: []Stream{{Name: "stdout"}, {Name: "stdout"}}}, "two streams"},
		{"kept nowhere", Record{ID: id, Driver: Discard, Streams: two}, ""},
		{"driver", Record{ID: id, Driver: "x", Streams: two}, "unknown log driver"},
		{"no path", Record{ID: id, Driver: K8sFile, Streams: two}, "without a path"},
	}
	for _, tt := range tests {
		err := tt.r.check(2)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
