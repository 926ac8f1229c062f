package spec

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestParseNetworks(t *testing.T) {
	type in struct {
		words        []string
		ip, ip6, mac string
		aliases      []string
	}
	tests := []struct {
		in   in
		want string // JSON, or a part of the error
	}{
		{in{}, `{"Mode":"","Argument":"","Default":true,"Attach":[{"network":"podman"}],"Note":""}`},
		{in{words: []string{"private"}, ip: "10.88.0.9"}, `"Default":true,"Attach":[{"network":"podman","ips":["10.88.0.9"]}]`},
		{in{words: []string{"bridge"}}, `"Default":false,"Attach":[{"network":"podman"}]`},
		{in{words: []string{"a", "b:alias=x,alias=y"}, aliases: []string{"z"}},
			`"Attach":[{"network":"a","aliases":["z"]},{"network":"b","aliases":["x","y","z"]}]`},
		{in{words: []string{"a:ip=10.1.0.5,ip6=fd00::5,mac=92:D0:C6:0A:29:33,interface_name=lan,host_interface_name=v-lan"}},
			`[{"network":"a","ips":["10.1.0.5","fd00::5"],"mac":"92:d0:c6:0a:29:33","interface":"lan","hostInterface":"v-lan"}]`},
		{in{words: []string{"a"}, ip6: "fd00::5", mac: "92:d0:c6:0a:29:33"}, `"ips":["fd00::5"],"mac":"92:d0:c6:0a:29:33"`},
		{in{words: []string{"host"}}, `"Mode":"host"`},
		{in{words: []string{"pasta:--mtu,1400"}}, `"Mode":"pasta","Argument":"--mtu,1400"`},
		{in{words: []string{"slirp4netns:port_handler=slirp4netns"}}, `"Mode":"pasta","Argument":"","Default":false,"Attach":null,"Note":"network slirp4netns`},
		{in{words: []string{"container:web"}}, `"Mode":"container","Argument":"web"`},
		{in{words: []string{"ns:/run/netns/x"}}, `"Mode":"ns","Argument":"/run/netns/x"`},

		{in{words: []string{"host", "a"}}, "network host stands alone, but there are 2 networks"},
		{in{words: []string{"none:x"}}, "takes no options"},
		{in{words: []string{"host"}, ip: "10.0.0.1"}, "on a bridge network only"},
		{in{words: []string{"container:"}}, "container: empty name"},
		{in{words: []string{"container:../x"}}, "has '.' in it"},
		{in{words: []string{"ns:run"}}, "must be absolute"},
		{in{words: []string{"a", "b"}, ip: "10.0.0.1"}, "for a container on one network"},
		{in{words: []string{"a", "a"}}, "named twice"},
		{in{words: []string{"../a"}}, "network: name"},
		{in{words: []string{"a:ip"}}, "not NAME=VALUE"},
		{in{words: []string{"a:ip=x"}}, "ip=x is not an IP address"},
		{in{words: []string{"a"}, ip: "300.1.1.1"}, "ip=300.1.1.1 is not an IP address"},
		{in{words: []string{"a:ip6=1.2.3.4"}}, "is an IPv4 address"},
		{in{words: []string{"a:mac=1"}}, "is not a hardware address"},
		{in{words: []string{"a:alias=b c"}}, "is no host name"},
		{in{words: []string{"a:interface_name=a-name-that-is-long"}}, "at most 15"},
		{in{words: []string{"a:mtu=9"}}, `unknown option "mtu"`},
	}
	for _, tt := range tests {
		n, err := ParseNetworks(tt.in.words, tt.in.ip, tt.in.ip6, tt.in.mac, tt.in.aliases)
		got, _ := json.Marshal(n)
		text := string(got)
		if err != nil {
			text = err.Error()
		}
		if !strings.Contains(text, tt.want) || (err == nil) != strings.Contains(tt.want, `"`) && !strings.Contains(tt.want, "unknown") {
			t.Errorf("%+v:\ngot  %s\nwant %s", tt.in, text, tt.want)
		}
	}
}

func FuzzParseAttachment(f *testing.F) {
	f.Add("a:ip=1.2.3.4,mac=02:00:00:00:00:01,interface_name=x")
	f.Add("a:ip6=fd00::5,ip=1.2.3.4,alias=x,alias=y,host_interface_name=z")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAttachment(s)
		if err == nil && (CheckName(a.Network) != nil || strings.ContainsAny(a.Interface+a.HostInterface, "/ \n")) {
			t.Errorf("%q gave %+v", s, a)
		}
		if again, _ := ParseAttachment(a.Word()); err == nil && !reflect.DeepEqual(a, again) {
			t.Errorf("%q gave %+v, and %q gave %+v", s, a, a.Word(), again)
		}
	})
}
