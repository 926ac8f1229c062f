package generator

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/berth-pods/berth/units/unitfile"
)

// TestDeterministic: the order in which files are found does not matter, nor does the run.
func TestDeterministic(t *testing.T) {
	var set Set
	for _, path := range goldenFiles(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range parseArchive(string(text)).input().Files {
			s.Name = fmt.Sprintf("%d-%s", len(set.Files)+i, s.Name)
			set.Files = append(set.Files, s)
		}
	}
	var want string
	for range 5 {
		var got strings.Builder
		Generate(Config{Engine: "/usr/bin/berth"}, set, func(out *Output) {
			fmt.Fprintf(&got, "%s\n%s%v%v\n", out.Name, out.Text, out.Links, out.Findings)
		})
		if want == "" {
			want = got.String()
		}
		if got.String() != want {
			t.Fatal("another order of files gives another result: " + firstDifference(want, got.String()))
		}
		rand.Shuffle(len(set.Files), func(i, j int) { set.Files[i], set.Files[j] = set.Files[j], set.Files[i] })
	}
}

// TestOrder: what is referred to comes first, pods come last.
func TestOrder(t *testing.T) {
	var set Set
	for _, name := range []string{"a.pod", "a.container", "b.kube", "c.build", "d.network", "e.volume", "f.artifact", "g.image"} {
		set.Files = append(set.Files, Source{Name: name, Path: "/d/" + name})
	}
	var got []string
	Generate(Config{}, set, func(out *Output) { got = append(got, out.Name) })
	want := "f-artifact.service g-image.service d-network.service e-volume.service c-build.service a.service b.service a-pod.service"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
}

func TestFindings(t *testing.T) {
	set := Set{Files: []Source{
		{Name: "b.container", Path: "/d/b.container", Text: "[Container]\nFoo=1\nImage=gone.image\n"},
		{Name: "a.pod", Path: "/d/a.pod", Text: "[Pod]\nIP\n"},
	}}
	var got []string
	for _, f := range Findings(Config{}, set) {
		got = append(got, f.At.String())
	}
	if want := "/d/a.pod:2 /d/b.container:2 /d/b.container:3"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// TestFirstFoundCounts: the second file of a name is not read at all, even when the first one is bad.
func TestFirstFoundCounts(t *testing.T) {
	set := Set{Files: []Source{
		{Name: "a.container", Path: "/etc/a.container", Text: "[Container]\nBad=1\n"},
		{Name: "a.container", Path: "/usr/a.container", Text: "[Container]\nImage=docker.io/library/a\n"},
	}}
	n := 0
	Generate(Config{}, set, func(out *Output) {
		n++
		if !out.Stub || out.Source != "/etc/a.container" {
			t.Errorf("%s from %s, stub %v", out.Name, out.Source, out.Stub)
		}
	})
	if n != 1 {
		t.Errorf("%d units", n)
	}
}

// TestPanicCostsOneFile: a mistake that one file brings to light leaves the others and a stub that tells.
func TestPanicCostsOneFile(t *testing.T) {
	set := Set{Files: []Source{
		{Name: "a.container", Path: "/d/a.container", Text: "[Container]\nImage=docker.io/library/a\nAddDevice=-/dev/x\n"},
		{Name: "b.container", Path: "/d/b.container", Text: "[Container]\nImage=docker.io/library/b\n"},
	}}
	got := map[string]string{}
	Generate(Config{DeviceExists: func(string) bool { panic("boom") }}, set, func(out *Output) { got[out.Name] = string(out.Text) })
	if !strings.Contains(got["a.service"], "Description=a.container has errors: a.container: brought a mistake in the generator to light: boom\n") {
		t.Errorf("a.service:\n%s", got["a.service"])
	}
	if !strings.Contains(got["b.service"], "docker.io/library/b") {
		t.Errorf("b.service:\n%s", got["b.service"])
	}
}

// TestPercentInDirectory: a directory's percent sign is no specifier.
func TestPercentInDirectory(t *testing.T) {
	set := Set{Files: []Source{{Name: "a.container", Path: "/srv/100%n/a.container", Text: "[Container]\nImage=docker.io/library/a\nEnvironmentFile=x.env\nVolume=./d:/d\n"}}}
	Generate(Config{}, set, func(out *Output) {
		for _, want := range []string{"SourcePath=/srv/100%%n/a.container\n", "--env-file /srv/100%%n/x.env", "-v /srv/100%%n/d:/d", "RequiresMountsFor=/srv/100%%n/d\n"} {
			if !bytes.Contains(out.Text, []byte(want)) {
				t.Errorf("lacks %q:\n%s", want, out.Text)
			}
		}
	})
}

func TestCleanPath(t *testing.T) {
	for path, want := range map[string]string{"/a/b": "/a/b", "/a/./b//c/": "/a/b/c", "/a/../b": "/b", "/../..": "/", "/a/b/../../..": "/", "": "/"} {
		if got := cleanPath(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestCSV(t *testing.T) {
	for record, want := range map[string]string{
		"a,b=c":        "<a><b=c>",
		`"a,b",c`:      "<a,b><c>",
		`"a""b"`:       `<a"b>`,
		"":             "<>",
		"a,":           "<a><>",
		`,`:            "<><>",
		`a"b`:          "bad",
		`"a`:           "bad",
		`"a"b`:         "bad",
		` a, b`:        "< a>< b>",
		`"","x"`:       "<><x>",
		`src=/a b,x=y`: "<src=/a b><x=y>",
	} {
		fields, ok := splitCSV(record)
		got := "bad"
		if ok {
			got = ""
			for _, f := range fields {
				got += "<" + f + ">"
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", record, got, want)
		}
		if !ok {
			continue
		}
		again, ok := splitCSV(joinCSV(fields))
		if !ok || strings.Join(again, "|") != strings.Join(fields, "|") {
			t.Errorf("%s: written as %s", record, joinCSV(fields))
		}
	}
}

// FuzzDropin: whatever stands in a drop-in, the unit that comes out can be read, has one start command of ours and no
// link that leaves the directory.
func FuzzDropin(f *testing.F) {
	f.Add("[Container]\nImage=b\nVolume=x.volume:/y\nMount=type=bind,src=.,dst=/a\n", "[Service]\nType=oneshot\n[Install]\nAlias=../x\nWantedBy=a b/c\n")
	f.Add("[Unit]\nAfter=a.container \"foo\\\"\nBefore=x\n[Container]\nImage=docker.io/library/a\n", "[Container]\nMount=type=bind,source,a\\\\\n")
	f.Add("[Unit]\nAfter=a.container\nAfter=\n[Container]\nNetwork=a.container:x\nPod=p.pod\n", "[X-Berth]\nOverride=yes\n\\\n")
	f.Fuzz(func(t *testing.T, text, dropin string) {
		set := Set{
			Files: []Source{
				{Name: "a.container", Path: "/d/a.container", Text: "[Container]\nImage=docker.io/library/a\n"},
				{Name: "x.volume", Path: "/d/x.volume", Text: text}, {Name: "p.pod", Path: "/d/p.pod", Text: dropin},
				{Name: "b.build", Path: "/d/b.build", Text: text}, {Name: "k.kube", Path: "/d/k.kube", Text: text}, {Name: "q.quadlets", Path: "/d/q.quadlets", Text: dropin},
			},
			Dropins: map[string][]Source{
				"a.container.d": {{Name: "1.conf", Path: "/d/a.container.d/1.conf", Text: text}, {Name: "2.conf", Path: "/d/a.container.d/2.conf", Text: dropin}},
			},
		}
		Generate(Config{Engine: "/usr/bin/berth", Reporter: "/g"}, set, func(out *Output) { checkOutput(t, out) })
	})
}

func checkOutput(t *testing.T, out *Output) {
	t.Helper()
	for _, link := range out.Links {
		if strings.HasPrefix(link.Name, "/") || strings.Contains("/"+link.Name+"/", "/../") || strings.ContainsRune(link.Name, 0) {
			t.Fatalf("link %q", link.Name)
		}
	}
	if out.Name == "" {
		return
	}
	if !isUnitName(out.Name) {
		t.Fatalf("unit %q", out.Name)
	}
	unit, errs := unitfile.Parse(out.Name, string(out.Text))
	if len(errs) > 0 {
		t.Fatalf("%v in\n%s", errs[0], out.Text)
	}
	if again := unit.String(); again != string(out.Text) {
		t.Fatalf("read again it differs: %s in\n%s", firstDifference(string(out.Text), again), out.Text)
	}
	ours := 0
	for _, e := range unit.Section("Service").Entries {
		if e.Key == "ExecStart" && (strings.HasPrefix(e.Value, "/usr/bin/berth ") || strings.HasPrefix(e.Value, "/g -report")) {
			ours++
		}
		if _, err := unitfile.SplitArgs(e.Value); err != nil && strings.HasPrefix(e.Value, "/usr/bin/berth ") {
			t.Fatalf("%v in %s", err, e.Value)
		}
	}
	if ours < 1 {
		t.Fatalf("no start command of ours in\n%s", out.Text)
	}
}

// FuzzArgument: an argument of Exec= reaches the command line as it is.
func FuzzArgument(f *testing.F) {
	for _, seed := range []string{"a b", `"`, `\`, "", ";", "é", "%n", "\t\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if strings.IndexByte(word, 0) >= 0 {
			return
		}
		line := unitfile.JoinWords([]string{"first", word, "last"})
		set := Set{Files: []Source{{Name: "a.container", Path: "/d/a.container", Text: "[Container]\nImage=docker.io/library/a\nExec=" + line + "\n"}}}
		Generate(Config{Engine: "/usr/bin/berth"}, set, func(out *Output) {
			unit, errs := unitfile.Parse(out.Name, string(out.Text))
			if len(errs) > 0 || out.Stub {
				t.Fatalf("%q: %v %v", word, errs, out.Findings)
			}
			words, err := unitfile.SplitArgs(unit.Section("Service").Last("ExecStart").Value)
			if n := len(words); err != nil || words[n-3].Text != "first" || words[n-2].Text != word || words[n-1].Text != "last" {
				t.Fatalf("%q: %v %v", word, words, err)
			}
		})
	})
}
