package spec

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseUserNS(t *testing.T) {
	for _, tt := range []struct {
		c    Container
		want string
	}{
		{Container{}, ""}, {Container{UserNS: "host"}, "host"}, {Container{UserNS: "keep-id"}, "keep-id"},
		{Container{UserNS: "keep-id:uid=5,gid=7,size=9"}, "keep-id 5 7 9"},
		{Container{UserNS: "auto:size=100,uidmapping=0:1000:1"}, "auto 100 [{{0 1000 1} false}] []"},
		{Container{UserNS: "ns:/proc/1/ns/user"}, "ns /proc/1/ns/user"},
		{Container{UIDMaps: []string{"0:100:10"}}, "maps [{{0 100 10} false}] [{{0 100 10} false}]"},
		{Container{UIDMaps: []string{"+5:@1000"}}, "maps [{{5 1000 1} true}] [{{5 1000 1} true}]"},
		{Container{UIDMaps: []string{"u0:100:10", "g0:200:10"}}, "maps [{{0 100 10} false}] [{{0 200 10} false}]"},
		{Container{UIDMaps: []string{"0:1:2"}, GIDMaps: []string{"0:3:2"}}, "maps [{{0 1 2} false}] [{{0 3 2} false}]"},
		{Container{GIDMaps: []string{"0:3:2"}}, "maps [{{0 3 2} false}] [{{0 3 2} false}]"},
		{Container{UserNS: "keepid"}, "!known are"}, {Container{UserNS: "host:x"}, "!no options"}, {Container{UserNS: "keep-id:uid=x"}, "!not an ID"},
		{Container{UserNS: "keep-id:uid"}, "!not an ID"}, {Container{UserNS: "ns:"}, "!names nothing"}, {Container{UserNS: "auto:uid=5"}, "!unknown option"},
		{Container{UserNS: "keep-id", UIDMaps: []string{"0:1:2"}}, "!exclude"}, {Container{SubUIDName: "x", UIDMaps: []string{"0:1:2"}}, "!exclude"},
		{Container{UIDMaps: []string{"0"}}, "!is not"}, {Container{UIDMaps: []string{"0:1:0"}}, "!is not"}, {Container{UIDMaps: []string{"0:4294967295:1"}}, "!is not"},
		{Container{UIDMaps: []string{"0:4294967294:9"}}, "!is not"}, {Container{UIDMaps: []string{"-1:0:1"}}, "!is not"},
	} {
		u, err := ParseUserNS(tt.c)
		if part, bad := strings.CutPrefix(tt.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%+v: %v, want an error with %q", tt.c, err, part)
			}
			continue
		}
		got := u.Mode
		if u.UID != nil {
			got += fmt.Sprintf(" %d %d", *u.UID, *u.GID)
		}
		if u.Size > 0 {
			got += fmt.Sprintf(" %d", u.Size)
		}
		if u.Target != "" {
			got += " " + u.Target
		}
		if u.UIDMaps != nil {
			got += fmt.Sprintf(" %v %v", u.UIDMaps, u.GIDMaps)
		}
		if got != tt.want || err != nil {
			t.Errorf("%+v: %q, %v; want %q", tt.c, got, err, tt.want)
		}
	}
}

func TestFillMap(t *testing.T) {
	for _, tt := range []struct {
		fixed  []IDMap
		ranges []IDRange
		size   uint32
		want   string
	}{
		// As Podman 5.4.2 maps for a user with one range of 65536.
		{[]IDMap{{1000, 0, 1}}, []IDRange{{0, 65537}}, 65537, "[{0 1 1000} {1000 0 1} {1001 1001 64536}]"},
		{[]IDMap{{5, 0, 1}}, []IDRange{{0, 65537}}, 65537, "[{0 1 5} {5 0 1} {6 6 65531}]"},
		{[]IDMap{{0, 0, 1}}, []IDRange{{0, 65537}}, 65537, "[{0 0 65537}]"},
		{[]IDMap{{1000, 0, 1}}, []IDRange{{0, 1}}, 65537, "[{1000 0 1}]"}, // no subordinate IDs
		{nil, []IDRange{{100000, 10}, {200000, 10}}, 15, "[{0 100000 10} {10 200000 5}]"},
		{nil, []IDRange{{100000, 10}}, 15, "[{0 100000 10}]"},
		{[]IDMap{{3, 1000, 2}}, []IDRange{{100000, 10}}, 8, "[{0 100000 3} {3 1000 2} {5 100003 3}]"},
		{[]IDMap{{70000, 0, 1}}, []IDRange{{0, 65537}}, 65537, "[{0 1 65536} {70000 0 1}]"},
	} {
		got := FillMap(tt.fixed, tt.ranges, tt.size)
		if fmt.Sprint(got) != tt.want || CheckMap(got) != nil {
			t.Errorf("%v in %v: %v, want %s", tt.fixed, tt.ranges, got, tt.want)
		}
	}
	for _, bad := range [][]IDMap{{{0, 0, 10}, {5, 100, 1}}, {{0, 0, 10}, {50, 9, 1}}} {
		if CheckMap(bad) == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	var many []IDMap
	for i := range uint32(maxMaps) {
		many = append(many, IDMap{2 * i, 100000 + 2*i, 1})
	}
	if err := CheckMap(many); err != nil {
		t.Errorf("what the kernel takes: %v", err)
	}
	if err := CheckMap(append(many, IDMap{5000, 5000, 1})); err == nil || !strings.Contains(err.Error(), "341 ranges") {
		t.Errorf("one more than the kernel takes: %v", err)
	}
}

func TestSplitMap(t *testing.T) {
	user := []IDRange{{0, 1}, {1, 65536}}
	for _, tt := range []struct {
		maps  []IDMap
		outer []IDRange
		want  string
	}{
		{[]IDMap{{0, 0, 65537}}, user, "[{0 0 1} {1 1 65536}]"}, // as Podman 5.4.2 splits it
		{[]IDMap{{0, 1, 1000}, {1000, 0, 1}, {1001, 1001, 64536}}, user, "[{0 1 1000} {1000 0 1} {1001 1001 64536}]"},
		{[]IDMap{{5, 65535, 10}}, user, "[{5 65535 2} {7 65537 8}]"}, // which the kernel refuses
		{[]IDMap{{0, 0, 4294967295}}, []IDRange{{0, 4294967295}}, "[{0 0 4294967295}]"},
	} {
		if got := fmt.Sprint(SplitMap(tt.maps, tt.outer)); got != tt.want {
			t.Errorf("%v in %v: %s, want %s", tt.maps, tt.outer, got, tt.want)
		}
	}
}

func FuzzFillMap(f *testing.F) {
	f.Add(uint32(1000), uint32(0), uint32(1), uint32(0), uint32(65537), uint32(65537))
	f.Fuzz(func(t *testing.T, inside, outside, count, start, n, size uint32) {
		if count == 0 || n == 0 || uint64(inside)+uint64(count) > 1<<32-1 || uint64(outside)+uint64(count) > 1<<32-1 || uint64(start)+uint64(n) > 1<<32-1 {
			return
		}
		if got := FillMap([]IDMap{{inside, outside, count}}, []IDRange{{start, n}}, size); CheckMap(got) != nil {
			t.Errorf("%v", got)
		}
	})
}

// FuzzParseUserNS: maps that are accepted are ones that the kernel can take, whoever gives them.
func FuzzParseUserNS(f *testing.F) {
	f.Add("", "0:0:1", "u+1:@2:3", "uids=0-1-2;gids=0-1-2")
	f.Add("auto:size=5,uidmapping=0:1:2", "", "", "uids=0-@1-2#9-9-9;gids=0-@1-2")
	f.Add("keep-id:uid=4294967294,gid=0", "0:0:4294967295", "::", "uids=;gids=")
	f.Fuzz(func(t *testing.T, mode, uids, gids, option string) {
		c := Container{UserNS: mode}
		if uids != "" {
			c.UIDMaps = strings.Split(uids, " ")
		}
		if gids != "" {
			c.GIDMaps = strings.Split(gids, " ")
		}
		if u, err := ParseUserNS(c); err == nil {
			for _, m := range append(u.UIDMaps, u.GIDMaps...) {
				if m.Count == 0 || uint64(m.Inside)+uint64(m.Count) > 1<<32-1 || uint64(m.Outside)+uint64(m.Count) > 1<<32-1 {
					t.Errorf("%+v was read as %+v", c, m)
				}
			}
		}
		container := IDMaps{UIDs: []IDMap{{0, 1000, 65536}}, GIDs: []IDMap{{0, 1000, 65536}}}
		if maps, err := ParseIDMapOption(option, container); err == nil && (CheckMap(maps.UIDs) != nil || CheckMap(maps.GIDs) != nil) {
			t.Errorf("%q was read as %+v", option, maps)
		}
	})
}
