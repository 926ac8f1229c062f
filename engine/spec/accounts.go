package spec

import (
	"fmt"
	"strconv"
	"strings"
)

// Accounts are the flags about /etc/passwd and /etc/group.
type Accounts struct {
	Passwd      bool     `json:"passwd,omitempty"` // add the user where the image does not know it
	PasswdEntry string   `json:"passwdEntry,omitempty"`
	GroupEntry  string   `json:"groupEntry,omitempty"`
	HostUsers   []string `json:"hostUsers,omitempty"`
}

// Account is a line of the host's /etc/passwd.
type Account struct {
	Name, Gecos, Home string
	UID, GID          int
}

// PasswdLines are the lines that the container's /etc/passwd lacks: accounts of the host, and the user who runs.
func PasswdLines(c Container, text string, p Process, host []Account) (string, error) {
	if !c.Passwd {
		return "", nil
	}
	var lines []string
	for _, a := range host {
		if !hasLine(text, 0, a.Name) {
			lines = append(lines, fmt.Sprintf("%s:*:%d:%d:%s:%s:/bin/sh", a.Name, a.UID, a.GID, a.Gecos, a.Home))
		}
	}
	uid := strconv.Itoa(int(p.UID))
	if known := strings.Join(append([]string{text}, lines...), "\n"); !hasLine(known, 2, uid) {
		home := "/"
		if c.WorkDir != "" {
			home = c.WorkDir
		}
		entry := c.PasswdEntry
		if entry == "" {
			entry = "$USERNAME:*:$UID:$GID:$NAME:$HOME:/bin/sh"
		}
		lines = append(lines, strings.NewReplacer(
			"$USERNAME", uid, "$UID", uid, "$GID", strconv.Itoa(int(p.GID)), "$NAME", "container user", "$HOME", home,
		).Replace(entry))
	}
	return accountLines(text, lines, 7)
}

// GroupLines are the lines that the container's /etc/group lacks.
func GroupLines(c Container, text string, p Process) (string, error) {
	gid := strconv.Itoa(int(p.GID))
	if !c.Passwd || hasLine(text, 2, gid) {
		return "", nil
	}
	entry := c.GroupEntry
	if entry == "" {
		entry = "$GROUPNAME:x:$GID:$USERLIST"
	}
	line := strings.NewReplacer("$GROUPNAME", gid, "$GID", gid, "$USERLIST", strconv.Itoa(int(p.UID))).Replace(entry)
	return accountLines(text, []string{line}, 4)
}

// hasLine reports whether a line has the word in one of its fields.
func hasLine(text string, field int, word string) bool {
	for _, line := range strings.Split(text, "\n") {
		if fields := strings.Split(line, ":"); len(fields) > field && fields[field] == word {
			return true
		}
	}
	return false
}

// accountLines joins lines for the end of the text. A line in a line would be another account (CVE-2026-15809).
func accountLines(text string, lines []string, fields int) (string, error) {
	if len(lines) == 0 {
		return "", nil
	}
	for _, l := range lines {
		if strings.ContainsAny(l, "\n\r\x00") || strings.Count(l, ":") != fields-1 {
			return "", fmt.Errorf("account entry %q is not one line of %d fields", l, fields)
		}
	}
	added := strings.Join(lines, "\n") + "\n"
	if text != "" && !strings.HasSuffix(text, "\n") {
		added = "\n" + added
	}
	return added, nil
}
