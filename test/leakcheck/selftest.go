package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// mark is in the name of everything that the self-test plants.
const mark = "leakcheck-selftest"

// patience is how long the self-test waits for what the kernel and systemd
// do a moment later: accept a connection, remove an empty group.
const patience = 3 * time.Second

// garden is where one collector's leak is planted. It remembers how to
// remove all of it, in reverse order.
type garden struct {
	expect string // text that the reported line must hold
	undo   []func() error
}

func (g *garden) onUndo(f func() error) { g.undo = append(g.undo, f) }

func (g *garden) clear() error {
	var errs []error
	for _, f := range slices.Backward(g.undo) {
		errs = append(errs, f())
	}
	g.undo = nil
	return errors.Join(errs...)
}

// verdict is the outcome of one collector's self-test.
type verdict struct {
	collector string
	found     string // the line that told the leak
	skipped   string // why it could not be tried
	err       error
}

func runSelftest(_ []string, out, _ io.Writer) (int, error) {
	if os.Geteuid() != 0 {
		return exitTrouble, fmt.Errorf("the self-test plants leaks that only root can plant: run it as root")
	}
	code := exitSame
	tried := 0
	for _, c := range collectors() {
		v := c.test()
		switch {
		case v.err != nil:
			fmt.Fprintf(out, "FAIL %s: %v\n", v.collector, v.err)
			code = exitDifferent
		case v.skipped != "":
			fmt.Fprintf(out, "skip %s: %s\n", v.collector, v.skipped)
		default:
			fmt.Fprintf(out, "ok   %s: %s\n", v.collector, v.found)
			tried++
		}
	}
	fmt.Fprintf(out, "%d of %d collectors found the leak that was planted for them\n", tried, len(collectors()))
	return code, nil
}

// test plants the collector's leak, wants it reported, removes it, and wants
// it no longer reported.
func (c collector) test() (v verdict) {
	v.collector = c.name
	before := c.collect(readMachine())
	if before.Skipped != "" {
		v.skipped = before.Skipped
		return v
	}
	g := &garden{expect: mark}
	err := c.plant(g)
	var skip errSkip
	switch {
	case errors.As(err, &skip):
		v.skipped = "cannot plant: " + skip.reason
	case err != nil:
		v.err = fmt.Errorf("plant a leak: %w", err)
	default:
		v.found, v.err = c.awaitLeak(before, g.expect)
	}
	if err := g.clear(); err != nil {
		v.err = errors.Join(v.err, fmt.Errorf("remove the planted leak: %w", err))
	}
	if v.err == nil && v.skipped == "" {
		v.err = c.awaitNothing(before, g.expect)
	}
	return v
}

func (c collector) awaitLeak(before *Collected, expect string) (string, error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		found := diffLines(c.name, before.Lines, c.collect(readMachine()).Lines)
		for _, d := range found {
			if d.sign == '+' && strings.Contains(d.text, expect) {
				return d.text, nil
			}
		}
		if time.Now().After(deadline) {
			return "", fmt.Errorf("the planted leak (%q) was not reported; reported: %v", expect, found)
		}
	}
}

// awaitNothing looks for the planted leak only: others may be at work on the
// machine.
func (c collector) awaitNothing(before *Collected, planted string) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		found := diffLines(c.name, before.Lines, c.collect(readMachine()).Lines)
		found = slices.DeleteFunc(found, func(d difference) bool { return d.sign != '+' || !strings.Contains(d.text, planted) })
		if len(found) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("still reported after the leak was removed: %v", found)
		}
	}
}
