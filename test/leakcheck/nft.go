package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"

	"golang.org/x/sys/unix"
)

// messageGetTable is nfnetlink's "list tables" (subsystem 10, message 1 of
// include/uapi/linux/netfilter/nf_tables.h).
const messageGetTable = 10<<8 | 1

// collectNft asks the kernel for tables first: most network namespaces have
// none, and then the nft program is not needed.
func collectNft(m *machine) ([]string, error) {
	lines, err := m.inEveryNet(nftLines)
	if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EINVAL) {
		return nil, skipf("the kernel has no nftables: %v", err)
	}
	if errors.Is(err, unix.EPERM) {
		return nil, skipf("listing nftables is not permitted")
	}
	return lines, err
}

func nftLines() ([]string, error) {
	request := make([]byte, 4) // struct nfgenmsg: all families, version 0
	tables, err := dump(unix.NETLINK_NETFILTER, messageGetTable, request, len(request))
	if err != nil {
		return nil, fmt.Errorf("list nftables: %w", err)
	}
	if len(tables) == 0 {
		return nil, nil
	}
	// The child inherits the network namespace of this locked thread.
	out, err := exec.Command("nft", "-j", "list", "ruleset").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return tableNames(tables), fmt.Errorf("rules inside of tables not compared: no nft program (package nftables)")
	}
	if err != nil {
		return tableNames(tables), fmt.Errorf("nft list ruleset: %w", err)
	}
	return parseRuleset(out)
}

func tableNames(tables []message) []string {
	var names []string
	for _, t := range tables {
		names = append(names, fmt.Sprintf("table family=%d %s", t.header[0], text(get(t.attrs, 1))))
	}
	return names
}

// parseRuleset makes one line of each object of nft's JSON.
func parseRuleset(data []byte) ([]string, error) {
	var ruleset struct {
		Nftables []map[string]any `json:"nftables"`
	}
	if err := json.Unmarshal(data, &ruleset); err != nil {
		return nil, fmt.Errorf("read nft's ruleset: %w", err)
	}
	var lines []string
	for _, object := range ruleset.Nftables {
		if _, ok := object["metainfo"]; ok {
			continue
		}
		line, err := json.Marshal(withoutCounters(object))
		if err != nil {
			return nil, err
		}
		lines = append(lines, string(line))
	}
	return lines, nil
}

// withoutCounters drops handles, and the contents of counters and of
// expiring set elements. JSON sorts the keys of maps when printed.
func withoutCounters(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			switch key {
			case "handle", "packets", "bytes", "expires":
				delete(v, key)
			default:
				v[key] = withoutCounters(inner)
			}
		}
	case []any:
		for i := range v {
			v[i] = withoutCounters(v[i])
		}
	}
	return v
}
