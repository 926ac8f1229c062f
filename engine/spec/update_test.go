package spec

import (
	"errors"
	"slices"
	"testing"
)

func TestGroupFiles(t *testing.T) {
	device := func(path string) (string, error) {
		if path == "/dev/none" {
			return "", errors.New("no such device")
		}
		return "8:0", nil
	}
	tests := map[string]struct {
		limits Limits
		want   []GroupFile
		fails  bool
	}{
		"nothing":      {},
		"memory":       {limits: Limits{Memory: "1m"}, want: []GroupFile{{"memory.max", "1048576"}, {"memory.swap.max", "1048576"}}},
		"swap":         {limits: Limits{Memory: "1m", MemorySwap: "-1"}, want: []GroupFile{{"memory.max", "1048576"}, {"memory.swap.max", "max"}}},
		"reservation":  {limits: Limits{MemoryReservation: "2k"}, want: []GroupFile{{"memory.low", "2048"}}},
		"cpus":         {limits: Limits{CPUs: "0.5"}, want: []GroupFile{{"cpu.max", "50000 100000"}}},
		"quota":        {limits: Limits{CPUQuota: "2000", CPUPeriod: "4000"}, want: []GroupFile{{"cpu.max", "2000 4000"}}},
		"no quota":     {limits: Limits{CPUQuota: "-1"}, want: []GroupFile{{"cpu.max", "max 100000"}}},
		"shares":       {limits: Limits{CPUShares: "1024"}, want: []GroupFile{{"cpu.weight", "39"}}},
		"cpuset":       {limits: Limits{CPUSet: "0-1", CPUSetMems: "0"}, want: []GroupFile{{"cpuset.cpus", "0-1"}, {"cpuset.mems", "0"}}},
		"no pids":      {limits: Limits{PidsLimit: "-1", Memory: "0", CPUs: "0"}, want: []GroupFile{{"memory.max", "max"}, {"memory.swap.max", "max"}, {"cpu.max", "max 100000"}, {"pids.max", "max"}}},
		"pids":         {limits: Limits{PidsLimit: "7"}, want: []GroupFile{{"pids.max", "7"}}},
		"io":           {limits: Limits{BlkioWeight: "1000", WriteBps: []string{"/dev/sda:1k"}}, want: []GroupFile{{"io.weight", "default 10000"}, {"io.max", "8:0 wbps=1024"}}},
		"no device":    {limits: Limits{WriteBps: []string{"/dev/none:1k"}}, fails: true},
		"no number":    {limits: Limits{CPUs: "many"}, fails: true},
		"cgroup files": {limits: Limits{CgroupConf: []string{"memory.high=9"}}, want: []GroupFile{{"memory.high", "9"}}},
	}
	for name, tt := range tests {
		got, err := GroupFiles(tt.limits, device)
		if (err != nil) != tt.fails || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, tt.want)
		}
	}
}

func TestChangedProperties(t *testing.T) {
	got := ChangedProperties([]string{"A=1", "B=2", "TasksMax=3", "CPUQuota=5%"}, []string{"A=1", "B=3", "C=4", "Slice=x.slice"})
	if !slices.Equal(got, []string{"B=3", "C=4", "TasksMax=infinity", "CPUQuota="}) {
		t.Error(got)
	}
}
