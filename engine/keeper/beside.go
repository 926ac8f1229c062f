package keeper

import (
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// job is something that may take as long as it likes: a file system may not answer, a connection may linger. It is not for the
// loop to wait for.
type job struct {
	state atomic.Int32
	then  func()
}

// The states of a job.
const (
	jobRuns = iota
	jobLate // the loop has gone on
	jobDone
)

// beside does work, and then the rest in the loop: before it returns if the work takes no time, else in a later step.
func (k *Keeper) beside(work, then func()) {
	j := &job{then: then}
	go func() {
		work()
		if j.state.Swap(jobDone) == jobLate {
			unix.Write(k.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // eventfd(2)
		}
	}()
	runtime.Gosched() // more often than not the work is done after this
	if !j.state.CompareAndSwap(jobRuns, jobLate) {
		then()
		return
	}
	k.jobs = append(k.jobs, j)
}

// letGo closes files that others have made, and then does the rest.
func (k *Keeper) letGo(files []int, then func()) {
	k.handed(func() { k.beside(func() { closeAll(files) }, then) })
}

// lookAtJobs does what is to be done after jobs that have ended.
func (k *Keeper) lookAtJobs() {
	var done []*job
	k.jobs = slices.DeleteFunc(k.jobs, func(j *job) bool {
		if j.state.Load() == jobDone {
			done = append(done, j)
			return true
		}
		return false
	})
	for _, j := range done {
		j.then()
	}
}
