// Command berth runs containers under systemd.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"github.com/berth-pods/berth/engine/cli"
	"github.com/berth-pods/berth/engine/rootless"
	"github.com/berth-pods/berth/engine/store"
)

func main() {
	if !rootless.Needed() && !cli.AnyThread(os.Args[1:]) {
		// A container is set up in a mount namespace of this thread's own.
		runtime.LockOSThread()
	}
	// This process lives for milliseconds: it ends before collecting garbage pays.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(256 << 20)
	if err := rootless.FindRuntimeDir(); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(125)
	}
	if store.Init() {
		return
	}
	if filepath.Base(os.Args[0]) == cli.NameServerProgram {
		os.Exit(cli.NameServer(os.Args[1:]))
	}
	os.Exit(cli.Main(os.Args[1:]))
}
