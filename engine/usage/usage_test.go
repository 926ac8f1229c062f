package usage

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func group(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRead(t *testing.T) {
	now := time.Unix(100, 0)
	dir := group(t, map[string]string{
		"cpu.stat": "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n", "memory.current": "1000\n", "memory.max": "4000\n",
		"memory.stat": "anon 1\ninactive_file 300\n", "pids.current": "7\n", "io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=2\n8:16 rbytes=1 wbytes=2\n",
		"dev": "Inter-| Receive | Transmit\n face |bytes packets\n    lo: 5 0 0 0 0 0 0 0 5 0 0 0 0 0 0 0\n  eth0:1000 1 0 0 0 0 0 0 2000 1 0 0 0 0 0 0\n eth1: 1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n",
	})
	s := Read(Places{dir, filepath.Join(dir, "dev")}, now)
	if s.CPU != 2500*time.Millisecond || s.System != 500*time.Millisecond || *s.Memory != 700 || *s.MemoryMax != 4000 || *s.Processes != 7 ||
		*s.Read != 11 || *s.Written != 22 || *s.Received != 1001 || *s.Sent != 2002 {
		t.Errorf("%+v", s)
	}
	none := Read(Places{Group: group(t, map[string]string{"memory.max": "max\n", "memory.current": "5\n"})}, now)
	if none.MemoryMax != nil || *none.Memory != 5 || none.Processes != nil || none.Read != nil || none.Received != nil {
		t.Errorf("%+v", none)
	}
}

func TestPercent(t *testing.T) {
	at := func(s int, cpu time.Duration) Sample { return Sample{At: time.Unix(int64(s), 0), CPU: cpu} }
	for _, tt := range []struct {
		a, b Sample
		want float64
	}{{at(0, 0), at(2, time.Second), 50}, {at(0, 0), at(1, 2*time.Second), 200}, {at(1, 0), at(1, 1), 0}, {at(0, 5), at(1, 0), 0}} {
		if got := Percent(tt.a, tt.b); got != tt.want {
			t.Errorf("%v, %v: %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestMachineMemory(t *testing.T) {
	if got := MachineMemory("MemTotal:        2048 kB\nMemFree: 1 kB\n"); got != 2<<20 {
		t.Error(got)
	}
	if got := MachineMemory(""); got != 0 {
		t.Error(got)
	}
}
