package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestOutlast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancel(t.Context())
		longer, free := outlast(ctx, time.Second)
		defer free()
		time.Sleep(time.Minute)
		if longer.Err() != nil {
			t.Error("it is done before the other one")
		}
		interrupt()
		for range 2 { // the second is made when the other one is done already
			start := time.Now()
			<-longer.Done()
			if took := time.Since(start); took != time.Second {
				t.Errorf("it is done after %s", took)
			}
			longer, free = outlast(ctx, time.Second)
			defer free()
		}
	})
}
