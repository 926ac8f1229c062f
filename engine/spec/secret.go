package spec

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// Secret is a --secret, read but not looked up. It never holds the value.
type Secret struct {
	Name     string
	Env      bool   // a variable instead of a file
	Target   string // absolute path of the file, or name of the variable
	UID, GID uint32 // owner of the file, in the container
	Mode     uint32
}

const (
	// SecretsPlace is the directory of those secrets whose target is a name.
	SecretsPlace = "/run/secrets"
	// CredentialsPlace is where the credentials of the unit appear, and what $CREDENTIALS_DIRECTORY says.
	CredentialsPlace = "/run/credentials"
)

// ParseSecret reads NAME[,type=mount|env][,target=…][,uid=N][,gid=N][,mode=OCTAL].
func ParseSecret(s string) (Secret, error) {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("secret %q: "+format, append([]any{s}, args...)...)
	}
	v := Secret{Mode: 0o444}
	owned := ""
	for i, field := range strings.Split(s, ",") {
		key, value, hasValue := strings.Cut(field, "=")
		if i == 0 && !hasValue {
			key, value = "source", field
		}
		if err := v.set(key, value); err != nil {
			return v, wrong("%w", err)
		}
		if key == "uid" || key == "gid" || key == "mode" {
			owned = key
		}
	}
	if err := CheckSecretName(v.Name); err != nil {
		return v, wrong("%w", err)
	}
	if v.Target == "" {
		v.Target = v.Name
	}
	if v.Env {
		if owned != "" {
			return v, wrong("%s= has no meaning with type=env", owned)
		}
		if strings.ContainsAny(v.Target, "=\x00") {
			return v, wrong("target=%s can be no variable", v.Target)
		}
		return v, nil
	}
	if !path.IsAbs(v.Target) {
		v.Target = SecretsPlace + "/" + v.Target
		if clean := path.Clean(v.Target); !strings.HasPrefix(clean, SecretsPlace+"/") {
			return v, wrong("target= leads out of %s", SecretsPlace)
		}
	}
	v.Target = path.Clean(v.Target)
	return v, nil
}

func (v *Secret) set(key, value string) error {
	number := func(to *uint32, base int) error {
		n, err := strconv.ParseUint(value, base, 31)
		if err != nil {
			return fmt.Errorf("%s=%s is not a number", key, value)
		}
		*to = uint32(n)
		return nil
	}
	switch key {
	case "source":
		v.Name = value
	case "type":
		if value != "mount" && value != "env" {
			return fmt.Errorf("type=%s: known are mount and env", value)
		}
		v.Env = value == "env"
	case "target":
		v.Target = value
	case "uid":
		return number(&v.UID, 10)
	case "gid":
		return number(&v.GID, 10)
	case "mode":
		if err := number(&v.Mode, 8); err != nil || v.Mode > 0o777 {
			return fmt.Errorf("mode=%s is not an octal number from 0 to 0777", value)
		}
	default:
		return fmt.Errorf("unknown key %q; known are source, type, target, uid, gid, mode", key)
	}
	return nil
}

// CheckSecretName refuses what Podman refuses, and the two names that lead elsewhere in a directory.
func CheckSecretName(name string) error {
	if name == "" || len(name) > 253 || strings.ContainsAny(name, "=/,\x00") || name == "." || name == ".." {
		return fmt.Errorf("name %q: it has 1 to 253 characters, and no =, /, comma or NUL among them", name)
	}
	return nil
}
