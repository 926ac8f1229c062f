//go:build containers_image_openpgp

package image

import (
	"fmt"

	"go.podman.io/image/v5/pkg/sysregistriesv2"
	"go.podman.io/image/v5/types"

	"github.com/berth-pods/berth/engine/image/name"
)

// registries reads what registries.conf and its drop-ins say about the short name s.
func registries(sys *types.SystemContext, s string) (name.Registries, error) {
	r := name.Registries{Aliases: map[string]string{}}
	n, err := name.Parse(s)
	if err != nil || !n.Short() {
		return r, err
	}
	r.Search, r.Origin, err = sysregistriesv2.UnqualifiedSearchRegistriesWithOrigin(sys)
	if err != nil {
		return r, fmt.Errorf("read registries.conf: %w", err)
	}
	mode, err := sysregistriesv2.GetShortNameMode(sys)
	if err != nil {
		return r, fmt.Errorf("read registries.conf: %w", err)
	}
	r.Mode = shortNameMode(mode)
	alias, _, err := sysregistriesv2.ResolveShortNameAlias(sys, n.Path)
	if err != nil {
		return r, fmt.Errorf("read the short-name aliases: %w", err)
	}
	if alias != nil {
		r.Aliases[n.Path] = alias.Name()
	}
	return r, nil
}

func shortNameMode(m types.ShortNameMode) name.Mode {
	switch m {
	case types.ShortNameModeDisabled:
		return name.Disabled
	case types.ShortNameModePermissive:
		return name.Permissive
	}
	return name.Enforcing
}
