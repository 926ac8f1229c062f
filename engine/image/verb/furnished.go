package verb

// Furnished are the places that every container gets something mounted at, in whose image they need not be. A list of differences passes
// over them, as Podman's.
var Furnished = []string{
	"/dev", "/etc/hostname", "/etc/hosts", "/etc/mtab", "/etc/resolv.conf", "/proc", "/run", "/run/.containerenv", "/run/secrets", "/sys",
}
