// Command berth runs containers under systemd.
package main

import "os"

func main() { os.Exit(0) }
