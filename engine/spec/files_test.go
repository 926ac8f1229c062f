package spec

import (
	"strings"
	"testing"
)

func TestHostsFile(t *testing.T) {
	host := "127.0.0.1 localhost\n\n"
	tests := []struct {
		name           string
		c              Container
		host           string
		addrs, gateway []string
		want           string
	}{
		{"no network", Container{Name: "web"}, host, nil, nil, "127.0.0.1 localhost\n127.0.1.1\t0123456789ab web\n"},
		{"bridge", Container{Name: "web"}, host, []string{"10.88.0.5", "fd00::5"}, []string{"10.88.0.1", "fd00::1"},
			"127.0.0.1 localhost\n10.88.0.5\t0123456789ab web\nfd00::5\t0123456789ab web\n10.88.0.1\thost.containers.internal host.docker.internal\n"},
		{"same name", Container{Name: "web", HostName: "web"}, host, []string{"10.0.0.2"}, nil, "127.0.0.1 localhost\n10.0.0.2\tweb\n"},
		{"host without localhost", Container{Name: "w"}, "", nil, nil, "127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\t0123456789ab w\n"},
		{"added", Container{Name: "w", AddHosts: []string{"a;b:1.2.3.4", "six:[::1]", "bare:::2", "gw:host-gateway"}}, host, nil, []string{"10.88.0.1"},
			"1.2.3.4\ta b\n::1\tsix\n::2\tbare\n10.88.0.1\tgw\n127.0.0.1 localhost\n127.0.1.1\t0123456789ab w\n10.88.0.1\thost.containers.internal host.docker.internal\n"},
	}
	for _, tt := range tests {
		got, err := HostsFile(tt.c, testID, tt.host, tt.addrs, tt.gateway)
		if err != nil || got != tt.want {
			t.Errorf("%s: %v\ngot  %q\nwant %q", tt.name, err, got, tt.want)
		}
	}
	for _, entry := range []string{"", "a", ":1.2.3.4", "a:", "a:b", "a:host-gateway", "a\n6.6.6.6 bank:1.2.3.4", "a b:1.2.3.4", "a:1.2.3.4\n", "#:1.2.3.4"} {
		if got, err := HostsFile(Container{AddHosts: []string{entry}}, testID, host, nil, nil); err == nil {
			t.Errorf("%q was taken: %q", entry, got)
		}
	}
}

func TestResolvConf(t *testing.T) {
	host := "# note\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver junk\ndomain old\nsearch a.example b.example\noptions edns0\noptions trust-ad\n"
	tests := []struct {
		name    string
		c       Container
		servers []string
		net     bool
		want    string
	}{
		{"own network", Container{}, nil, false, "search a.example b.example\nnameserver 192.0.2.1\noptions edns0 trust-ad\n"},
		{"host's network", Container{}, nil, true, "search a.example b.example\nnameserver 127.0.0.53\nnameserver 192.0.2.1\noptions edns0 trust-ad\n"},
		{"of the network", Container{}, []string{"10.88.0.1"}, false, "search a.example b.example\nnameserver 10.88.0.1\noptions edns0 trust-ad\n"},
		{"asked for", Container{DNS: []string{"9.9.9.9"}, DNSSearch: []string{"c"}, DNSOptions: []string{"ndots:1"}}, []string{"10.88.0.1"}, false,
			"search c\nnameserver 9.9.9.9\noptions ndots:1\n"},
		{"no search", Container{DNSSearch: []string{"."}}, []string{"10.88.0.1"}, false, "nameserver 10.88.0.1\noptions edns0 trust-ad\n"},
	}
	for _, tt := range tests {
		if got := ResolvConf(tt.c, host, NameService{Servers: tt.servers}, tt.net); got != tt.want {
			t.Errorf("%s:\ngot  %q\nwant %q", tt.name, got, tt.want)
		}
	}
	names := NameService{[]string{"10.89.0.1"}, []string{"dns.podman"}}
	for want, c := range map[string]Container{
		"search dns.podman a.example b.example\nnameserver 10.89.0.1\noptions edns0 trust-ad\n": {DNS: []string{"9.9.9.9"}}, // the network's server asks 9.9.9.9
		"search dns.podman c\nnameserver 10.89.0.1\noptions edns0 trust-ad\n":                   {DNSSearch: []string{"c"}},
		"nameserver 10.89.0.1\noptions edns0 trust-ad\n":                                        {DNSSearch: []string{"."}},
	} {
		if got := ResolvConf(c, host, names, false); got != want {
			t.Errorf("names of containers: got %q, want %q", got, want)
		}
	}
	if got := ResolvConf(Container{}, "", NameService{}, false); got != "" {
		t.Errorf("empty: %q", got)
	}
}

func FuzzHostsFile(f *testing.F) {
	f.Add("a:1.2.3.4", "127.0.0.1 localhost\n")
	f.Fuzz(func(t *testing.T, entry, host string) {
		got, err := HostsFile(Container{Name: "w", AddHosts: []string{entry}}, testID, host, nil, nil)
		if err == nil && strings.Count(got, "\n") > strings.Count(host, "\n")+5 {
			t.Errorf("%q made more than one line: %q", entry, got)
		}
	})
}

func TestLabels(t *testing.T) {
	m := Labels([]string{"a=1", "b", "c=x=y", "a=2"})
	if len(m) != 3 || m["a"] != "2" || m["b"] != "" || m["c"] != "x=y" {
		t.Error(m)
	}
}

func TestCheckDNS(t *testing.T) {
	for _, list := range [][]string{nil, {"none"}, {"9.9.9.9", "2620:fe::9"}} {
		if err := CheckDNS(Container{DNS: list}); err != nil {
			t.Errorf("%q: %v", list, err)
		}
	}
	for _, list := range [][]string{{"x"}, {"none", "9.9.9.9"}, {"9.9.9.9\noptions x"}} {
		if CheckDNS(Container{DNS: list}) == nil {
			t.Errorf("%q was taken", list)
		}
	}
}
