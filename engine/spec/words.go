package spec

import (
	"errors"
	"slices"
)

// CheckWords looks at the words of a container for what no start can make sense of, whatever the image and the machine are.
// Words that depend on others are taken for right when those are not there.
func CheckWords(c Container) error {
	if c.MemorySwap != "" && c.Memory == "" {
		c.Memory = "1"
	}
	_, limits := c.Limits.Numbers()
	_, users := ParseUserNS(c)
	_, networks := ParseNetworks(c.Networks, c.IP, c.IP6, c.MAC, c.Aliases)
	_, hosts := HostsFile(c, "", "", nil, []string{"0.0.0.0"})
	_, ulimits := rlimits(c)
	_, kernel := sysctls(c, false)
	_, capabilities := BoundingCapabilities(c)
	_, security := parseSecurity(c)
	_, slice := Slice(c.CgroupParent)
	_, dir := workDir(c, ImageConfig{})
	_, notes := annotations(c)
	errs := []error{limits, users, networks, hosts, ulimits, kernel, capabilities, security, slice, dir, notes, CheckDNS(c)}
	if c.ShmSize != "" {
		_, err := ParseBytes(c.ShmSize)
		errs = append(errs, err)
	}
	if c.Umask != "" {
		_, err := parseUmask(c.Umask)
		errs = append(errs, err)
	}
	each := func(words []string, check func(string) error) {
		for _, w := range words {
			errs = append(errs, check(w))
		}
	}
	each(c.Environment, func(w string) error { return setVariable(map[string]string{}, w, nil) })
	each(c.Publish, func(w string) error { _, err := ParsePublish(w); return err })
	each(c.Volumes, func(w string) error { _, err := ParseVolume(w); return err })
	each(c.Tmpfs, func(w string) error { _, err := ParseTmpfs(w); return err })
	each(c.Secrets, func(w string) error { _, err := ParseSecret(w); return err })
	each(slices.DeleteFunc(slices.Clone(c.Devices), IsCDI), func(w string) error { _, err := ParseDevice(w); return err })
	return errors.Join(errs...)
}
