package main

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestSum(t *testing.T) {
	tests := []struct {
		values []float64
		want   stat
	}{
		{nil, stat{}},
		{[]float64{3}, stat{1, 3, 3, 3}},
		{[]float64{9, 1, 2}, stat{3, 2, 1, 9}},
		{[]float64{4, 1, 2, 9}, stat{4, 3, 1, 9}},
	}
	for _, tt := range tests {
		if got := sum(tt.values); got != tt.want {
			t.Errorf("sum(%v) = %+v, want %+v", tt.values, got, tt.want)
		}
	}
}

func TestTurns(t *testing.T) {
	var got []int
	err := turns(2, 3, func(_, side int) error {
		got = append(got, side)
		return nil
	})
	if want := []int{0, 1, 2, 1, 2, 0}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestParse(t *testing.T) {
	if got, err := parseUsage("usage_usec 1500\nuser_usec 1\n"); err != nil || got != 1.5 {
		t.Errorf("usage: got %v, %v", got, err)
	}
	if _, err := parseUsage("user_usec 1\n"); err == nil {
		t.Error("no usage and no error")
	}
	if got := parsePss("Rss: 2048 kB\nPss:  512 kB\nPss_Anon: 9 kB\n"); got != 0.5 {
		t.Errorf("pss: got %v, want 0.5", got)
	}
}

func TestOptions(t *testing.T) {
	for _, bad := range [][]string{{"-rounds", "0"}, {"-only", "nonsense"}, {"start"}, {"-rounds", "x"}} {
		if _, err := parseOptions(bad, &strings.Builder{}); err == nil {
			t.Errorf("%v: no error", bad)
		}
	}
	if o, err := parseOptions([]string{"-only", "floor,start"}, os.Stderr); err != nil || o.rounds != 20 {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestPodFiles(t *testing.T) {
	files := podFiles(side{name: "berth"})
	var services []string
	for name, text := range files {
		services = append(services, serviceOf(name))
		if strings.HasSuffix(name, ".container") && !strings.Contains(text, "\nPod=bench-berth-pod.pod\n") {
			t.Errorf("%s is in no pod:\n%s", name, text)
		}
	}
	slices.Sort(services)
	want := []string{"bench-berth-member-0.service", "bench-berth-member-1.service", "bench-berth-member-2.service", "bench-berth-pod-pod.service"}
	if !slices.Equal(services, want) {
		t.Errorf("got %v, want %v", services, want)
	}
}

func TestTable(t *testing.T) {
	r := report{
		Machine: map[string]string{"host": "nspawn", "kernel": "6.12"},
		Method:  []string{"wall: so and so"},
		Notes:   []string{"something is left out"},
		Rows: []row{
			{What: "systemctl start, Network=none", Side: "berth", Unit: "ms", Wall: stat{3, 10, 9, 12.345}, CPU: &stat{3, 12, 4, 16}},
			{What: "systemctl start, Network=none", Side: peer, Unit: "ms", Wall: stat{3, 91, 88, 130}, CPU: &stat{3, 62, 61, 70}},
			{What: "floor: systemctl start, no container", Side: "systemd", Unit: "ms", Wall: stat{3, 4, 3, 5}, CPU: &stat{3, 2, 1, 3}},
			{What: "floor", Side: "crun", Unit: "ms", Wall: stat{3, 6, 5, 7}, CPU: &stat{3, 4, 3, 5}},
			{What: "processes", Side: "berth", Wall: sum([]float64{0})},
			{What: "processes", Side: peer, Wall: sum([]float64{1})},
			{What: "size", Side: "berth", Unit: "MB", Wall: sum([]float64{7.57})},
			{What: "size", Side: peer, Unit: "MB", Wall: sum([]float64{45.1})},
		},
	}
	r.compare()
	var table, picture strings.Builder
	r.print(&table)
	compareGolden(t, "table.golden", table.String())
	if err := r.plot(&picture); err != nil {
		t.Fatal(err)
	}
	compareGolden(t, "plot.svg", picture.String())
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	golden := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestPlotFile: what there is nothing to draw of is said, and where it comes from.
func TestPlotFile(t *testing.T) {
	dir := t.TempDir()
	if err := plotFile(filepath.Join(dir, "none.json"), filepath.Join(dir, "p.svg")); err == nil || !strings.Contains(err.Error(), "go run ./bench") {
		t.Errorf("got %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("left %v", entries)
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	r := report{Machine: map[string]string{}}
	if err := r.write(filepath.Join(dir, "sub", "out.json")); err != nil {
		t.Fatal(err)
	}
	entries, _ := os.ReadDir(filepath.Join(dir, "sub"))
	if len(entries) != 1 || entries[0].Name() != "out.json" {
		t.Errorf("left %v, want out.json alone", entries)
	}
}

func TestWithin(t *testing.T) {
	for path, want := range map[string]string{"bench/out.json": "/repo/bench/out.json", "/tmp/out.json": "/tmp/out.json"} {
		if got := within("/repo", path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestLastActive(t *testing.T) {
	const good = "active 5000000\nactive 9500000\nactive 7000000\nmanager 2000000\n"
	for _, kernel := range []bool{true, false} {
		want := map[bool]float64{true: 9500, false: 7500}[kernel]
		if got, err := lastActive(good, kernel); err != nil || got != want {
			t.Errorf("kernel %v: %v, %v, want %v", kernel, got, err, want)
		}
	}
	for _, bad := range []string{"", "manager 1\n", "active x\nmanager 1\n", "active 5\nfailed 0\nmanager 1\n"} {
		if got, err := lastActive(bad, true); err == nil {
			t.Errorf("%q: %v and no error", bad, got)
		}
	}
}

func TestBootOptions(t *testing.T) {
	for _, bad := range [][]string{{"-boot", "-1"}, {"-boot", "5", "-only", "start"}, {"-boot", "5", "-machine", "local"}} {
		if _, err := parseOptions(bad, &strings.Builder{}); err == nil {
			t.Errorf("%v: no error", bad)
		}
	}
	if o, err := parseOptions([]string{"-boot", "5", "-machine", "vm"}, os.Stderr); err != nil || o.boot != 5 {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestGrowth(t *testing.T) {
	var r report
	for _, c := range []struct {
		what, side string
		median     float64
	}{
		{"generator, 1 file", "berth", 5}, {"generator, 100 files", "berth", 10}, {"generator, 100 files", "podman", 10},
		{"generator, 1000 files", "berth", 10}, {"generator, 1000 files", "podman", 100}, {"ps -a, 10 containers", "berth", 1},
		{"ps -a, 1000 containers", "berth", 10}, {"ps -a, 1000 containers, while others start", "berth", 70}, {"start", "berth", 3},
	} {
		r.Rows = append(r.Rows, row{What: c.what, Side: c.side, Unit: "ms", Wall: sum([]float64{c.median})})
	}
	want := []string{
		"generator, files, from 100 to 1000: berth 0.00", "generator, files, from 100 to 1000: podman 1.00",
		"ps -a, containers, from 10 to 1000: berth 0.50",
	}
	if got := r.growth(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
