package spec

import (
	"encoding/json"
	"strings"
	"testing"
)

// all is a host whose groups have every controller.
var all = []string{"cpu", "cpuset", "io", "memory", "pids"}

func TestResources(t *testing.T) {
	tests := []struct {
		name   string
		limits Limits
		want   string // the runtime's, without devices; or the error
		unit   string // properties of a unit
	}{
		{"none", Limits{}, `{}`, ""},
		{"memory", Limits{Memory: "64m"}, `{"memory":{"limit":67108864,"swap":134217728}}`, "MemoryMax=100663296 MemorySwapMax=67108864"},
		{"memory 0", Limits{Memory: "0"}, `{}`, ""},
		{"reservation", Limits{Memory: "2g", MemoryReservation: "1g", MemorySwap: "-1"},
			`{"memory":{"limit":2147483648,"reservation":1073741824,"swap":-1}}`, "MemoryMax=2181038080 MemoryLow=1073741824"},
		{"no swap", Limits{Memory: "1g", MemorySwap: "1g"}, `{"memory":{"limit":1073741824,"swap":1073741824}}`, "MemoryMax=1107296256 MemorySwapMax=0"},
		{"cpus", Limits{CPUs: "1.5"}, `{"cpu":{"quota":150000,"period":100000}}`, "CPUQuota=150% CPUQuotaPeriodSec=100000us"},
		{"cpus 0", Limits{CPUs: "0.000"}, `{}`, ""},
		{"quota", Limits{CPUQuota: "5000", CPUPeriod: "50000"}, `{"cpu":{"quota":5000,"period":50000}}`, "CPUQuota=10% CPUQuotaPeriodSec=50000us"},
		{"unlimited quota", Limits{CPUQuota: "-1"}, `{}`, ""},
		{"shares", Limits{CPUShares: "1024"}, `{"cpu":{"shares":1024}}`, "CPUWeight=39"},
		{"cpuset", Limits{CPUSet: "0-1,3", CPUSetMems: "0"}, `{"cpu":{"cpus":"0-1,3","mems":"0"}}`, "AllowedCPUs=0-1,3 AllowedMemoryNodes=0"},
		{"pids", Limits{PidsLimit: "32"}, `{"pids":{"limit":32}}`, "TasksMax=96"},
		{"no pids limit", Limits{PidsLimit: "-1"}, `{}`, ""},
		{"io", Limits{BlkioWeight: "1000", BlkioWeightDevices: []string{"/dev/a:10"}},
			`{"blockIO":{"weight":1000,"weightDevice":[{"major":8,"minor":1,"weight":10}]}}`, "IOWeight=10000 IODeviceWeight=/dev/a 1"},
		{"rates", Limits{ReadBps: []string{"/dev/a:1m"}, WriteBps: []string{"/dev/a:2"}, ReadIOps: []string{"/dev/a:3"}, WriteIOps: []string{"/dev/a:4"}},
			`{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":1,"rate":1048576}],"throttleWriteBpsDevice":[{"major":8,"minor":1,"rate":2}],` +
				`"throttleReadIOPSDevice":[{"major":8,"minor":1,"rate":3}],"throttleWriteIOPSDevice":[{"major":8,"minor":1,"rate":4}]}}`,
			"IOReadBandwidthMax=/dev/a 1048576 IOWriteBandwidthMax=/dev/a 2 IOReadIOPSMax=/dev/a 3 IOWriteIOPSMax=/dev/a 4"},
		{"raw", Limits{CgroupConf: []string{"memory.high=1g", "pids.max=3"}}, `{"unified":{"memory.high":"1g","pids.max":"3"}}`, ""},
		{"slice", Limits{CgroupParent: "a-b.slice"}, `{}`, "Slice=a-b.slice"},

		{"size", Limits{Memory: "much"}, `--memory: "much" is not a size such as 512m or 2g`, ""},
		{"swap alone", Limits{MemorySwap: "1g"}, "so --memory is needed too", ""},
		{"swap below memory", Limits{Memory: "2g", MemorySwap: "1g"}, "at least --memory=2g", ""},
		{"reservation above", Limits{Memory: "1g", MemoryReservation: "2g"}, "more than --memory=1g", ""},
		{"cpus twice", Limits{CPUs: "1", CPUQuota: "5"}, "one or the other", ""},
		{"cpus words", Limits{CPUs: "NaN"}, "--cpus=NaN is no number of processors", ""},
		{"cpuset words", Limits{CPUSet: "a\n"}, "is no list", ""},
		{"pids words", Limits{PidsLimit: "few"}, "--pids-limit=few is no number", ""},
		{"weight", Limits{BlkioWeight: "5"}, "from 10 to 1000", ""},
		{"weight of device", Limits{BlkioWeightDevices: []string{"/dev/a:5"}}, "DEVICE:WEIGHT", ""},
		{"rate", Limits{ReadBps: []string{"sda:1m"}}, "--device-read-bps=sda:1m is not DEVICE:NUMBER", ""},
		{"raw path", Limits{CgroupConf: []string{"../memory.max=1"}}, "is not FILE=VALUE", ""},
		{"raw cgroup file", Limits{CgroupConf: []string{"cgroup.procs=1"}}, "is not FILE=VALUE", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{Container: Container{Limits: tt.limits}, BlockDevices: map[string]DeviceNumber{"/dev/a": {8, 1}}}
			in.Host.Controllers, in.Host.Swap, in.Host.Rootless = all, true, true // a user's has no device rules
			r, err := resources(in, nil)
			got, _ := json.Marshal(r)
			if err != nil {
				got = []byte(err.Error())
			}
			if err == nil && string(got) != tt.want || err != nil && !strings.Contains(string(got), tt.want) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			properties, unitErr := UnitProperties(tt.limits)
			if (err == nil) != (unitErr == nil) {
				t.Fatalf("the unit says %v", unitErr)
			}
			if got := strings.Join(properties, " "); err == nil && got != tt.unit {
				t.Errorf("properties %q, want %q", got, tt.unit)
			}
		})
	}
}

// TestLimitsNeedControllers: a limit that nobody would keep is an error.
func TestLimitsNeedControllers(t *testing.T) {
	for want, l := range map[string]Limits{
		"--memory=1g: the container's cgroup has no memory controller; use MemoryMax= in [Service]": {Memory: "1g"},
		"MemoryLow=":          {MemoryReservation: "1g"},
		"CPUQuota=":           {CPUs: "1"},
		"CPUQuotaPeriodSec=":  {CPUPeriod: "5000"},
		"CPUWeight=":          {CPUShares: "5"},
		"AllowedCPUs=":        {CPUSet: "0"},
		"AllowedMemoryNodes=": {CPUSetMems: "0"},
		"TasksMax=":           {PidsLimit: "5"},
		"IOWeight=":           {BlkioWeight: "50"},
		"MemoryHigh=":         {CgroupConf: []string{"memory.high=5"}},
	} {
		if _, err := resources(Input{Container: Container{Limits: l}}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", l, err, want)
		}
	}
}

func TestSwapOnlyWhereItIsCounted(t *testing.T) {
	in := Input{Container: Container{Limits: Limits{Memory: "1m"}}, Host: Host{Controllers: all}}
	if r, err := resources(in, nil); err != nil || r.Memory.Swap != nil {
		t.Errorf("%+v, %v", r.Memory, err)
	}
}

func TestSlice(t *testing.T) {
	for _, parent := range []string{"/a/b", "machine", "a/b.slice"} {
		if _, err := Slice(parent); err == nil {
			t.Errorf("%q is a slice", parent)
		}
	}
}
