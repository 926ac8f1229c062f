package keeper

import (
	"runtime"
	"sync/atomic"
)

// job is something that may take as long as it likes: a file system may not answer, a connection may linger. It is not for the
// loop to wait for.
type job struct {
	done atomic.Bool
	then func()
}

// jobPause is between looks at jobs that have not ended at once, in milliseconds.
const jobPause = 10

// beside does work, and then the rest in the loop: before it returns if the work takes no time, else in a later step.
func (k *Keeper) beside(work, then func()) {
	j := &job{then: then}
	go func() {
		work()
		j.done.Store(true)
	}()
	runtime.Gosched() // more often than not the work is done after this
	if j.done.Load() {
		then()
		return
	}
	k.jobs = append(k.jobs, j)
}

// lookAtJobs does what is to be done after jobs that have ended.
func (k *Keeper) lookAtJobs() {
	list := k.jobs
	k.jobs = nil
	for _, j := range list {
		if j.done.Load() {
			j.then()
		} else {
			k.jobs = append(k.jobs, j)
		}
	}
}
