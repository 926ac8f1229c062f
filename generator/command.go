package generator

import (
	"github.com/berth-pods/berth/units"
	"github.com/berth-pods/berth/units/unitfile"
)

// command is a command line that is being put together.
type command struct {
	words []string
	line  []byte // memory of the last one
}

// add, and what calls it, is not laid into its many callers: berth, which has the generator in it, is to stay small.
//
//go:noinline
func (c *command) add(words ...string) { c.words = append(c.words, words...) }

// addIf adds a flag with its value unless the value is empty.
//
//go:noinline
func (c *command) addIf(flag, value string) {
	if value != "" {
		c.add(flag, value)
	}
}

//go:noinline
func (c *command) addEach(flag string, values []units.Word) {
	for _, v := range values {
		c.add(flag, v.Text)
	}
}

func (c *command) addWords(values []units.Word) {
	for _, v := range values {
		c.add(v.Text)
	}
}

// addBool writes --flag or --flag=false; nothing when the key is not given.
func (c *command) addBool(flag string, value units.Bool) {
	switch {
	case value.Given && value.On:
		c.add(flag)
	case value.Given:
		c.add(flag + "=false")
	}
}

// addGroup writes the plain flags of a group as the table of keys has them.
func (c *command) addGroup(u *units.Unit, group units.Group) {
	for _, row := range units.GroupOf(u.Name.Kind, group) {
		switch v := row.Value(u.Section).(type) {
		case *units.String:
			c.addIf(row.Flag, v.Text)
		case *units.Bool:
			c.addBool(row.Flag, *v)
		case *units.List:
			c.addEach(row.Flag, *v)
		case *units.Words:
			c.addEach(row.Flag, *v)
		case *units.Args:
			c.addEach(row.Flag, *v)
		case *units.Pairs:
			c.addEach(row.Flag, v.Sorted())
		}
	}
}

func (c *command) String() string {
	c.line = unitfile.AppendWords(c.line[:0], c.words)
	return string(c.line)
}

// addMapping writes the user namespace of a container, pod or kube service. The combinations have been checked.
func (c *command) addMapping(m *units.Mapping) {
	c.addIf("--userns", m.UserNS.Text)
	c.addEach("--uidmap", m.UIDMap)
	c.addEach("--gidmap", m.GIDMap)
	c.addIf("--subuidname", m.SubUIDMap.Text)
	c.addIf("--subgidname", m.SubGIDMap.Text)
	switch m.RemapUsers.Text {
	case "manual":
		c.addEach("--uidmap", m.RemapUID)
		c.addEach("--gidmap", m.RemapGID)
	case "auto":
		options := append(named("uidmapping=", m.RemapUID), named("gidmapping=", m.RemapGID)...)
		if m.RemapUIDSize.N > 0 {
			options = append(options, "size="+decimal(m.RemapUIDSize.N))
		}
		c.add("--userns", withOptions("auto", options))
	case "keep-id":
		c.add("--userns", withOptions("keep-id", append(named("uid=", m.RemapUID), named("gid=", m.RemapGID)...)))
	}
}
