package spec

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseSpecialMount(t *testing.T) {
	for word, want := range map[string]string{
		"type=devpts,target=/pts,uid=1,mode=600":              "{devpts  /pts [uid=1 mode=600] false }",
		"type=ramfs,dst=/r,tmpfs-mode=700,noexec,ro":          "{ramfs  /r [mode=700 noexec ro] false }",
		"type=glob,src=/usr/lib/libx*,ro":                     "{glob /usr/lib/libx* /usr/lib [ro] false }",
		"type=glob,src=/a/*,target=/b/":                       "{glob /a/* /b [] false }",
		"type=image,source=app:1,target=/m":                   "{image app:1 /m [] false }",
		"type=image,source=app:1,target=/m,rw=true,subpath=b": "{image app:1 /m [] true b}",
		"type=bind,source=/a,target=/b":                       "other",
		"source=v,target=/b":                                  "other",
		"type=image,target=/m":                                "no source=",
		"type=glob,src=x*,target=/m":                          "absolute path",
		"type=ramfs":                                          "target=",
		"type=ramfs,target=/":                                 "not the whole of it",
		"type=devpts,target=/p,source=/x":                     `unknown key "source" for type=devpts`,
	} {
		m, ok, err := ParseSpecialMount(word)
		got := fmt.Sprint(m)
		if err != nil {
			got = err.Error()
		} else if !ok {
			got = "other"
		}
		if got != want && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%s: got %s, want %s", word, got, want)
		}
	}
}

func TestSpecialMountsInTheSpec(t *testing.T) {
	s := mustBuild(t, with(func(in *Input) {
		in.Container.Mounts = []string{"type=devpts,target=/pts,uid=1", "type=ramfs,target=/ram", "type=glob,src=/x/*"}
	}))
	var got []string
	for _, m := range s.Mounts {
		if m.Destination == "/pts" || m.Destination == "/ram" {
			got = append(got, m.Type+" "+m.Destination+" "+strings.Join(m.Options, ","))
		}
	}
	want := "devpts /pts nosuid,noexec,newinstance,ptmxmode=0666,uid=1;ramfs /ram rw,nosuid,nodev"
	if strings.Join(got, ";") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ";"), want)
	}
}

// FuzzParseMount: each value of --mount is read by one reader or refused; where it leads to is a clean place inside.
func FuzzParseMount(f *testing.F) {
	for _, s := range []string{
		"type=bind,source=/a,target=/b,ro", "type=volume,src=v,dst=/d,U=true", "type=tmpfs,target=/t,tmpfs-size=1k,tmpfs-mode=1777", "type=image,source=i,target=/m,subpath=a/b",
		"type=devpts,target=/p", "type=glob,src=/x*,dst=/y", "type=glob,src=/*", "type=bind,\"source=/a,b\",target=/c", "target=/", "type=ramfs,target=../x", ",=,", "type=bind,source=/a,target=/b,idmap=uids=0-1-2;gids=0-1-2",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		// The files of a glob come below their place, which may be the root.
		if m, ok, err := ParseSpecialMount(s); err == nil && ok && (!strings.HasPrefix(m.Destination, "/") || m.Destination == "/" && m.Type != "glob") {
			t.Errorf("%q was read as %+v", s, m)
		}
		volume, tmpfs, err := ParseMount(s)
		if err != nil {
			return
		}
		if volume != "" {
			if v, err := ParseVolume(volume); err == nil && !strings.HasPrefix(v.Destination, "/") {
				t.Errorf("%q was read as %+v", s, v)
			}
		}
		if tmpfs != "" {
			if m, err := ParseTmpfs(tmpfs); err == nil && !strings.HasPrefix(m.Destination, "/") {
				t.Errorf("%q was read as %+v", s, m)
			}
		}
	})
}
