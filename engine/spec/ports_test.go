package spec

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }

func portWords(list []PortMapping) string {
	var words []string
	for _, m := range list {
		words = append(words, fmt.Sprintf("[%s]:%d:%d+%d/%s", m.HostIP, m.HostPort, m.ContainerPort, m.Range, m.Protocol))
	}
	return strings.Join(words, " ")
}

func TestParsePublish(t *testing.T) {
	tests := []struct{ word, want string }{
		{"80", "[]:0:80+1/tcp"},
		{"8080:80", "[]:8080:80+1/tcp"},
		{"8080:80/UDP", "[]:8080:80+1/udp"},
		{"53:53/tcp,udp", "[]:53:53+1/tcp []:53:53+1/udp"},
		{"127.0.0.1:8080:80", "[127.0.0.1]:8080:80+1/tcp"},
		{"127.0.0.1::80", "[127.0.0.1]:0:80+1/tcp"},
		{"[::1]:8080:80", "[::1]:8080:80+1/tcp"},
		{"[::1]::80", "[::1]:0:80+1/tcp"},
		{"8000-8010:9000-9010/sctp", "[]:8000:9000+11/sctp"},
		{"1-65535", "[]:0:1+65535/tcp"},
		{"", ""}, {":", ""}, {"0", ""}, {"65536", ""}, {"80-79", ""}, {"a:80", ""}, {"80:a", ""}, {"1-2:1-3", ""}, {"80/icmp", ""}, {"80/", ""},
		{"300.0.0.1:80:80", ""}, {"host:80:80", ""}, {"::1:80:80", ""}, {"[::1:80", ""}, {"[fe80::1%eth0]:80:80", ""}, {"1:2:3:4", ""}, {"-80", ""},
		{"80:80 ", ""}, {"+80", ""},
	}
	for _, tt := range tests {
		got, err := ParsePublish(tt.word)
		if portWords(got) != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q: got %q, %v; want %q", tt.word, portWords(got), err, tt.want)
		}
		if err != nil && !strings.Contains(err.Error(), strconv.Quote(tt.word)) {
			t.Errorf("%q: the error does not name it: %v", tt.word, err)
		}
	}
}

func FuzzParsePublish(f *testing.F) {
	for _, s := range []string{"80", "127.0.0.1:1-2:3-4/udp", "[::1]::80", "[fe80::1%../x]:80:80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := ParsePublish(s)
		if err == nil && len(list) == 0 {
			t.Fatal("nothing, and no error")
		}
		for _, m := range list {
			switch {
			case m.ContainerPort == 0, m.Range == 0, int(m.ContainerPort)+int(m.Range) > 65536, m.HostPort > 0 && int(m.HostPort)+int(m.Range) > 65536:
				t.Errorf("%q gave ports that are none: %+v", s, m)
			case strings.ContainsAny(m.HostIP, "/%\x00"):
				t.Errorf("%q gave an address that is no file name: %+v", s, m)
			}
		}
	})
}
