// Package selinux finds out the labels of containers, as the policy of the machine has them.
package selinux

import (
	"errors"
	"fmt"

	"github.com/opencontainers/selinux/go-selinux"
	"github.com/opencontainers/selinux/go-selinux/label"

	"github.com/berth-pods/berth/engine/spec"
)

// Enabled reports whether the kernel has a policy of SELinux, enforced or not.
func Enabled() bool { return selinux.GetEnabled() }

// Policy is the policy that the kernel has.
type Policy struct{}

// Label makes the labels of a container from the policy's own for containers (the file lxc_contexts), the level, where the policy
// has levels, and the options: disable, user:USER, role:ROLE, type:TYPE, level:LEVEL, filetype:TYPE. Of two of a kind the later one holds.
func (Policy) Label(level string, options []string) (spec.Label, error) {
	if selinux.MLSEnabled() {
		options = append([]string{"level:" + level}, options...)
	}
	process, file, err := label.InitLabels(options)
	if err != nil {
		return spec.Label{}, err
	}
	if file == "" {
		return spec.Label{}, errors.New("the policy of this machine has no labels for containers: install its package for them (container-selinux), or start with --security-opt label=disable")
	}
	for _, context := range []string{process, file} {
		if context == "" {
			continue
		}
		if err := selinux.SecurityCheckContext(context); err != nil {
			return spec.Label{}, fmt.Errorf("label %q: the policy of SELinux of this machine has no such user, role, type or level, or not together: %w", context, err)
		}
	}
	return spec.Label{Process: process, File: file}, nil
}

// Shared is the label of the policy's own for files that all containers may use; "" without a policy.
func Shared() (string, error) {
	if !Enabled() {
		return "", nil
	}
	l, err := Policy{}.Label("s0", nil)
	return l.File, err
}

// Shared is the label of files that all containers may use: one without categories.
func (Policy) Shared(file string) (string, error) {
	context, err := selinux.NewContext(file)
	if err != nil {
		return "", err
	}
	if context["level"] != "" {
		context["level"] = "s0"
	}
	return context.Get(), nil
}
