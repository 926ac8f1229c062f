//go:build !containers_image_openpgp

package image

import "testing"

func TestNeedsTag(t *testing.T) {
	t.Skip("the tests of this package need -tags containers_image_openpgp, which make test gives")
}
