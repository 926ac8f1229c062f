//go:build containers_image_openpgp

package image

import (
	"errors"
	"fmt"
	"os"

	"go.podman.io/image/v5/signature"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage/pkg/configfile"
)

// policy reads policy.json: the one given, $CONTAINERS_POLICY_JSON, ~/.config/containers, /etc/containers or
// /usr/share/containers. A policy that is there is obeyed to the letter and one that cannot be read is an error. When no
// such file exists anywhere, images are accepted unsigned: that is what the file says which distributions install with
// Podman, and a machine with berth alone must be able to load an image.
func policy(sys *types.SystemContext) (*signature.PolicyContext, error) {
	p, err := signature.DefaultPolicy(sys)
	if errors.Is(err, configfile.ErrConfigFileNotFound) && sys.SignaturePolicyPath == "" && os.Getenv("CONTAINERS_POLICY_JSON") == "" {
		p, err = &signature.Policy{Default: signature.PolicyRequirements{signature.NewPRInsecureAcceptAnything()}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the signature policy: %w", err)
	}
	return signature.NewPolicyContext(p)
}
