package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-pods/berth/engine/spec"
)

// modes are the ways in which an interface sits on the host's device, by driver; the first is the usual one.
var modes = map[string][]string{
	bridgeDriver:  {"managed", "unmanaged"},
	macvlanDriver: {"bridge", "private", "vepa", "passthru"},
	ipvlanDriver:  {"l2", "l3", "l3s"},
}

// setOptions checks the driver's options and takes those out that name something else of the definition.
func (d *definition) setOptions(options map[string]string) error {
	if modes[d.Driver] == nil {
		return fmt.Errorf("driver %q is not known; bridge, macvlan and ipvlan are", d.Driver)
	}
	for _, name := range spec.SortedKeys(options) {
		value := options[name]
		switch name {
		case "parent", "com.docker.network.bridge.name":
			if (name == "parent") == (d.Driver == bridgeDriver) {
				return fmt.Errorf("option %q is not for the driver %s", name, d.Driver)
			}
			d.NetworkInterface = value
			continue
		case "com.docker.network.driver.mtu":
			name = "mtu"
		}
		if err := d.checkOption(name, value); err != nil {
			return err
		}
		if d.Options == nil {
			d.Options = map[string]string{}
		}
		d.Options[name] = value
	}
	return nil
}

// optionsOf are the names that each driver knows, beside those of all.
var optionsOf = map[string][]string{
	bridgeDriver:  {"vlan", "isolate", "vrf"},
	macvlanDriver: {"bclim"},
	ipvlanDriver:  {},
}

func (d *definition) checkOption(name, value string) error {
	wrong := func(want string) error { return fmt.Errorf("option %s=%s: %s", name, value, want) }
	number := func(most int) error {
		if n, err := strconv.Atoi(value); err != nil || n < 0 || n > most {
			return wrong(fmt.Sprintf("want a number from 0 to %d", most))
		}
		return nil
	}
	switch {
	case slices.Contains([]string{"mtu", "metric", "mode", "no_default_route"}, name), slices.Contains(optionsOf[d.Driver], name):
	default:
		return fmt.Errorf("option %q is not one of a %s network", name, d.Driver)
	}
	switch name {
	case "mtu", "metric":
		return number(1<<31 - 1)
	case "vlan":
		return number(4094)
	case "bclim":
		if _, err := strconv.Atoi(value); err != nil {
			return wrong("want a number")
		}
	case "isolate":
		if _, err := strconv.ParseBool(value); err != nil && value != "strict" {
			return wrong("want true, false or strict")
		}
	case "no_default_route":
		if _, err := strconv.ParseBool(value); err != nil {
			return wrong("want true or false")
		}
	case "mode":
		if !slices.Contains(modes[d.Driver], value) {
			return wrong("want one of " + strings.Join(modes[d.Driver], ", "))
		}
	}
	return nil
}

// parseRoutes reads DESTINATION,GATEWAY[,METRIC] words.
func parseRoutes(words []string) ([]route, error) {
	var list []route
	for _, w := range words {
		parts := strings.Split(w, ",")
		r, err := parseRoute(parts)
		if err != nil {
			return nil, fmt.Errorf("route %q: %w; the form is DESTINATION,GATEWAY[,METRIC]", w, err)
		}
		list = append(list, r)
	}
	return list, nil
}

func parseRoute(parts []string) (route, error) {
	if len(parts) != 2 && len(parts) != 3 {
		return route{}, fmt.Errorf("it has %d parts", len(parts))
	}
	p, err := netip.ParsePrefix(parts[0])
	if err != nil {
		return route{}, fmt.Errorf("destination %q is not ADDRESS/BITS", parts[0])
	}
	g, err := netip.ParseAddr(parts[1])
	if err != nil {
		return route{}, fmt.Errorf("gateway %q is not an IP address", parts[1])
	}
	if p.Addr().Is4() != g.Is4() {
		return route{}, errors.New("destination and gateway are of different kinds")
	}
	r := route{Destination: p.Masked().String(), Gateway: g.String()}
	if len(parts) == 3 {
		n, err := strconv.ParseUint(parts[2], 10, 32)
		if err != nil {
			return route{}, fmt.Errorf("metric %q is not a number", parts[2])
		}
		metric := uint32(n)
		r.Metric = &metric
	}
	return r, nil
}
