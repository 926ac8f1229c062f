package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/berth-pods/berth/engine"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/sd"
	"github.com/berth-pods/berth/engine/spec"
	"github.com/berth-pods/berth/engine/usernet"
)

// onBridges reports whether a user's container with these networks is on bridges.
func onBridges(c spec.Container) bool {
	n, err := spec.ParseNetworks(c.Networks, c.IP, c.IP6, c.MAC, c.Aliases)
	return err == nil && n.Mode == "" && !n.Default
}

// podOnBridges is onBridges for the containers of a pod.
func podOnBridges(p engine.Pod) bool { return p.Spec.Shares("net") && onBridges(p.Spec.Common) }

// startUserNet starts the network that a user's bridges are in, where a container needs it.
func startUserNet(ctx context.Context, env *Env, c spec.Container) error {
	if !rootless.Needed() || c.Pod != "" || c.PodIDFile != "" || !onBridges(c) {
		return nil
	}
	return readyUserNet(ctx, env, c.Networks)
}

func readyUserNet(ctx context.Context, env *Env, networks []string) error {
	if userNet().Ready() {
		return nil
	}
	if err := sd.StartUnit(ctx, env.Run, true, usernet.PastaUnit); err != nil {
		return fmt.Errorf("network %s: the bridges of a user are looked after by the user's service manager: %w; "+
			"`systemctl --user status %s %s` tells more, and --network=pasta needs no manager", strings.Join(networks, ", "), err, usernet.HolderUnit, usernet.PastaUnit)
	}
	return nil
}

// enterUserNet starts this command line again where the bridges of the user's pod are.
func enterUserNet(ctx context.Context, env *Env, p engine.Pod) error {
	if err := readyUserNet(ctx, env, p.Spec.Common.Networks); err != nil {
		return err
	}
	holder, err := userNet().Holder()
	if err != nil {
		return err
	}
	return rootless.Enter(holder)
}

// leaveUserNet takes the network of a user's pod down from where its bridges are.
func leaveUserNet(ctx context.Context, env *Env, p engine.Pod) error {
	if !rootless.Needed() || !podOnBridges(p) || !p.Networked {
		return nil
	}
	_, err := env.Run(ctx, itself("pod", "down", p.ID))
	return err
}

// needsUserns is the Userns of verbs that work on a user's bridges, or on files of the user's containers, in any case.
func needsUserns([]string) bool { return rootless.Needed() }
