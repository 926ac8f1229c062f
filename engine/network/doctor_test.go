package network

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/berth-pods/berth/engine/spec"
)

const listing = `table inet netavark {
	chain POSTROUTING {
		ip saddr 10.71.0.0/24 jump nv_f0_10_71_0_0_nm24
	}
	chain nv_f0_10_71_0_0_nm24_dnat {
		ip saddr 10.71.0.0/24 tcp dport 8080 jump NETAVARK-HOSTPORT-SETMARK
		tcp dport 8080 dnat ip to 10.71.0.9:80
	}
}`

func TestRules(t *testing.T) {
	p := plan{Order: []string{"front", "back"}, Options: &netavarkOptions{
		Networks: map[string]perNetwork{"front": {StaticIPs: []string{"10.71.0.9", "fd71::9"}}, "back": {StaticIPs: []string{"10.72.0.9"}}},
		NetworkInfo: map[string]definition{
			"front": {Driver: "bridge", Subnets: []subnet{{Subnet: "10.71.0.0/24"}, {Subnet: "fd71::/64"}}},
			"back":  {Driver: "bridge", Internal: true, Subnets: []subnet{{Subnet: "10.72.0.0/24"}}},
		},
		PortMappings: []spec.PortMapping{{HostPort: 8080, ContainerPort: 80, Range: 1, Protocol: "tcp"}, {HostIP: "127.0.0.1", HostPort: 53, ContainerPort: 53, Range: 2, Protocol: "udp"}},
	}}
	var got []string
	for _, r := range compare(p.rules("web"), listing) {
		word := "missing "
		if r.Present {
			word = "present "
		}
		got = append(got, word+r.Owner+": "+r.Text)
	}
	want := `present web: traffic of 10.71.0.0/24
missing web: traffic of fd71::/64
present web: port 8080/tcp to 10.71.0.9:80
missing web: port 53/udp to 10.71.0.9:53
missing web: port 54/udp to 10.71.0.9:54
missing web: port 8080/tcp to [fd71::9]:80`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	p.Options.PortMappings = nil
	for _, tt := range []struct{ driver, listing, want string }{
		{"", "table inet firewalld {\n}\n" + listing, "true traffic of 10.71.0.0/24,false zone of 10.71.0.0/24 in firewalld,false traffic of fd71::/64,false zone of fd71::/64 in firewalld"},
		{"nftables", listing + "\ntable inet firewalld {\nip saddr 10.71.0.0/24 jump filter_FWD_trusted\nip6 saddr fd71::/64 jump filter_IN_trusted\n}\n",
			"true traffic of 10.71.0.0/24,true zone of 10.71.0.0/24 in firewalld,false traffic of fd71::/64,false zone of fd71::/64 in firewalld"},
		{"firewalld", "table inet firewalld {\nip saddr 10.71.0.0/24 jump filter_FWD_netavark_zone\n",
			"true traffic of 10.71.0.0/24,true zone of 10.71.0.0/24 in firewalld,false traffic of fd71::/64,false zone of fd71::/64 in firewalld"},
		{"iptables", "ip saddr 10.71.0.0/24 counter jump NETAVARK-1D8721804F16F", "true traffic of 10.71.0.0/24,false traffic of fd71::/64"},
		{"none", listing, ""},
	} {
		p.Options.Firewall = tt.driver
		var got []string
		for _, r := range compare(p.rules("web"), tt.listing) {
			got = append(got, fmt.Sprint(r.Present, " ", r.Text))
		}
		if text := strings.Join(got, ","); text != tt.want {
			t.Errorf("driver %q: got %s, want %s", tt.driver, text, tt.want)
		}
	}
	if list, err := (Adapter{}).Rules(context.Background(), nil); err != nil || len(list) > 0 {
		t.Errorf("%v, %v", list, err)
	}
}
