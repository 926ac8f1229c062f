package engine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/berth-pods/berth/engine/spec"
)

// TestAccounts: what stands in the container's files for a number is one, or the line is passed over. Nobody becomes root by it.
func TestAccounts(t *testing.T) {
	const passwd = "# of the image\nroot:x:0:0:root:/root:/bin/sh\nnone:x::5\nword:x:abc:5\nshort\nwide:x:4294967296:5\nminus:x:-1:5\nlast:x:4294967295:5\n" +
		"lost:x:7:\nlarge:x:7:4294967296\ngood:x:7:8:G:/home/good:/bin/sh\n  nobody:x:4294967294:4294967294\n"
	const group = "# of the image\nroot:x:0:\nnone:x::good\nword:x:abc:good\nwide:x:4294967296:good\nminus:x:-1:good\nmore:x:9:a,good\n"
	for who, want := range map[string]string{
		"": "0:0 /root []", "root": "0:0 /root []", "good": "7:8 /home/good [9]", "good:more": "7:9 /home/good []", "nobody": "4294967294:4294967294  []", "5": "5:0 / []",
		"none": "", "word": "", "short": "", "wide": "", "minus": "", "last": "", "lost": "", "large": "", "# of the image": "", "good:none": "", "good:word": "", "good:wide": "", "good:minus": "",
		"7:8:9": "", "good:more:": "",
	} {
		p, err := process(spec.Container{User: who}, "", []byte(passwd), []byte(group))
		got := fmt.Sprintf("%d:%d %s %v", p.UID, p.GID, p.Home, p.Groups)
		if err != nil {
			got = ""
		}
		if got != want {
			t.Errorf("%q: %q, %v; want %q", who, got, err, want)
		}
	}
}

// FuzzAccounts: the numbers of who runs are those that were asked for, or stand in the line of that name, or root's where none was asked for.
func FuzzAccounts(f *testing.F) {
	for _, who := range []string{"", "a", "a:g", "7:g", ":9", "4294967296", "1:2:3", "-1", "+5", "a:", ":"} {
		f.Add(who, "g", "root:x:0:0:root:/root:/bin/sh\na:x:7:8::/:/bin/sh\nb:x:y:z", "root:x:0:\ng:x:9:a,b\nh::-1:a")
		f.Add(who, "10", "a", "a:x:4294967296:a\n#:::")
	}
	f.Fuzz(func(t *testing.T, who, extra, passwd, group string) {
		p, err := process(spec.Container{Groups: []string{extra}}, who, []byte(passwd), []byte(group))
		if err != nil {
			return
		}
		name, of, _ := strings.Cut(who, ":")
		uids, gids := []string{name}, append(values(passwd, 3, 2, name), "0")
		if _, err := strconv.Atoi(name); err != nil {
			uids, gids = values(passwd, 2, 0, name), values(passwd, 3, 0, name)
		}
		if name == "" {
			uids, gids = []string{"0"}, append(values(passwd, 3, 2, "0"), "0")
		}
		if _, err := strconv.Atoi(of); err == nil {
			gids = []string{of}
		} else if of != "" {
			gids = values(group, 2, 0, of)
		}
		if !has(uids, p.UID) || !has(gids, p.GID) {
			t.Errorf("user %q is %d:%d with\n%s\n%s", who, p.UID, p.GID, passwd, group)
		}
		for _, g := range p.Groups {
			if !has(append(values(group, 2, -1, ""), extra), g) {
				t.Errorf("group %d is none of\n%s\nand %s", g, group, extra)
			}
		}
	})
}

// values are the words of one field in the lines that have the word, or the same number, in another; in all lines where that is -1.
func values(text string, field, by int, word string) (list []string) {
	number, err := strconv.ParseUint(word, 10, 32)
	for _, line := range strings.Split(text, "\n") {
		words := strings.Split(strings.TrimSpace(line), ":")
		if len(words) > field && (by < 0 || words[by] == word || err == nil && has(words[by:by+1], uint32(number))) {
			list = append(list, words[field])
		}
	}
	return list
}

// has tells whether one of the words is that number.
func has(list []string, id uint32) bool {
	return slices.ContainsFunc(list, func(word string) bool {
		n, err := strconv.ParseInt(word, 10, 64)
		return err == nil && n == int64(id)
	})
}
