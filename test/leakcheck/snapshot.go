package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// Snapshot is the picture of one machine at one moment.
type Snapshot struct {
	// Version of the format. It is the first key in the file, so that
	// snapshots lying in /tmp are known and left out of later ones.
	Version    int                   `json:"leakcheck"`
	Root       bool                  `json:"root"`
	TookMS     float64               `json:"took_ms"`
	Collectors map[string]*Collected `json:"collectors"`
}

const snapshotVersion = 1

// Collected is what one collector saw: sorted canonical lines, in which two
// equal lines mean two things. Skipped says why there are none.
type Collected struct {
	TookMS  float64  `json:"took_ms"`
	Skipped string   `json:"skipped,omitempty"`
	Lines   []string `json:"lines"`
}

// collector turns one aspect of the machine into canonical lines.
type collector struct {
	name  string
	about string
	run   func(*machine) ([]string, error)
	plant func(*garden) error // leaves something that run must report
}

// collectors returns all collectors in the order in which they are printed.
func collectors() []collector {
	return []collector{
		{"containers", "processes with a root file system of their own", collectContainers, plantContainer},
		{"mounts", "mount tables of every distinct mount namespace", collectMounts, plantMount},
		{"namespaces", "namespaces held by processes, file descriptors and mounts", collectNamespaces, plantNamespace},
		{"network", "links, addresses, routes and rules of every network namespace", collectNetwork, plantAddress},
		{"nft", "nftables rules without handles and counters", collectNft, plantTable},
		{"leases", "address leases and network run files with their contents", collectLeases, plantLease},
		{"cgroups", "the cgroup v2 tree, and which groups are frozen", collectCgroups, plantCgroup},
		{"processes", "processes by name and cgroup, zombies marked", collectProcesses, plantProcess},
		{"fds", "open files of managers and of long-lived helpers", collectFds, plantFd},
		{"store", "records of containers/storage against its directories and links", collectStore, plantLayer},
		{"volumes", "named volumes, and a digest of a file named canary in them", collectVolumes, plantVolume},
		{"locks", "file locks with path and holder", collectLocks, plantLock},
		{"ipc", "System V and POSIX shared memory, semaphores and queues", collectIPC, plantShm},
		{"devices", "attached loop and device-mapper devices", collectDevices, plantLoop},
		{"files", "files under /run, /tmp, /var/tmp and /var/lib/berth with mode and owner", collectFiles, plantFile},
		{"units", "systemd units: active, failed, transient, with stored descriptors", collectUnits, plantUnit},
		{"keyrings", "kernel keys and keyrings", collectKeys, plantKey},
		{"sysctls", "settings under net", collectSysctls, plantSysctl},
	}
}

// errSkip is a collector's way to say that it cannot look at all here.
type errSkip struct{ reason string }

func (e errSkip) Error() string { return e.reason }

func skipf(format string, args ...any) error {
	return errSkip{fmt.Sprintf(format, args...)}
}

// take runs all collectors at once. The processes are read first, so that
// the programs that collectors start are not part of the picture.
func take() *Snapshot {
	start := time.Now()
	m := readMachine()
	all := collectors()
	got := make([]*Collected, len(all))
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() { got[i] = c.collect(m) })
	}
	wg.Wait()
	s := &Snapshot{Version: snapshotVersion, Root: os.Geteuid() == 0, Collectors: map[string]*Collected{}}
	for i, c := range all {
		s.Collectors[c.name] = got[i]
	}
	s.TookMS = millis(time.Since(start))
	return s
}

// collect runs one collector. Lines that were found before an error count,
// and the error becomes a line, so that a half-blind collector shows.
func (c collector) collect(m *machine) *Collected {
	start := time.Now()
	lines, err := c.run(m)
	got := &Collected{Lines: lines}
	var skip errSkip
	switch {
	case errors.As(err, &skip):
		got.Skipped = skip.reason
	case err != nil:
		got.Lines = append(got.Lines, "unreadable: "+err.Error())
	}
	for i, line := range got.Lines {
		got.Lines[i] = m.names.clean(line)
	}
	slices.Sort(got.Lines)
	got.TookMS = millis(time.Since(start))
	return got
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func readSnapshot(path string) (*Snapshot, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	var s Snapshot
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("read snapshot %s: %w", path, err)
	}
	if s.Version != snapshotVersion {
		return nil, fmt.Errorf("read snapshot %s: format %d, want %d", path, s.Version, snapshotVersion)
	}
	return &s, nil
}
