package spec

import "hash/fnv"

// Label are the labels by which SELinux knows a container; zero where there is no SELinux.
type Label struct {
	Process string `json:"process,omitempty"` // "" leaves it to the policy
	File    string `json:"file,omitempty"`    // of its files
}

// LabelOptions are what --security-opt says about the labels of SELinux. A container that is privileged, or sees the processes or
// the shared memory of the host, has no label unless one is asked for, as its own would keep it from what it is there for.
func LabelOptions(c Container) ([]string, error) {
	s, err := parseSecurity(c)
	if err == nil && len(s.labels) == 0 && (c.Privileged || c.PID == "host" || c.IPC == "host") {
		return []string{LabelDisable}, nil
	}
	return s.labels, err
}

// LabelDisable is the option that leaves a container without a label of its own.
const LabelDisable = "disable"

// categories is how many categories a level of containers is made of.
const categories = 1024

// Levels is how many different levels there are: pairs of categories.
const Levels = categories * (categories - 1) / 2

// Level is the n-th level of those for containers that begin at the place of a name, so that a container has the same one
// whenever it can, and what was labelled for it fits the next time.
func Level(name string, n int) (first, second int) {
	h := fnv.New64a()
	h.Write([]byte(name))
	k := (int(h.Sum64()%Levels) + n) % Levels
	// The pairs in the order (0,1) (0,2) (1,2) (0,3) …
	for second = 1; k >= second; second++ {
		k -= second
	}
	return k, second
}
