package spec

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// devices are the nodes asked for beyond the ones that every runtime makes, with the rules that let the container use them.
func devices(c Container) ([]specs.LinuxDevice, []specs.LinuxDeviceCgroup, error) {
	if len(c.Devices) > 0 {
		return nil, nil, fmt.Errorf("device %s: devices cannot be given to a container yet", c.Devices[0])
	}
	return nil, nil, nil
}
