//go:build containers_image_openpgp

package image

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/containers/ocicrypt"
	encconfig "github.com/containers/ocicrypt/config"
	"github.com/containers/ocicrypt/helpers"
	imgspecv1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.podman.io/image/v5/copy"
	"go.podman.io/image/v5/types"
)

// Layers of OCI images can be encrypted. Each has a key of its own, which stands in the manifest, sealed for those who may
// read it. The config is in the clear, and with it the digest of what must come out: an image has the same ID either way.

// readKeys reads what --decryption-key names: FILE or FILE:PASSWORD, where the password may be pass=, file= or fd= too.
// Nothing that an error says is from behind the colon.
func readKeys(flags []string) (*encconfig.DecryptConfig, error) {
	var all []encconfig.CryptoConfig
	for _, f := range flags {
		file, password, locked := strings.Cut(f, ":")
		if file == "provider" {
			file, locked = f, false
		} else if strings.Contains(password, ":") { // the library would pass over it
			return nil, fmt.Errorf("--decryption-key %s: the password has a colon: write it into a file, and FILE:file=PASSWORDFILE here", file)
		}
		one, err := helpers.CreateDecryptCryptoConfig([]string{f}, nil)
		if err != nil {
			return nil, fmt.Errorf("--decryption-key %s: %w", file, keyError(err))
		}
		if len(one.DecryptConfig.Parameters) == 0 {
			return nil, fmt.Errorf("--decryption-key %s: %s", file, noKey(locked))
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return nil, nil
	}
	return encconfig.CombineCryptoConfigs(all).DecryptConfig, nil
}

// keyError takes away the colon that the library begins with.
func keyError(err error) error {
	return errors.New(strings.ToLower(strings.TrimPrefix(err.Error(), ": ")))
}

func noKey(locked bool) string {
	s := "no private key or certificate that can be read is in this file"
	if locked {
		s += ": with a password, use PEM as openssl rsa -aes256 -traditional writes it"
	}
	return s
}

// unlock tells whether any of the layers is encrypted, and fails when one is that the keys do not open. It needs the
// manifest only, so that nothing is fetched in vain.
func unlock(layers []types.BlobInfo, keys *encconfig.DecryptConfig) (encrypted bool, err error) {
	for _, l := range layers {
		if !strings.HasSuffix(l.MediaType, "+encrypted") {
			continue
		}
		if keys == nil {
			return true, errors.New("its layers are encrypted: give the key with --decryption-key FILE, or DecryptionKey= in a .image unit")
		}
		d := imgspecv1.Descriptor{Annotations: l.Annotations}
		if _, _, err := ocicrypt.DecryptLayer(keys, nil, d, true); err != nil {
			return true, sentence{fmt.Sprintf("layer %s is encrypted, and no --decryption-key opens it: its key is sealed with %s, for another one",
				short(l.Digest), strings.Join(sealedWith(d), ", ")), err}
		}
		encrypted = true
	}
	return encrypted, nil
}

// sealedWith are the ways in which the key of a layer can be had.
func sealedWith(d imgspecv1.Descriptor) []string {
	ways := slices.Sorted(maps.Keys(ocicrypt.GetWrappedKeysMap(d)))
	if len(ways) == 0 {
		return []string{"nothing that is known here"}
	}
	return ways
}

// encrypt lets a copy encrypt layers for the owners of keys.
func (o PushOptions) encrypt(options *copy.Options) error {
	if len(o.EncryptionKeys) == 0 {
		if len(o.EncryptLayers) > 0 {
			return errors.New("--encrypt-layer: with which key? Give --encryption-key too")
		}
		return nil
	}
	var all []encconfig.CryptoConfig
	for _, k := range o.EncryptionKeys {
		if way, _, found := strings.Cut(k, ":"); !found || !slices.Contains([]string{"jwe", "pgp", "pkcs7", "pkcs11", "provider"}, way) {
			return fmt.Errorf("--encryption-key %s: write it as jwe:FILE, pkcs7:FILE, pgp:USER, pkcs11:FILE or provider:NAME", k)
		}
		one, err := helpers.CreateCryptoConfig([]string{k}, nil)
		if err == nil && len(one.EncryptConfig.Parameters) == 0 {
			err = errors.New("gpg is not installed")
		}
		if err != nil {
			return fmt.Errorf("--encryption-key %s: %w", k, keyError(err))
		}
		all = append(all, one)
	}
	options.OciEncryptConfig = encconfig.CombineCryptoConfigs(all).EncryptConfig
	options.OciEncryptLayers = &o.EncryptLayers
	return nil
}

// LayerNumbers reads what --encrypt-layer says: numbers, several of them with commas between. The lowest layer is 0, the
// highest -1.
func LayerNumbers(flags []string) ([]int, error) {
	var all []int
	for _, f := range flags {
		for s := range strings.SplitSeq(f, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(s))
			if err != nil {
				return nil, fmt.Errorf("--encrypt-layer %s: write the numbers of layers, 0 is the lowest, -1 the highest", f)
			}
			all = append(all, n)
		}
	}
	return all, nil
}
