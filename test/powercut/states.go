package main

import (
	"fmt"
	"math/rand/v2"
)

// state is what a power cut may leave on the disk, and what the machine had promised before.
type state struct {
	name    string
	disk    *disk
	promise promise
}

// replay is a way through a log.
type replay struct {
	base  *disk
	log   []write
	marks int64 // where the marks' partition begins
	from  int   // first write after which the power may be cut
	every int   // of the writes that are no barriers: each so-manieth
	// shuffles is how many states with only some of the writes since the last barrier are tried at a barrier: a disk may finish
	// them in any order.
	shuffles int
	seed     uint64
}

// states calls visit with each state in the order of the log, until it returns an error.
func (r replay) states(visit func(state) error) error {
	sure := r.base.clone() // all up to the last barrier
	now := r.base.clone()
	promised := newPromise()
	var pending []write
	for i, w := range r.log {
		if line, ok := markIn(w, r.marks); ok {
			if err := promised.add(line); err != nil {
				return fmt.Errorf("write %d: %w", i, err)
			}
		}
		if w.barrier() {
			if err := r.shuffled(i, sure, pending, promised, visit); err != nil {
				return err
			}
			for _, p := range pending {
				sure.apply(p)
			}
			pending = pending[:0]
		}
		if len(w.data) > 0 || w.discard > 0 {
			now.apply(w)
			pending = append(pending, w)
		}
		if i < r.from || !w.barrier() && i%max(r.every, 1) != 0 {
			continue
		}
		if err := visit(state{fmt.Sprintf("write %d", i), now, promised}); err != nil {
			return err
		}
	}
	return nil
}

// shuffled are the states in which each of the pending writes may be there or not.
func (r replay) shuffled(i int, sure *disk, pending []write, promised promise, visit func(state) error) error {
	if i < r.from || len(pending) < 2 {
		return nil
	}
	random := rand.New(rand.NewPCG(r.seed, uint64(i)))
	for n := range r.shuffles {
		d := sure.clone()
		for _, w := range pending {
			if w.flags&flagFUA != 0 || random.IntN(2) == 0 {
				d.apply(w)
			}
		}
		if err := visit(state{fmt.Sprintf("write %d, mixed %d", i, n), d, promised}); err != nil {
			return err
		}
	}
	return nil
}
