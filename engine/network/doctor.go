package network

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/usernet"
)

// Rule is a rule of the host's firewall that a container needs.
type Rule struct {
	Owner   string // name of the container or pod
	Text    string // what it does, for people
	Present bool

	words     []string // all of them stand in one line of the firewall's listing
	firewalld bool     // it is of firewalld's table, and wanted where that is
}

// Rules compares the rules that the containers and pods need with those that are there.
func (a Adapter) Rules(ctx context.Context, list []engine.NetworkRequest) ([]Rule, error) {
	var wanted []Rule
	home, err := a.home(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		p, err := a.recorded(r)
		if err != nil {
			return nil, err
		}
		if p != nil && p.Options != nil && p.Begun && p.Home == home {
			wanted = append(wanted, p.rules(r.Name)...)
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	nft, err := usernet.FindNft()
	if err != nil {
		return nil, err
	}
	var text []byte
	err = a.inPlace(ctx, func() (err error) {
		text, err = a.Run(ctx, proc.Command{Path: nft, Args: []string{"list", "ruleset"}})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the firewall's rules: %w", err)
	}
	return compare(wanted, string(text)), nil
}

// firewalldTable begins the listing of firewalld's own rules, which let nothing from a subnet through that is in none of its zones.
const firewalldTable = "table inet firewalld {"

// rules are those that netavark makes for the plan: one for each subnet that may leave the host, and one for each published
// port and kind of address on the first network that has it.
func (p *plan) rules(owner string) []Rule {
	var list []Rule
	if p.Options.Firewall == "none" {
		return nil
	}
	chain := map[string]string{"": "jump nv_", "nftables": "jump nv_", "iptables": "jump NETAVARK-", "firewalld": "netavark_zone"}[p.Options.Firewall]
	published := map[string]bool{}
	for _, name := range p.Order {
		d := p.Options.NetworkInfo[name]
		if d.Driver != bridgeDriver {
			continue
		}
		for _, s := range d.Subnets {
			if !d.Internal {
				list = append(list, Rule{Owner: owner, Text: "traffic of " + s.Subnet, words: []string{"saddr " + s.Subnet, chain}},
					Rule{Owner: owner, Text: "zone of " + s.Subnet + " in firewalld", words: []string{"saddr " + s.Subnet, "jump filter_FWD_"}, firewalld: true})
			}
		}
		if d.Internal { // nothing is published there
			continue
		}
		for _, ip := range p.Options.Networks[name].StaticIPs {
			family := "4"
			if strings.Contains(ip, ":") {
				family = "6"
			}
			for _, m := range p.Options.PortMappings {
				host, err := netip.ParseAddr(m.HostIP)
				if err == nil && host.Is4() != (family == "4") {
					continue
				}
				if key := fmt.Sprint(family, m); !published[key] {
					published[key] = true
					list = append(list, portRules(owner, ip, m)...)
				}
			}
		}
	}
	return list
}

func portRules(owner, ip string, m spec.PortMapping) []Rule {
	var list []Rule
	for i := range m.Range {
		to := net.JoinHostPort(ip, fmt.Sprint(m.ContainerPort+i))
		list = append(list, Rule{
			Owner: owner, Text: fmt.Sprintf("port %d/%s to %s", m.HostPort+i, m.Protocol, to),
			words: []string{m.Protocol + " dport", "dnat", ip, fmt.Sprint(m.ContainerPort)},
		})
	}
	return list
}

// compare looks each rule's words up in the listing's lines.
func compare(wanted []Rule, listing string) []Rule {
	if !strings.Contains(listing, firewalldTable) {
		wanted = slices.DeleteFunc(wanted, func(r Rule) bool { return r.firewalld })
	}
	lines := strings.Split(listing, "\n")
	for i := range wanted {
		for _, line := range lines {
			all := true
			for _, w := range wanted[i].words {
				all = all && strings.Contains(line, w)
			}
			wanted[i].Present = wanted[i].Present || all
		}
	}
	return wanted
}
