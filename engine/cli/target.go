package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/berth-pods/berth/engine"
)

// findContainer finds the container that a word names: by its name, its ID, or the unit that it belongs to.
func findContainer(word string) (engine.State, error) {
	s, err := runDirs().Find(word)
	if !errors.Is(err, engine.ErrNoContainer) {
		return s, err
	}
	unit := strings.TrimSuffix(word, ".service") + ".service"
	list, listErr := runDirs().List()
	if listErr != nil {
		return s, listErr
	}
	for _, c := range list {
		if c.Unit == unit {
			return c, nil
		}
	}
	return s, err
}

// latestContainer is the one made last.
func latestContainer() (engine.State, error) {
	list, err := runDirs().List()
	if err != nil {
		return engine.State{}, err
	}
	if len(list) == 0 {
		return engine.State{}, fmt.Errorf("%w: there is none", engine.ErrNoContainer)
	}
	return list[len(list)-1], nil
}

// containerInFile finds the container whose ID a file has.
func containerInFile(path string) (engine.State, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return engine.State{}, fmt.Errorf("container ID file: %w", err)
	}
	return findContainer(strings.TrimSpace(string(text)))
}
