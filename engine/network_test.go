package engine

import (
	"fmt"
	"testing"

	"github.com/berth-pods/berth/engine/spec"
)

// A port that is published twice in the same way, as by a unit file and its drop-in, is published once.
func TestPublishTwice(t *testing.T) {
	c := spec.Container{Publish: []string{"8080:80", "8080:80/tcp", "8080:81", "127.0.0.1:8080:80", "80", "80"}}
	r, _, err := networkRequest("c1", c)
	var got []string
	for _, m := range r.Publish {
		got = append(got, fmt.Sprintf("%s:%d:%d", m.HostIP, m.HostPort, m.ContainerPort))
	}
	if want := "[:8080:80 :8080:81 127.0.0.1:8080:80 :0:80 :0:80]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("%v, %v; want %s", got, err, want)
	}
}
