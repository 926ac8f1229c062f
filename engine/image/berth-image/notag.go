//go:build !containers_image_openpgp

package main

import (
	"fmt"
	"os"
)

// main of a program that was built without the tag says how to build it.
func main() {
	fmt.Fprintln(os.Stderr, "berth-image was built without -tags containers_image_openpgp and can do nothing: build it with make")
	os.Exit(125)
}
