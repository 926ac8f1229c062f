package network

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/berth-pods/berth/engine/spec"
)

// setUp runs `netavark setup`. On a bridge of ours addresses and routes are netavark's to give: what says that it is a router
// there can only be another container (CVE-2020-10749), and is not listened to.
func (a Adapter) setUp(ctx context.Context, netns string, o *netavarkOptions) error {
	own := ownBridges(o)
	if len(own) == len(o.Networks) {
		return a.setUpDeaf(ctx, netns, o)
	}
	if err := a.netavark(ctx, "setup", netns, o); err != nil {
		return err
	}
	for _, name := range own {
		if _, err := setAdvertisements(netns, name, "0"); err != nil {
			return err
		}
	}
	return nil
}

// setUpDeaf does so where no interface is to listen: new ones begin with what is said for "default", so that there is no moment
// in which one does. Afterwards that is as it was, for a macvlan that comes later.
func (a Adapter) setUpDeaf(ctx context.Context, netns string, o *netavarkOptions) error {
	before, err := setAdvertisements(netns, "default", "0")
	if err != nil {
		return err
	}
	err = a.netavark(ctx, "setup", netns, o)
	if before != "" {
		_, restoreErr := setAdvertisements(netns, "default", before)
		err = errors.Join(err, restoreErr)
	}
	return err
}

// ownBridges are the interfaces on bridges that netavark makes. Others, unmanaged ones too, are parts of networks that berth knows
// nothing about and that may have routers.
func ownBridges(o *netavarkOptions) []string {
	var list []string
	for _, name := range spec.SortedKeys(o.Networks) {
		if d := o.NetworkInfo[name]; d.Driver == bridgeDriver && d.Options["mode"] != "unmanaged" {
			list = append(list, o.Networks[name].InterfaceName)
		}
	}
	return list
}

// setAdvertisements says whether an interface of the network namespace, or "default" for those to come, takes routes and addresses
// from router advertisements (accept_ra in the kernel's networking/ip-sysctl), and returns what was said before; "" without IPv6.
func setAdvertisements(netns, name, value string) (before string, err error) {
	err = inNetwork(netns, func() error {
		file := "/proc/sys/net/ipv6/conf/" + name + "/accept_ra"
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		before = string(data)
		return os.WriteFile(file, []byte(value), 0)
	})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EROFS) { // netavark's own could not be set either
		return before, nil
	}
	if err != nil {
		return before, fmt.Errorf("no router advertisements for %s: %w", name, err)
	}
	return before, nil
}
