package spec

import (
	"path"
	"strings"
	"testing"
)

func TestParseVolume(t *testing.T) {
	tests := []struct{ word, want string }{
		{"/data", "|/data|rbind,rprivate,rw,nosuid,nodev"},
		{"data:/data", "data|/data|rbind,rprivate,rw,nosuid,nodev"},
		{"/srv:/data:ro", "/srv|/data|rbind,rprivate,ro"},
		{"/srv:/data/../x/:z,U,nocopy,noexec,rshared,bind", "/srv|/x|bind,rshared,rw,noexec|nocopy|chown"},
		{"data:/data:copy,Z", "data|/data|rbind,rprivate,rw,nosuid,nodev"},
		{"data:/data:suid,dev,ro", "data|/data|rbind,rprivate,ro,suid,dev"},
		{"/srv:/data:O", "/srv|/data|rbind,rprivate,rw"}, {"/srv:/data:O,upperdir=/u,workdir=/w", "/srv|/data|rbind,rprivate,rw"},
		{"/srv:/data:upperdir=/u,workdir=/w", ""}, {"/srv:/data:O,upperdir=/u", ""}, {"/srv:/data:O,upperdir=u,workdir=w", ""},
		{"/srv:/data:idmap", "/srv|/data|rbind,rprivate,rw"}, {"data:/data:subpath=a/b", "data|/data|rbind,rprivate,rw,nosuid,nodev"}, {"/srv:/data:subpath=a", ""},
		{"", ""}, {":", ""}, {":/data", ""}, {"data:data", ""}, {"/srv:/", ""}, {"/srv:/..", ""}, {"../x:/data", ""}, {"./x:/data", ""}, {"a/b:/data", ""},
		{"/srv:/data:wr", ""}, {"/srv:/data:ro:rw", ""}, {"data\n:/data", ""}, {"-v:/data", ""},
	}
	for _, tt := range tests {
		v, err := ParseVolume(tt.word)
		got := ""
		if err == nil {
			got = v.Source + "|" + v.Destination + "|" + strings.Join(v.Options, ",")
			if v.NoCopy {
				got += "|nocopy"
			}
			if v.Chown {
				got += "|chown"
			}
		}
		if got != tt.want {
			t.Errorf("%q: got %q, %v; want %q", tt.word, got, err, tt.want)
		}
	}
}

func FuzzParseVolume(f *testing.F) {
	for _, s := range []string{"/a", "a:/b", "/a:/b:ro,U", "..:/x", "a:/b/../.."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVolume(s)
		if err != nil {
			return
		}
		if !path.IsAbs(v.Destination) || path.Clean(v.Destination) != v.Destination || v.Destination == "/" {
			t.Errorf("%q is seen at %q", s, v.Destination)
		}
		if v.Named() && v.Source != "" && (strings.Contains(v.Source, "/") || strings.HasPrefix(v.Source, ".")) {
			t.Errorf("%q is a volume named %q", s, v.Source)
		}
		if len(v.Options) < 3 {
			t.Errorf("%q has the options %q", s, v.Options)
		}
	})
}

func TestParseTmpfs(t *testing.T) {
	tests := []struct{ word, want string }{
		{"/tmp", "/tmp rw,nosuid,nodev,tmpcopyup"},
		{"/tmp:size=1m,mode=1777", "/tmp rw,nosuid,nodev,size=1m,mode=1777,tmpcopyup"},
		{"/a/../tmp/:tmpcopyup,,noexec", "/tmp rw,nosuid,nodev,noexec,tmpcopyup"},
		{"/tmp:notmpcopyup", "/tmp rw,nosuid,nodev"},
		{"/tmp:size=50%,nr_inodes=1k,uid=7,huge=never", "/tmp rw,nosuid,nodev,size=50%,nr_inodes=1k,uid=7,huge=never,tmpcopyup"},
		{"/tmp:size=0x10G", "/tmp rw,nosuid,nodev,size=0x10G,tmpcopyup"},
		{"/tmp:size=10x", ""}, {"/tmp:size=10mb", ""}, {"/tmp:size=", ""}, {"/tmp:size", ""}, {"/tmp:size=1%k", ""}, {"/tmp:mode=89", ""}, {"/tmp:uid=bob", ""}, {"/tmp:nr_inodes=-1", ""},
		{"tmp", ""}, {"", ""}, {":size=1", ""}, {"/", ""}, {"/a/..", ""},
	}
	for _, tt := range tests {
		m, err := ParseTmpfs(tt.word)
		got := ""
		if err == nil {
			got = m.Destination + " " + strings.Join(m.Options, ",")
		}
		if got != tt.want {
			t.Errorf("%q: got %q, %v; want %q", tt.word, got, err, tt.want)
		}
	}
}

func FuzzParseTmpfs(f *testing.F) {
	f.Add("/tmp:size=1m")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseTmpfs(s)
		if err == nil && (!path.IsAbs(m.Destination) || m.Destination == "/" || m.Type != "tmpfs") {
			t.Errorf("%q gave %+v", s, m)
		}
	})
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "web-1", "A.b_c-9", strings.Repeat("x", 200)} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "-a", "_a", ".a", "a/b", "a b", "a\n", "ä", "a:b", "a\x00", strings.Repeat("x", 201)} {
		if CheckName(name) == nil {
			t.Errorf("%q was taken", name)
		}
	}
}

func FuzzCheckName(f *testing.F) {
	f.Add("web-1")
	f.Add("../x")
	f.Fuzz(func(t *testing.T, name string) {
		if CheckName(name) == nil && (path.Join("/d", name) != "/d/"+name || strings.ContainsAny(name, "\x00\n\t /\\'\"$%") || name[0] == '-') {
			t.Errorf("%q would be no plain file name", name)
		}
	})
}

func TestParseBytes(t *testing.T) {
	for word, want := range map[string]uint64{
		"0": 0, "1": 1, "10b": 10, "1k": 1024, "1K": 1024, "2Kb": 2048, "1kib": 1024, "512m": 512 << 20, "2G": 2 << 30, "1TiB": 1 << 40,
		"4194304t": 1 << 62, "0.5g": 512 << 20, "1.5GiB": 1536 << 20, "1.9": 1, ".5k": 512,
	} {
		if got, err := ParseBytes(word); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", word, got, err, want)
		}
	}
	for _, word := range []string{"", "k", "-1", "1.5.1g", ".g", "1.5x", "9999999.5t", "1x", "1 g", "1gg", "0x10", "4194305t", "18446744073709551616", "1ik"} {
		if got, err := ParseBytes(word); err == nil {
			t.Errorf("%q was taken as %d", word, got)
		}
	}
}

func FuzzParseBytes(f *testing.F) {
	f.Add("512m")
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseBytes(s); err == nil && n > 1<<62 {
			t.Errorf("%q gave %d", s, n)
		}
	})
}
