//go:build containers_image_openpgp

package main

import "github.com/berth-pods/berth/engine/events"

// tell tells what has happened to an image: an entry of the journal.
func tell(what, id, name string) {
	events.Event{Type: "image", What: []string{what}, ID: id, Name: name}.Send()
}
