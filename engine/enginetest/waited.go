package enginetest

import "context"

// WaitedFor is a context that calls a function when somebody begins to wait for its end.
type WaitedFor struct {
	context.Context
	Call func()
}

// Done is that of the context.
func (w WaitedFor) Done() <-chan struct{} {
	w.Call()
	return w.Context.Done()
}
