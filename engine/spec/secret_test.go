package spec

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseSecret(t *testing.T) {
	for _, tt := range []struct{ word, want string }{
		{"db", "db file /run/secrets/db 0:0 444"},
		{"source=db,target=pass,uid=5,gid=6,mode=0400", "db file /run/secrets/pass 5:6 400"},
		{"db,target=/etc/db/pass", "db file /etc/db/pass 0:0 444"},
		{"db,target=sub/pass", "db file /run/secrets/sub/pass 0:0 444"},
		{"db,type=env", "db env db 0:0 444"},
		{"db,type=env,target=PASS", "db env PASS 0:0 444"},
		{"", "!name"}, {"a/b", "!name"}, {"..", "!name"}, {"type=env", "!name"}, {strings.Repeat("x", 254), "!name"},
		{"db,type=file", "!type"}, {"db,uid=x", "!uid"}, {"db,mode=9", "!mode"}, {"db,mode=1777", "!mode"}, {"db,oops=1", "!unknown key"},
		{"db,target=../../etc/passwd", "!leads out"}, {"db,target=..", "!leads out"}, {"db,type=env,uid=5", "!no meaning"}, {"db,type=env,target=A=B", "!variable"},
	} {
		s, err := ParseSecret(tt.word)
		if part, bad := strings.CutPrefix(tt.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v, want an error about %s", tt.word, err, part)
			}
			continue
		}
		kind := map[bool]string{true: "env", false: "file"}[s.Env]
		if got := fmt.Sprintf("%s %s %s %d:%d %o", s.Name, kind, s.Target, s.UID, s.GID, s.Mode); err != nil || got != tt.want {
			t.Errorf("%s: %s, %v; want %s", tt.word, got, err, tt.want)
		}
	}
}

func FuzzParseSecret(f *testing.F) {
	f.Add("db,target=../x")
	f.Fuzz(func(t *testing.T, word string) {
		s, err := ParseSecret(word)
		if err == nil && !s.Env && (!strings.HasPrefix(s.Target, "/") || strings.Contains(s.Target+"/", "/../")) {
			t.Errorf("%q leads to %q", word, s.Target)
		}
	})
}
