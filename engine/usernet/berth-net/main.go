// Command berth-net holds the network of a user's containers and forwards their published ports. The user's service manager
// starts it, as berth-net.service; berth-pasta.service and the name server's unit call it too.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"

	"github.com/berth-pods/berth/engine/proc"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/usernet"
)

func main() {
	debug.SetGCPercent(50) // it lives as long as its user is there
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "berth-net:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = "/run/user/" + strconv.Itoa(rootless.UID())
	}
	n := usernet.Net{Dir: filepath.Join(dir, "berth", "net")}
	ctx := context.Background()
	switch {
	case len(args) == 1 && args[0] == "hold" && rootless.Needed():
		return n.Hold(ctx, proc.Run)
	case len(args) == 1 && args[0] == "spawn" && rootless.Needed():
		return usernet.Spawn(ctx, proc.Run)
	case len(args) == 1 && args[0] == "serve" && rootless.Inside():
		return n.Serve(ctx, proc.Run)
	case len(args) == 1 && args[0] == "clean":
		return n.Clean(ctx, proc.Run)
	case len(args) == 1 && args[0] == "pasta":
		return n.Pasta()
	case len(args) > 1 && args[0] == "enter":
		return n.Enter(args[1:])
	}
	return errors.New("the user's service manager starts this program; root's containers need none")
}
