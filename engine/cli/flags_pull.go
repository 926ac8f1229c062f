package cli

import "github.com/berth-pods/berth/engine/spec"

// pullFlags are the flags about how a missing image is fetched.
var pullFlags = []runFlag{
	{"arch", "", "ARCHITECTURE", "fetch the image for another architecture", text(func(c *spec.Container) *string { return &c.Arch })},
	{"authfile", "", "FILE", "credentials of registries", callersFile(func(c *spec.Container) *string { return &c.AuthFile })},
	{"cert-dir", "", "DIR", "certificates for registries", callersFile(func(c *spec.Container) *string { return &c.CertDir })},
	{"creds", "", "USER:PASSWORD", "credentials for this pull; others see the words of a command, so --authfile is better", text(func(c *spec.Container) *string { return &c.Creds })},
	{"decryption-key", "", "FILE[:PASSWORD]", "private key that opens an encrypted image", list(func(c *spec.Container) *[]string { return &c.DecryptionKeys })},
	{"disable-content-trust", "", "", "of Docker: no effect", ignored},
	{"os", "", "OS", "fetch the image for another operating system", text(func(c *spec.Container) *string { return &c.OS })},
	{"platform", "", "OS/ARCH[/VARIANT]", "fetch the image for another platform", text(func(c *spec.Container) *string { return &c.Platform })},
	{"quiet", "q", "", "berth is always quiet about a pull: no effect", ignored},
	{"tls-verify", "", "", "whether registries must prove who they are; else registries.conf tells", optional(func(c *spec.Container) **string { return &c.TLSVerify })},
	{"variant", "", "VARIANT", "fetch the image for a variant of the architecture", text(func(c *spec.Container) *string { return &c.Variant })},
}
