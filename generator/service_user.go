package generator

import (
	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

// serviceDirs is where systemd makes a directory for the state of each user in whose name system units run containers, below
// /run (RuntimeDirectory=, systemd.exec(5)). The engine looks there (engine/rootless).
const serviceDirs = "berth-users"

// serviceUser is the user in whose name the system's manager runs the unit's service; "" when it is root, or one who is made
// up for the service and has no containers.
func (c *conversion) serviceUser() string {
	if c.Config.User {
		return ""
	}
	service := c.File.Section("Service")
	user := service.Value("User")
	dynamic, _ := units.ParseBool(service.Value("DynamicUser"))
	if user == "root" || user == "0" || dynamic || !isUserName(user) { // systemd says what is wrong with a name
		return ""
	}
	return user
}

// inName gives a service that runs in a user's name what the user's own manager would have given it: a directory for the
// state of this boot. It stays when the unit stops, for units of the same user share it, and the volumes and networks of
// containers that run by then are known there.
func (c *conversion) inName(service *unitfile.Section) {
	user := c.serviceUser()
	if user == "" {
		return
	}
	environment, directory := userState(user)
	service.Prepend(environment) // first, so that the file's own Environment= wins
	service.Entries = append(service.Entries, directory)
	service.SetDefault("RuntimeDirectoryPreserve", "yes")
}

// userState says where the state of a user's containers is, and has systemd make the directory.
func userState(user string) (environment, directory unitfile.Entry) {
	dir := serviceDirs + "/" + user
	return unitfile.Entry{Key: "Environment", Value: "XDG_RUNTIME_DIR=/run/" + dir}, unitfile.Entry{Key: "RuntimeDirectory", Value: dir}
}

// inNameStub is what the stub of a service with errors needs to stop what still runs: it is the user's.
func (c *conversion) inNameStub() []unitfile.Entry {
	user := c.serviceUser()
	if user == "" {
		return nil
	}
	environment, directory := userState(user)
	return []unitfile.Entry{{Key: "User", Value: user}, environment, directory, {Key: "RuntimeDirectoryPreserve", Value: "yes"}}
}

// isUserName is what systemd takes as the name or number of a user, with specifiers (systemd's "User/Group Name Syntax").
func isUserName(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' && c != '.' && c != '%' {
			return false
		}
	}
	return s != "" && len(s) <= 64 && s[0] != '-' && s[0] != '.'
}
