// Package image keeps the images of the store: it pulls them from registries, loads them from archives, lists, names and
// removes them. It is the one home of image/v5, and only the program berth-image links it, because image/v5 costs every
// start of a program some 4 ms.
//
// The store is the one that Podman uses, chosen by storage.conf; images of either are seen by both. An image is whole or
// absent: its record is written last, after the layers have reached the disk.
//
// All files but this one need the build tag containers_image_openpgp, which makes image/v5 check signatures in Go
// instead of through the C library gpgme; the program is static that way.
package image
