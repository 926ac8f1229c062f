// Command man writes the manual pages, which are made from the tables that the programs work by: the keys of unit files,
// the commands and their flags. The same tables give the same bytes.
//
//	go run ./man OUTDIR
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/berth-pods/berth/engine/cli"
	"github.com/berth-pods/berth/units"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "Usage: man OUTDIR")
		os.Exit(2)
	}
	if err := write(os.Args[1], Pages(cli.Commands(), units.Keys[:])); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

// write makes the directory and puts the pages into it.
func write(dir string, pages []Page) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range pages {
		if err := os.WriteFile(filepath.Join(dir, p.File()), []byte(p.Text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
