package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const sysctlRoot = "/proc/sys/net"

// unsteadySysctls are counters, secrets and tunings that the kernel changes.
var unsteadySysctls = []string{
	"netfilter/nf_conntrack_count", "ipv4/tcp_fastopen_key", "core/netdev_rss_key",
	"ipv4/route/flush", "ipv6/route/flush", "ipv4/neigh/default/base_reachable_time",
}

// collectSysctls reads the settings of the machine's network namespace;
// those of others end with them.
func collectSysctls(*machine) ([]string, error) {
	if _, err := os.Stat(sysctlRoot); err != nil {
		return nil, skipf("no %s", sysctlRoot)
	}
	var lines []string
	err := filepath.WalkDir(sysctlRoot, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil // the directory of an interface that has just gone
		}
		name := strings.TrimPrefix(path, sysctlRoot+"/")
		for _, unsteady := range unsteadySysctls {
			if name == unsteady {
				return nil
			}
		}
		if strings.HasSuffix(name, "/stable_secret") {
			return nil
		}
		if data, err := os.ReadFile(path); err == nil { // some are write-only
			lines = append(lines, name+" = "+strings.Join(strings.Fields(string(data)), " "))
		}
		return nil
	})
	return lines, err
}
