// Command berth-fetch fetches one small file for berth: it prints the file's name, a line feed, and the content.
//
//	berth-fetch URL
//
// It exits with 0, with 1 when the file cannot be had, and with 2 when it is called wrongly.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/berth-pods/berth/engine/fetch"
)

func main() {
	if len(os.Args) != 2 || !fetch.IsURL(os.Args[1]) {
		fmt.Fprintln(os.Stderr, "Usage: berth-fetch URL")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address string) error {
	file, err := fetch.Get(ctx, address)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	out.WriteString(file.Name + "\n")
	out.Write(file.Body)
	return out.Flush()
}
