package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Marks tell what the machine had promised at a point of the log. They are written to a partition of their own on the
// recorded disk, and so stand between the writes that they are about. A mark is a line:
//
//	have KIND NAME     it is there, and must be from here on
//	maybe KIND NAME    it is being made or removed
//	ledger NAME N      records 1 to N are in the ledger
const markSize = 512

// promise is what the marks up to a point say.
type promise struct {
	have   map[string]bool // "KIND NAME"
	ledger map[string]int
	last   string
}

func newPromise() promise { return promise{have: map[string]bool{}, ledger: map[string]int{}} }

// add takes one more mark into account.
func (p *promise) add(line string) error {
	words := strings.Fields(line)
	if len(words) != 3 {
		return fmt.Errorf("mark %q has not three words", line)
	}
	p.last = line
	switch words[0] {
	case "have":
		p.have[words[1]+" "+words[2]] = true
	case "maybe":
		delete(p.have, words[1]+" "+words[2])
	case "ledger":
		n, err := strconv.Atoi(words[2])
		if err != nil {
			return fmt.Errorf("mark %q: %w", line, err)
		}
		p.ledger[words[1]] = n
	default:
		return fmt.Errorf("unknown mark %q", line)
	}
	return nil
}

// wants lists the names of a kind that must be there.
func (p promise) wants(kind string) []string {
	var names []string
	for key := range p.have {
		if name, ok := strings.CutPrefix(key, kind+" "); ok {
			names = append(names, name)
		}
	}
	return names
}

// markIn returns the mark that a write holds, if it is one: marks is where the marks' partition begins.
func markIn(w write, marks int64) (string, bool) {
	if w.offset != marks || len(w.data) < markSize {
		return "", false
	}
	text, _, found := bytes.Cut(w.data[:markSize], []byte{'\n'})
	return string(text), found && len(text) > 0
}

// markBlock is what is written for a mark.
func markBlock(block []byte, line string) error {
	if len(line)+1 > len(block) {
		return fmt.Errorf("mark %q is too long", line)
	}
	clear(block)
	copy(block, line+"\n")
	return nil
}
