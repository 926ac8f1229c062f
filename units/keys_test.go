package units

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestTable: a row without text, or one that two kinds cannot share, is a mistake in the table.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	total := 0
	for i := range Keys {
		row := &Keys[i]
		if row.Name == "" || row.Doc == "" || row.Since == "" || !strings.HasSuffix(row.Doc, ".") {
			t.Errorf("%s: no name, text, full stop or release", row.Name)
		}
		for _, k := range append(Kinds[:], KindQuadlet, KindBerth) {
			if row.Kinds&k == 0 {
				continue
			}
			total++
			if id := k.String() + "." + row.Name; seen[id] {
				t.Errorf("%s is twice in the table", id)
			} else {
				seen[id] = true
			}
			value := row.Value(NewSection(k))
			if value == nil || value.Grammar().Name == "" {
				t.Errorf("%s in [%s] has no field or grammar", row.Name, k)
			}
			if Lookup(k, row.Name) != row {
				t.Errorf("%s in [%s] is not found", row.Name, k)
			}
			if row.SinceIn(k) == "" || strings.Contains(row.SinceIn(k), ":") {
				t.Errorf("%s in [%s] since %q", row.Name, k, row.SinceIn(k))
			}
		}
		if row.Group != Special && !strings.HasPrefix(row.Flag, "--") {
			t.Errorf("%s stands in a group of flags and has none", row.Name)
		}
	}
	if want := 235 + 1 + 4; total != want {
		t.Errorf("the table has %d keys of kinds, want %d: 235 of Quadlet, one of [Quadlet], four of [X-Berth]", total, want)
	}
}

// TestFieldsDiffer: two rows of a kind must not write to one field.
func TestFieldsDiffer(t *testing.T) {
	for _, k := range append(Kinds[:], KindQuadlet, KindBerth) {
		section := NewSection(k)
		fields := map[Value]string{}
		for _, row := range RowsOf(k) {
			field := row.Value(section)
			if other := fields[field]; other != "" {
				t.Errorf("[%s] %s and %s share a field", k, row.Name, other)
			}
			fields[field] = row.Name
		}
	}
}

func TestLookupMisses(t *testing.T) {
	for _, name := range []string{"", "image", "Imag", "Image ", "Yaml", "\x00"} {
		if row := Lookup(KindContainer, name); row != nil {
			t.Errorf("%q is found as %s", name, row.Name)
		}
	}
}

func TestSinceIn(t *testing.T) {
	tests := []struct {
		kind       Kind
		name, want string
	}{
		{KindContainer, "PodmanArgs", "4.4"}, {KindKube, "PodmanArgs", "4.6"}, {KindArtifact, "PodmanArgs", "5.7"}, {KindBuild, "Network", "5.2"},
		{KindVolume, "UID", "6.0"}, {KindContainer, "Memory", "5.5"}, {KindPod, "StopTimeout", "5.7"}, {KindContainer, "StopTimeout", "5.0"},
		{KindKube, "UserNS", "4.5"}, {KindPod, "UserNS", "5.3"}, {KindImage, "Policy", "5.6"}, {KindBerth, "Override", "berth"},
	}
	for _, test := range tests {
		if got := Lookup(test.kind, test.name).SinceIn(test.kind); got != test.want {
			t.Errorf("%s in [%s] since %s, want %s", test.name, test.kind, got, test.want)
		}
	}
}

// TestSystemdLists: the lists are searched by halving.
func TestSystemdLists(t *testing.T) {
	for _, list := range []string{systemdUnitKeys, systemdServiceKeys, systemdInstallKeys} {
		words := strings.Fields(list)
		if !slices.IsSorted(words) || list != " "+strings.Join(words, " ")+" " {
			t.Errorf("not sorted, or not one blank around each word: %.60s…", list)
		}
		for _, word := range words {
			if !inList(list, word) {
				t.Errorf("%s is not found", word)
			}
			if inList(list, word+"x") || inList(list, "A"+word) || inList(list, word[1:]) && !slices.Contains(words, word[1:]) {
				t.Errorf("something like %s is found", word)
			}
		}
		for _, word := range []string{"", " ", "zzz", "AAA"} {
			if inList(list, word) {
				t.Errorf("%q is found", word)
			}
		}
	}
}

func TestNames(t *testing.T) {
	tests := []struct {
		file, unit string
		template   bool
	}{
		{"web.container", "web", false}, {"web.kube", "web", false}, {"data.volume", "data-volume", false}, {"n.network", "n-network", false},
		{"p.pod", "p-pod", false}, {"i.image", "i-image", false}, {"b.build", "b-build", false}, {"a.artifact", "a-artifact", false},
		{"web@.container", "web@", true}, {"web@x.container", "web@x", false}, {"d@.volume", "d-volume@", true}, {"d@x.volume", "d-volume@x", false},
		{"a.b.container", "a.b", false}, {"x.container.volume", "x.container-volume", false},
	}
	for _, test := range tests {
		n := ParseName(test.file)
		if n.Unit() != test.unit || n.Template() != test.template {
			t.Errorf("%s: unit %s, template %v", test.file, n.Unit(), n.Template())
		}
	}
	for _, file := range []string{"web", "web.service", "web.Container", "web.container.d", "container", ""} {
		if k := KindOf(file); k != 0 {
			t.Errorf("%s is of kind %s", file, k)
		}
	}
}

func TestClosest(t *testing.T) {
	for word, want := range map[string]string{
		"Publishport": "PublishPort=", "PublishPorts": "PublishPort=", "Enviroment": "Environment=", "Volumes": "Volume=",
		"image": "Image=", "Exce": "Exec=", "AddCapabilities": "AddCapability=", "Hostname": "HostName=",
	} {
		if got := hintForKey(KindContainer, word); got != "did you mean "+want+"?" {
			t.Errorf("%s: %s, want %s", word, got, want)
		}
	}
	for word, want := range map[string]string{
		"Restart": "Restart= belongs in [Service]", "CPUQuota": "CPUQuota= belongs in [Service]", "WantedBy": "WantedBy= belongs in [Install]",
		"Description": "Description= belongs in [Unit]", "Yaml": "Yaml= is a key of [Kube]", "RestartSecs": "did you mean RestartSec= in [Service]?", "qqqqqqqqqq": "",
		strings.Repeat("x", 1000): "",
	} {
		if got := hintForKey(KindContainer, word); got != want {
			t.Errorf("%.20s: %s, want %s", word, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	path := t.TempDir() + "/web.container"
	text := "[Container]\nImage=docker.io/library/a\nPublishport=80\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	findings := Check(path, text)
	if len(findings) != 1 || findings[0].String() != path+":3: unknown key Publishport=; did you mean PublishPort=?" {
		t.Errorf("%v", findings)
	}
	if findings[0].At.Col != 1 {
		t.Errorf("column %d", findings[0].At.Col)
	}
}

// TestLoaderReuse: what one file sets is gone for the next one.
func TestLoaderReuse(t *testing.T) {
	var l Loader
	for _, k := range Kinds {
		name := ParseName("x" + k.Extension())
		load := func(text string) *Unit {
			f, errs := parse(text)
			return l.Load(name, f, errs)
		}
		for _, row := range RowsOf(k) {
			load("[" + k.String() + "]\n" + row.Name + "=1\n")
		}
		u := load("")
		for _, row := range RowsOf(k) {
			fresh := row.Value(NewSection(k))
			if got := row.Value(u.Section); !equal(got, fresh) {
				t.Errorf("[%s] %s is still set", k, row.Name)
			}
		}
	}
}
